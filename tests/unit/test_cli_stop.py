"""`telefonista stop` and the lock of a HOME, with small processes in the server's and the engine's place."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telefonista.engine.asterisk.pid import start_ticks
from telefonista.engine.asterisk.state import State, save, status
from telefonista.presence import HomeRefused, answering, serving, starting_or_serving
from telefonista.stop import stop

SERVER = """
import signal, sys, threading
from pathlib import Path
from telefonista.presence import serving
told = threading.Event()
signal.signal(signal.SIGTERM, (lambda *_: None) if sys.argv[2] == "deaf" else (lambda *_: told.set()))
with serving(Path(sys.argv[1]), 0) as here:
    if sys.argv[2] != "starting":
        here.ready()
    print("pronto", flush=True)
    told.wait(60)
"""
ENGINE = "import threading; print('pronto', flush=True); threading.Event().wait(60)"

pytestmark = pytest.mark.timeout(60)


class Processes:
    """Children that end with the test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.all: list[subprocess.Popen[str]] = []

    def _start(self, *args: str) -> subprocess.Popen[str]:
        child = subprocess.Popen([sys.executable, "-c", *args], stdout=subprocess.PIPE, text=True)
        self.all.append(child)
        assert child.stdout is not None and child.stdout.readline() == "pronto\n"
        return child

    def server(self, manner: str = "usual") -> subprocess.Popen[str]:
        return self._start(SERVER, str(self.home), manner)

    def engine(self) -> subprocess.Popen[str]:
        child = self._start(ENGINE)
        (self.home / "motor").mkdir(parents=True, exist_ok=True)
        ticks = start_ticks(child.pid)
        assert ticks is not None
        save(self.home / "motor", State(child.pid, ticks, time.time(), 1, "x", "y"))
        return child


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    for child in processes.all:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


async def test_server_and_engine_are_ended_in_order(processes: Processes, tmp_path: Path) -> None:
    server, engine, said = processes.server(), processes.engine(), list[str]()
    assert await stop(tmp_path, 0, said.append)
    assert [line.split(" em ")[0] for line in said] == [
        f"Encerrando o servidor (pid {server.pid}); chamadas",
        "Servidor encerrado",
        f"Motor (pid {engine.pid}) encerrado.",
    ]
    assert start_ticks(server.pid) is None and start_ticks(engine.pid) is None
    assert starting_or_serving(tmp_path) is None and status(tmp_path / "motor") is None
    assert not (tmp_path / "servidor.json").exists()


async def test_nothing_runs(tmp_path: Path) -> None:
    said: list[str] = []
    assert not await stop(tmp_path / "nada", 0, said.append)
    assert said == [f"Nada em execução em {tmp_path / 'nada'}."]


async def test_a_server_that_is_still_starting_is_ended(processes: Processes, tmp_path: Path) -> None:
    server = processes.server("starting")
    assert answering(tmp_path) is None
    assert await stop(tmp_path, 0, lambda text: None)
    assert start_ticks(server.pid) is None


async def test_a_deaf_server_is_killed_at_the_deadline(processes: Processes, tmp_path: Path) -> None:
    server, said = processes.server("deaf"), list[str]()
    assert await stop(tmp_path, 0, said.append, longer=0.2)
    assert start_ticks(server.pid) is None
    assert said[1].endswith("encerro à força.")
    assert not (tmp_path / "servidor.json").exists()


async def test_an_engine_without_a_server_is_ended(processes: Processes, tmp_path: Path) -> None:
    engine, said = processes.engine(), list[str]()
    assert await stop(tmp_path, 0, said.append)
    assert said == [f"Motor (pid {engine.pid}) encerrado."]


async def test_a_process_with_a_reused_number_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    engine = processes.engine()
    note = {"pid": engine.pid, "started": 1, "drain_seconds": 0}
    (tmp_path / "motor/motor.json").unlink()
    for name in ("servidor.lock", "servidor.json"):
        (tmp_path / name).write_text(json.dumps(note))
    assert not await stop(tmp_path, 0, lambda text: None)
    assert start_ticks(engine.pid) is not None


def test_a_second_server_is_refused_by_name(processes: Processes, tmp_path: Path) -> None:
    server = processes.server()
    with pytest.raises(HomeRefused, match=rf"já está em execução \(pid {server.pid}\)"), serving(tmp_path, 0):
        pass
    seen = answering(tmp_path)
    assert seen is not None and seen.pid == server.pid


def test_a_killed_server_leaves_no_lock(processes: Processes, tmp_path: Path) -> None:
    server = processes.server()
    server.kill()
    server.wait()
    assert starting_or_serving(tmp_path) is None and answering(tmp_path) is None
    with serving(tmp_path, 7) as here:
        assert answering(tmp_path) is None
        here.ready()
        mine = answering(tmp_path)
        assert mine is not None and (mine.pid, mine.drain_seconds) == (os.getpid(), 7)
    assert starting_or_serving(tmp_path) is None


def test_a_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "arquivo").touch()
    with pytest.raises(HomeRefused, match="Não posso gravar em"), serving(tmp_path / "arquivo/home", 0):
        pass
