"""The SQL of the outbox, as functions taking a session; `enqueue` is for whoever tells customers something.

Deliveries of one `ordem` to one URL of a conta go out one after the other, oldest first: one that still waits for its
next attempt holds back the younger ones, and nothing else.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Select, bindparam, func, insert, select, update
from sqlalchemy.orm import Session, aliased
from yarl import URL

from telefonista.dialect.envelope import encode
from telefonista.storage.tables import Entrega, Tentativa, Webhook

PENDENTE, ENTREGUE, DESISTIU, CANCELADA = "pendente", "entregue", "desistiu", "cancelada"
ESTADOS = (PENDENTE, ENTREGUE, DESISTIU, CANCELADA)

Receiver = tuple[int, str]
"""Who may be slow without anybody else noticing: conta and host."""


@dataclass(frozen=True)
class Pending:
    """A delivery that may be attempted now."""

    id: int
    conta_id: int
    nome: str
    ordem: str
    url: str
    segredo: str
    corpo: dict[str, Any]
    tentativas: int
    began: datetime  # from which its life counts

    @property
    def receiver(self) -> Receiver:
        return self.conta_id, host_of(self.url)


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt: `estado` and, while still pendente, when to try again."""

    row: Pending
    at: datetime
    milissegundos: int
    status: int | None
    erro: str | None
    estado: str
    next_at: datetime | None = None


@dataclass(frozen=True)
class Found:
    """What may be attempted now, and when something else will."""

    rows: list[Pending]
    next_at: datetime | None


def host_of(url: str) -> str:
    return URL(url).raw_host or ""


def enqueue(session: Session, conta_id: int, nome: str, ordem: str, corpo: Mapping[str, Any], now: datetime) -> bool:
    """Write a delivery in the caller's transaction; False, and nothing written, when the conta has no such webhook.

    `ordem` names what keeps its order, as "chamada-123". The Deliverer wants a `nudge(conta_id)` afterwards.
    """
    connection = session.connection()
    waiting = connection.execute(_AHEAD, {"conta": conta_id, "nome": nome, "ordem": ordem}).all()
    if not waiting:
        return False
    connection.execute(
        _INSERT,
        {
            "conta_id": conta_id,
            "nome": nome,
            "ordem": ordem,
            "corpo": json.loads(encode(corpo)),  # a Decimal becomes its number
            "estado": PENDENTE,
            "tentativas": 0,
            "criada_em": now,
            "proxima_em": max([now, *(ahead for (ahead,) in waiting if ahead is not None)]),
        },
    )
    return True


def _ahead() -> Select[Any]:
    """For each webhook of a conta with the same URL as one of them: when its last delivery of an `ordem` is due."""
    same = aliased(Webhook)
    url = select(same.url).where(same.conta_id == bindparam("conta"), same.nome == bindparam("nome")).scalar_subquery()
    due = (
        select(func.max(Entrega.proxima_em))
        .where(
            Entrega.ordem == bindparam("ordem"),
            Entrega.conta_id == bindparam("conta"),
            Entrega.nome == Webhook.nome,
            Entrega.estado == PENDENTE,
        )
        .correlate(Webhook)
        .scalar_subquery()
    )
    return select(due).where(Webhook.conta_id == bindparam("conta"), Webhook.url == url)


# Made once: this runs for every fact of every call, in the one writer.
_AHEAD = _ahead()
_INSERT = insert(Entrega)


def look(
    session: Session,
    now: datetime,
    since: datetime,
    contas: Set[int],
    held: Mapping[Receiver, Set[int]],
    room: int,
    life: timedelta,
) -> Found:
    """What may be attempted now: of `contas`, and of those with deliveries that became due after `since`.

    `held`: ids the caller has already; `room`: how many a receiver may have in all.
    """
    became_due = select(Entrega.conta_id).where(
        Entrega.estado == PENDENTE, Entrega.proxima_em > since, Entrega.proxima_em <= now
    )
    rows: list[Pending] = []
    taken = {receiver: len(ids) for receiver, ids in held.items()}
    for conta_id in sorted(contas | set(session.scalars(became_due.distinct()))):
        webhooks = session.scalars(select(Webhook).where(Webhook.conta_id == conta_id).order_by(Webhook.url)).all()
        for url, group in groupby(webhooks, lambda webhook: webhook.url):
            receiver = conta_id, host_of(url)
            free = room - taken.get(receiver, 0)
            if free > 0:
                found = _due_at(session, now, list(group), held.get(receiver, frozenset()), free, life)
                taken[receiver] = taken.get(receiver, 0) + len(found)
                rows += found
    later = select(func.min(Entrega.proxima_em)).where(Entrega.estado == PENDENTE, Entrega.proxima_em > now)
    return Found(rows, session.scalar(later))


