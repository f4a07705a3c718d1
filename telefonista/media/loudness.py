"""Brings a message to the loudness of a telephone (int16 samples at 8 kHz); callable from anywhere."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from telefonista.media.levels import FULL_SCALE, SILENCE_DBFS, Samples

SPEECH_DBFS = -16.0
PEAK_DBFS = -3.0
MOST_GAIN_DB = 30.0

_FRAME = 160  # 20 ms
_GATE_DB = 25.0  # a frame so much below the loudest ones is a pause, not speech
_CHUNK = 1 << 16


def speech_dbfs(samples: Samples) -> float:
    """RMS in dB below full scale of the parts that are not pauses; -120 for silence."""
    power = _frame_powers(samples)
    loud = float(np.percentile(power, 95)) if power.size else 0.0
    if loud == 0.0 and (power.size == 0 or (loud := float(power.max())) == 0.0):
        return SILENCE_DBFS
    return 10 * math.log10(float(power[power >= loud * 10 ** (-_GATE_DB / 10)].mean()))


def for_telephone(samples: Samples) -> Samples:
    """The speech at -16 dBFS RMS, pauses aside, and no sample above -3 dBFS; the loudest peaks are bent softly.

    Amplified by 30 dB at the most: noise stays noise, silence stays silence. Works through long audio in pieces.
    """
    level = speech_dbfs(samples)
    if level == SILENCE_DBFS:
        return samples.copy()
    gain = min(SPEECH_DBFS - level, MOST_GAIN_DB)
    made = _louder(samples, gain)
    lost = min(SPEECH_DBFS, level + gain) - speech_dbfs(made)
    if lost > 0.5:  # taken by the limiter
        made = _louder(samples, gain + min(lost, 3.0))
    return made


def _louder(samples: Samples, gain_db: float) -> Samples:
    factor, ceiling = 10 ** (gain_db / 20) / FULL_SCALE, 10 ** (PEAK_DBFS / 20)
    made = np.empty_like(samples)
    for start in range(0, samples.size, _CHUNK):
        piece = samples[start : start + _CHUNK].astype(np.float32) * np.float32(factor)
        made[start : start + _CHUNK] = np.round(_limit(piece, ceiling) * FULL_SCALE).astype(np.int16)
    return made


def _limit(signal: NDArray[np.float32], ceiling: float) -> NDArray[np.float32]:
    """Straight up to half the ceiling, then a curve that never passes it."""
    knee = np.float32(ceiling / 2)
    size = np.abs(signal)
    bent: NDArray[np.float32] = np.sign(signal) * (
        np.minimum(size, knee) + knee * np.tanh((size - knee).clip(0) / knee)
    )
    return bent


def _frame_powers(samples: Samples) -> NDArray[np.float64]:
    """Mean square of each 20 ms, full scale = 1; audio shorter than that is one frame."""
    whole = samples.size - samples.size % _FRAME
    if whole == 0:
        frames = samples.reshape(1, -1) if samples.size else np.zeros((0, 1), np.int16)
    else:
        frames = samples[:whole].reshape(-1, _FRAME)
    powers = np.empty(len(frames))
    for start in range(0, len(frames), 4096):
        piece = frames[start : start + 4096].astype(np.float64) / FULL_SCALE
        powers[start : start + 4096] = np.mean(np.square(piece), axis=1)
    return powers
