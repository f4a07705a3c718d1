"""The doctor's view of the database, the engine and the server, and the whole of it as text and JSON."""

import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import text

from telefonista.__main__ import run
from telefonista.doctor import database, engine, report, server
from telefonista.doctor.result import Result, State, error, ok, shielded, warning
from telefonista.engine.asterisk.install import RECIPE, STAMP
from telefonista.engine.asterisk.state import Running
from telefonista.presence import Server, serving
from telefonista.storage.direct import transaction
from telefonista.storage.migrate import migrate
from telefonista.storage.tables import Bloqueio

NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)
RUNNING = Running(4321, "http://127.0.0.1:1/ari", "tel", "x", adopted=True, started_at=NOW.timestamp())


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/telefonista.db"
    migrate(url)
    return url


# -- database --


def test_tables_at_head(url: str) -> None:
    assert database.tables(url).state is State.OK


def test_no_database_yet_is_fine_and_none_is_made(tmp_path: Path) -> None:
    result = database.tables(f"sqlite:///{tmp_path}/novo.db")
    assert result.state is State.OK and "ainda não existe" in result.text
    assert not (tmp_path / "novo.db").exists()


@pytest.mark.parametrize(
    ("statement", "state", "said"),
    [
        ("UPDATE alembic_version SET version_num = 'do_futuro'", State.ERROR, "versão mais nova"),
        ("DELETE FROM alembic_version", State.WARNING, "ainda sem tabelas"),
    ],
)
def test_tables_of_another_version(statement: str, state: State, said: str, url: str) -> None:
    with transaction(url) as session:
        session.execute(text(statement))
    result = database.tables(url)
    assert result.state is state and said in result.text


def test_a_database_that_does_not_answer() -> None:
    result = database.tables("postgresql+psycopg://u:segredo@127.0.0.1:1/x")
    assert result.state is State.ERROR and "segredo" not in result.text


def test_blocked_addresses(url: str) -> None:
    assert database.blocked(url, NOW).text == "nenhum"
    until = NOW + timedelta(minutes=5)
    with transaction(url) as session:
        session.add(Bloqueio(endereco="203.0.113.9", desde=NOW, ate=until, tentativas=12))
        session.add(Bloqueio(endereco="203.0.113.8", desde=NOW, ate=NOW - timedelta(seconds=1), tentativas=10))
    result = database.blocked(url, NOW)
    assert result.state is State.WARNING
    assert result.text == f"203.0.113.9 até {until.astimezone():%H:%M:%S} (12 tentativas)"


def test_very_many_blocked_addresses_are_counted(url: str) -> None:
    with transaction(url) as session:
        for last in range(30):
            address = f"203.0.113.{last}"
            session.add(Bloqueio(endereco=address, desde=NOW, ate=NOW + timedelta(minutes=1), tentativas=10))
    assert database.blocked(url, NOW).text.endswith("; e mais 10")


# -- engine --


def test_program(tmp_path: Path) -> None:
    assert "ainda não instalado" in engine.program(tmp_path, None).text
    stamp = tmp_path / f"motor-{RECIPE}-amd64" / STAMP
    stamp.parent.mkdir()
    stamp.write_text('{"motor": "22.10.1"}')
    assert engine.program(tmp_path, None).text == f"Asterisk 22.10.1 em {stamp.parent}"
    stamp.write_text("{")
    assert engine.program(tmp_path, None).state is State.ERROR
    assert engine.program(tmp_path, tmp_path / "asterisk").state is State.ERROR


@pytest.mark.parametrize(
    ("running", "answers", "served", "state", "said"),
    [
        (None, False, False, State.OK, "parado, como o servidor"),
        (None, False, True, State.ERROR, "parado com o servidor de pé"),
        (RUNNING, False, True, State.ERROR, "4321 não responde"),
        (RUNNING, True, False, State.WARNING, "sem servidor"),
        (RUNNING, True, True, State.OK, "responde (pid 4321)"),
    ],
)
def test_process(running: Running | None, answers: bool, served: bool, state: State, said: str) -> None:
    result = engine.process(running, answers, served=served)
    assert result.state is state and said in result.text


def test_the_log_since_the_start(tmp_path: Path) -> None:
    def line(seconds: float, level: str, said: str) -> str:
        at = datetime.fromtimestamp(NOW.timestamp() + seconds)
        return f"[{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}] {level}[12][C-0001] file.c: {said}\n"

    path = tmp_path / "motor.log"
    assert engine.log(path, NOW.timestamp()).text == "sem avisos desde a partida"
    path.write_text(
        line(-5, "ERROR", "de antes")
        + line(1, "NOTICE", "normal")
        + line(2, "WARNING", "Web socket closed abruptly")
        + line(3, "WARNING", "o disco está cheio")
        + line(4, "ERROR", "sem porta RTP")
    )
    result = engine.log(path, NOW.timestamp())
    assert result.state is State.WARNING
    assert result.text.startswith("1 WARNING, 1 ERROR desde a partida")
    assert "o disco está cheio" in result.text and "de antes" not in result.text and "abruptly" not in result.text