def _due_at(
    session: Session, now: datetime, webhooks: Sequence[Webhook], held: Set[int], limit: int, life: timedelta
) -> list[Pending]:
    """What is due at one URL: the oldest of each `ordem`."""
    by_nome = {webhook.nome: webhook for webhook in webhooks}
    older = aliased(Entrega)
    held_back = (
        select(older.id)
        .where(
            older.ordem == Entrega.ordem,
            older.id < Entrega.id,
            older.conta_id == Entrega.conta_id,
            older.nome.in_(by_nome),
            older.estado == PENDENTE,
        )
        .exists()
    )
    query = (
        select(Entrega)
        .where(
            Entrega.estado == PENDENTE,
            Entrega.conta_id == webhooks[0].conta_id,
            Entrega.nome.in_(by_nome),
            Entrega.proxima_em <= now,
            Entrega.id.not_in(held),
            ~held_back,
        )
        .order_by(Entrega.proxima_em, Entrega.id)
        .limit(limit)
    )
    return [
        Pending(
            id=entrega.id,
            conta_id=entrega.conta_id,
            nome=entrega.nome,
            ordem=entrega.ordem,
            url=by_nome[entrega.nome].url,
            segredo=by_nome[entrega.nome].segredo,
            corpo=entrega.corpo,
            tentativas=entrega.tentativas,
            began=entrega.criada_em if now - entrega.criada_em < life else _began(session, entrega, now),
        )
        for entrega in session.scalars(query)
    ]


def _began(session: Session, entrega: Entrega, now: datetime) -> datetime:
    """The life of a delivery that is sent again begins anew: with the first attempt since `tentativas` was 0."""
    moments = session.scalars(
        select(Tentativa.momento).where(Tentativa.entrega_id == entrega.id).order_by(Tentativa.id.desc())
    ).all()
    if len(moments) == entrega.tentativas:
        return entrega.criada_em
    return moments[entrega.tentativas - 1] if entrega.tentativas else now


def record(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Write down attempts and what became of their deliveries."""
    if not outcomes:
        return
    session.execute(
        insert(Tentativa),
        [
            {
                "entrega_id": outcome.row.id,
                "momento": outcome.at,
                "url": outcome.row.url,
                "status": outcome.status,
                "erro": outcome.erro,
                "milissegundos": outcome.milissegundos,
            }
            for outcome in outcomes
        ],
    )
    _end(session, [outcome for outcome in outcomes if outcome.estado != PENDENTE])
    companions: dict[tuple[int, str], Sequence[str]] = {}
    for outcome in outcomes:
        if outcome.next_at is not None:
            row = outcome.row
            same_url = row.conta_id, row.url
            if same_url not in companions:
                companions[same_url] = session.scalars(
                    select(Webhook.nome).where(Webhook.conta_id == row.conta_id, Webhook.url == row.url)
                ).all()
            _put_off(session, row, companions[same_url], outcome.next_at)


def _end(session: Session, ended: Sequence[Outcome]) -> None:
    if ended:
        entrega = Entrega.__table__.c
        session.connection().execute(
            update(Entrega)
            .where(entrega.id == bindparam("entrega"))
            .values(estado=bindparam("novo"), entregue_em=bindparam("quando"), tentativas=entrega.tentativas + 1),
            [
                {
                    "entrega": outcome.row.id,
                    "novo": outcome.estado,
                    "quando": outcome.at if outcome.estado == ENTREGUE else None,
                }
                for outcome in ended
            ],
        )


def _put_off(session: Session, row: Pending, nomes: Sequence[str], next_at: datetime) -> None:
    """Try again at `next_at`; those that it holds back are not due before it, which keeps looking for work cheap."""
    session.execute(
        update(Entrega)
        .where(Entrega.id == row.id, Entrega.estado == PENDENTE)
        .values(tentativas=Entrega.tentativas + 1, proxima_em=next_at)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Entrega)
        .where(
            Entrega.ordem == row.ordem,
            Entrega.id > row.id,
            Entrega.conta_id == row.conta_id,
            Entrega.nome.in_(nomes),
            Entrega.estado == PENDENTE,
            Entrega.proxima_em < next_at,
        )
        .values(proxima_em=next_at)
        .execution_options(synchronize_session=False)
    )
