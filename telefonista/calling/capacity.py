"""How much a trunk takes: channels at once and calls per second, kept in front of the engine."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf


class Starts:
    """What was started in the last second, to start no more than so many in any one second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def free_at(self, per_second: int, now: float) -> float:
        """The instant from which one more may start; 0 = now."""
        while self._times and self._times[0] + 1.0 <= now:
            self._times.popleft()
        return 0.0 if len(self._times) < per_second else self._times[0] + 1.0

    def add(self, now: float) -> None:
        self._times.append(now)


@dataclass
class _Gate:
    canais: int
    cps: int
    busy: int = 0
    starts: Starts = field(default_factory=Starts)
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None  # set while the next turn waits for its second
    held: dict[str, bool] = field(default_factory=dict)  # by who it is for: whether the second's turn is taken as well


class Gates:
    """One gate a trunk. A call over the limits waits its turn, first come first served, up to `wait_seconds`.

    Who must not wait asks for room and holds a place before there is a call; the call finds it by its key.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._gates: dict[int, _Gate] = {}
        self.on_room: Callable[[], None] = lambda: None  # there may be room now where there was none

    def limit(self, tronco_id: int, *, canais: int, cps: int) -> None:
        """Set or change a trunk's limits; legs already up stay."""
        gate = self._gates.setdefault(tronco_id, _Gate(canais, cps))
        gate.canais, gate.cps = canais, cps
        self._admit(gate)

    def room(self, tronco_id: int | None, canais: int = 1, *, start: bool = True) -> float:
        """The instant, in loop time, from which so many channels, and with `start` one turn, can be held.

        0 = now; inf = when a place is given back, see `on_room`.
        """
        gate = None if tronco_id is None else self._gates.get(tronco_id)
        if gate is None:
            return 0.0
        if gate.waiting or gate.busy + canais > gate.canais:
            return inf
        return gate.starts.free_at(gate.cps, asyncio.get_running_loop().time()) if start else 0.0

    def hold(self, tronco_id: int | None, key: str, *, start: bool) -> None:
        """Take a place for a leg to come, with `start` also its turn of this second. Given back by `release`."""
        gate = None if tronco_id is None else self._gates.get(tronco_id)
        if gate is None or key in gate.held:
            return
        gate.held[key] = start
        gate.busy += 1
        if start:
            gate.starts.add(asyncio.get_running_loop().time())

    def release(self, tronco_id: int | None, key: str) -> None:
        """Give back what is held, unless its leg has taken it over."""
        gate = None if tronco_id is None else self._gates.get(tronco_id)
        if gate is not None and gate.held.pop(key, None) is not None:
            self._leave(gate)

    @asynccontextmanager
    async def place(self, tronco_id: int | None, key: str = "") -> AsyncIterator[None]:
        """Hold one channel of a trunk while inside. Raises TimeoutError when none came free in time.

        `key`: whose place it is; one held for it is taken over.
        """
        gate = None if tronco_id is None else self._gates.get(tronco_id)
        if gate is None:
            yield
            return
        held = gate.held.pop(key, None)
        if not held:
            await self._turn(gate, has_channel=held is not None)
        try:
            yield
        finally:
            self._leave(gate)

    async def _turn(self, gate: _Gate, *, has_channel: bool) -> None:
        """Wait in line; who has a channel waits in front of the line, for its second only."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if has_channel:
            gate.busy -= 1
            gate.waiting.appendleft(turn)
        else:
            gate.waiting.append(turn)
        self._admit(gate)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError):
            if turn in gate.waiting:
                gate.waiting.remove(turn)
                self._admit(gate)
            elif turn.done() and not turn.cancelled():
                self._leave(gate)
            raise

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
            free_at = gate.starts.free_at(gate.cps, now)
            if free_at:
                gate.timer = loop.call_at(free_at, self._admit, gate)
                return
            turn = gate.waiting.popleft()
            if not turn.done():
                gate.starts.add(now)
                gate.busy += 1
                turn.set_result(None)
        if not gate.waiting:
            self.on_room()
