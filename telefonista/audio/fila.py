"""Calls the voice messages that wait, each in its turn; made and run by the wiring, told by the routes what changed."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from telefonista.audio.fila_queries import Partida, look, needed, place, take_back
from telefonista.audio.flow import message
from telefonista.audio.queries import note_answer
from telefonista.calling.capacity import Gates
from telefonista.calling.creating import Limits
from telefonista.calling.legs import Desk, NotReached
from telefonista.calling.pacing import Due, Pacer
from telefonista.calling.pedido import Pedido
from telefonista.calling.run import Flow, Runner
from telefonista.calling.sounds import NoSound, Sounds
from telefonista.engine.port import Engine
from telefonista.storage.session import Storage

log = structlog.get_logger()

LINE = 200
"""How many of a line are in memory at a time; the others are in the table alone."""

_LONGEST_SLEEP = timedelta(seconds=60)  # the clock on the wall may be set
_PAUSE = timedelta(seconds=5)  # after a failure of our own database
_AT_ONCE = 50  # placed together, before the clock and the limits are looked at again
_PURGE_SECONDS = 3600.0
_NO_SOUND = 41  # Q.850: temporary failure
_NEVER = datetime.max.replace(tzinfo=UTC)
_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Casa:
    """What the queue works with. `per_second`: how many messages of a conta may start in a second, 0 = any."""

    storage: Storage
    engine: Engine
    runner: Runner
    gates: Gates
    sounds: Sounds
    limits: Limits
    per_second: int


class Fila:
    """One task, however many wait. Contas take turns, a conta's own go in order, trunks are kept within their limits.

    Nothing that waits is given up: a campaign takes as long as its trunk makes it.
    """

    def __init__(self, casa: Casa) -> None:
        self._casa = casa
        self._pacer = Pacer(casa.gates, casa.per_second)
        others = casa.gates.on_room

        def room() -> None:
            others()
            if self._pacer:
                self._work.set()

        casa.gates.on_room = room
        self._work = asyncio.Event()
        self._look_at = _ALWAYS  # when the table is to be read
        self._look_below: int | None = None  # or as soon as so few are left in memory
        self._stale_sounds = asyncio.Event()
        casa.sounds.on_new = self._stale_sounds.set

    def changed(self, id: int) -> None:
        """After the commit: this audio waits, waits for another time or number, or waits no more. In the loop only."""
        self._pacer.drop(id)
        self._look_at = _ALWAYS
        self._work.set()

    def wake(self) -> None:
        """The engine is up: what it made wait can go."""
        self._work.set()

    async def run(self) -> None:
        """Call what is due, until cancelled."""
        back = await self._casa.storage.write(take_back)
        if back:
            log.info("voice messages go back into the queue", count=back)
        while True:
            self._work.clear()
            try:
                until = await self._turn()
            except Exception:
                log.exception("the queue of voice messages cannot be read or written")
                until = datetime.now(UTC) + _PAUSE
                self._look_at = min(self._look_at, until)
            seconds = min(until - datetime.now(UTC), _LONGEST_SLEEP).total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, seconds)):
                    await self._work.wait()

    async def keep_sounds(self) -> None:
        """Remove sounds that nobody needs, hourly and when there is a new one, until cancelled."""
        while True:
            self._stale_sounds.clear()
            try:
                names = await self._casa.storage.read(needed)
                if removed := await asyncio.to_thread(self._casa.sounds.purge, names, time.time()):
                    log.info("sounds purged", removed=removed)
            except Exception:
                log.exception("sounds were not purged")
            with suppress(TimeoutError):
                async with asyncio.timeout(_PURGE_SECONDS):
                    await self._stale_sounds.wait()

    async def _turn(self) -> datetime:
        """Do what is to do now; when the next thing is to be done."""
        now = datetime.now(UTC)
        if now >= self._look_at or (self._look_below is not None and len(self._pacer) <= self._look_below):
            await self._look(now)
        wake = self._look_at
        if self._casa.engine.alive() and not self._casa.runner.draining:
            await self._start_all()
            if self._look_below is not None and len(self._pacer) <= self._look_below:
                return now
            wait = self._pacer.wait(_LONGEST_SLEEP.total_seconds())
            wake = min(wake, self._look_at, datetime.now(UTC) + timedelta(seconds=wait))
        return wake

    async def _look(self, now: datetime) -> None:
        self._look_at = _NEVER  # who comes meanwhile asks for another look
        try:
            found = await self._casa.storage.read(look, now, LINE)
        except Exception:
            self._look_at = _ALWAYS
            raise
        for due in found.due:
            if not self._casa.runner.runs(due.id):
                self._pacer.add(due)
        self._look_at = min(self._look_at, found.next_at or _NEVER)
        self._look_below = max(0, len(self._pacer) - LINE // 2) if found.more else None

    async def _start_all(self) -> None:
        while self._casa.engine.alive() and not self._casa.runner.draining:
            taken: list[Due] = []
            while len(taken) < _AT_ONCE and (due := self._pacer.take()) is not None:
                taken.append(due)
            if not taken:
                return
            await asyncio.gather(*(self._start(due) for due in taken))

    def _put_back(self, due: Due) -> None:
        """It is still in the table, and is read from there in a while."""
        self._pacer.release(due)
        self._look_at = min(self._look_at, datetime.now(UTC) + _PAUSE)

    async def _start(self, due: Due) -> None:
        casa = self._casa
        try:
            partida = await casa.storage.write(place, due.id, casa.limits, datetime.now(UTC), casa.runner.tellers)
        except Exception:
            log.exception("a voice message could not be placed", audio_id=due.id)
            self._put_back(due)
            return
        if partida is None:
            self._pacer.release(due)
            return
        casa.runner.start(partida.pedido, self._flow(due, partida))

    def _flow(self, due: Due, partida: Partida) -> Flow:
        storage = self._casa.storage

        def pressed(keys: str) -> None:
            storage.queue(note_answer, due.id, keys)

        async def flow(desk: Desk, pedido: Pedido) -> str:
            try:
                sound = await self._sound(desk, partida)
                return await message(sound, pressed if partida.resposta_usuario else None)(desk, pedido)
            finally:
                self._pacer.release(due)

        return flow

    async def _sound(self, desk: Desk, partida: Partida) -> Path:
        """The file, before anybody is called; fetched again if it was lost."""
        path = self._casa.sounds.path(partida.arquivo)
        if await asyncio.to_thread(path.is_file):
            return path
        try:
            return (await self._casa.sounds.obtain(partida.url)).path
        except NoSound as problem:
            desk.journal.not_reached(partida.pedido.origem, _NO_SOUND)
            raise NotReached(_NO_SOUND, str(problem)) from None
