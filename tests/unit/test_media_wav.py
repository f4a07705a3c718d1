"""Recordings are read whole and repaired whatever their writer left behind."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonista.media import wav

PCM = bytes(range(256)) * 250  # 32,000 samples: 4 s


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    wav.write_wav(path, PCM)
    return path


def _patch(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def test_reads_what_it_wrote_and_leaves_nothing_else(path: Path) -> None:
    assert wav.read_pcm(path) == PCM
    with wav.open_pcm(path) as pcm:
        assert pcm.seconds == 4.0
        assert pcm.read(100) + pcm.read(10**6) == PCM
        assert pcm.read(1) == b""
    assert [entry.name for entry in path.parent.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, len(PCM) + 2])
def test_the_file_size_wins_over_an_impossible_header(path: Path, size: int) -> None:
    whole = path.read_bytes()
    _patch(path, 4, bytes(4))
    _patch(path, 40, size.to_bytes(4, "little"))
    assert wav.read_pcm(path) == PCM
    assert wav.repair_wav(path) == 4.0
    assert path.read_bytes() == whole
    assert wav.repair_wav(path) == 4.0
    assert path.read_bytes() == whole


@pytest.mark.parametrize("left", [0, 1, 43])
def test_a_file_killed_before_its_header_becomes_an_empty_recording(path: Path, left: int) -> None:
    path.write_bytes(path.read_bytes()[:left])
    assert wav.read_pcm(path) == b""
    assert wav.repair_wav(path) == 0.0
    assert len(path.read_bytes()) == 44 and wav.read_pcm(path) == b""


def test_half_a_sample_at_the_end_is_dropped(path: Path) -> None:
    _patch(path, 40, bytes(4))
    path.write_bytes(path.read_bytes()[:-1])
    assert wav.repair_wav(path) == 31999 / 8000
    assert wav.read_pcm(path) == PCM[:-2] and path.stat().st_size == 44 + len(PCM) - 2


def test_chunks_around_the_audio_are_not_audio(path: Path) -> None:
    content = path.read_bytes()
    extra = b"LIST" + (5).to_bytes(4, "little") + b"abcde\0"
    path.write_bytes(content[:36] + extra + content[36:] + extra)
    assert wav.read_pcm(path) == PCM
    before = path.read_bytes()
    assert wav.repair_wav(path) == 4.0
    assert path.read_bytes()[8:] == before[8:] and int.from_bytes(path.read_bytes()[4:8], "little") == len(before) - 8


def test_alaw_has_no_header(tmp_path: Path) -> None:
    path = tmp_path / "b.alaw"
    path.write_bytes(b"\xd5\x55")
    assert wav.read_pcm(path) == b"\x08\x00\xf8\xff"


@pytest.mark.parametrize(
    ("offset", "data", "says"),
    [
        (0, b"OggS", "não é um arquivo WAV"),
        (24, (16000).to_bytes(4, "little"), "16000 Hz"),
        (22, b"\2\0", "2 canal"),
        (34, b"\10\0", "8 bits"),
        (36, b"xxxx", "incompleto"),
    ],
)
def test_says_what_is_wrong_with_another_format(path: Path, offset: int, data: bytes, says: str) -> None:
    _patch(path, offset, data)
    with pytest.raises(wav.BadAudio, match=says):
        wav.read_pcm(path)
    before = path.read_bytes()
    with pytest.raises(wav.BadAudio):
        wav.repair_wav(path)
    assert path.read_bytes() == before


def test_unknown_extension(tmp_path: Path) -> None:
    (tmp_path / "a.ogg").write_bytes(b"OggS")
    with pytest.raises(wav.BadAudio, match="extensão"):
        wav.read_pcm(tmp_path / "a.ogg")


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "qualquer.wav"
    for head in (b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0"):
        path.write_bytes(head + content)
        try:
            assert wav.repair_wav(path) * 16000 <= len(content)
        except wav.BadAudio:
            assert path.read_bytes() == head + content
