"""`telefonista serve` as a process: Ctrl-C in every state, a deaf engine, two houses on one machine."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import Api, nothing_left
from tests.e2e.server import Server

TONE, OTHER_TONE = "1030000021", "1030000022"


async def exit_code(server: Server, within: float) -> int:
    """The server's exit code, once it has ended by itself."""
    process = server.process
    assert process is not None
    async with asyncio.timeout(within):
        code = await asyncio.to_thread(process.wait, within)
    assert process.stdout is not None
    process.stdout.close()
    server.process = None
    return code


def interrupt(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)


def engine_is_gone(server: Server, pid: int) -> bool:
    return not (server.home / "motor" / "motor.json").exists() and not Path(f"/proc/{pid}/exe").exists()


def row(server: Server, id: int) -> tuple[str, str]:
    """How the database has a chamada while no server runs."""
    with closing(sqlite3.connect(server.home / "telefonista.db")) as database:
        query = "SELECT status_geral, desfecho FROM chamada WHERE id = ?"
        status, outcome = database.execute(query, (id,)).fetchone()
    return str(status), str(outcome)


async def drains(api: Api) -> None:
    """No new calls any more, and the machine that looks after us is told."""
    answer = await api.until(lambda: api.http.get("/readyz"), lambda a: a.status_code == 503, 2)
    assert "encerrando" in answer.json()["mensagem"]
    answer = await api.http.post("/chamada", json={"numero_origem": TONE, "numero_destino": OTHER_TONE})
    assert (answer.status_code, answer.json()["motivo"]) == (503, 50)


async def test_an_idle_server_ends_at_once_and_starts_again_in_under_3_s(own_server: Server) -> None:
    own_server.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        engine = own_server.motor()["pid"]
        assert own_server.process is not None
        began = time.monotonic()
        own_server.process.send_signal(number)
        assert await exit_code(own_server, 5) == 0
        assert time.monotonic() - began < 3
        assert engine_is_gone(own_server, engine)
        assert own_server.start() < 3
    assert "Traceback" not in own_server.log()


async def test_the_first_ctrl_c_lets_a_call_end_in_its_own_time(own_server: Server, own_api: Api) -> None:
    own_server.start()
    engine = own_server.motor()["pid"]
    id = await own_api.call(TONE, OTHER_TONE, gravar_audio=True)
    await own_api.talking(id)
    interrupt(own_server)
    await drains(own_api)
    assert (await own_api.chamada(id))["ativa"] is True
    assert "1 chamada(s) em curso" in own_server.log()
    await own_api.ask("DELETE", f"/chamada/{id}")
    assert await exit_code(own_server, 5) == 0
    assert engine_is_gone(own_server, engine)
    assert row(own_server, id) == ("finalizada", "encerrada")
    own_server.start()
    dados = await own_api.recorded(id)
    assert dados["destino"]["status"] == "atendida"
    assert dados["destino"]["preco"] == 0.12


async def test_a_call_that_does_not_end_is_ended_after_the_drain_seconds(own_server: Server, own_api: Api) -> None:
    own_server.environment["TELEFONISTA_DRAIN_SECONDS"] = "2"
    own_server.start()
    id = await own_api.call(TONE, OTHER_TONE)
    await own_api.talking(id)
    began = time.monotonic()
    interrupt(own_server)
    assert await exit_code(own_server, 8) == 0
    assert 2 <= time.monotonic() - began < 6
    assert row(own_server, id) == ("finalizada", "encerrada")


async def test_the_second_ctrl_c_ends_now_and_writes_the_truth(own_server: Server, own_api: Api) -> None:
    own_server.start()
    engine = own_server.motor()["pid"]
    talking = await own_api.call(TONE, OTHER_TONE, gravar_audio=True)
    ringing = await own_api.call(TONE, "1030000004")
    await own_api.talking(talking)
    await own_api.until(lambda: own_api.chamada(ringing), lambda dados: dados["destino"]["status"] == "chamando", 3)
    interrupt(own_server)
    await drains(own_api)
    assert "2 chamada(s) em curso" in own_server.log()
    began = time.monotonic()
    interrupt(own_server)
    assert await exit_code(own_server, 6) == 0
    assert time.monotonic() - began < 4
    assert engine_is_gone(own_server, engine)
    assert row(own_server, talking) == row(own_server, ringing) == ("finalizada", "encerrada")
    assert "Traceback" not in own_server.log()
    own_server.start()
    dados = await own_api.recorded(talking)
    assert (dados["origem"]["status"], dados["destino"]["status"]) == ("atendida", "atendida")
    assert dados["destino"]["motivo_desconexao"] == "16. normal"
    dados = await own_api.chamada(ringing)
    assert (dados["origem"]["status"], dados["destino"]["status"]) == ("atendida", "cancelada")
    assert dados["destino"]["preco"] == 0


