"""An Idempotency-Key gives its first answer again: looked up and kept in the transaction that creates."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import delete
from sqlalchemy.orm import Session

from telefonista.dialect.errors import chave_com_outro_corpo
from telefonista.storage.tables import Idempotencia

KEPT = timedelta(hours=24)

T = TypeVar("T")


@dataclass(frozen=True)
class Chave:
    """A key with the digest of the request that came with it."""

    conta_id: int
    chave: str
    digest: str


def first_answer(session: Session, chave: Chave, now: datetime) -> dict[str, Any] | None:
    """The `dados` this key was answered with, None when it is new; 422/20 when it came with another request."""
    kept = session.get(Idempotencia, (chave.conta_id, chave.chave))
    if kept is None:
        return None
    if kept.criada_em < now - KEPT:
        session.delete(kept)
        session.flush()
        return None
    if kept.digest != chave.digest:
        raise chave_com_outro_corpo()
    return kept.resposta


def keep_answer(session: Session, chave: Chave, dados: dict[str, Any], now: datetime) -> None:
    """Remember an answer for 24 h."""
    session.add(
        Idempotencia(conta_id=chave.conta_id, chave=chave.chave, digest=chave.digest, resposta=dados, criada_em=now)
    )


def once(
    session: Session, chave: Chave | None, now: datetime, create: Callable[[], T], answer: dict[str, Any]
) -> T | None:
    """Create and keep `answer` under the key; None when this key was answered before, and nothing was created now."""
    if chave is not None and first_answer(session, chave, now) is not None:
        return None
    made = create()
    if chave is not None:
        keep_answer(session, chave, answer, now)
    return made


def forget_old(session: Session, now: datetime) -> None:
    """Drop the answers that are too old to be given again."""
    session.execute(delete(Idempotencia).where(Idempotencia.criada_em < now - KEPT))
