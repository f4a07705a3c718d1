"""The command line itself: what is said of a line that is wrong, and with which exit code."""

import os
import sys
from pathlib import Path

import pytest

from telefonista import __version__
from telefonista.__main__ import run


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("TELEFONISTA_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEFONISTA_HOME", str(tmp_path / "home"))


WRONG: list[tuple[list[str], str]] = [
    (["voar"], "Não há o comando 'voar'. Veja `telefonista --help`."),
    (["serve", "--rapido"], "Não há a opção '--rapido'. Veja `telefonista serve --help`."),
    (["conta", "credit", "1"], "Falta VALOR. Veja `telefonista conta credit --help`."),
    (["conta", "credit", "um", "10"], "CONTA: 'um' não é um número inteiro. Veja `telefonista conta credit --help`."),
    (["stop", "já"], "Sobrou 'já' na linha. Veja `telefonista stop --help`."),
    (["conta", "voar"], "Não há o comando 'voar'. Veja `telefonista conta --help`."),
]


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_a_wrong_line_is_explained(line: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 2
    assert capsys.readouterr().err.strip() == said


@pytest.mark.parametrize("line", [["stop"], ["migrate"], ["conta", "list"], ["engine", "status"], ["serve"]])
def test_a_bad_setting_is_named(
    line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TELEFONISTA_PORT", "porta")
    assert run(line) == 2
    assert "TELEFONISTA_PORT: use um número inteiro" in capsys.readouterr().err


def test_help_is_in_portuguese(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for word in ("Uso:", "Comandos", "serve", "stop", "doctor", "migrate", "engine", "conta", "tronco"):
        assert word in out
    assert "Display" not in out and "Commands" not in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_migrate_makes_the_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate"]) == 0
    assert (tmp_path / "home/telefonista.db").is_file()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert "Banco de dados em dia" in capsys.readouterr().out


def test_engine_status_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engine", "status"]) == 1
    assert "Nenhum motor em execução" in capsys.readouterr().out


def test_help_loads_no_server() -> None:
    """A command that only asks stays quick: cold imports of the web framework take a second."""
    import subprocess

    code = "import sys; from telefonista.__main__ import run; run(['--help']); sys.exit('fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
