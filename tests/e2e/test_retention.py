"""A recording that is older than its conta keeps it is gone after the next start, file and link."""

import sqlite3

from tests.e2e.conftest import Api
from tests.e2e.server import Server


async def test_a_recording_is_kept_for_so_long(own_server: Server, own_api: Api) -> None:
    own_server.start()
    old = await own_api.call("1030000021", "1030000011", gravar_audio=True)
    young = await own_api.call("1030000021", "1030000011", gravar_audio=True)
    link = (await own_api.recorded(old))["url_gravacao"]
    await own_api.recorded(young)
    folder = own_server.home / "gravacoes" / "1"
    assert {f"{old}.mp3", f"{old}.json"} <= {path.name for path in folder.iterdir()}
    own_server.run("conta", "retencao", "1", "30")
    own_server.stop()
    with sqlite3.connect(own_server.home / "telefonista.db") as database:
        database.execute(
            "UPDATE gravacao SET iniciada_em = datetime(iniciada_em, '-31 days') WHERE chamada_id = ?", [old]
        )
    database.close()
    own_server.start()
    await own_api.until(lambda: own_api.chamada(old), lambda dados: dados["url_gravacao"] is None, 5)
    assert {path.name for path in folder.iterdir()} == {f"{young}.mp3", f"{young}.json"}
    for path, motivo in ((f"/chamada/{old}/gravacao", 70), (link, 60)):
        answer = await own_api.http.get(path)
        assert (answer.status_code, answer.json()["motivo"]) == (404, motivo)
    assert (await own_api.http.get(f"/chamada/{young}/gravacao")).status_code == 200
