"""The SQL of tronco, as functions taking a session; for the commands and the server's operator door."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.refusal import Refusal
from telefonista.storage.tables import Tronco
from telefonista.tronco.rules import NovoTronco, TroncoInvalido, check


class TroncoDesconhecido(Refusal):
    """There is no trunk of this nome; the text says so in Portuguese."""

    def __init__(self, nome: str) -> None:
        super().__init__(f"não há tronco com o nome {nome}: veja os nomes com `telefonista tronco list`")


def add_tronco(session: Session, novo: NovoTronco, now: datetime) -> Tronco:
    """Check and keep a trunk. Raises TroncoInvalido, also when the nome is taken."""
    check(novo)
    if session.scalar(select(Tronco.id).where(Tronco.nome == novo.nome)) is not None:
        raise TroncoInvalido(f"já existe um tronco com o nome {novo.nome}: use outro ou remova aquele antes")
    tronco = Tronco(**asdict(novo) | {"classes": ",".join(novo.classes), "criado_em": now})
    session.add(tronco)
    session.flush()
    return tronco


def remove_tronco(session: Session, nome: str) -> None:
    """Forget a trunk; calls already up on it go on. Raises TroncoDesconhecido."""
    session.delete(tronco_by_nome(session, nome))


def tronco_by_nome(session: Session, nome: str) -> Tronco:
    """Raises TroncoDesconhecido."""
    tronco = session.scalars(select(Tronco).where(Tronco.nome == nome)).one_or_none()
    if tronco is None:
        raise TroncoDesconhecido(nome)
    return tronco


def list_troncos(session: Session) -> Sequence[Tronco]:
    """All trunks in the order in which they are asked to take a call."""
    return session.scalars(select(Tronco).order_by(Tronco.id)).all()
