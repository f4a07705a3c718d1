"""Rows as the product writes them, without a loop: contas, chamadas and their life, each unit as Storage runs it.

Use with `pytest_plugins = ["tests.databases", "tests.rows"]`. PYTEST_DONT_REWRITE: modules import this one themselves.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from telefonista.billing.ledger import tariff_for
from telefonista.calling.records import Fact, finish, note
from telefonista.chamada.queries import Limits, Nova, create_chamada
from telefonista.conta.queries import create_conta
from telefonista.storage.session import _engine
from telefonista.storage.tables import Chamada, Conta, Evento, LedgerEntry, Perna

P = ParamSpec("P")
R = TypeVar("R")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIXO, MOVEL = "1030000021", "10930000022"
LIMITS = Limits(toque=30, maximo=3600, test_network=True)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


@dataclass
class Books:
    """Units of work in one transaction, each in a savepoint and with a session of its own, as the writer has it."""

    connection: Connection

    def do(self, unit: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        with (
            Session(self.connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session,
            session.begin(),
        ):
            return unit(session, *args, **kwargs)

    def conta(self, credito: str = "100", nome: str = "padaria") -> int:
        return self.do(create_conta, nome, f"token of {nome}", Decimal(credito), NOON).id

    def place(
        self, conta_id: int, origem: str = FIXO, destino: str = MOVEL, *, seconds: float = 0, **campos: Any
    ) -> int:
        """The id of a new chamada."""
        return self.do(create_chamada, conta_id, Nova(origem, destino, **campos), LIMITS, at(seconds)).id

    def fact(self, chamada_id: int, tipo: str, seconds: float, perna: str | None = None, **dados: Any) -> None:
        self.do(note, chamada_id, Fact(tipo, at(seconds), perna, dados))

    def hung_up(
        self, chamada_id: int, perna: str, seconds: float, causa: int = 16, sip: int | None = None, por: str = "far"
    ) -> None:
        self.fact(chamada_id, "desligada", seconds, perna, causa=causa, sip=sip, por=por)

    def talk(self, chamada_id: int, *, a: float = 5, b: float = 10) -> None:
        """Dialled at 0, origem answers at `a` and destino at `b` seconds."""
        for letra, answered in (("a", a), ("b", b)):
            self.fact(chamada_id, "discada", 0, letra, leg=f"{chamada_id}-{letra}")
            self.fact(chamada_id, "chamando", 1, letra)
            self.fact(chamada_id, "atendida", answered, letra, leg=f"{chamada_id}-{letra}")
        self.fact(chamada_id, "conversa", b)

    def finish(self, chamada_id: int, desfecho: str, seconds: float, **how: bool) -> bool:
        return self.do(finish, chamada_id, desfecho, at(seconds), **how)

    def chamada(self, chamada_id: int) -> Chamada:
        return self.do(lambda session: session.get_one(Chamada, chamada_id))

    def perna(self, chamada_id: int, letra: str) -> Perna:
        query = select(Perna).where(Perna.chamada_id == chamada_id, Perna.letra == letra)
        return self.do(lambda session: session.scalars(query).one())

    def journal(self, chamada_id: int) -> list[Evento]:
        query = select(Evento).where(Evento.chamada_id == chamada_id).order_by(Evento.id)
        return self.do(lambda session: list(session.scalars(query)))

    def ledger(self, conta_id: int) -> list[LedgerEntry]:
        query = select(LedgerEntry).where(LedgerEntry.conta_id == conta_id).order_by(LedgerEntry.id)
        return self.do(lambda session: list(session.scalars(query)))

    def money(self, conta_id: int) -> tuple[Decimal, Decimal]:
        """(saldo, reservado) of a conta."""
        conta = self.do(lambda session: session.get_one(Conta, conta_id))
        return conta.saldo, conta.reservado

    def rebuilt(self, conta_id: int) -> tuple[Decimal, Decimal]:
        """(saldo, reservado) by the ledger alone, added up in SQL."""
        kinds = select(LedgerEntry.kind, func.sum(LedgerEntry.valor)).where(LedgerEntry.conta_id == conta_id)
        sums = {kind: total for kind, total in self.do(lambda s: s.execute(kinds.group_by(LedgerEntry.kind)).all())}
        zero = Decimal(0)
        saldo = sums.get("credit", zero) - sums.get("capture", zero)
        return saldo, sums.get("reserve", zero) - sums.get("release", zero)

    def prices(self, conta_id: int) -> Decimal:
        """What all legs of a conta cost together."""
        query = select(func.sum(Perna.preco)).join(Chamada, Chamada.id == Perna.chamada_id)
        return self.do(lambda session: session.scalar(query.where(Chamada.conta_id == conta_id))) or Decimal(0)

    def price(self, conta_id: int, classe: str, seconds: int) -> Decimal:
        return self.do(tariff_for, conta_id, classe).price(seconds)


@contextmanager
def open_books(url: str) -> Iterator[Books]:
    """Books in a transaction that is undone at the end."""
    engine = _engine(url, writes=True)
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            yield Books(connection)
            transaction.rollback()
    finally:
        engine.dispose()


@pytest.fixture
def books(shared_url: str) -> Iterator[Books]:
    """Books on both databases, where nothing was written and nothing stays."""
    with open_books(shared_url) as books:
        yield books
