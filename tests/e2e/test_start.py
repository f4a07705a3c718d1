"""What keeps `telefonista serve` from starting, and what an interrupted start leaves behind."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server


def refused(server: Server, **environment: str) -> str:
    """What it says when it cannot start; it ends by itself with exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "telefonista", "serve"],
        cwd=ROOT,
        env={**server.settings(), **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "pronto" not in done.stdout
    assert not (server.home / "motor" / "motor.json").exists(), "an engine was left behind"
    return done.stderr


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_an_occupied_sip_port(own_server: Server, kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", own_server.sip_port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        said = refused(own_server)
    assert str(own_server.sip_port) in said
    assert "TELEFONISTA_SIP_PORT" in said


def test_an_occupied_http_port(own_server: Server) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", own_server.port))
        other.listen()
        said = refused(own_server)
    assert str(own_server.port) in said
    assert "TELEFONISTA_PORT" in said


def test_a_home_that_is_served_already(own_server: Server, worker: int) -> None:
    own_server.start()
    again = Server(own_server.home, f"{31600 + 2000 * worker}-{31799 + 2000 * worker}")
    done = subprocess.run(
        [sys.executable, "-m", "telefonista", "serve"],
        cwd=ROOT,
        env=again.settings(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "já está em execução" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_not_of_this_machine(own_server: Server) -> None:
    assert "TELEFONISTA_SIP_HOST" in refused(own_server, TELEFONISTA_SIP_HOST="192.0.2.1")


def test_a_bad_setting_is_named(own_server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "telefonista", "serve"],
        cwd=ROOT,
        env={**own_server.settings(), "TELEFONISTA_RTP_PORTS": "9-8", "TELEFONISTA_PORT": "nada"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    for name in ("TELEFONISTA_RTP_PORTS", "TELEFONISTA_PORT"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("step", "number"), [("banco de dados", signal.SIGINT), ("motor", signal.SIGTERM)])
def test_a_start_that_is_interrupted_leaves_nothing(own_server: Server, step: str, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "telefonista", "serve"],
        cwd=ROOT,
        env=own_server.settings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said, deadline = b"", time.monotonic() + 15
        while f"preparando: {step}\n".encode() not in said:
            ready, _, _ = select.select([process.stderr], [], [], deadline - time.monotonic())
            assert ready, said
            more = os.read(process.stderr.fileno(), 65536)
            assert more, said
            said += more
        process.send_signal(number)
        assert process.wait(10) == 0
        said += process.stderr.read()
    assert b"Traceback" not in said
    assert not (own_server.home / "motor" / "motor.json").exists()
    assert not _engines(own_server.home)


def _engines(home: Path) -> list[str]:
    """The processes whose command line names this house's engine."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if str(home / "motor").encode() in command:
                found.append(process.name)
    return found
