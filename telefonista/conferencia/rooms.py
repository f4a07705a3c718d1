"""Rooms while somebody is in them: one bridge each, who is muted, who talks, and the tones at the door."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from telefonista.engine.port import Bridge, Engine, EngineError, HungUp, Leg
from telefonista.media.tones import beep, silence
from telefonista.media.wav import write_wav

Muted = Callable[[], Awaitable[bool]]

_TONE_SECONDS = 5.0  # at the most, until a tone is given up


async def _never() -> bool:
    return False


def ponte(conferencia_id: int) -> str:
    """The engine's id of a room's bridge."""
    return f"conf-{conferencia_id}"


@dataclass(frozen=True)
class Tones:
    """What those in a room hear when somebody comes or goes."""

    entrada: Path
    saida: Path


def make_tones(folder: Path) -> Tones:
    """Write the two tones into a folder that the engine reads: low to high comes in, high to low goes out."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    low, high = (beep(0.12, frequency, dbfs=-18.0) for frequency in (620.0, 930.0))
    gap = silence(0.03)
    made = Tones(folder / "entrada.wav", folder / "saida.wav")
    for path, parts in ((made.entrada, (low, gap, high)), (made.saida, (high, gap, low))):
        write_wav(path, np.concatenate(parts).astype("<i2").tobytes())
        path.chmod(0o644)
    return made


class Room:
    """The bridge of one room, there while it has a member."""

    def __init__(self, engine: Engine, id: int, tones: Tones | None, told: Callable[[int, int, bool], None]) -> None:
        self.id = id
        self.talking: frozenset[int] = frozenset()  # chamadas; replaced, never changed: other threads read it
        self._engine, self._tones, self._told = engine, tones, told
        self._members: dict[int, Leg] = {}
        self._stack: AsyncExitStack | None = None
        self._bridge: Bridge | None = None
        self._door = asyncio.Lock()  # the bridge is opened and taken apart by one at a time
        self._sounding: asyncio.Task[None] | None = None

    def leg(self, chamada_id: int) -> Leg | None:
        """The leg by which a call is in the room."""
        return self._members.get(chamada_id)

    def empty(self) -> bool:
        return not self._members and not self._door.locked()

    @asynccontextmanager
    async def member(
        self, chamada_id: int, leg: Leg, *, muted: Muted = _never, quiet: bool = False
    ) -> AsyncIterator[None]:
        """While inside, the leg hears the others and is heard, unless it is muted. `quiet`: no tone tells of it coming.

        `muted` is asked once the leg can be found here: who mutes it later does so by `leg`.
        """
        self._members[chamada_id] = leg
        try:
            bridge = await self._open()
            if await muted():
                await leg.mute(True)
            await bridge.add(leg)
            await leg.notice_talking(partial(self._talks, chamada_id))
            if not quiet:
                self._sound("entrada")
            yield
        finally:
            del self._members[chamada_id]
            self.talking -= {chamada_id}
            if self._members:
                self._sound("saida")
            await self._close_if_empty()

    async def _open(self) -> Bridge:
        async with self._door:
            if self._bridge is None:
                self._stack = AsyncExitStack()
                self._bridge = await self._stack.enter_async_context(self._engine.bridge(id=ponte(self.id)))
            return self._bridge

    async def _close_if_empty(self) -> None:
        async with self._door:
            if self._members or self._stack is None:
                return
            if self._sounding is not None:
                self._sounding.cancel()
                await asyncio.wait({self._sounding})
            stack, self._stack, self._bridge = self._stack, None, None
            await stack.aclose()

    def _talks(self, chamada_id: int, talking: bool) -> None:
        if chamada_id not in self._members or talking == (chamada_id in self.talking):
            return
        self.talking = self.talking | {chamada_id} if talking else self.talking - {chamada_id}
        self._told(self.id, chamada_id, talking)

    def _sound(self, which: str) -> None:
        """One tone at a time: of twenty who come in at once only the first is announced, not seven seconds long."""
        bridge, tones = self._bridge, self._tones
        if bridge is None or tones is None or (self._sounding is not None and not self._sounding.done()):
            return
        sound = tones.entrada if which == "entrada" else tones.saida
        self._sounding = asyncio.create_task(_play(bridge, sound), name=f"tom-{self.id}")


async def _play(bridge: Bridge, sound: Path) -> None:
    with suppress(EngineError, HungUp, TimeoutError):
        async with asyncio.timeout(_TONE_SECONDS):
            await bridge.play(sound)


class Rooms:
    """The rooms that somebody is in, or about to be, by id. `told(room, chamada, talking)` hears of who talks."""

    def __init__(self, engine: Engine, tones: Tones | None = None) -> None:
        self._engine, self._tones = engine, tones
        self._rooms: dict[int, Room] = {}
        self.told: Callable[[int, int, bool], None] = lambda conferencia_id, chamada_id, talking: None

    @asynccontextmanager
    async def inside(
        self, conferencia_id: int, chamada_id: int, leg: Leg, *, muted: Muted = _never, quiet: bool = False
    ) -> AsyncIterator[None]:
        """See Room.member."""
        room = self._rooms.get(conferencia_id)
        if room is None:
            room = self._rooms[conferencia_id] = Room(self._engine, conferencia_id, self._tones, self._tell)
        try:
            async with room.member(chamada_id, leg, muted=muted, quiet=quiet):
                yield
        finally:
            if room.empty() and self._rooms.get(conferencia_id) is room:
                del self._rooms[conferencia_id]

    def _tell(self, conferencia_id: int, chamada_id: int, talking: bool) -> None:
        self.told(conferencia_id, chamada_id, talking)

    def leg(self, conferencia_id: int, chamada_id: int) -> Leg | None:
        """The leg by which a call is in a room now."""
        room = self._rooms.get(conferencia_id)
        return None if room is None else room.leg(chamada_id)

    def talking(self, conferencia_id: int) -> frozenset[int]:
        """The chamadas whose party talks now; from any thread."""
        room = self._rooms.get(conferencia_id)
        return frozenset() if room is None else room.talking
