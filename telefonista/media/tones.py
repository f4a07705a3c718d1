"""Tones a Brazilian telephone makes, as int16 samples; callable from anywhere."""

from __future__ import annotations

import math

import numpy as np

from telefonista.media.levels import FULL_SCALE, Samples

RATE = 8000
BRAZIL_HZ = 425.0


def silence(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), dtype=np.int16)


def sine(frequency: float, seconds: float, *, dbfs: float = -12.0, rate: int = RATE) -> Samples:
    """A sine of `frequency` Hz starting at phase 0; `dbfs` is its peak (its RMS is 3 dB below).

    Whole hertz over whole seconds hold a whole number of periods: such a tone may be played in a loop without a click.
    """
    phase = 2 * math.pi * frequency / rate * np.arange(round(seconds * rate))
    samples: Samples = np.round(np.sin(phase) * FULL_SCALE * 10 ** (dbfs / 20)).astype(np.int16)
    return samples


def cadence(*on_off: tuple[float, float], seconds: float, dbfs: float = -12.0) -> Samples:
    """425 Hz in (on, off) seconds, repeated and cut at `seconds`."""
    period = np.concatenate([part for on, off in on_off for part in (sine(BRAZIL_HZ, on, dbfs=dbfs), silence(off))])
    return np.resize(period, round(seconds * RATE))


def ringback(seconds: float) -> Samples:
    """Tom de controle de chamada: 1 s on, 4 s off."""
    return cadence((1.0, 4.0), seconds=seconds)


def busy(seconds: float) -> Samples:
    """Tom de ocupado: 0.25 s on, 0.25 s off."""
    return cadence((0.25, 0.25), seconds=seconds)


def congestion(seconds: float) -> Samples:
    """Tom de número inacessível: 0.25 s on, 0.25 s off, 0.75 s on, 0.25 s off."""
    return cadence((0.25, 0.25), (0.75, 0.25), seconds=seconds)


def beep(seconds: float = 0.5, frequency: float = 1000.0, *, dbfs: float = -9.0) -> Samples:
    """The tone after a voicemail announcement, with 10 ms ramps so that it does not click."""
    tone = sine(frequency, seconds, dbfs=dbfs)
    ramp = np.ones(tone.size)
    edge = min(RATE // 100, tone.size // 2)
    ramp[:edge] = np.linspace(0.0, 1.0, edge, endpoint=False)
    ramp[tone.size - edge :] = np.linspace(1.0, 0.0, edge)
    return np.round(tone * ramp).astype(np.int16)
