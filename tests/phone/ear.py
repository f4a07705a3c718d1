"""What a call hears: received frames with their arrival times, and waits for tones, silence and digits in them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from . import audio
from .wait import Signal

WINDOW = 0.2
ENOUGH = round(0.8 * WINDOW * audio.RATE)  # samples: lets a lossy line pass
RINGBACK = 425  # Hz, the Brazilian ringing tone


class Ear:
    """Keeps the last `remember` seconds of received audio; times are seconds since the ear was made."""

    def __init__(self, name: str, remember: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._frames: deque[tuple[float, int, bytes]] = deque(maxlen=max(1, round(remember * 50)))
        self._signal = Signal()
        self._born = self._loop.time()
        self.closed = False

    def put(self, payload_type: int, payload: bytes) -> None:
        """One received frame of A-law (8) or u-law (0)."""
        self._frames.append((self._loop.time(), payload_type, payload))
        self._signal.fire()

    def close(self) -> None:
        self.closed = True
        self._signal.fire()

    @property
    def clock(self) -> float:
        """Seconds since the ear was made."""
        return self._loop.time() - self._born

    def _since(self, moment: float) -> audio.Pcm:
        """Samples of the frames that arrived at or after the loop time `moment`."""
        parts: list[audio.Pcm] = []
        for arrival, kind, payload in reversed(self._frames):
            if arrival < moment:
                break
            parts.append(audio.alaw_decode(payload) if kind == 8 else audio.ulaw_decode(payload))
        return np.concatenate(parts[::-1]) if parts else np.zeros(0, dtype=np.int16)

    def heard(self, start: float = 0.0, end: float | None = None) -> audio.Pcm:
        """Samples that arrived from `start` to `end`, without gaps; seconds on `clock`, negative: before now."""
        now = self.clock
        first = start if start >= 0 else now + start
        last = now if end is None else (end if end >= 0 else now + end)
        parts = [
            audio.alaw_decode(payload) if kind == 8 else audio.ulaw_decode(payload)
            for arrival, kind, payload in self._frames
            if first <= arrival - self._born <= last
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)

    def arrivals(self) -> list[float]:
        """When each kept frame arrived, on `clock`."""
        return [arrival - self._born for arrival, _, _ in self._frames]

    def _window(self, start: float) -> audio.Pcm:
        """The last 200 ms, never reaching back before `start`."""
        return self._since(max(start, self._loop.time() - WINDOW - 0.02))

    def _describe(self, start: float) -> str:
        pcm = self._window(start)
        strongest = audio.dominant(pcm)
        loudest = "silence" if strongest is None else f"mostly {strongest:.0f} Hz at RMS {audio.loudness(pcm):.0f}"
        return f"{self._name}: {len(self._since(start))} samples since, last 200 ms {len(pcm)} samples, {loudest}"

    async def hears(self, *freqs: float, within: float = 3.0, share: float = 0.1) -> None:
        """Wait until every tone is in the last 200 ms, all of it received after this call; AssertionError if not."""
        start = self._loop.time()
        try:
            async with asyncio.timeout(within):
                while True:
                    pcm = self._window(start)
                    if len(pcm) >= ENOUGH and all(audio.tone_present(pcm, freq, share=share) for freq in freqs):
                        return
                    self._check_open()
                    await self._signal.next()
        except TimeoutError:
            wanted = "+".join(f"{freq:g}" for freq in freqs)
            raise AssertionError(f"did not hear {wanted} Hz within {within:g} s; {self._describe(start)}") from None

    async def hears_not(self, *freqs: float, during: float = 0.5, within: float = 0.0, share: float = 0.1) -> None:
        """Wait for `during` seconds with none of the tones.

        They count from now; with `within`, such a stretch may begin up to that many seconds later.
        """

        def bad(pcm: audio.Pcm) -> bool:
            return len(pcm) >= ENOUGH // 2 and any(audio.tone_present(pcm, freq, share=share) for freq in freqs)

        await self._stretch(bad, during, within, f"hears {'/'.join(f'{freq:g}' for freq in freqs)} Hz")

    async def silent(self, during: float = 0.5, within: float = 0.0, floor: float = 30.0) -> None:
        """Wait for `during` seconds of nothing or of frames below `floor` (int16 RMS); `within` as in hears_not."""
        await self._stretch(lambda pcm: audio.loudness(pcm) >= floor, during, within, "is not silent")

    async def _stretch(self, bad: Callable[[audio.Pcm], bool], during: float, within: float, what: str) -> None:
        if during < WINDOW:
            raise ValueError(f"nothing can be told from less than {WINDOW} s")
        start = begin = self._loop.time()
        while True:
            self._check_open()
            try:
                async with asyncio.timeout_at(begin + during):
                    await self._signal.next()
            except TimeoutError:
                return
            if bad(self._window(begin)):
                if self._loop.time() - start > within:
                    raise AssertionError(f"{what}; {self._describe(begin)}")
                begin = self._loop.time()
            elif self._loop.time() >= begin + during:
                return

    async def ringback(self, within: float = 6.0) -> None:
        """Wait for the Brazilian ringing tone (425 Hz, 1 s of every 5)."""
        await self.hears(RINGBACK, within=within, share=0.5)

    def _check_open(self) -> None:
        if self.closed:
            raise AssertionError(f"{self._name}: the call is over, there is nothing to hear")
