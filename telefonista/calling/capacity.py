"""How much a trunk takes: channels at once and calls per second, kept in front of the engine."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class _Gate:
    canais: int
    cps: int
    busy: int = 0
    started: deque[float] = field(default_factory=deque)
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None  # set while the next turn waits for its second


class Gates:
    """One gate a trunk. A call over the limits waits its turn, first come first served, up to `wait_seconds`."""

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._gates: dict[int, _Gate] = {}

    def limit(self, tronco_id: int, *, canais: int, cps: int) -> None:
        """Set or change a trunk's limits; legs already up stay."""
        gate = self._gates.setdefault(tronco_id, _Gate(canais, cps))
        gate.canais, gate.cps = canais, cps
        self._admit(gate)

    @asynccontextmanager
    async def place(self, tronco_id: int | None) -> AsyncIterator[None]:
        """Hold one channel of a trunk while inside. Raises TimeoutError when none came free in time."""
        gate = None if tronco_id is None else self._gates.get(tronco_id)
        if gate is None:
            yield
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gate.waiting.append(turn)
        self._admit(gate)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError):
            if turn in gate.waiting:
                gate.waiting.remove(turn)
            elif turn.done() and not turn.cancelled():
                self._leave(gate)
            raise
        try:
            yield
        finally:
            self._leave(gate)

    def _leave(self, gate: _Gate) -> None:
        gate.busy -= 1
        self._admit(gate)

    def _admit(self, gate: _Gate) -> None:
        loop = asyncio.get_running_loop()
        if gate.timer is not None:
            gate.timer.cancel()
            gate.timer = None
        while gate.waiting and gate.busy < gate.canais:
            now = loop.time()
            while gate.started and gate.started[0] + 1.0 <= now:
                gate.started.popleft()
            if len(gate.started) >= gate.cps:
                gate.timer = loop.call_at(gate.started[0] + 1.0, self._admit, gate)
                return
            turn = gate.waiting.popleft()
            if not turn.done():
                gate.started.append(now)
                gate.busy += 1
                turn.set_result(None)
