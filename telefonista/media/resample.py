"""Change a sound's sample rate by any ratio (windowed sinc); callable from anywhere, for files, not live audio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from telefonista.media.levels import Samples

# Zero crossings of the sinc kept on each side: 64 puts everything above the new Nyquist over 60 dB down.
_LOBES = 64
_CUTOFF = 0.95
_BLOCK = 4096


def resample(samples: Samples, source: int, target: int) -> Samples:
    """`samples` at `source` Hz brought to `target` Hz; the length is kept within one sample, clipped at full scale."""
    if source == target or samples.size == 0:
        return samples.copy()
    common = math.gcd(source, target)
    up, down = target // common, source // common
    phases = _phases(up, down)
    half = phases.shape[1] // 2
    padded = np.concatenate([np.zeros(half), samples.astype(np.float64), np.zeros(half + 1)])
    count = samples.size * up // down
    out = np.empty(count)
    taps = np.arange(phases.shape[1])
    for start in range(0, count, _BLOCK):
        position = np.arange(start, min(start + _BLOCK, count)) * down
        window = padded[(position // up)[:, None] + taps]
        out[start : start + position.size] = np.einsum("ij,ij->i", window, phases[position % up])
    return np.round(out).clip(-32768, 32767).astype(np.int16)


def _phases(up: int, down: int) -> NDArray[np.float64]:
    """One low-pass kernel for each of the `up` places an output sample can have between two input samples."""
    band = _CUTOFF * min(1.0, up / down)
    half = math.ceil(_LOBES / band)
    at = np.arange(-half, half + 1)[None, :] - np.arange(up)[:, None] / up
    kernel = band * np.sinc(band * at) * (0.5 + 0.5 * np.cos(np.pi * np.clip(at / (half + 1), -1, 1)))
    unity: NDArray[np.float64] = kernel / kernel.sum(axis=1, keepdims=True)
    return unity
