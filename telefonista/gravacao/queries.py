"""The SQL of recordings, as functions taking a session."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from telefonista.calling.recordings import OPEN, parts_of
from telefonista.dialect.dates import Limites
from telefonista.storage.tables import Chamada, Conta, Gravacao, GravacaoAcesso, GravacaoParte

TOLERANCE_MS = 300

SAME_HEARING = timedelta(hours=24)
"""For so long who goes on with a recording by ranges is hearing it, not asking for it again."""


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


def owns_chamada(session: Session, conta_id: int, chamada_id: int) -> bool:
    """Whether the chamada is this conta's."""
    chamada = session.get(Chamada, chamada_id)
    return chamada is not None and chamada.conta_id == conta_id


def of_chamada(session: Session, chamada_id: int, gravacao_id: int | None) -> Gravacao | None:
    """The whole recording of a chamada, or the one named, if it can be heard."""
    query = select(Gravacao).where(Gravacao.chamada_id == chamada_id, Gravacao.estado == "pronta")
    if gravacao_id is None:
        return session.scalars(query.where(Gravacao.tipo == "completa")).first()
    return session.scalars(query.where(Gravacao.id == gravacao_id)).one_or_none()


def by_key(session: Session, gravacao_id: int, conta_id: int, key: str) -> Gravacao | None:
    """The recording a signed link names, if its key is right."""
    gravacao = session.get(Gravacao, gravacao_id)
    if gravacao is None or gravacao.conta_id != conta_id or gravacao.estado != "pronta":
        return None
    return gravacao if secrets.compare_digest(gravacao.segredo.encode(), key.encode()) else None


@dataclass(frozen=True)
class Acesso:
    """Somebody hears a recording. `por`: token or link; `continua`: the request asks for a later stretch of it."""

    gravacao_id: int
    momento: datetime
    por: str
    endereco: str
    continua: bool = False


def note_acesso(session: Session, acesso: Acesso) -> None:
    """Write down who heard a recording. Going on with one that the same address asked for lately is no new access."""
    if session.get(Gravacao, acesso.gravacao_id) is None:
        return
    if acesso.continua:
        asked = select(GravacaoAcesso.id).where(
            GravacaoAcesso.gravacao_id == acesso.gravacao_id,
            GravacaoAcesso.por == acesso.por,
            GravacaoAcesso.endereco == acesso.endereco,
            GravacaoAcesso.momento > acesso.momento - SAME_HEARING,
        )
        if session.scalars(asked.limit(1)).first() is not None:
            return
    session.add(
        GravacaoAcesso(gravacao_id=acesso.gravacao_id, momento=acesso.momento, por=acesso.por, endereco=acesso.endereco)
    )


def list_acessos(
    session: Session, chamada_id: int, limites: Limites, *, posicao: int, limite: int
) -> tuple[int, Sequence[GravacaoAcesso]]:
    """One page of who heard the recordings of a chamada, oldest first, and how many accesses there are in all."""
    query = select(GravacaoAcesso).join(Gravacao).where(Gravacao.chamada_id == chamada_id)
    if limites.inicio is not None:
        query = query.where(GravacaoAcesso.momento >= limites.inicio)
    if limites.fim is not None:
        query = query.where(GravacaoAcesso.momento < limites.fim)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return total, session.scalars(query.order_by(GravacaoAcesso.id).offset(posicao).limit(limite)).all()


def expired(session: Session, now: datetime, most: int) -> Sequence[Gravacao]:
    """Up to `most` recordings that their conta keeps no longer, oldest conta first."""
    found: list[Gravacao] = []
    for conta_id, dias in session.execute(select(Conta.id, Conta.retencao_dias).order_by(Conta.id)).all():
        query = select(Gravacao).where(
            Gravacao.conta_id == conta_id,
            Gravacao.iniciada_em < now - timedelta(days=dias),
            Gravacao.estado.in_(("pronta", "falhou")),
        )
        found += session.scalars(query.order_by(Gravacao.iniciada_em).limit(most - len(found)))
        if len(found) == most:
            break
    return found


def set_removed(session: Session, gravacao_ids: Collection[int]) -> None:
    """Their files are gone; the rows stay, with who heard them."""
    session.execute(update(Gravacao).where(Gravacao.id.in_(gravacao_ids)).values(estado="removida"))


def kept_files(session: Session, chamada_ids: Collection[int]) -> tuple[set[int], set[tuple[int, str]]]:
    """Which of these chamadas there are, and the (conta, arquivo) of their recordings whose files are wanted."""
    known = set(session.scalars(select(Chamada.id).where(Chamada.id.in_(chamada_ids))))
    query = select(Gravacao.conta_id, Gravacao.arquivo).where(
        Gravacao.chamada_id.in_(known), Gravacao.estado.in_(("convertendo", "pronta"))
    )
    return known, {(conta_id, arquivo) for conta_id, arquivo in session.execute(query)}


def unfinished_parts(session: Session) -> Sequence[str]:
    """The engine's names of the parts that no MP3 was made of yet: of recordings that run, wait, or failed."""
    query = select(GravacaoParte.nome).join(Gravacao).where(Gravacao.estado.in_((*OPEN, "convertendo", "falhou")))
    return session.scalars(query).all()
