"""The doctor's view of the machine, its network and its environment variables."""

import os
from pathlib import Path

import pytest

from telefonista.doctor import environment, machine, network
from telefonista.doctor.result import State


def test_root_is_told_to_be_nobody_special() -> None:
    assert machine.user(0).state is State.WARNING
    assert machine.user(1000).state is State.OK


def test_home(tmp_path: Path) -> None:
    assert machine.home(tmp_path).text == f"{tmp_path} aceita gravação"
    assert "ainda não existe" in machine.home(tmp_path / "a/b").text


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root, who may run this, may write everywhere
    result = machine.home(tmp_path / "a")
    assert result.state is State.ERROR and "TELEFONISTA_HOME" in result.todo


@pytest.mark.parametrize(("free", "state"), [(50e6, State.ERROR), (900e6, State.WARNING), (1.5e9, State.OK)])
def test_disk(free: float, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage)
    result = machine.disk(tmp_path / "ainda/nao")
    assert result.state is state and "GB livres" in result.text


def test_clock() -> None:
    assert machine.clock(True).state is State.OK
    assert "não sei" in machine.clock(None).text
    assert "timedatectl set-ntp true" in machine.clock(False).todo
    assert machine.synchronised() in (True, False, None)


def test_zones() -> None:
    assert machine.zones().state is State.OK
    assert machine.zones("America/Nenhures").state is State.ERROR
    assert "antigos" in machine.zones("Europe/Lisbon").text


def test_rtp_reaches_itself_on_loopback() -> None:
    result = network.rtp("127.0.0.1")
    assert result.state is State.OK
    assert "só é alcançável desta máquina" in result.text and "TELEFONISTA_SIP_HOST" in result.todo


def test_an_address_of_another_machine() -> None:
    result = network.rtp("203.0.113.77")
    assert result.state is State.ERROR and "TELEFONISTA_SIP_HOST" in result.todo


LAN, PUBLIC = "192.168.0.10", "8.8.8.8"


@pytest.mark.parametrize(
    ("sip_host", "external", "own", "state", "said"),
    [
        ("127.0.0.1", "", LAN, State.OK, "não é preciso"),
        ("0.0.0.0", "", PUBLIC, State.OK, "não é preciso"),
        ("0.0.0.0", "", LAN, State.OK, "TELEFONISTA_EXTERNAL_IP; sem ele ninguém de fora ouve nada"),
        (LAN, PUBLIC, LAN, State.OK, f"encaminhar para {LAN}"),
        (LAN, "192.168.0.1", LAN, State.WARNING, "privado"),
        (LAN, "100.64.3.4", LAN, State.WARNING, "privado"),
        (LAN, "127.0.0.1", LAN, State.ERROR, "não serve"),
        (LAN, "0.0.0.0", LAN, State.ERROR, "não serve"),
        ("127.0.0.1", PUBLIC, LAN, State.WARNING, "só é alcançável desta máquina"),
    ],
)
def test_nat(sip_host: str, external: str, own: str, state: State, said: str) -> None:
    result = network.nat(sip_host, external, own)
    assert result.state is state and said in result.text + result.todo


def test_a_misspelt_variable_is_noticed(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("TELEFONISTA_SIPHOST=1\nOUTRA=2\n")
    environ = {"TELEFONISTA_PORT": "1", "TELEFONISTA_TRONCO_SENHA": "x", "PATH": "/", "TELEFONISTA_XYZW": "1"}
    result = environment.names(environ, dotenv)
    assert result.state is State.WARNING
    assert result.text == "ninguém lê TELEFONISTA_SIPHOST, TELEFONISTA_XYZW"
    assert result.todo.startswith("TELEFONISTA_SIPHOST: quis dizer TELEFONISTA_SIP_HOST?")
    dotenv.write_text("TELEFONISTA_SIP_HOST=127.0.0.1\n")
    good = environment.names({"TELEFONISTA_PORT": "1", "TELEFONISTA_TRONCO_SENHA": "x"}, dotenv)
    assert (good.state, good.text) == (State.OK, "2 variáveis definidas, todas válidas")
