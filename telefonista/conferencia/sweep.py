"""Ends rooms where nobody has been for a day; the wiring runs it beside everything else."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from telefonista.conferencia import queries
from telefonista.conferencia.tell import ENCERRADA, Herald

log = structlog.get_logger()

IDLE = timedelta(hours=24)


class Sweeper:
    """One task for all rooms. It sleeps until the first one can be due: no room becomes due sooner than told before."""

    def __init__(self, herald: Herald, idle: timedelta = IDLE) -> None:
        self._herald, self._idle = herald, idle

    async def run(self) -> None:
        """Sweep until cancelled."""
        never = asyncio.Event()
        while True:
            next_at = await self.sweep(datetime.now(UTC))
            seconds = max(1.0, (next_at - datetime.now(UTC)).total_seconds())
            try:
                async with asyncio.timeout(seconds):
                    await never.wait()
            except TimeoutError:
                continue

    async def sweep(self, now: datetime) -> datetime:
        """End what is due; when the next room can be."""
        closed, next_at = await self._herald.storage.write(self._sweep, now)
        if closed:
            log.info("rooms ended that nobody used", conferencias=closed)
        return next_at

    def _sweep(self, session: Session, now: datetime) -> tuple[list[int], datetime]:
        closed, next_at = queries.close_idle(session, now, self._idle)
        for id in closed:
            self._herald.tell(session, id, ENCERRADA)
        return closed, next_at
