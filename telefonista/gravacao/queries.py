"""The SQL of recordings, as functions taking a session."""

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling.recordings import parts_of
from telefonista.storage.tables import Chamada, Gravacao, GravacaoParte

TOLERANCE_MS = 300


def waiting(session: Session) -> list[tuple[Gravacao, list[GravacaoParte]]]:
    """Recordings that have ended and whose MP3 is not made yet, oldest first, with their parts."""
    query = select(Gravacao).where(Gravacao.estado == "convertendo").order_by(Gravacao.id)
    return [(gravacao, parts_of(session, gravacao.id)) for gravacao in session.scalars(query)]


def set_ready(session: Session, gravacao_id: int, medido_ms: int, aviso: str | None) -> None:
    """The MP3 is there. Its measured length is kept, with a note when it is not the length of the conversation."""
    gravacao = session.get_one(Gravacao, gravacao_id)
    gravacao.estado, gravacao.medido_ms, gravacao.aviso = "pronta", medido_ms, aviso


def set_failed(session: Session, gravacao_id: int, why: str) -> None:
    gravacao = session.get_one(Gravacao, gravacao_id)
    gravacao.estado, gravacao.aviso = "falhou", why


def of_chamada(session: Session, conta_id: int, chamada_id: int) -> tuple[bool, Gravacao | None]:
    """Whether the chamada is this conta's, and its recording if it can be heard."""
    chamada = session.get(Chamada, chamada_id)
    if chamada is None or chamada.conta_id != conta_id:
        return False, None
    query = select(Gravacao).where(
        Gravacao.chamada_id == chamada_id, Gravacao.tipo == "completa", Gravacao.estado == "pronta"
    )
    return True, session.scalars(query).first()


def by_key(session: Session, gravacao_id: int, conta_id: int, key: str) -> Gravacao | None:
    """The recording a signed link names, if its key is right."""
    gravacao = session.get(Gravacao, gravacao_id)
    if gravacao is None or gravacao.conta_id != conta_id or gravacao.estado != "pronta":
        return None
    return gravacao if secrets.compare_digest(gravacao.segredo.encode(), key.encode()) else None
