"""kill -9 of either half in mid-call: what goes on, what is closed, and what the record says afterwards."""

import os
import signal
import time

from tests.e2e.conftest import Api, nothing_left
from tests.e2e.server import Server


async def test_the_engine_outlives_the_server(own_server: Server, own_api: Api) -> None:
    own_server.start()
    call = await own_api.call("1030000021", "1030000022", gravar_audio=True)
    other = await own_api.call("1030000021", "1030000011", gravar_audio=True)  # hangs up while nobody watches
    await own_api.talking(call)
    await own_api.talking(other)
    engine = own_server.motor()["pid"]
    own_server.kill()
    recording = own_server.home / "motor" / "spool" / "recording" / f"{call}-g.1-heard.wav"
    before = recording.stat().st_size
    died = time.time()
    while recording.stat().st_size == before:  # the engine writes on; the next block comes in 2 s
        assert time.time() - died < 5, "the recording stands still"
        os.sched_yield()
    channels = own_server.ask_engine("/channels")
    assert {f"{call}-a", f"{call}-b"} <= {channel["id"] for channel in channels}

    own_server.start()
    assert own_server.motor()["pid"] == engine
    dados = await own_api.chamada(call)
    assert dados["ativa"] is True
    assert dados["destino"]["status"] == "atendida"

    unwatched = await own_api.recorded(other)
    assert unwatched["destino"]["duracao_falada_segundos"] == 3
    assert unwatched["destino"]["motivo_desconexao"] == "16. normal"

    await own_api.ask("DELETE", f"/chamada/{call}")
    dados = await own_api.recorded(call)
    talked = time.time() - died
    assert dados["status_geral"] == "finalizada"
    assert dados["origem"]["preco"] == dados["destino"]["preco"] == 0.12
    assert dados["destino"]["duracao_falada_segundos"] >= int(talked)
    sidecar = own_server.recording(call)
    assert sidecar["aviso"] is None
    assert abs(sidecar["duracao_ms"] - sidecar["conversa_ms"]) <= 300
    await nothing_left(own_api)


async def test_the_server_outlives_the_engine(own_server: Server, own_api: Api) -> None:
    own_server.start()
    call = await own_api.call("1030000021", "1030000022", gravar_audio=True)
    ringing = await own_api.call("1030000021", "1030000004")
    await own_api.talking(call)
    spool = own_server.home / "motor" / "spool" / "recording" / f"{call}-g.1-heard.wav"
    began = time.time()
    while spool.stat().st_size < 1000:  # the engine writes its first block after 2 s
        assert time.time() - began < 6, "nothing is recorded"
        os.sched_yield()
    died = time.time()
    os.kill(own_server.motor()["pid"], signal.SIGKILL)

    dados = await own_api.ended(call, within=5)
    assert (await own_api.ended(ringing, within=5))["destino"]["status"] == "falha"
    assert time.time() - died < 5
    assert dados["destino"]["status"] == "atendida"
    assert dados["destino"]["motivo_desconexao"] == "41. falha temporária"
    assert dados["destino"]["duracao_falada_segundos"] in (round(died - began), round(died - began) + 1)

    again = await own_api.until(
        lambda: own_api.http.post("/chamada", json={"numero_origem": "1030000021", "numero_destino": "1030000011"}),
        lambda answer: answer.status_code == 200,
        within=3 - (time.time() - died),
    )
    dados = await own_api.ended(again.json()["dados"]["id"])
    assert dados["destino"]["status"] == "atendida"

    assert (await own_api.recorded(call))["url_gravacao"]
    sidecar = own_server.recording(call)
    assert sidecar["duracao_ms"] > 1500  # what the engine had written; its last block of 2 s is lost
    await nothing_left(own_api)
