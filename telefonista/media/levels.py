"""How loud a sound is and which tones it holds (int16 samples); callable from anywhere."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

FULL_SCALE = 32768.0
SILENCE_DBFS = -120.0


def rms_dbfs(samples: Samples) -> float:
    """Root mean square in dB below full scale: a full-scale sine is -3.0, nothing at all is -120."""
    if samples.size == 0:
        return SILENCE_DBFS
    return _dbfs(math.sqrt(float(np.mean(np.square(samples.astype(np.float64))))))


def peak_dbfs(samples: Samples) -> float:
    """Largest sample in dB below full scale, -120 to 0."""
    if samples.size == 0:
        return SILENCE_DBFS
    return _dbfs(float(np.max(np.abs(samples.astype(np.float64)))))


def goertzel(samples: Samples, frequency: float, rate: int = 8000) -> float:
    """Share of the energy at `frequency` in Hz, 0 to 1 (1 = a pure tone there); resolution is rate / len(samples).

    One bin of the discrete Fourier transform at any frequency, as Goertzel's recursion gives it, by a dot product.
    """
    signal = samples.astype(np.float64)
    energy = float(np.dot(signal, signal))
    if energy == 0.0:
        return 0.0
    phase = 2 * math.pi * frequency / rate * np.arange(signal.size)
    power = float(np.dot(signal, np.cos(phase))) ** 2 + float(np.dot(signal, np.sin(phase))) ** 2
    return min(2 * power / (energy * signal.size), 1.0)


def normalise(samples: Samples, *, rms: float = -16.0, peak: float = -3.0) -> Samples:
    """Bring speech to `rms` dBFS with no sample above `peak` dBFS, bending the loudest peaks softly.

    Silence stays silence. The level is exact to 0.3 dB unless that took over 12 dB of limiting.
    """
    signal = samples.astype(np.float64) / FULL_SCALE
    level = math.sqrt(float(np.mean(np.square(signal)))) if signal.size else 0.0
    if level == 0.0:
        return samples.copy()
    wanted, ceiling = 10 ** (rms / 20), 10 ** (peak / 20)
    gain = wanted / level
    limited = _limit(signal * gain, ceiling)
    for _ in range(4):
        gain = min(gain * wanted / math.sqrt(float(np.mean(np.square(limited)))), 4 * wanted / level)
        limited = _limit(signal * gain, ceiling)
    return np.round(limited * FULL_SCALE).clip(-32768, 32767).astype(np.int16)


def _limit(signal: NDArray[np.float64], ceiling: float) -> NDArray[np.float64]:
    """Straight up to half the ceiling, then a curve that never reaches it."""
    knee = ceiling / 2
    over = np.maximum(np.abs(signal) - knee, 0.0)
    bent: NDArray[np.float64] = np.sign(signal) * (np.minimum(np.abs(signal), knee) + knee * np.tanh(over / knee))
    return bent


def _dbfs(value: float) -> float:
    return max(20 * math.log10(value / FULL_SCALE), SILENCE_DBFS) if value > 0 else SILENCE_DBFS
