"""The SQL of contas: creating, listing, crediting; for the command line and the first start."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.billing.ledger import credit
from telefonista.calling.house import hash_of
from telefonista.storage.tables import Conta


def new_token() -> str:
    return secrets.token_hex(24)


def create_conta(session: Session, nome: str, token: str, credito: Decimal, now: datetime) -> Conta:
    """A conta with its token and first credit. IntegrityError when the token is another conta's."""
    conta = Conta(nome=nome, token_hash=hash_of(token), criada_em=now)
    session.add(conta)
    session.flush()
    if credito:
        credit(session, conta.id, credito, now, "crédito inicial")
        session.refresh(conta)
    return conta


def list_contas(session: Session) -> Sequence[Conta]:
    return session.scalars(select(Conta).order_by(Conta.id)).all()


def ensure_first(session: Session, token: str, credito: Decimal, now: datetime) -> bool:
    """Make the first conta if there is none, and let `token` be its token; True when it was made now."""
    first = session.scalars(select(Conta).order_by(Conta.id).limit(1)).one_or_none()
    if first is None:
        create_conta(session, "principal", token, credito, now)
        return True
    if first.token_hash != hash_of(token):
        first.token_hash = hash_of(token)
    return False
