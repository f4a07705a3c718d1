"""Sounds of strangers: every kind becomes telephone audio at one loudness; hostile and broken ones harm nothing."""

import os
import random
import struct
from contextlib import suppress

import numpy as np
import pytest

from telefonista.media.decode import BadSound, decode
from telefonista.media.levels import goertzel, peak_dbfs, rms_dbfs
from telefonista.media.loudness import for_telephone, speech_dbfs
from tests.files import encoded, tone


def pcm_of(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.int16)


@pytest.mark.parametrize(
    ("kind", "rate", "stereo"),
    [
        *(("mp3", rate, stereo) for rate in (8000, 16000, 22050, 44100, 48000) for stereo in (False, True)),
        *(("wav", rate, stereo) for rate in (8000, 11025, 48000) for stereo in (False, True)),
        ("ogg", 48000, True),
    ],
)
async def test_every_kind(kind: str, rate: int, stereo: bool) -> None:
    pcm = pcm_of(await decode(encoded(tone(700, 2, rate=rate), kind, rate=rate, stereo=stereo)))
    assert len(pcm) / 8000 == pytest.approx(2.0, abs=0.1)
    assert goertzel(pcm[2000:14000], 700) > 0.98
    assert rms_dbfs(pcm[2000:14000]) == pytest.approx(-16, abs=0.3)


async def test_a_wav_without_a_length() -> None:
    """As a program writes it that pipes its output."""
    content = bytearray(encoded(tone(700, 1), "wav"))
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = b"\xff\xff\xff\xff"
    assert len(pcm_of(await decode(bytes(content)))) / 8000 == pytest.approx(1.0, abs=0.05)


async def test_a_tag_with_a_picture() -> None:
    picture = b"\0image/png\0\x03\0" + os.urandom(3000)
    frame = b"APIC" + struct.pack(">I", len(picture)) + b"\0\0" + picture
    size = len(frame)
    tag = b"ID3\x03\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + frame
    pcm = pcm_of(await decode(tag + encoded(tone(700, 1), "mp3")))
    assert goertzel(pcm[2000:6000], 700) > 0.98


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "vazio"),
        (b"<!DOCTYPE html><html>", "página"),
        (b' {"erro": 404}', "página"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "não é um áudio conhecido"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "não é um áudio conhecido"),
        (b"RIFF\0\0\0\0WAVE", "danificado"),
        (b"OggS" + bytes(5000), "danificado"),
        (b"\xff\xfb\x90\x00" + bytes(400), "danificado"),
        (b"MZ" + bytes(4000), "não é um áudio conhecido"),
        (b"\x1aE\xdf\xa3" + bytes(100), "não é um áudio conhecido"),
    ],
)
async def test_what_is_no_sound(content: bytes, words: str) -> None:
    with pytest.raises(BadSound, match=words):
        await decode(content)


async def test_ten_minutes_are_the_most() -> None:
    assert len(await decode(encoded(tone(700, 590), "mp3"))) / 16000 == pytest.approx(590, abs=0.2)
    with pytest.raises(BadSound, match="10 minutos"):
        await decode(encoded(tone(700, 601), "mp3"))


@pytest.mark.parametrize("kind", ["mp3", "wav", "ogg"])
async def test_damaged_files_are_played_or_refused(kind: str) -> None:
    """Bytes changed, cut and repeated at random: never another outcome than sound or BadSound."""
    chance = random.Random(7)
    rate = 48000 if kind == "ogg" else 8000
    whole = encoded(tone(700, 1, rate=rate), kind, rate=rate)
    for _ in range(8):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 10, 200))):
            content[chance.randrange(4, len(content))] = chance.randrange(256)
        del content[chance.randrange(len(content)) :]
        with suppress(BadSound):
            assert len(await decode(bytes(content))) <= 600 * 16000


async def test_too_slow_is_refused() -> None:
    with pytest.raises(BadSound, match="demorou"):
        await decode(encoded(tone(700, 300), "mp3"), within=0.05)


@pytest.mark.parametrize(("level", "made_it"), [(-50.0, -23.0), (-30.0, -16.0), (-10.0, -16.0), (0.0, -16.0)])
def test_loudness(level: float, made_it: float) -> None:
    """Amplified by 30 dB at the most."""
    made = for_telephone(tone(700, 2, level=level))
    assert rms_dbfs(made) == pytest.approx(made_it, abs=0.6)
    assert peak_dbfs(made) <= -2.9


def test_pauses_do_not_count() -> None:
    speech = np.concatenate([tone(700, 1, level=-30), np.zeros(8000 * 9, np.int16)])
    assert speech_dbfs(for_telephone(speech)) == pytest.approx(-16, abs=0.3)


def test_silence_stays_silence() -> None:
    assert not for_telephone(np.zeros(8000, np.int16)).any()
    assert for_telephone(np.zeros(0, np.int16)).size == 0


def test_peaks_are_bent_not_cut() -> None:
    speech = tone(700, 2, level=-30)
    speech[::4000] = 32767
    made = for_telephone(speech)
    assert peak_dbfs(made) <= -2.9
    assert speech_dbfs(made) == pytest.approx(-16, abs=1.0)
