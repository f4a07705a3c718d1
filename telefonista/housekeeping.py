"""Once a day: what is too old to be asked for again leaves the database. Run by the wiring."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from telefonista.calling.idempotency import forget_old
from telefonista.storage.session import Storage
from telefonista.storage.tables import Entrega, Tentativa

log = structlog.get_logger()

EVERY_SECONDS = 86_400.0
DELIVERIES_KEPT = timedelta(days=30)
BATCH = 1000


async def keep_house(storage: Storage) -> None:
    """Now and every day, until cancelled."""
    while True:
        try:
            now = datetime.now(UTC)
            await storage.write(forget_old, now)
            while await storage.write(forget_deliveries, now - DELIVERIES_KEPT) == BATCH:
                pass
        except Exception:
            log.exception("the daily cleaning failed")
        try:
            async with asyncio.timeout(EVERY_SECONDS):
                await asyncio.Event().wait()
        except TimeoutError:
            continue


def forget_deliveries(session: Session, before: datetime) -> int:
    """Drop webhooks that came to their end before an instant, with their attempts; how many, at most BATCH."""
    query = select(Entrega.id).where(Entrega.estado != "pendente", Entrega.criada_em < before).limit(BATCH)
    ids = session.scalars(query).all()
    session.execute(delete(Tentativa).where(Tentativa.entrega_id.in_(ids)))
    session.execute(delete(Entrega).where(Entrega.id.in_(ids)))
    return len(ids)
