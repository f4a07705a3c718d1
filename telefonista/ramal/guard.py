"""Blocks addresses that guess passwords; made and run by the wiring, told of each failure by the engine.

The engine answers every unknown caller alike and throttles nobody (engine.md section 6): counting is done here, the
refusal by the engine's own list, and the rows keep a block over restarts of ours and of the engine.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from telefonista.engine.port import EngineError
from telefonista.storage.session import Storage
from telefonista.storage.tables import Bloqueio

log = structlog.get_logger()

ATTEMPTS = 10
WINDOW = timedelta(minutes=1)
TERM = timedelta(minutes=10)

_RETRY_SECONDS = 5.0
_MANY = 10_000  # addresses watched at once before those that kept quiet are forgotten


class Guard:
    """Counts failed authentications: ATTEMPTS within WINDOW from one address and it is blocked for TERM.

    `restore`, then `run` as a task; `suspect` for each failure; `engine_up` each time an engine has become usable.
    """

    def __init__(
        self,
        storage: Storage,
        block: Callable[[Sequence[str]], Awaitable[None]],
        *,
        attempts: int = ATTEMPTS,
        window: timedelta = WINDOW,
        term: timedelta = TERM,
    ) -> None:
        self._storage = storage
        self._block = block
        self._limit, self._window, self._term = attempts, window, term
        self._failures: dict[str, deque[datetime]] = {}
        self._blocked: dict[str, datetime] = {}  # until when
        self._changed = asyncio.Event()
        self._telling = asyncio.Lock()
        self._told: tuple[str, ...] = ()

    def blocked(self) -> list[str]:
        """The addresses refused now."""
        return sorted(self._blocked)

    def suspect(self, address: str, at: datetime) -> None:
        """An address failed to authenticate. Never waits."""
        if address in self._blocked:
            return
        if len(self._failures) > _MANY:
            self._forget_quiet(at)
        failures = self._failures.setdefault(address, deque(maxlen=self._limit))
        failures.append(at)
        if len(failures) < self._limit or at - failures[0] > self._window:
            return
        del self._failures[address]
        until = self._blocked[address] = at + self._term
        log.warning("address blocked", address=address, attempts=self._limit, until=until.isoformat())
        self._storage.queue(_keep, address, at, until, self._limit)
        self._changed.set()

    async def restore(self) -> None:
        """Take up the blocks of before; the engine hears of them at `engine_up`."""
        self._blocked |= await self._storage.read(_open, datetime.now(UTC))

    async def engine_up(self) -> None:
        """Give the engine the whole list, also an empty one: its own may be older."""
        await self._tell(always=True)

    async def run(self) -> None:
        """Tell the engine of new blocks at once and of ended ones when their time is over. Ends by cancellation."""
        while True:
            self._changed.clear()
            self._release(datetime.now(UTC))
            await self._tell()
            await self._next()

    async def _next(self) -> None:
        """Until a block is new, the first one ends, or the engine that could not be told is asked again."""
        seconds = [(until - datetime.now(UTC)).total_seconds() for until in self._blocked.values()]
        if self._told != tuple(self.blocked()):
            seconds.append(_RETRY_SECONDS)
        try:
            async with asyncio.timeout(max(0.0, min(seconds)) if seconds else None):
                await self._changed.wait()
        except TimeoutError:
            return

    def _release(self, now: datetime) -> None:
        over = [address for address, until in self._blocked.items() if until <= now]
        for address in over:
            del self._blocked[address]
            log.info("address released", address=address)
        if over:
            self._storage.queue(_drop, now)

    async def _tell(self, *, always: bool = False) -> None:
        async with self._telling:
            addresses = tuple(self.blocked())
            if addresses == self._told and not always:
                return
            try:
                await self._block(addresses)
            except EngineError as error:
                log.warning("the engine was not told whom to refuse", reason=str(error))
            else:
                self._told = addresses

    def _forget_quiet(self, now: datetime) -> None:
        quiet = [address for address, failures in self._failures.items() if now - failures[-1] > self._window]
        for address in quiet or list(self._failures)[: _MANY // 2]:
            del self._failures[address]


def _keep(session: Session, address: str, since: datetime, until: datetime, attempts: int) -> None:
    session.merge(Bloqueio(endereco=address, desde=since, ate=until, tentativas=attempts))


def _open(session: Session, now: datetime) -> dict[str, datetime]:
    return {row.endereco: row.ate for row in session.scalars(select(Bloqueio).where(Bloqueio.ate > now))}


def _drop(session: Session, now: datetime) -> None:
    session.execute(delete(Bloqueio).where(Bloqueio.ate <= now))


def list_blocks(session: Session, now: datetime) -> Sequence[Bloqueio]:
    """The blocks in force, those that end first before; for `telefonista doctor`."""
    return session.scalars(select(Bloqueio).where(Bloqueio.ate > now).order_by(Bloqueio.ate)).all()
