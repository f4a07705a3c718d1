"""Many calls at once: none lost, none doubled, nothing left over."""

import asyncio
from collections import Counter

from tests.e2e.conftest import Api, nothing_left


async def test_a_hundred_calls_at_once(api: Api) -> None:
    destinos = ["1030000011", "1030000003", "1030000005", "1030000007"]
    ids = await asyncio.gather(*(api.call("1030000021", destinos[n % 4], gravar_audio=n % 4 == 0) for n in range(100)))
    assert len(set(ids)) == 100
    ended = [await api.ended(id, within=60) for id in ids]
    expected = {"atendida": 25, "ocupado": 25, "não existe": 25, "sem resposta": 25}
    assert Counter(dados["destino"]["status"] for dados in ended) == expected
    for dados in ended:
        assert dados["destino"]["motivo_desconexao"] != "indefinido"
        assert dados["origem"]["status"] == "atendida"
    for id, dados in zip(ids, ended, strict=True):
        if dados["destino"]["status"] == "atendida":
            await api.recorded(id, within=60)
    await nothing_left(api, within=10)
    spool = api.server.home / "motor" / "spool" / "recording"
    assert list(spool.iterdir()) == []
    found: list[int] = []
    total = 1
    while len(found) < total:  # with those of the tests before
        query = {"posicao": str(len(found)), "limite": "200"}
        pagina = await api.ask("GET", "/chamada/relatorio", params=query)
        total = pagina["total"]
        assert pagina["relatorio"]
        found += [row["id"] for row in pagina["relatorio"]]
    assert set(ids) <= set(found)
    assert len(found) == len(set(found))