async def test_stop_from_another_terminal(own_server: Server) -> None:
    own_server.start()
    engine = own_server.motor()["pid"]
    said = await asyncio.to_thread(own_server.run, "stop")
    assert "Servidor encerrado" in said
    assert await exit_code(own_server, 5) == 0
    assert engine_is_gone(own_server, engine)


async def test_a_slow_client_does_not_hold_the_end(own_server: Server, own_api: Api) -> None:
    """A connection in the middle of a request when the end comes."""
    own_server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", own_server.port)
    writer.write(b"POST /chamada HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    assert (await own_api.http.get("/healthz")).status_code == 200
    interrupt(own_server)
    assert await exit_code(own_server, 10) == 0
    writer.close()


async def test_a_deaf_engine_is_noticed_and_heard_again(own_server: Server, own_api: Api) -> None:
    own_server.start()
    engine = own_server.motor()["pid"]
    id = await own_api.call(TONE, OTHER_TONE)
    await own_api.talking(id)
    assert (await own_api.http.get("/readyz")).status_code == 200
    os.kill(engine, signal.SIGSTOP)
    try:
        answer = await own_api.until(lambda: own_api.http.get("/readyz"), lambda a: a.status_code == 503, 5)
        assert "motor" in answer.json()["mensagem"]
        answer = await own_api.http.post("/chamada", json={"numero_origem": TONE, "numero_destino": OTHER_TONE})
        assert (answer.status_code, answer.json()["motivo"]) == (503, 50)
    finally:
        os.kill(engine, signal.SIGCONT)
    await own_api.until(lambda: own_api.http.get("/readyz"), lambda a: a.status_code == 200, 8)
    assert own_server.motor()["pid"] == engine
    assert (await own_api.chamada(id))["ativa"] is True
    await own_api.ask("DELETE", f"/chamada/{id}")
    assert (await own_api.ended(id))["destino"]["status"] == "atendida"
    id = await own_api.call(TONE, "1030000003")
    assert (await own_api.ended(id))["destino"]["status"] == "ocupado"
    await nothing_left(own_api)


@pytest.fixture
def second_server(tmp_path: Path, worker: int) -> Iterator[Server]:
    """Another house beside `own_server`."""
    first = 31600 + 2000 * worker
    server = Server(tmp_path / "outra" / "h", f"{first}-{first + 199}")
    server.home.parent.mkdir()
    yield server
    if server.process is not None:
        server.stop()


async def test_two_houses_call_side_by_side(own_server: Server, own_api: Api, second_server: Server) -> None:
    own_server.start()
    second_server.start()
    second_api = Api(second_server)
    try:
        apis = (own_api, second_api)
        ids = [await api.call(TONE, OTHER_TONE) for api in apis for _ in range(3)]
        assert ids == [1, 2, 3, 1, 2, 3]
        for api in apis:
            for id in (1, 2, 3):
                await api.talking(id)
            assert len(await asyncio.to_thread(api.server.ask_engine, "/bridges")) == 3
        assert await asyncio.to_thread(own_server.stop) == 0
        for id in (1, 2, 3):  # the other's end is not its own
            assert (await second_api.chamada(id))["ativa"] is True
            await second_api.ask("DELETE", f"/chamada/{id}")
            assert (await second_api.ended(id))["destino"]["status"] == "atendida"
        await nothing_left(second_api)
    finally:
        await second_api.http.aclose()


async def test_without_the_test_network_its_numbers_are_refused(own_server: Server, own_api: Api) -> None:
    own_server.environment["TELEFONISTA_TEST_NETWORK"] = "0"
    own_server.start()
    assert TONE not in own_server.said
    for origem, destino, campo in ((TONE, OTHER_TONE, "numero_origem"), ("10930000001", TONE, "numero_origem")):
        answer = await own_api.http.post("/chamada", json={"numero_origem": origem, "numero_destino": destino})
        assert (answer.status_code, answer.json()["motivo"]) == (405, 11)
        mensagem = answer.json()["mensagem"]
        assert campo in mensagem
        assert "rede de teste" in mensagem
        assert "TELEFONISTA_TEST_NETWORK" in mensagem
