"""`telefonista conta`: amounts as Brazilians write them, and the money it moves, beside a server's own connection."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from telefonista.__main__ import run
from telefonista.calling.house import conta_by_token
from telefonista.conta.cli import Refused, amount, reais
from telefonista.conta.queries import create_conta, ensure_first
from telefonista.storage.direct import transaction
from telefonista.storage.migrate import migrate
from telefonista.storage.session import Storage
from telefonista.storage.tables import Conta, LedgerEntry

NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A migrated database with the first conta, as `serve` leaves it."""
    for name in [name for name in os.environ if name.upper().startswith("TELEFONISTA_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELEFONISTA_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path}/telefonista.db"
    migrate(url)
    with transaction(url) as session:
        ensure_first(session, "token-da-primeira", Decimal(1000), NOW)
    return url


def saldo(url: str, conta_id: int) -> Decimal:
    with transaction(url, writes=False) as session:
        return session.get_one(Conta, conta_id).saldo


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1234,56", "1234.56"),
        ("1234", "1234"),
        ("R$ 0,5", "0.5"),
        ("1.000.000,01", "1000000.01"),
        (" 10,00 ", "10"),
    ],
)
def test_an_amount_is_read(text: str, value: str) -> None:
    assert amount(text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "1.234", "1,234", "1,234.56", "1.2.3", "12.34,5", "0", "0,00", "-5", "1e3", "NaN", "inf", "1,", ",5",
     "10,001", "1 000", "١٢", "1000000000,01", "9" * 40, "1_0"],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="^valor: "):
        amount(text)


@given(st.integers(1, 10**11))
def test_what_is_shown_can_be_read_again(cents: int) -> None:
    assert amount(reais(Decimal(cents) / 100)) == Decimal(cents) / 100


def test_a_fraction_of_a_cent_is_shown() -> None:
    assert (reais(Decimal("1000")), reais(Decimal("0")), reais(Decimal("-0.018"))) == (
        "R$ 1.000,00",
        "R$ 0,00",
        "R$ -0,018",
    )


def test_create_gives_a_token_that_works(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["conta", "create", "Padaria do João", "--credito", "1.234,56"]) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first == "Conta 2 (Padaria do João) criada com R$ 1.234,56."
    token = second.removeprefix("Access-Token: ")
    with transaction(url, writes=False) as session:
        conta = conta_by_token(session, token)
        assert conta is not None and conta.id == 2 and conta.saldo == Decimal("1234.56")


def test_credit_is_in_the_ledger_and_the_saldo(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["conta", "credit", "1", "10,50", "--nota", "Pix"]) == 0
    assert capsys.readouterr().out == "R$ 10,50 na conta 1 (principal). Saldo: R$ 1.010,50.\n"
    with transaction(url, writes=False) as session:
        last = session.scalars(select(LedgerEntry).order_by(LedgerEntry.id.desc()).limit(1)).one()
        assert (last.kind, last.valor, last.nota) == ("credit", Decimal("10.5"), "Pix")


def test_list_shows_saldo_and_reservado(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with transaction(url) as session:
        session.get_one(Conta, 1).reservado = Decimal("2.4")
    assert run(["conta", "list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "nome", "saldo", "reservado"]
    assert row.split() == ["1", "principal", "R$", "1.000,00", "R$", "2,40"]


async def test_a_running_server_sees_the_new_conta_and_both_may_credit(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = Storage(url)  # what a server holds open
    try:
        assert await storage.read(conta_by_token, "token-da-segunda") is None
        await asyncio.to_thread(run, ["conta", "create", "Outra"])
        token = capsys.readouterr().out.split("Access-Token: ")[1].split()[0]
        conta = await storage.read(conta_by_token, token)
        assert conta is not None and conta.nome == "Outra"
        crediting = [asyncio.to_thread(run, ["conta", "credit", "2", "1"]) for _ in range(5)]
        serving = [storage.write(create_conta, f"c{n}", f"token-{n}", Decimal(1), NOW) for n in range(20)]
        assert set((await asyncio.gather(*crediting, *serving))[:5]) == {0}
    finally:
        await storage.close()
    assert saldo(url, 2) == 5


REFUSED: list[tuple[list[str], str]] = [
    (["credit", "9", "1"], "Não há conta 9"),
    (["credit", "-1", "1"], "Não há conta -1"),
    (["credit", str(2**70), "1"], "Não há conta"),
    (["credit", "1", "-5"], "valor: '-5' não é uma quantia"),
    (["credit", "1", "1", "--nota", "x" * 256], "nota: use até 255"),
    (["create", " "], "nome: use de 1 a 120"),
    (["create", "a" * 121], "nome: use de 1 a 120"),
    (["create", "a\nb"], "nome: use de 1 a 120"),
    (["create", "x", "--credito", "-1"], "valor: '-1' não é"),
]


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_a_refusal_says_why_and_changes_nothing(
    line: list[str], message: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["conta", *line]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(message) and len(err.splitlines()) == 1
    with transaction(url, writes=False) as session:
        assert [(conta.id, conta.saldo) for conta in session.scalars(select(Conta))] == [(1, 1000)]


def test_the_first_conta_is_left_to_serve(
    url: str, capsys: pytest.CaptureFixture[str], change: Callable[[str], None]
) -> None:
    change("vazio")
    assert run(["migrate"]) == 0
    assert run(["conta", "create", "x"]) == 1
    assert "A primeira conta nasce com `telefonista serve`" in capsys.readouterr().err


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Go on with another HOME."""
    return lambda name: monkeypatch.setenv("TELEFONISTA_HOME", str(tmp_path / name))


def test_without_a_database_nothing_is_made(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], None]
) -> None:
    change("novo")
    assert run(["conta", "list"]) == 1
    assert "Ainda não há banco de dados" in capsys.readouterr().err
    assert not (tmp_path / "novo").exists()


@pytest.mark.parametrize("content", [b"", b"isto nao e um banco de dados" * 100])
def test_a_database_that_does_not_serve_is_explained(
    content: bytes, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], None]
) -> None:
    change("ruim")
    (tmp_path / "ruim").mkdir()
    (tmp_path / "ruim/telefonista.db").write_bytes(content)
    assert run(["conta", "list"]) == 1
    assert "não serve" in capsys.readouterr().err


def test_a_password_is_never_shown(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEFONISTA_DATABASE_URL", "postgresql+psycopg://u:segredo@127.0.0.1:1/banco")
    assert run(["conta", "list"]) == 1
    err = capsys.readouterr().err
    assert "segredo" not in err and "127.0.0.1" in err and "TELEFONISTA_DATABASE_URL" in err
