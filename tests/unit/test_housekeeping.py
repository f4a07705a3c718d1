"""What leaves the database by itself, and what stays."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.housekeeping import DELIVERIES_KEPT, forget_deliveries
from telefonista.storage.session import Storage
from telefonista.storage.tables import Conta, Entrega, Tentativa

pytest_plugins = ["tests.databases"]

NOW = datetime(2026, 11, 21, tzinfo=UTC)


async def test_old_deliveries_go_and_pending_ones_stay(storage: Storage) -> None:
    def fill(session: Session) -> None:
        session.add(Conta(id=1, nome="a", token_hash="a", criada_em=NOW))
        session.flush()
        for estado, days in (("entregue", 40), ("entregue", 1), ("pendente", 40), ("desistiu", 31)):
            when = NOW - timedelta(days=days)
            entrega = Entrega(
                conta_id=1, nome="chamada_fim", ordem="x", corpo={}, estado=estado, criada_em=when, proxima_em=when
            )
            session.add(entrega)
            session.flush()
            session.add(Tentativa(entrega_id=entrega.id, momento=when, url="http://x", milissegundos=1))

    await storage.write(fill)
    assert await storage.write(forget_deliveries, NOW - DELIVERIES_KEPT) == 2
    left = await storage.read(lambda session: session.scalars(select(Entrega.estado).order_by(Entrega.id)).all())
    assert left == ["entregue", "pendente"]
    assert await storage.read(lambda session: session.scalar(select(func.count()).select_from(Tentativa))) == 2
