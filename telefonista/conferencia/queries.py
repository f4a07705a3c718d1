"""The SQL of rooms and of the calls into them, as functions taking a session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.calling.records import pernas_of
from telefonista.dialect.dates import Limites
from telefonista.dialect.errors import DialectError, Motivo, nao_encontrado
from telefonista.storage.tables import Chamada, Conferencia, Gravacao, Participante, Perna

RECURSO = "conferencia"


@dataclass(frozen=True)
class Parte:
    """One call into a room, with all that GET shows of it."""

    participante: Participante
    chamada: Chamada
    perna: Perna
    gravacao: Gravacao | None


@dataclass(frozen=True)
class Vista:
    """A room with its calls, in the order they were made."""

    conferencia: Conferencia
    partes: Sequence[Parte]


def conferencia_by_id(session: Session, conta_id: int, conferencia_id: int) -> Vista:
    """A room of this conta, whole. 404/60 when there is none."""
    conferencia = session.get(Conferencia, conferencia_id)
    if conferencia is None or conferencia.conta_id != conta_id:
        raise nao_encontrado("conferencia")
    return Vista(conferencia, _partes(session, [conferencia_id])[conferencia_id])


def list_conferencias(
    session: Session, conta_id: int, limites: Limites, *, posicao: int, limite: int
) -> tuple[int, list[Vista]]:
    """One page of the report, oldest first, and how many rooms there are in all."""
    query = select(Conferencia).where(Conferencia.conta_id == conta_id)
    if limites.inicio is not None:
        query = query.where(Conferencia.data_criacao >= limites.inicio)
    if limites.fim is not None:
        query = query.where(Conferencia.data_criacao < limites.fim)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    ordered = query.order_by(Conferencia.data_criacao, Conferencia.id)
    page = session.scalars(ordered.offset(posicao).limit(limite)).all()
    partes = _partes(session, [conferencia.id for conferencia in page])
    return total, [Vista(conferencia, partes[conferencia.id]) for conferencia in page]


def _partes(session: Session, ids: Sequence[int]) -> dict[int, list[Parte]]:
    """The calls into these rooms, room by room."""
    rows = session.execute(
        select(Participante, Chamada, Perna)
        .join(Chamada, Chamada.id == Participante.chamada_id)
        .join(Perna, (Perna.chamada_id == Chamada.id) & (Perna.letra == "a"))
        .where(Participante.conferencia_id.in_(ids))
        .order_by(Participante.conferencia_id, Participante.chamada_id)
    ).all()
    recorded = select(Gravacao).join(Participante, Participante.chamada_id == Gravacao.chamada_id)
    whole = recorded.where(Participante.conferencia_id.in_(ids), Gravacao.tipo == "completa")
    gravacoes = {gravacao.chamada_id: gravacao for gravacao in session.scalars(whole)}
    partes: dict[int, list[Parte]] = {id: [] for id in ids}
    for participante, chamada, perna in rows:
        parte = Parte(participante, chamada, perna, gravacoes.get(chamada.id))
        partes[participante.conferencia_id].append(parte)
    return partes


def open_room(session: Session, conta_id: int, conferencia_id: int) -> Conferencia:
    """A room of this conta that somebody may come into. 404/60 when there is none, 405/80 when it was ended."""
    conferencia = session.get(Conferencia, conferencia_id, with_for_update=True)
    if conferencia is None or conferencia.conta_id != conta_id:
        raise nao_encontrado("conferencia")
    if conferencia.encerrada_em is not None:
        raise encerrada()
    return conferencia


def encerrada() -> DialectError:
    return DialectError(405, Motivo.INATIVA, "a conferencia já foi encerrada: crie outra")


def room_of(session: Session, chamada_id: int) -> tuple[Conferencia, Participante]:
    """The room that a call goes into."""
    participante = session.get_one(Participante, chamada_id)
    return session.get_one(Conferencia, participante.conferencia_id), participante


def close_room(session: Session, conta_id: int, conferencia_id: int, now: datetime) -> list[int]:
    """End a room for good; the chamadas that are still to be ended. Raises as `open_room`."""
    open_room(session, conta_id, conferencia_id).encerrada_em = now
    return _open_calls(session, conferencia_id)


def _open_calls(session: Session, conferencia_id: int) -> list[int]:
    query = (
        select(Chamada.id)
        .join(Participante, Participante.chamada_id == Chamada.id)
        .where(Participante.conferencia_id == conferencia_id, Chamada.status_geral != "finalizada")
    )
    return list(session.scalars(query.order_by(Chamada.id)))


def active_call(session: Session, conta_id: int, conferencia_id: int, chamada_id: int) -> Participante:
    """A call into this room that goes on. 404/60 when there is none such, 405/80 when it has ended."""
    conferencia = session.get(Conferencia, conferencia_id)
    if conferencia is None or conferencia.conta_id != conta_id:
        raise nao_encontrado("conferencia")
    participante = session.get(Participante, chamada_id)
    if participante is None or participante.conferencia_id != conferencia_id:
        raise nao_encontrado("chamada da conferencia")
    if session.get_one(Chamada, chamada_id).status_geral == "finalizada":
        raise DialectError(405, Motivo.INATIVA, "esta chamada da conferencia já terminou: consulte o status dela")
    return participante


def set_mudo(session: Session, conta_id: int, conferencia_id: int, chamada_id: int, mudo: bool) -> None:
    """Whether the others hear this call. Raises as `active_call`."""
    active_call(session, conta_id, conferencia_id, chamada_id).mudo = mudo


def is_mudo(session: Session, chamada_id: int) -> bool:
    return session.get_one(Participante, chamada_id).mudo


def set_resposta(session: Session, conferencia_id: int, teclas: str) -> None:
    """The keys that the first one called has pressed so far."""
    session.get_one(Conferencia, conferencia_id).resposta = teclas[:80]


def close_idle(session: Session, now: datetime, idle: timedelta) -> tuple[list[int], datetime]:
    """End the rooms where nobody has been for so long; their ids, and before when none other can be due.

    A room is idle since its last call ended, or since it was made. One that becomes idle later is due later than `idle`
    from now.
    """
    since = func.coalesce(func.max(Chamada.encerrada_em), Conferencia.data_criacao)
    busy = func.count(Chamada.id) - func.count(Chamada.encerrada_em)
    rows: Sequence[Any] = session.execute(
        select(Conferencia.id, since.label("since"), busy.label("busy"))
        .outerjoin(Participante, Participante.conferencia_id == Conferencia.id)
        .outerjoin(Chamada, Chamada.id == Participante.chamada_id)
        .where(Conferencia.encerrada_em.is_(None))
        .group_by(Conferencia.id, Conferencia.data_criacao)
    ).all()
    closed: list[int] = []
    next_at = now + idle
    for id, at, calls in rows:
        if calls:
            continue
        if at + idle <= now:
            session.get_one(Conferencia, id).encerrada_em = now
            closed.append(id)
        else:
            next_at = min(next_at, at + idle)
    return closed, next_at


def perna_of(session: Session, chamada_id: int) -> Perna:
    """The one leg of a call into a room."""
    return pernas_of(session, chamada_id)[0]
