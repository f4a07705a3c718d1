"""Bridges and recordings of the fake engine: who hears whom, and what a recording came to hold."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from telefonista.engine.fake.legs import FakeLeg, seconds_of
from telefonista.engine.port import Leg
from telefonista.media.levels import Samples
from telefonista.media.tones import BRAZIL_HZ, silence, sine
from telefonista.media.wav import RATE, read_pcm, write_wav

if TYPE_CHECKING:
    from telefonista.engine.fake.engine import FakeEngine

RINGBACK = "ringback"
"""What a leg hears that hears the ringing tone, beside the ids of legs."""


class FakeBridge:
    """A bridge and its members."""

    def __init__(self, engine: "FakeEngine", id: str) -> None:
        self.id = id
        self.members: dict[str, FakeLeg] = {}
        self.playing: tuple[Path, float] | None = None  # the file, and since when by the loop's clock
        self._engine = engine

    async def add(self, leg: Leg) -> None:
        assert isinstance(leg, FakeLeg)
        if leg.bridge is self:
            return
        await leg.command()
        if leg.bridge is not None:
            leg.bridge.drop(leg)
        leg.bridge, self.members[leg.id] = self, leg
        self._engine.heard_anew()

    async def remove(self, leg: Leg) -> None:
        await self._engine.trip()
        if self.members.get(leg.id) is leg:
            self.drop(self.members[leg.id])
            self._engine.heard_anew()

    async def play(self, sound: Path) -> None:
        await self._engine.trip()
        seconds = seconds_of(sound)
        over = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(seconds, over.set)
        self.playing = sound, asyncio.get_running_loop().time()
        self._engine.heard_anew()
        try:
            await over.wait()
        finally:
            timer.cancel()
            self.playing = None
            self._engine.heard_anew()

    def drop(self, leg: FakeLeg) -> None:
        """Take out at once, in the engine."""
        if self.members.pop(leg.id, None) is not None:
            leg.bridge = None


def hearing(leg: FakeLeg) -> frozenset[str]:
    """The ids of the legs that `leg` hears now, and RINGBACK."""
    if leg.gone.done() or not (leg.up.done() or leg.incoming):
        return frozenset()
    heard = {RINGBACK} if leg.ringback else set()
    heard |= {spy.id for spy, whisper in leg.spies.items() if whisper}
    for target in leg.spied():
        heard |= {target.id, *(other for other in hearing(target) if other != leg.id)}
    for other in leg.bridge.members.values() if leg.bridge is not None else ():
        if other is leg or other.muted:
            continue
        if other.up.done() or other.early:
            heard.add(other.id)
        elif other.ringing.done():
            heard.add(RINGBACK)
    return frozenset(heard)


@dataclass(frozen=True)
class _Part:
    """What is heard and said from an instant on, in hertz."""

    since: float
    heard: frozenset[float]
    said: frozenset[float]
    played: tuple[Path, float] | None = None


class FakeRecording:
    """A recording. `who` is every leg it has heard besides its own; with a folder the files hold the legs' tones."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.name = name
        self.heard = (folder or Path()) / f"{name}-heard.wav"
        self.said = (folder or Path()) / f"{name}-said.wav"
        self.who: set[str] = set()
        self.seconds = 0.0
        self.running = False
        self._writes = folder is not None
        self._ended = asyncio.Event()
        self._parts: list[_Part] = []

    def mark(self, leg: FakeLeg, legs: dict[str, FakeLeg], now: float) -> None:
        """From `now` on the sound is as it is at present."""
        self.running = True
        others = [legs[id] for id in hearing(leg) - {RINGBACK}]
        self.who |= {other.id for other in others}
        heard = frozenset(other.hertz for other in others) | ({BRAZIL_HZ} if RINGBACK in hearing(leg) else set())
        said = frozenset({leg.hertz} if leg.up.done() or leg.early else ())
        in_the_bridge = None if leg.bridge is None else leg.bridge.playing
        self._parts.append(_Part(now, heard, said, leg.playing or in_the_bridge))

    def close(self, now: float) -> None:
        """Write the files, once."""
        if not self.running:
            return
        self.running = False
        self.seconds = now - self._parts[0].since
        if self._writes:
            ends = [part.since for part in self._parts[1:]] + [now]
            lengths = [end - part.since for part, end in zip(self._parts, ends, strict=True)]
            heard, said = [], []
            for part, seconds in zip(self._parts, lengths, strict=True):
                heard.append(_tones(part.heard, seconds) + _played(part, seconds))
                said.append(_tones(part.said, seconds))
            for path, sounds in ((self.heard, heard), (self.said, said)):
                write_wav(path, np.concatenate(sounds).astype("<i2").tobytes())
        self._ended.set()

    async def closed(self, within: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._ended.wait()


def _played(part: _Part, seconds: float) -> Samples:
    rest = silence(seconds)
    if part.played is not None:
        path, since = part.played
        samples = np.frombuffer(read_pcm(path), "<i2")[round((part.since - since) * RATE) :][: len(rest)]
        rest[: len(samples)] = samples
    return rest


def _tones(hertz: frozenset[float], seconds: float) -> Samples:
    mixed = silence(seconds)
    for frequency in hertz - {0}:
        mixed = mixed + sine(frequency, seconds)
    return mixed
