"""One line of the fake engine, seen from both ends: the port's Leg for us, and what its far end does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telefonista.engine.fake.behaviour import Behaviour, cause_of_sip
from telefonista.engine.port import By, EngineError, HungUp, Media
from telefonista.media.wav import BadAudio, open_pcm

if TYPE_CHECKING:
    from telefonista.engine.fake.bridges import FakeBridge
    from telefonista.engine.fake.engine import FakeEngine


class FakeLeg:
    """A leg. What begins with `far_` is done by the telephone at its other end (tests)."""

    def __init__(self, engine: "FakeEngine", id: str, *, incoming: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.id = id
        self.ringing: asyncio.Future[datetime] = loop.create_future()
        self.up: asyncio.Future[datetime] = loop.create_future()
        self.gone: asyncio.Future[HungUp] = loop.create_future()
        self.incoming = incoming
        self.early = False  # its far end sends media already
        self.hertz = 0
        self.media: Media | None = None  # what its RTP will have come to
        self.bridge: FakeBridge | None = None
        self.ringback = False  # it is given the ringing tone by `hearing_ringback`
        self.playing: tuple[Path, float] | None = None  # the file, and since when by the loop's clock
        self.spies: dict[FakeLeg, bool] = {}  # who listens to this leg, and whether it is whispered to
        self.told_ringing = False  # an incoming leg was told 180
        self.muted = False  # its bridge goes without it
        self._engine = engine
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._tell_talking: Callable[[bool], None] = lambda talking: None
        self._asked = False
        self._handed_over = 0
        self.told_referral: bool | None = None  # how the transfer it asked for went
        self._timers: list[asyncio.TimerHandle] = []
        self._limit: asyncio.TimerHandle | None = None

    def spied(self) -> "list[FakeLeg]":
        """The legs that this one listens to."""
        return [other for other in self._engine.legs.values() if self in other.spies]

    # -- the far end ------------------------------------------------------------------------------------------------

    def far_rings(self) -> None:
        """180."""
        self._resolve(self.ringing)

    def far_sends_early_media(self) -> None:
        """183 with media."""
        self.early = True
        self._resolve(self.ringing)

    def far_answers(self) -> None:
        """200."""
        self._resolve(self.up)

    def far_refuses(self, sip: int) -> None:
        """A final response of 300 to 699."""
        self.end(cause_of_sip(sip), sip, By.FAR)

    def far_hangs_up(self, cause: int = 16) -> None:
        """BYE; for an incoming leg before its answer, CANCEL."""
        self.end(cause, None, By.FAR)

    def far_presses(self, key: str) -> None:
        """One key."""
        self._keys.put_nowait(key)

    def far_talks(self, talking: bool) -> None:
        """Somebody begins or stops to talk."""
        self._tell_talking(talking)

    # -- the engine -------------------------------------------------------------------------------------------------

    def behave(self, far: Behaviour, ring_seconds: float) -> None:
        """Let the far end live its life from now; the engine gives up after `ring_seconds`."""
        self.hertz = far.hertz
        self._at(ring_seconds, self._ring_timeout)
        if far.ring is not None:
            self._at(far.ring, self.far_rings)
        if far.early is not None:
            self._at(far.early, self.far_sends_early_media)
        if far.refuse is not None:
            self._at(far.refuse_at, self.far_refuses, far.refuse)
        elif far.answer is not None:
            self._at(far.answer, self._live, far)

    def _live(self, far: Behaviour) -> None:
        self.far_answers()
        for after, key in far.keys:
            self._at(after, self.far_presses, key)
        if far.hang_up is not None:
            self._at(far.hang_up, self.far_hangs_up, far.hang_up_cause)

    def _ring_timeout(self) -> None:
        if not self.up.done():
            self.end(19, None, By.US)

    def end_in(self, seconds: float) -> None:
        """The engine's limit, counted from now."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._at(seconds, self.end, 16, None, By.LIMIT)

    def end(self, cause: int, sip: int | None, by: By) -> None:
        """The leg is gone. Once: what comes later changes nothing."""
        if self.gone.done():
            return
        for timer in self._timers:
            timer.cancel()
        hangup = HungUp(self, cause, sip, by, self._engine.now(), self.media)
        self.gone.set_result(hangup)
        self._engine.forget(self, hangup)

    def _at(self, seconds: float, act: Callable[..., None], *arguments: Any) -> asyncio.TimerHandle:
        timer = asyncio.get_running_loop().call_later(seconds, act, *arguments)
        self._timers.append(timer)
        return timer

    def _resolve(self, future: "asyncio.Future[datetime]") -> None:
        if not future.done() and not self.gone.done():
            future.set_result(self._engine.now())
            self._engine.heard_anew()

    # -- what flows ask ---------------------------------------------------------------------------------------------

    async def command(self) -> None:
        """The way of a command to the engine and back; raises HungUp when the leg is gone."""
        if not self.gone.done():
            await self._engine.trip()
        if self.gone.done():
            raise self.gone.result()

    async def _until(self, future: "asyncio.Future[Any]") -> Any:
        await asyncio.wait({future, self.gone}, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        raise self.gone.result()

    async def answered(self) -> None:
        await self._until(self.up)

    async def answer(self) -> None:
        await self.command()
        self._resolve(self.up)

    async def ring(self) -> None:
        await self.command()
        self.told_ringing = True

    async def limit(self, seconds: int) -> None:
        await self.command()
        self.end_in(max(1, seconds))

    async def keys(self, within: float) -> str:
        waiting: asyncio.Future[Any] = asyncio.ensure_future(self._keys.get())
        try:
            await asyncio.wait({waiting, self.gone}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return str(waiting.result())
            if self.gone.done():
                raise self.gone.result()
            return ""
        finally:
            waiting.cancel()

    @asynccontextmanager
    async def hearing_ringback(self) -> AsyncIterator[None]:
        await self.command()
        self.ringback = True
        self._engine.heard_anew()
        try:
            yield
        finally:
            self.ringback = False
            self._engine.heard_anew()

    async def hear_busy(self, seconds: float) -> None:
        await self.command()
        await asyncio.wait({self.gone}, timeout=seconds)

    async def play(self, sound: Path) -> None:
        await self.command()
        seconds = seconds_of(sound)
        self.playing = sound, asyncio.get_running_loop().time()
        self._engine.heard_anew()
        try:
            await asyncio.wait({self.gone}, timeout=seconds)
        finally:
            self.playing = None
            self._engine.heard_anew()
        if self.gone.done():
            raise self.gone.result()

    async def mute(self, muted: bool) -> None:
        await self.command()
        self.muted = muted
        self._engine.heard_anew()

    async def notice_talking(self, tell: Callable[[bool], None]) -> None:
        await self.command()
        self._tell_talking = tell

    async def referred(self, *, done: bool) -> None:
        self.told_referral = done

    def hand_over(self) -> None:
        self._handed_over += 1

    def hang_up(self, *, cause: int = 16) -> None:
        if self._handed_over:
            self._handed_over -= 1
        elif not self._asked and not self.gone.done():
            self._asked = True
            self._at(self._engine.latency, self.end, cause, None, By.US)

    async def statistics(self) -> dict[str, Any]:
        """Always {}: the fake has no media."""
        return {}


def seconds_of(sound: Path) -> float:
    """How long a WAV plays. EngineError when it can not be played."""
    try:
        with open_pcm(sound) as pcm:
            return pcm.seconds
    except (OSError, BadAudio) as problem:
        raise EngineError(f"{sound.name} cannot be played") from problem
