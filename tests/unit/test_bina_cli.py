"""`telefonista bina` and `telefonista conta retencao`: what they write, and what they refuse."""

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from telefonista.__main__ import run
from telefonista.bina.queries import create_bina
from telefonista.calling.creating import limits_of
from telefonista.conta.queries import create_conta, ensure_first
from telefonista.settings import Settings
from telefonista.storage.direct import transaction
from telefonista.storage.migrate import migrate
from telefonista.storage.tables import Bina, Conta

NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database with two contas."""
    for name in [name for name in os.environ if name.upper().startswith("TELEFONISTA_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEFONISTA_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path}/telefonista.db"
    migrate(url)
    with transaction(url) as session:
        ensure_first(session, "token-da-primeira", Decimal(1000), NOW)
        create_conta(session, "loja", "token-da-loja", Decimal(0), NOW)
    return url


def kept(url: str) -> list[tuple[int, str, bool]]:
    with transaction(url, writes=False) as session:
        rows = session.scalars(select(Bina).order_by(Bina.id))
        return [(bina.conta_id, bina.numero, bina.confirmada_em is not None) for bina in rows]


def test_add_list_remove(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bina", "list"]) == 0
    assert "Ainda não há binas" in capsys.readouterr().out
    for _ in range(2):
        assert run(["bina", "add", "(48) 3283-0151", "--conta", "2"]) == 0
    assert "A conta 2 pode mostrar 4832830151" in capsys.readouterr().out
    assert kept(url) == [(2, "+554832830151", True)]
    assert run(["bina", "list", "--conta", "2"]) == 0
    assert "4832830151" in capsys.readouterr().out
    assert run(["bina", "list", "--conta", "1"]) == 0
    assert "4832830151" not in capsys.readouterr().out
    assert run(["bina", "remove", "4832830151", "--conta", "1"]) == 1
    assert "não tem a bina" in capsys.readouterr().err
    assert run(["bina", "remove", "+554832830151", "--conta", "2"]) == 0
    assert kept(url) == []


def test_the_operator_confirms_what_a_customer_began(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with transaction(url) as session:
        create_bina(session, 1, "1030000001", limits_of(Settings(_env_file=None)), NOW)
    assert kept(url) == [(1, "+551030000001", False)]
    assert run(["bina", "list"]) == 0
    assert "não confirmada" in capsys.readouterr().out
    assert run(["bina", "add", "1030000001", "--conta", "1"]) == 0
    assert kept(url) == [(1, "+551030000001", True)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("bina add 4832830151 --conta 99", 1, "Não há conta 99"),
        ("bina add 4832830151 --conta 0", 1, "Não há conta 0"),
        ("bina add 4000 --conta 1", 1, "numero"),
        ("bina add 4832830151", 2, "--conta"),
        ("conta retencao 99 30", 1, "Não há conta 99"),
        ("conta retencao 1 0", 1, "dias"),
        ("conta retencao 1 3651", 1, "dias"),
        ("conta retencao 1 muito", 2, "número inteiro"),
    ],
)
def test_refusals(url: str, capsys: pytest.CaptureFixture[str], words: str, code: int, said: str) -> None:
    assert run(words.split()) == code
    assert said in capsys.readouterr().err
    assert kept(url) == []


def test_retention(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["conta", "retencao", "2", "30"]) == 0
    assert "conta 2 (loja) são guardadas por 30 dias" in capsys.readouterr().out
    with transaction(url, writes=False) as session:
        assert [conta.retencao_dias for conta in session.scalars(select(Conta).order_by(Conta.id))] == [90, 30]
