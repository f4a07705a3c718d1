"""`telefonista tronco` alone and beside a running server: what it writes, says, and makes the server do."""

import asyncio
import io
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from telefonista.__main__ import run as telefonista
from telefonista.calling.capacity import Gates
from telefonista.calling.house import House
from telefonista.calling.run import Runner
from telefonista.dialect import handlers
from telefonista.engine.fake import FakeEngine
from telefonista.engine.port import EngineError, TrunkAccount
from telefonista.settings import load
from telefonista.storage.migrate import migrate
from telefonista.storage.session import Storage
from telefonista.storage.tables import Tronco
from telefonista.tronco import cli, door, queries
from telefonista.tronco.carriers import Carriers
from telefonista.tronco.http import Operador, router


def run(*words: str) -> int:
    """The command's exit code."""
    return telefonista(["tronco", *words])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEFONISTA_HOME", str(tmp_path / "casa"))
    monkeypatch.setenv("TELEFONISTA_PORT", str(port))
    monkeypatch.delenv(cli.SENHA, raising=False)
    (tmp_path / "casa").mkdir()
    migrate(load().database)
    return tmp_path / "casa"


def kept() -> list[Tronco]:
    database = create_engine(load().database)
    with Session(database, expire_on_commit=False) as session:
        rows = list(queries.list_troncos(session))
    database.dispose()
    return rows


# -- no server -------------------------------------------------------------------------------------------------------


def test_add_list_remove(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.SENHA, "s3nha")
    words = "add op1 --host sip.op.com.br --porta 5070 --transporte TCP --usuario ana --registra --classes movel,0800"
    assert run(*words.split(), "--formato-numero", "e164", "--canais", "10", "--cps", "2", "--bina", "4832830151") == 0
    out = capsys.readouterr().out
    assert "Tronco op1 cadastrado" in out and "não está rodando" in out and "s3nha" not in out
    (row,) = kept()
    assert (row.nome, row.host, row.porta, row.transporte) == ("op1", "sip.op.com.br", 5070, "tcp")
    assert (row.usuario, row.senha, row.registra, row.bina) == ("ana", "s3nha", True, "4832830151")
    assert (row.formato_numero, row.canais, row.cps, row.classes) == ("e164", 10, 2, "movel,0800")
    assert run("list") == 0
    out = capsys.readouterr().out
    assert "op1" in out and "sip.op.com.br:5070/tcp" in out and "servidor parado" in out and "s3nha" not in out
    assert run("remove", "op1") == 0
    assert kept() == []
    assert run("list") == 0
    assert "Ainda não há troncos" in capsys.readouterr().out


def test_defaults(home: Path) -> None:
    assert run("add", "op1", "--host", "200.1.2.3") == 0
    (row,) = kept()
    assert (row.porta, row.transporte, row.usuario, row.senha, row.registra) == (5060, "udp", None, None, False)
    assert (row.formato_numero, row.canais, row.cps, row.classes, row.bina) == ("nacional", 30, 5, "fixo,movel", None)


def test_senha_from_a_pipe(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("doCano1\n"))
    assert run("add", "op1", "--host", "200.1.2.3", "--usuario", "ana", "--registra") == 0
    assert kept()[0].senha == "doCano1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("add op1 --host sip:x", "host inválido"),
        ("add op1 --host 200.1.2.3 --porta 99999", "porta inválido"),
        ("add op1 --host 200.1.2.3 --classes fixo,lua", "classes inválido"),
        ("add op1 --host 200.1.2.3 --registra", "precisa de --usuario"),
        ("remove op2", "não há tronco com o nome op2"),
        ("test op1", "não está rodando"),
    ],
)
def test_refusals(home: Path, capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    assert run(*words.split()) == 1
    assert said in capsys.readouterr().err
    assert kept() == []


def test_a_nome_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("add", "op1", "--host", "200.1.2.3") == 0
    assert run("add", "op1", "--host", "200.1.2.4") == 1
    assert "já existe um tronco com o nome op1" in capsys.readouterr().err
    assert [row.host for row in kept()] == ["200.1.2.3"]


def test_no_database_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEFONISTA_HOME", str(tmp_path))
    assert run("add", "op1", "--host", "200.1.2.3") == 1
    assert "telefonista serve" in capsys.readouterr().err


def test_a_missing_option_is_a_bad_line(home: Path) -> None:
    assert run("add", "op1") == 2


def test_bad_settings(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEFONISTA_PORT", "99999")
    assert run("list") == 2
    assert "TELEFONISTA_PORT" in capsys.readouterr().err


# -- beside a server -----------------------------------------------------------------------------------------------


class Server:
    """The operator door over a fake engine, on a real socket."""

    def __init__(self, engine: FakeEngine, gates: Gates, carriers: Carriers) -> None:
        self.engine, self.gates, self.carriers = engine, gates, carriers

    async def run(self, *words: str) -> int:
        async with asyncio.timeout(20):
            return await asyncio.to_thread(run, *words)


@pytest.fixture
async def server(home: Path) -> AsyncIterator[Server]:
    settings = load()
    storage, engine, gates = Storage(settings.database), FakeEngine(), Gates(0.1)
    app = FastAPI()
    carriers = Carriers(storage, engine, gates)
    app.state.house = House(settings, storage, engine, Runner(engine, storage, gates))
    app.state.operador = Operador(door.make_key(home), carriers)
    app.include_router(router)
    handlers.install(app)
    listener = socket.create_server(("127.0.0.1", settings.port))
    http = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="none"))
    serving = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        yield Server(engine, gates, carriers)
    finally:
        http.should_exit = True
        await serving
        await storage.close()


