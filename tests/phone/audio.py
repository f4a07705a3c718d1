"""G.711, tones and tone detection for the tests; on purpose shares nothing with the product it checks.

Samples are int16 numpy arrays, mono, 8000 Hz unless a rate is given.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME = 160
Pcm = NDArray[np.int16]


def _alaw_levels() -> Pcm:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = (code >> 4) & 7, code & 15
    size = np.where(segment == 0, (step << 4) + 8, ((step << 4) + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _ulaw_levels() -> Pcm:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = ((((code & 15) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _nearest(levels: Pcm) -> NDArray[np.uint8]:
    """Table from a sample (as uint16) to the code whose level is nearest; ties and zero go to the positive side."""
    order = np.lexsort((np.arange(256), levels))
    ordered = levels[order].astype(np.int32)
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    right = np.clip(np.searchsorted(ordered, sample, side="right"), 1, 255)
    closer_left = (sample - ordered[right - 1]) < (ordered[right] - sample)
    return order[np.where(closer_left, right - 1, right)].astype(np.uint8)


ALAW_LEVELS, ULAW_LEVELS = _alaw_levels(), _ulaw_levels()
_ALAW_CODES, _ULAW_CODES = _nearest(ALAW_LEVELS), _nearest(ULAW_LEVELS)


def alaw_encode(samples: Pcm) -> bytes:
    return _ALAW_CODES[np.ascontiguousarray(samples, dtype=np.int16).view(np.uint16)].tobytes()


def alaw_decode(data: bytes) -> Pcm:
    return ALAW_LEVELS[np.frombuffer(data, dtype=np.uint8)]


def ulaw_encode(samples: Pcm) -> bytes:
    return _ULAW_CODES[np.ascontiguousarray(samples, dtype=np.int16).view(np.uint16)].tobytes()


def ulaw_decode(data: bytes) -> Pcm:
    return ULAW_LEVELS[np.frombuffer(data, dtype=np.uint8)]


def tone(freq: float, seconds: float, level: float = -18.0, rate: int = RATE) -> Pcm:
    """A sine; `level` is its peak in dB below full scale."""
    amplitude = 32767 * 10 ** (level / 20)
    return np.round(amplitude * np.sin(2 * np.pi * freq * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


@lru_cache(maxsize=256)
def _probe(freq: float, rate: int, length: int) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    window = np.hanning(length + 2)[1:-1]
    window /= window.sum()
    return window, window * np.exp(-2j * np.pi * freq * np.arange(length) / rate)


def goertzel(samples: Pcm, freq: float, rate: int = RATE) -> float:
    """Mean square of the part of `samples` at `freq` (Hann window: about +-10 Hz wide over 200 ms)."""
    if not len(samples):
        return 0.0
    _, probe = _probe(freq, rate, len(samples))
    return float(2 * abs(np.dot(samples, probe)) ** 2)


def loudness(samples: Pcm) -> float:
    """Root mean square, in int16 units; 0 for no samples."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def tone_present(samples: Pcm, freq: float, rate: int = RATE, *, share: float = 0.1, floor: float = 30.0) -> bool:
    """True if a tone at `freq` carries at least `share` of the energy and is at least `floor` (int16 RMS) strong.

    The default share finds each of up to nine equal tones mixed together.
    """
    if not len(samples):
        return False
    window, _ = _probe(freq, rate, len(samples))
    total = float(np.dot(np.square(samples, dtype=np.float64), window))
    power = goertzel(samples, freq, rate)
    return power >= floor**2 and power >= share * total


def dominant(samples: Pcm, rate: int = RATE, *, floor: float = 30.0) -> float | None:
    """Frequency in Hz of the strongest part (to about 1 Hz for a pure tone of 200 ms), None for silence."""
    if len(samples) < 16 or loudness(samples) < floor:
        return None
    size = max(rate, len(samples))
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    return float(np.argmax(spectrum) * rate / size)
