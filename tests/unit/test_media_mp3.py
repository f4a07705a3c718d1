"""A recording's two sides in one MP3, its length, and what is left when something goes wrong."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telefonista.media import convert as converter
from telefonista.media import g711, mp3, tones, wav
from telefonista.media.convert import ConversionError, convert


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """440 Hz for 3 s as WAV on the left, 880 Hz for 2.9 s as A-law on the right."""
    left, right = tmp_path / "a.wav", tmp_path / "b.alaw"
    wav.write_wav(left, tones.sine(440, 3).tobytes())
    right.write_bytes(g711.pcm_to_alaw(tones.sine(880, 2.9)))
    return left, right


def coded_bits(path: Path) -> Iterator[tuple[int, int]]:
    """Bits spent on left and right in each frame coded as left and right (side information, ISO 13818-3 2.4.1.7)."""
    data, offset = path.read_bytes(), 0
    while offset < len(data):
        frame = mp3.parse_frame(data[offset : offset + 4])
        assert frame is not None and (frame.rate, frame.mono) == (16000, False)
        side = int.from_bytes(data[offset + 4 : offset + 21], "big")
        if not data[offset + 3] & 0x20:  # middle and side instead
            yield side >> (136 - 10 - 12) & 0xFFF, side >> (136 - 73 - 12) & 0xFFF
        offset += frame.size


@pytest.mark.parametrize("loud", [0, 1])
def test_a_is_left_and_b_is_right(tmp_path: Path, loud: int) -> None:
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for side, path in enumerate(paths):
        wav.write_wav(path, (tones.sine(440, 2) if side == loud else tones.silence(2)).tobytes())
    mp3.encode_stereo(*paths, tmp_path / "ab.mp3")
    spent = list(coded_bits(tmp_path / "ab.mp3"))[2:]
    assert len(spent) > 40
    assert all(frame[loud] > 200 and frame[1 - loud] == 0 for frame in spent[:-3])


def test_both_sides_sound_and_the_shorter_is_padded(sides: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "ab.mp3"
    assert mp3.encode_stereo(*sides, out) == 3.0
    assert sum(left > 200 and right > 200 for left, right in coded_bits(out)) > 70
    assert 0 <= mp3.mp3_seconds(out) - 3.0 < 0.04
    assert out.stat().st_size == pytest.approx(3 * 6000, rel=0.05)
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.wav", "b.alaw", "ab.mp3"}


@pytest.mark.parametrize("samples", [0, 1, 575, 576, 577, 8000, 39999, 40000, 40001, 80123])
def test_the_measured_length_is_never_short_nor_a_frame_long(tmp_path: Path, samples: int) -> None:
    (tmp_path / "a.alaw").write_bytes(b"\xd5" * samples)
    (tmp_path / "b.alaw").write_bytes(b"\x55" * (samples // 2))
    out = tmp_path / "ab.mp3"
    assert mp3.encode_stereo(tmp_path / "a.alaw", tmp_path / "b.alaw", out) == samples / 8000
    assert 0 <= mp3.mp3_seconds(out) - samples / 8000 < 0.04


def test_stops_at_the_maximum(sides: tuple[Path, Path], tmp_path: Path) -> None:
    assert mp3.encode_stereo(*sides, tmp_path / "ab.mp3", max_seconds=1.5) == 1.5
    assert 0 <= mp3.mp3_seconds(tmp_path / "ab.mp3") - 1.5 < 0.04


def test_a_recording_with_a_broken_header_loses_nothing(sides: tuple[Path, Path], tmp_path: Path) -> None:
    content = bytearray(sides[0].read_bytes())
    content[4:8] = content[40:44] = bytes(4)
    sides[0].write_bytes(content)
    assert mp3.encode_stereo(*sides, tmp_path / "ab.mp3") == 3.0


def test_tags_around_the_frames_are_not_audio(sides: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "ab.mp3"
    mp3.encode_stereo(*sides, out)
    plain, frames = mp3.mp3_seconds(out), out.read_bytes()
    out.write_bytes(b"ID3\4\0\0\0\0\1\0" + bytes(128) + frames + b"TAG" + bytes(125))
    assert mp3.mp3_seconds(out) == plain
    info = bytearray(216)
    info[:4] = frames[:4]
    info[21:29] = b"Info\0\0\0\0"
    info[29:33] = b"LAME"
    info[50:53] = (1105 << 12 | 500).to_bytes(3, "big")
    out.write_bytes(info + frames)
    assert mp3.mp3_seconds(out) == pytest.approx(plain - 500 / 16000)


@pytest.mark.parametrize("damage", [-1, 100])
def test_a_cut_or_foreign_file_is_not_measured(sides: tuple[Path, Path], tmp_path: Path, damage: int) -> None:
    out = tmp_path / "ab.mp3"
    mp3.encode_stereo(*sides, out)
    out.write_bytes(out.read_bytes()[:damage])
    with pytest.raises(wav.BadAudio, match="interrompido"):
        mp3.mp3_seconds(out)
    with pytest.raises(wav.BadAudio):
        mp3.mp3_seconds(sides[0])


def test_a_failure_leaves_the_old_file_and_no_other(sides: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "ab.mp3"
    out.write_bytes(b"antes")
    sides[0].write_bytes(b"nada disso" * 10)
    with pytest.raises(wav.BadAudio):
        mp3.encode_stereo(*sides, out)
    assert out.read_bytes() == b"antes" and len(list(tmp_path.iterdir())) == 3


async def test_converts_in_a_process_of_its_own(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done = await convert(*sides, tmp_path / "ab.mp3")
    assert (done.seconds, done.left_seconds, done.right_seconds) == (3.0, 3.0, 2.9)
    assert done.size == done.path.stat().st_size > 0


async def test_says_why_it_could_not(sides: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="nada.wav: arquivo não encontrado"):
        await convert(tmp_path / "nada.wav", sides[1], tmp_path / "ab.mp3")
    sides[0].write_bytes(b"nada disso" * 10)
    with pytest.raises(ConversionError, match="a.wav: não é um arquivo WAV"):
        await convert(*sides, tmp_path / "ab.mp3")


def _four_hours(tmp_path: Path) -> Path:
    """Four hours of silence that take no disk."""
    path = tmp_path / "a.alaw"
    with path.open("wb") as file:
        file.truncate(4 * 3600 * 8000)
    return path


async def test_a_late_conversion_is_killed_and_leaves_nothing(tmp_path: Path) -> None:
    side = _four_hours(tmp_path)
    with pytest.raises(ConversionError, match=r"não terminou em 0\.3 s"):
        await convert(side, side, tmp_path / "ab.mp3", within=0.3)
    assert os.listdir(tmp_path) == ["a.alaw"]


async def test_a_cancelled_conversion_is_killed_and_leaves_nothing(tmp_path: Path) -> None:
    side = _four_hours(tmp_path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await convert(side, side, tmp_path / "ab.mp3")
    assert os.listdir(tmp_path) == ["a.alaw"]


def _child(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "telefonista.media.convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_command_prints_one_json_line(sides: tuple[Path, Path], tmp_path: Path) -> None:
    done = _child(*sides, tmp_path / "ab.mp3")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    size = (tmp_path / "ab.mp3").stat().st_size
    assert json.loads(done.stdout) == {"segundos": 3.0, "esquerda": 3.0, "direita": 2.9, "bytes": size}
    failed = _child(*sides, tmp_path / "nenhuma" / "ab.mp3")
    assert failed.returncode == 1 and list(json.loads(failed.stdout)) == ["erro"]
    assert _child().returncode == 2


def test_the_child_loads_neither_numpy_nor_asyncio(sides: tuple[Path, Path], tmp_path: Path) -> None:
    program = (
        "import sys; from telefonista.media.convert import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 10 * len({'numpy', 'asyncio'} & set(sys.modules)))"
    )
    arguments = [*map(str, sides), str(tmp_path / "ab.mp3")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, timeout=30, check=False)
    assert done.returncode == 0


def test_a_child_that_dies_without_a_word_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="código -9: sem mensagem"):
        converter._converted(tmp_path / "ab.mp3", -9, b"", b"")


def test_the_partial_file_names_its_process(tmp_path: Path) -> None:
    name = mp3.partial_path(tmp_path / "ab.mp3", os.getpid()).name
    assert name.startswith(".ab.mp3.") and str(os.getpid()) in name
