"""The rows of recordings while their call lasts: begun, paused, moved, ended; as functions taking a session."""

import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.storage.tables import Chamada, Evento, Gravacao, GravacaoParte

OPEN = ("gravando", "pausada")


def create(session: Session, chamada_id: int, tipo: str, lado: str, since: datetime) -> tuple[int, str]:
    """A recording with its first part: its id, and the engine's name of its parts before their number."""
    chamada = session.get_one(Chamada, chamada_id)
    count = len(session.scalars(select(Gravacao.id).where(Gravacao.chamada_id == chamada_id)).all())
    base = f"{chamada_id}-g{count or ''}"
    gravacao = Gravacao(
        chamada_id=chamada_id,
        conta_id=chamada.conta_id,
        tipo=tipo,
        estado="gravando",
        arquivo=f"{chamada_id}" + (f"-{count}" if count else ""),
        segredo=secrets.token_urlsafe(24),
        iniciada_em=since,
    )
    session.add(gravacao)
    session.flush()
    begin_part(session, gravacao.id, 1, f"{base}.1", lado, since)
    return gravacao.id, base


def begin_part(session: Session, gravacao_id: int, ordem: int, nome: str, lado: str, since: datetime) -> None:
    """A part begins; the one that runs, if any, ends where it begins."""
    gravacao = session.get_one(Gravacao, gravacao_id)
    _close(session, gravacao_id, since)
    session.add(GravacaoParte(gravacao_id=gravacao_id, ordem=ordem, nome=nome, lado=lado, iniciada_em=since))
    gravacao.estado = "gravando"
    _note(session, gravacao, since, "gravando", ordem)


def end_part(session: Session, gravacao_id: int, at: datetime) -> None:
    """The part that runs ends: the recording is paused."""
    gravacao = session.get_one(Gravacao, gravacao_id)
    _close(session, gravacao_id, at)
    gravacao.estado = "pausada"
    _note(session, gravacao, at, "gravacao pausada")


def finish(session: Session, gravacao: Gravacao, at: datetime) -> None:
    """No more will be recorded: it waits to be converted, and should be as long as its parts together."""
    _close(session, gravacao.id, at)
    parts = parts_of(session, gravacao.id)
    seconds = sum(((part.encerrada_em or at) - part.iniciada_em).total_seconds() for part in parts)
    gravacao.estado, gravacao.esperado_ms = "convertendo", max(0, round(seconds * 1000))


def finish_one(session: Session, gravacao_id: int, at: datetime) -> None:
    """As `finish`, by id, while the call goes on."""
    gravacao = session.get_one(Gravacao, gravacao_id)
    finish(session, gravacao, at)
    _note(session, gravacao, at, "gravacao encerrada")


def finish_all(session: Session, chamada_id: int, at: datetime) -> None:
    """The conversation is over: so are its recordings."""
    for gravacao in open_of(session, chamada_id):
        finish(session, gravacao, at)


def open_of(session: Session, chamada_id: int) -> list[Gravacao]:
    """The recordings of a chamada that are not finished, in their order."""
    query = select(Gravacao).where(Gravacao.chamada_id == chamada_id, Gravacao.estado.in_(OPEN))
    return list(session.scalars(query.order_by(Gravacao.id)))


def parts_of(session: Session, gravacao_id: int) -> list[GravacaoParte]:
    query = select(GravacaoParte).where(GravacaoParte.gravacao_id == gravacao_id)
    return list(session.scalars(query.order_by(GravacaoParte.ordem)))


def recording_url(gravacao: Gravacao, base_url: str) -> str | None:
    """A link that needs no token: its key cannot be guessed. None until the recording can be heard."""
    if gravacao.estado != "pronta":
        return None
    return f"{base_url}/rec/?id={gravacao.id}&x={gravacao.segredo}&cid={gravacao.conta_id}"


def _close(session: Session, gravacao_id: int, at: datetime) -> None:
    for part in parts_of(session, gravacao_id):
        if part.encerrada_em is None or part.encerrada_em > at:
            part.encerrada_em = max(at, part.iniciada_em)


def _note(session: Session, gravacao: Gravacao, at: datetime, tipo: str, parte: int | None = None) -> None:
    dados = {"gravacao": gravacao.id, "parte": parte} if parte else {"gravacao": gravacao.id}
    session.add(Evento(chamada_id=gravacao.chamada_id, momento=at, tipo=tipo, perna=None, dados=dados))
