"""What a telephone can say: sources of encoded 20 ms frames for the RTP sender."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle
from typing import Literal, Protocol

import numpy as np

from . import audio

Law = Literal["alaw", "ulaw"]
ENCODE = {"alaw": audio.alaw_encode, "ulaw": audio.ulaw_encode}


def encoded(samples: audio.Pcm, law: Law) -> list[bytes]:
    """The samples as frames of 160 bytes, the last one padded with silence."""
    padded = np.concatenate([samples, np.zeros(-len(samples) % audio.FRAME, dtype=np.int16)]).astype(np.int16)
    data = ENCODE[law](padded)
    return [data[at : at + audio.FRAME] for at in range(0, len(data), audio.FRAME)]


class Source(Protocol):
    def frames(self, law: Law) -> Iterator[bytes]:
        """Frames of 160 bytes; when they end the telephone sends silence."""
        ...


@lru_cache(maxsize=64)
def _tone_frames(freq: int, level: float, law: Law) -> list[bytes]:
    return encoded(audio.tone(freq, 1.0, level), law)


@dataclass(frozen=True)
class Tone:
    """An endless sine of a whole number of Hz; `level` is the peak in dB below full scale."""

    freq: int
    level: float = -18.0

    def frames(self, law: Law) -> Iterator[bytes]:
        return cycle(_tone_frames(self.freq, self.level, law))


@dataclass(frozen=True)
class Silence:
    """Endless frames of silence."""

    def frames(self, law: Law) -> Iterator[bytes]:
        return cycle([silent_frame(law)])


@dataclass(frozen=True, eq=False)
class Samples:
    """Given int16 samples at 8 kHz, once or again and again."""

    pcm: audio.Pcm
    loop: bool = False

    def frames(self, law: Law) -> Iterator[bytes]:
        frames = encoded(self.pcm, law)
        return cycle(frames) if self.loop else iter(frames)


@lru_cache(maxsize=2)
def silent_frame(law: Law) -> bytes:
    return ENCODE[law](np.zeros(audio.FRAME, dtype=np.int16))
