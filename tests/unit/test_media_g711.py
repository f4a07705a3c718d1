"""G.711 tables against the Recommendation's own values."""

import numpy as np
import pytest

from telefonista.media import g711

ALL = np.arange(-32768, 32768, dtype=np.int16)


def test_alaw_known_values() -> None:
    assert g711.pcm_to_alaw(np.array([0, -1, 32767, -32768, 1000, -1000], np.int16)).hex() == "d555aa2afa7a"
    assert np.frombuffer(g711.alaw_to_pcm(b"\xd5\x55\xaa\x2a"), "<i2").tolist() == [8, -8, 32256, -32256]


def test_ulaw_known_values() -> None:
    assert g711.pcm_to_ulaw(np.array([0, -1, 32767, -32768, 1000, -1000], np.int16)).hex() == "ff7f8000ce4e"
    assert np.frombuffer(g711.ulaw_to_pcm(b"\xff\x7f\x80\x00"), "<i2").tolist() == [0, 0, 32124, -32124]


def test_every_alaw_octet_survives_the_round_trip() -> None:
    octets = bytes(range(256))
    assert g711.pcm_to_alaw(np.frombuffer(g711.alaw_to_pcm(octets), "<i2").astype(np.int16)) == octets


def test_every_ulaw_octet_but_negative_zero_survives_the_round_trip() -> None:
    octets = bytes(octet for octet in range(256) if octet != 0x7F)
    assert g711.pcm_to_ulaw(np.frombuffer(g711.ulaw_to_pcm(octets), "<i2").astype(np.int16)) == octets


@pytest.mark.parametrize(
    ("encode", "decode"),
    [(g711.pcm_to_alaw, g711.alaw_to_pcm), (g711.pcm_to_ulaw, g711.ulaw_to_pcm)],
)
def test_no_sample_moves_more_than_a_thirtysecond_of_itself(encode, decode) -> None:  # type: ignore[no-untyped-def]
    back = np.frombuffer(decode(encode(ALL)), "<i2").astype(np.int32)
    error = np.abs(back - ALL.astype(np.int32))
    assert np.all(error <= (np.abs(ALL.astype(np.int32)) + 264) / 32)