def test_ramais_are_counted() -> None:
    endpoints = [
        {"technology": "PJSIP", "resource": "4000c1", "state": "online"},
        {"technology": "PJSIP", "resource": "4001c1", "state": "offline"},
        {"technology": "PJSIP", "resource": "rede", "state": "online"},
        {"technology": "PJSIP", "resource": "tronco-1", "state": "online"},
    ]
    assert engine.count_ramais(endpoints) == (1, 2)
    assert engine.count_ramais(None) == (0, 0)
    assert engine.ramais(1, 2).text == "1 de 2 registrados no motor"
    assert "confira" in engine.ramais(0, 2).todo


# -- server --

SERVER = Server(99, 1, 30)


@pytest.mark.parametrize(
    ("starting", "ready", "answer", "state", "said"),
    [
        (None, None, None, State.WARNING, "parado"),
        (SERVER, None, None, State.WARNING, "subindo (pid 99)"),
        (SERVER, SERVER, None, State.ERROR, "99 não responde"),
        (SERVER, SERVER, (503, "motor sem eventos"), State.ERROR, "não está pronto: motor sem eventos"),
        (SERVER, SERVER, (200, ""), State.OK, "pronto para chamadas"),
    ],
)
def test_server(
    starting: Server | None, ready: Server | None, answer: tuple[int, str] | None, state: State, said: str
) -> None:
    result = server.server(starting, ready, answer)
    assert result.state is state and said in result.text


async def test_readyz_is_asked_over_http() -> None:
    async def not_ready(request: web.Request) -> web.Response:
        return web.json_response({"mensagem": "encerrando"}, status=503)

    app = web.Application()
    app.router.add_get("/readyz", not_ready)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        assert await server.readyz(f"http://127.0.0.1:{port}") == (503, "encerrando")
    finally:
        await runner.cleanup()
    assert await server.readyz(f"http://127.0.0.1:{port}") is None


async def test_an_engine_that_is_not_there_says_nothing() -> None:
    assert await engine.ask(RUNNING, "/asterisk/ping") is None


# -- the whole --


def test_a_check_that_breaks_is_a_finding() -> None:
    def broken() -> Result:
        raise KeyError("x")

    result = shielded("disco", broken)
    assert result.state is State.ERROR and "KeyError" in result.text


def test_report() -> None:
    results = [ok("a", "bem"), warning("b", "quase", "faça"), error("c", "mal\nde todo", "conserte")]
    assert report.text(results, colour=False).splitlines() == [
        "ok       a: bem",
        "atenção  b: quase",
        "         → faça",
        "erro     c: mal",
        "         de todo",
        "         → conserte",
        "",
        "1 erro(s), 1 aviso(s).",
    ]
    assert not report.healthy(results) and report.healthy(results[:2])
    whole = json.loads(report.as_json(results))
    assert whole["saudavel"] is False
    assert whole["itens"][1] == {"item": "b", "estado": "atencao", "texto": "quase", "fazer": "faça"}


Doctor = Callable[..., tuple[int, dict[str, dict[str, str]]]]


@pytest.fixture
def call_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """`telefonista doctor --json` in a fresh HOME with free ports: its exit code and its findings by item."""
    for name in [name for name in os.environ if name.upper().startswith("TELEFONISTA_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(**variables: str) -> tuple[int, dict[str, dict[str, str]]]:
        with socket.socket() as api, socket.socket() as sip:
            api.bind(("127.0.0.1", 0))
            sip.bind(("127.0.0.1", 0))
            free = {"PORT": str(api.getsockname()[1]), "SIP_PORT": str(sip.getsockname()[1])}
        for name, value in ({"HOME": str(tmp_path / "home"), "RTP_PORTS": "12000-12099"} | free | variables).items():
            monkeypatch.setenv(f"TELEFONISTA_{name}", value)
        code = run(["doctor", "--json"])
        items = json.loads(capsys.readouterr().out)["itens"]
        found = {item["item"]: item for item in items}
        assert len(found) == len(items)
        return code, found

    return call


def test_a_machine_without_a_server_has_no_error(call_doctor: Doctor, tmp_path: Path) -> None:
    code, items = call_doctor()
    assert {item["estado"] for item in items.values()} <= {"ok", "atencao"}, items
    assert code == 0
    assert items["servidor"]["texto"] == "parado"
    assert items["portas SIP"]["texto"].endswith("livre")
    assert not (tmp_path / "home").exists()


def test_a_taken_port_is_an_error_with_its_holder(call_doctor: Doctor) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, items = call_doctor(PORT=str(other.getsockname()[1]))
    assert code == 1
    assert items["porta da API"]["estado"] == "erro"
    assert f"(pid {os.getpid()})" in items["porta da API"]["texto"]


def test_a_server_that_is_still_starting_is_seen(call_doctor: Doctor, tmp_path: Path) -> None:
    with serving(tmp_path / "home", 0):
        code, items = call_doctor()
    assert (code, items["servidor"]["texto"]) == (0, f"subindo (pid {os.getpid()})")


def test_bad_settings_do_not_stop_the_rest(call_doctor: Doctor) -> None:
    code, items = call_doctor(PORT="porta")
    assert code == 1
    assert "TELEFONISTA_PORT: use um número inteiro" in items["configuração"]["texto"]
    assert {"relógio", "fusos horários", "usuário"} <= set(items)