async def test_a_running_server_takes_it_up_at_once(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cli.SENHA, "s3nha")
    words = "add op1 --host 200.1.2.3 --usuario ana --registra --canais 1"
    assert await server.run(*words.split()) == 0
    assert "O servidor já usa a mudança: registrado." in capsys.readouterr().out
    assert server.engine.trunks == {
        "tronco-1": TrunkAccount("tronco-1", "200.1.2.3", 5060, "udp", "ana", "s3nha", True)
    }
    async with server.gates.place(1):
        with pytest.raises(TimeoutError):
            async with server.gates.place(1):
                pass
    assert await server.run("list") == 0
    assert "registrado" in capsys.readouterr().out
    assert await server.run("test", "op1") == 0
    assert "200.1.2.3:5060 (UDP) aceitou o registro do usuário ana" in capsys.readouterr().out
    assert await server.run("remove", "op1") == 0
    assert server.engine.trunks == {}


async def test_only_what_changed_is_pushed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await server.run("add", "op1", "--host", "200.1.2.3") == 0
    told: list[str] = []
    put, remove = server.engine.put_trunk, server.engine.remove_trunk

    async def spy_put(account: TrunkAccount) -> None:
        told.append(f"put {account.nome}")
        await put(account)

    async def spy_remove(nome: str) -> None:
        told.append(f"remove {nome}")
        await remove(nome)

    monkeypatch.setattr(server.engine, "put_trunk", spy_put)
    monkeypatch.setattr(server.engine, "remove_trunk", spy_remove)
    assert await server.run("add", "op2", "--host", "200.1.2.4") == 0
    assert told == ["remove tronco-2", "put tronco-2"]
    told.clear()
    await server.carriers.push_all()
    assert told == ["put tronco-1", "put tronco-2"]


async def test_an_engine_that_refuses_or_is_down(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(account: TrunkAccount) -> None:
        raise EngineError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(server.engine, "put_trunk", refuse)
        assert await server.run("add", "op1", "--host", "200.1.2.3") == 0
        assert "a mudança: desconhecido." in capsys.readouterr().out
    server.engine.crash()
    assert await server.run("add", "op2", "--host", "200.1.2.4") == 0
    assert "a mudança: motor parado." in capsys.readouterr().out
    assert await server.run("test", "op2") == 1
    assert "telefonista doctor" in capsys.readouterr().err
    await server.engine.restart()
    await server.carriers.push_all()
    assert set(server.engine.trunks) == {"tronco-1", "tronco-2"}


async def test_an_engine_that_comes_up_is_told_before_it_takes_calls(server: Server) -> None:
    assert await server.run("add", "op1", "--host", "200.1.2.3") == 0
    server.engine.crash()
    server.engine.trunks.clear()
    server.engine.on_up(server.carriers.push_all)
    await server.engine.restart()
    assert set(server.engine.trunks) == {"tronco-1"}


async def test_test_tells_what_would_become_of_a_number(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    await server.run("add", "op1", "--host", "200.1.2.3", "--formato-numero", "0nacional")
    await server.run("add", "op2", "--host", "200.1.2.4", "--classes", "movel,0300")

    async def says(nome: str, numero: str) -> str:
        capsys.readouterr()
        assert await server.run("test", nome, numero) == 0
        return capsys.readouterr().out.splitlines()[-1]

    assert (await says("op1", "4832830151")).endswith("da classe fixo e seria discado como 04832830151")
    assert (await says("op2", "48999990000")).endswith("mas quem atende essa classe primeiro é o tronco op1")
    assert "não atende (atende movel,0300)" in await says("op2", "4832830151")
    assert "ramal" in await says("op1", "4000")
    assert "emergência" in await says("op1", "190")
    assert server.engine.dialled == []
    assert await server.run("test", "op9") == 1
    assert "não há tronco com o nome op9" in capsys.readouterr().err


async def test_the_door_opens_to_the_key_alone(server: Server, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = home / "operador.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text()
    file.write_text("outra")
    assert await server.run("add", "op1", "--host", "200.1.2.3") == 1
    assert "outro TELEFONISTA_HOME" in capsys.readouterr().err
    assert server.engine.trunks == {}
    file.write_text("")
    assert await server.run("list") == 1
    file.write_text(key)
    assert await server.run("list") == 0
    assert door.make_key(home) != key and stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_without_a_door_there_is_no_such_path(home: Path) -> None:
    app = FastAPI()
    app.include_router(router)
    handlers.install(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as client:
        answer = await client.post("/_operador/recarregar", headers={door.HEADER: ""})
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["motivo"]) == (404, 90)
    assert not [path for path in app.openapi()["paths"] if "operador" in path]
