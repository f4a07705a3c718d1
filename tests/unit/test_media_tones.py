"""Levels, tones and the change of sample rate, against arithmetic."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonista.media import levels, speech, tones
from telefonista.media.resample import resample


def test_levels_of_a_sine() -> None:
    tone = tones.sine(1000, 1, dbfs=-10)
    assert levels.peak_dbfs(tone) == pytest.approx(-10, abs=0.01)
    assert levels.rms_dbfs(tone) == pytest.approx(-13.01, abs=0.01)


def test_silence_has_a_floor() -> None:
    for nothing in (tones.silence(1), tones.silence(0)):
        assert levels.rms_dbfs(nothing) == levels.peak_dbfs(nothing) == -120
        assert levels.goertzel(nothing, 440) == 0


@given(st.integers(200, 3600), st.integers(200, 3600))
def test_goertzel_tells_tones_apart(present: int, asked: int) -> None:
    share = levels.goertzel(tones.sine(present, 0.2), asked)
    if present == asked:
        assert share > 0.99
    elif abs(present - asked) >= 20:
        assert share < 0.06


def test_goertzel_shares_the_energy_of_a_mixture() -> None:
    both = (tones.sine(440, 1) + tones.sine(880, 1)).astype(np.int16)
    assert levels.goertzel(both, 440) == pytest.approx(0.5, abs=0.01)
    assert levels.goertzel(both, 880) == pytest.approx(0.5, abs=0.01)


def _runs(samples: levels.Samples) -> list[tuple[bool, float]]:
    """(sounding, seconds) of each stretch, to the 10 ms."""
    frames = [levels.rms_dbfs(frame) > -60 for frame in samples.reshape(-1, 80)]
    edges = [0, *[at for at in range(1, len(frames)) if frames[at] != frames[at - 1]], len(frames)]
    return [(frames[a], round((b - a) / 100, 2)) for a, b in zip(edges, edges[1:], strict=False)]


def test_brazilian_cadences() -> None:
    assert _runs(tones.ringback(6)) == [(True, 1.0), (False, 4.0), (True, 1.0)]
    assert _runs(tones.busy(1)) == [(True, 0.25), (False, 0.25)] * 2
    assert _runs(tones.congestion(1.5)) == [(True, 0.25), (False, 0.25), (True, 0.75), (False, 0.25)]
    assert levels.goertzel(tones.ringback(1), 425) > 0.99


def test_a_looped_tone_has_no_seam() -> None:
    twice = np.tile(tones.sine(440, 1), 2)
    assert levels.goertzel(twice, 440) > 0.9999
    steps = np.abs(np.diff(twice.astype(np.int32)))
    assert steps[7999] <= steps.max()


def test_beep_starts_and_ends_softly() -> None:
    beep = tones.beep()
    assert len(beep) == 4000 and levels.goertzel(beep, 1000) > 0.95
    assert levels.peak_dbfs(beep[:8]) < -25 and levels.peak_dbfs(beep[-8:]) < -25


@pytest.mark.parametrize(("source", "target"), [(22050, 8000), (8000, 22050), (16000, 8000), (44100, 8000)])
def test_resampling_keeps_the_voice(source: int, target: int) -> None:
    tone = resample(tones.sine(1000, 1, rate=source), source, target)
    assert abs(len(tone) - target) <= 1
    middle = tone[target // 10 : -target // 10]
    assert levels.goertzel(middle, 1000, target) > 0.9999
    assert levels.rms_dbfs(middle) == pytest.approx(-15.01, abs=0.05)


@pytest.mark.parametrize(("hertz", "change"), [(300, 0), (3400, 0), (3700, 0), (4100, -60), (5000, -60), (9000, -60)])
def test_resampling_to_the_telephone_does_not_alias(hertz: int, change: int) -> None:
    tone = resample(tones.sine(hertz, 1, rate=22050), 22050, 8000)[800:-800]
    level = levels.rms_dbfs(tone) + 15.01
    assert level <= -60 if change else level == pytest.approx(0, abs=0.1)


def test_resampling_nothing_and_at_the_same_rate() -> None:
    assert len(resample(tones.silence(0), 22050, 8000)) == 0
    assert np.array_equal(resample(tones.sine(440, 1), 8000, 8000), tones.sine(440, 1))


@pytest.mark.parametrize("loudness", [1, 30, 3000])
def test_normalise_brings_speech_to_its_level_under_its_ceiling(loudness: int) -> None:
    noise = np.random.default_rng(7).normal(0, loudness, 40000)
    bursts = (noise * (1 + 4 * (np.arange(40000) // 2000 % 3 == 0))).clip(-32768, 32767).astype(np.int16)
    spoken = levels.normalise(bursts)
    assert levels.peak_dbfs(spoken) <= -3
    assert levels.rms_dbfs(spoken) == pytest.approx(-16, abs=0.3)


def test_normalise_leaves_silence_alone() -> None:
    assert not levels.normalise(tones.silence(1)).any() and levels.normalise(tones.silence(0)).size == 0


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; sys.exit('sem voz')", "exited with 1: sem voz"),
        ("print('oi')", "spoke nothing"),
        ("import signal; signal.pause()", "did not end within 0.5 s"),
    ],
)
async def test_speech_says_why_it_could_not(program: str, says: str) -> None:
    with pytest.raises(speech.SpeechError, match=says):
        await speech.speak((sys.executable, "-c", program), within=0.5)
