"""Starts scheduled chamadas when their time comes; made and run by the wiring, told by the routes what changed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import inf

import structlog
from prometheus_client import Counter

from telefonista.calling.capacity import Gates
from telefonista.calling.legs import Desk
from telefonista.calling.pacing import Due, Pacer
from telefonista.calling.pedido import Pedido
from telefonista.calling.run import Flow, Runner
from telefonista.chamada.flow import bridged_call
from telefonista.chamada.queries import Limits
from telefonista.chamada.schedule_queries import CONGESTED, FAILED, end_scheduled, look, place_scheduled
from telefonista.engine.port import Engine
from telefonista.storage.session import Storage

log = structlog.get_logger()

SCHEDULED = Counter("telefonista_agendadas_total", "Scheduled calls by what became of them", ["fim"])

GRACE = timedelta(minutes=10)
"""How late a call may still be placed: after we were away, or while it waits for a place in its trunk."""

_LONGEST_SLEEP = timedelta(seconds=60)  # the clock on the wall may be set
_PAUSE = timedelta(seconds=5)  # after a failure of our own database
_AT_ONCE = 50  # placed together, before the clock and the limits are looked at again
_NEVER = datetime.max.replace(tzinfo=UTC)

_MISSED = "o servidor não estava em operação na hora marcada nem nos 10 minutos seguintes"
_NO_ENGINE = "a telefonia esteve indisponível na hora marcada e nos 10 minutos seguintes"
_NO_PLACE = "não houve lugar nos limites do tronco ou da conta na hora marcada nem nos 10 minutos seguintes"


class Agenda:
    """One task and one timer, however many wait: what is not due yet is only in the database.

    `clock` is the time on the wall, which the schedule goes by.
    """

    def __init__(
        self,
        storage: Storage,
        engine: Engine,
        runner: Runner,
        gates: Gates,
        limits: Limits,
        *,
        per_second: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._storage, self._engine, self._runner, self._limits, self._clock = storage, engine, runner, limits, clock
        self._pacer = Pacer(gates, per_second)
        gates.on_room = self._room
        self._work, self._pace = asyncio.Event(), inf
        self._since = self._look_at = datetime.min.replace(tzinfo=UTC)  # from when, and when, the table is to be read

    def changed(self, chamada_id: int, when: datetime | None) -> None:
        """After the commit: this chamada waits for `when`, or (None) no more. In the loop only."""
        if when is None:
            self._pacer.drop(chamada_id)
            return
        self._since = min(self._since, when)
        if when < self._look_at:
            self._look_at = when
            self._work.set()

    def wake(self) -> None:
        """The engine is up: what it made wait can go."""
        self._work.set()

    async def run(self) -> None:
        """Place what falls due, until cancelled."""
        while True:
            self._work.clear()
            try:
                until = await self._turn()
            except Exception:
                log.exception("the schedule cannot be read or written")
                until = self._clock() + _PAUSE
                self._look_at = min(self._look_at, until)
            await self._sleep(until)

    def _room(self) -> None:
        if self._pacer:
            self._work.set()

    async def _sleep(self, until: datetime) -> None:
        seconds = min(until - self._clock(), _LONGEST_SLEEP).total_seconds()
        when = min(asyncio.get_running_loop().time() + seconds, self._pace)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._work.wait()

    async def _turn(self) -> datetime:
        """Do what is to do now; when the next thing is to be done. `_pace`: or sooner, by the loop's clock."""
        now, self._pace = self._clock(), inf
        if now >= self._look_at:
            await self._look(now)
        await self._give_up(now)
        wake = self._look_at
        oldest = self._pacer.oldest()
        if oldest is not None:
            wake = min(wake, oldest + GRACE)
        if self._engine.alive() and not self._runner.draining:
            await self._place()
            self._pace = self._pacer.soonest
        return min(wake, self._look_at)

    async def _look(self, now: datetime) -> None:
        """Read what fell due since the last time; what was missed by too much ends."""
        since, self._since, self._look_at = self._since, now, _NEVER
        try:
            found = await self._storage.read(look, since, now, test_network=self._limits.test_network)
        except Exception:
            self._since = min(self._since, since)
            raise
        self._look_at = min(self._look_at, found.next_at or _NEVER)
        missed = [due for due in found.due if due.at <= now - GRACE and due.id not in self._pacer]
        for due in found.due:
            if due.at > now - GRACE:
                self._pacer.add(due)
        await self._end(missed, FAILED, _MISSED, now)

    async def _give_up(self, now: datetime) -> None:
        late = self._pacer.overdue(now - GRACE)
        if self._engine.alive():
            await self._end(late, CONGESTED, _NO_PLACE, now)
        else:
            await self._end(late, FAILED, _NO_ENGINE, now)

    async def _end(self, late: list[Due], causa: int, motivo: str, now: datetime) -> None:
        """One after the other: many at once would hold up everybody's writes."""
        if late:
            log.warning("scheduled calls were not placed", count=len(late), reason=motivo)
        for index, due in enumerate(late):
            try:
                await self._storage.write(end_scheduled, due.id, causa, motivo, now, self._runner.tellers)
            except Exception:
                self._again(*late[index:])
                raise
            SCHEDULED.labels("congestionado" if causa == CONGESTED else "falha").inc()

    async def _place(self) -> None:
        while self._engine.alive() and not self._runner.draining and (starting := self._take()):
            await asyncio.gather(*(self._start(due) for due in starting))

    def _take(self) -> list[Due]:
        taken: list[Due] = []
        while len(taken) < _AT_ONCE and (due := self._pacer.take()) is not None:
            taken.append(due)
        return taken

    async def _start(self, due: Due) -> None:
        try:
            pedido = await self._storage.write(
                place_scheduled, due.id, self._limits, self._clock(), self._runner.tellers
            )
        except Exception:
            log.exception("a scheduled call could not be placed", chamada_id=due.id)
            self._pacer.release(due)
            self._again(due)
            return
        if pedido is None:
            self._pacer.release(due)
            return
        SCHEDULED.labels("discada").inc()
        self._runner.start(pedido, self._flow(due))

    def _flow(self, due: Due) -> Flow:
        async def flow(desk: Desk, pedido: Pedido) -> str:
            try:
                return await bridged_call(desk, pedido)
            finally:
                self._pacer.release(due)

        return flow

    def _again(self, *dues: Due) -> None:
        """They are still in the table: read them again in a while."""
        self._since = min(self._since, *(due.at for due in dues))
        self._look_at = min(self._look_at, self._clock() + _PAUSE)
