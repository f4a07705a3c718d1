"""The append-only ledger: every change of money, in the caller's transaction. Conta keeps its running sums."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from telefonista.billing.rates import Tariff
from telefonista.storage.tables import Conta, LedgerEntry, Perna, Rate

ZERO = Decimal(0)


class NotEnough(Exception):
    """The conta has less than what must be set aside."""


def tariff_for(session: Session, conta_id: int, classe: str) -> Tariff:
    """The conta's own rate of a class, else everybody's. LookupError when nobody priced it: it may not be dialled."""
    rates = session.scalars(
        select(Rate).where(Rate.classe == classe, (Rate.conta_id == conta_id) | Rate.conta_id.is_(None))
    ).all()
    for rate in sorted(rates, key=lambda rate: rate.conta_id is None):
        return Tariff(rate.preco_minuto, rate.inicial_segundos, rate.incremento_segundos, rate.gratis_segundos)
    raise LookupError(classe)


def credit(session: Session, conta_id: int, valor: Decimal, now: datetime, nota: str) -> None:
    """Add R$ to a conta; a negative value takes them back."""
    session.add(LedgerEntry(conta_id=conta_id, kind="credit", valor=valor, momento=now, nota=nota))
    session.execute(update(Conta).where(Conta.id == conta_id).values(saldo=Conta.saldo + valor))


def reserve(session: Session, conta_id: int, perna: Perna, valor: Decimal, now: datetime) -> None:
    """Set R$ aside for a leg. Raises NotEnough and changes nothing when they are not there."""
    if valor <= ZERO:
        return
    done = session.execute(
        update(Conta)
        .where(Conta.id == conta_id, Conta.saldo >= Conta.reservado + valor)  # this way round: see Money
        .values(reservado=Conta.reservado + valor)
    )
    if not done.rowcount:  # type: ignore[attr-defined]
        raise NotEnough
    turns = session.scalar(select(func.count()).where(LedgerEntry.perna_id == perna.id, LedgerEntry.kind == "reserve"))
    session.add(
        LedgerEntry(conta_id=conta_id, perna_id=perna.id, kind="reserve", turn=turns or 0, valor=valor, momento=now),
    )
    perna.reserva += valor


def settle(session: Session, conta_id: int, perna: Perna, preco: Decimal, now: datetime) -> None:
    """Charge a leg's exact price and give back what was set aside for it. A second call changes nothing."""
    if perna.reserva <= ZERO and preco <= ZERO:
        return
    settled = session.scalar(
        select(LedgerEntry.id).where(LedgerEntry.perna_id == perna.id, LedgerEntry.kind.in_(("release", "capture")))
    )
    if settled is not None:
        return
    for kind, valor in (("release", perna.reserva), ("capture", preco)):
        if valor > ZERO:
            session.add(LedgerEntry(conta_id=conta_id, perna_id=perna.id, kind=kind, valor=valor, momento=now))
    session.execute(
        update(Conta)
        .where(Conta.id == conta_id)
        .values(saldo=Conta.saldo - preco, reservado=Conta.reservado - perna.reserva)
    )
