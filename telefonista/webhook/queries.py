"""The SQL of /webhook: where a conta is told what, and what became of each delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from telefonista.dialect.dates import Limites
from telefonista.dialect.errors import DialectError, Motivo, nao_encontrado
from telefonista.outbox.rows import CANCELADA, PENDENTE
from telefonista.outbox.sign import new_secret
from telefonista.storage.tables import Entrega, Tentativa, Webhook


@dataclass(frozen=True)
class Vista:
    """A delivery with its attempts."""

    entrega: Entrega
    tentativas: Sequence[Tentativa]


def list_webhooks(session: Session, conta_id: int) -> Sequence[Webhook]:
    return session.scalars(select(Webhook).where(Webhook.conta_id == conta_id).order_by(Webhook.nome)).all()


def save_webhook(session: Session, conta_id: int, nome: str, url: str, now: datetime) -> Webhook:
    """Set the URL. The secret is made once; what waits for its next attempt at an old URL goes to the new one now."""
    webhook = session.get(Webhook, (conta_id, nome))
    if webhook is None:
        webhook = Webhook(conta_id=conta_id, nome=nome, url=url, segredo=new_secret(), criado_em=now)
        session.add(webhook)
    elif webhook.url != url:
        webhook.url = url
        session.execute(_pending(conta_id, nome).where(Entrega.proxima_em > now).values(proxima_em=now))
    return webhook


def delete_webhook(session: Session, conta_id: int, nome: str) -> None:
    """Remove it, and cancel what was not delivered yet. 404/60 when there is none."""
    webhook = session.get(Webhook, (conta_id, nome))
    if webhook is None:
        raise _sem_webhook(nome)
    session.delete(webhook)
    session.execute(_pending(conta_id, nome).values(estado=CANCELADA))


def list_entregas(
    session: Session,
    conta_id: int,
    limites: Limites,
    *,
    nome: str | None,
    estado: str | None,
    posicao: int,
    limite: int,
) -> tuple[int, list[Vista]]:
    """One page of the report, oldest first, and how many there are in all."""
    query: Select[Any] = select(Entrega).where(Entrega.conta_id == conta_id)
    if limites.inicio is not None:
        query = query.where(Entrega.criada_em >= limites.inicio)
    if limites.fim is not None:
        query = query.where(Entrega.criada_em < limites.fim)
    if nome is not None:
        query = query.where(Entrega.nome == nome)
    if estado is not None:
        query = query.where(Entrega.estado == estado)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    page = session.scalars(query.order_by(Entrega.id).offset(posicao).limit(limite)).all()
    tentativas: dict[int, list[Tentativa]] = {entrega.id: [] for entrega in page}
    for tentativa in session.scalars(
        select(Tentativa).where(Tentativa.entrega_id.in_(tentativas)).order_by(Tentativa.id)
    ):
        tentativas[tentativa.entrega_id].append(tentativa)
    return total, [Vista(entrega, tentativas[entrega.id]) for entrega in page]


def send_again(session: Session, conta_id: int, entrega_id: int, now: datetime) -> None:
    """Deliver once more, from now and with every attempt before it, whatever became of it. 404/60 where it cannot."""
    entrega = session.get(Entrega, entrega_id)
    if entrega is None or entrega.conta_id != conta_id:
        raise nao_encontrado("entrega")
    if session.get(Webhook, (conta_id, entrega.nome)) is None:
        raise _sem_webhook(entrega.nome)
    entrega.estado, entrega.tentativas, entrega.proxima_em, entrega.entregue_em = PENDENTE, 0, now, None


def _pending(conta_id: int, nome: str) -> Any:
    return (
        update(Entrega)
        .where(Entrega.conta_id == conta_id, Entrega.nome == nome, Entrega.estado == PENDENTE)
        .execution_options(synchronize_session=False)
    )


def _sem_webhook(nome: str) -> DialectError:
    return DialectError(
        404, Motivo.NAO_ENCONTRADO, f"não há webhook {nome} nesta conta: cadastre-o com PUT /webhook/{nome}"
    )
