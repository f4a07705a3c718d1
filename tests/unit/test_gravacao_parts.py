"""Parts of a recording joined: each to its own time, both sides in step, and what a crash or a short part leaves."""

from pathlib import Path

import numpy as np
import pytest

from telefonista.gravacao.parts import Piece, join
from telefonista.media.wav import RATE, read_pcm, write_wav


def piece(folder: Path, name: str, left: float, right: float, wanted: float | None, level: int = 1000) -> Piece:
    """A part whose sides hold so many seconds of a level, and its double."""
    paths = folder / f"{name}-l.wav", folder / f"{name}-r.wav"
    for path, seconds, value in zip(paths, (left, right), (level, 2 * level), strict=True):
        write_wav(path, np.full(round(seconds * RATE), value, "<i2").tobytes())
    return Piece(*paths, wanted)


def levels(path: Path) -> list[tuple[int, float]]:
    """The levels in a file in their order, each with its seconds."""
    samples = np.frombuffer(read_pcm(path), "<i2")
    edges = [0, *(np.flatnonzero(np.diff(samples)) + 1), len(samples)]
    pairs = zip(edges, edges[1:], strict=False)
    return [(int(samples[start]), round((end - start) / RATE, 3)) for start, end in pairs]


def test_a_lone_part_is_taken_as_it_is(tmp_path: Path) -> None:
    one = piece(tmp_path, "1", 2, 2, 2.01)
    assert join([one], tmp_path / "x.mp3") == (one.left, one.right)


def test_a_lone_part_that_ran_on_is_cut(tmp_path: Path) -> None:
    left, right = join([piece(tmp_path, "1", 3, 3, 2)], tmp_path / "sub" / "x.mp3")
    assert levels(left) == [(1000, 2)]
    assert levels(right) == [(2000, 2)]


def test_parts_follow_each_other_each_cut_to_its_time(tmp_path: Path) -> None:
    pieces = [piece(tmp_path, "1", 2, 2, 1.5), piece(tmp_path, "2", 1, 1, 1, 300), piece(tmp_path, "3", 1, 1, None, 50)]
    left, right = join(pieces, tmp_path / "x.mp3")
    assert levels(left) == [(1000, 1.5), (300, 1), (50, 1)]
    assert levels(right) == [(2000, 1.5), (600, 1), (100, 1)]


def test_a_shorter_side_is_filled_with_silence(tmp_path: Path) -> None:
    left, right = join([piece(tmp_path, "1", 2, 1, 2), piece(tmp_path, "2", 1, 1, 1, 300)], tmp_path / "x.mp3")
    assert levels(left) == [(1000, 2), (300, 1)]
    assert levels(right) == [(2000, 1), (0, 1), (600, 1)]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_part_without_files_is_left_out(tmp_path: Path, index: int) -> None:
    pieces = [piece(tmp_path, str(n), 1, 1, 1, 100 * (n + 1)) for n in range(3)]
    pieces[index].left.unlink()
    pieces[index].right.unlink()
    left, _ = join(pieces, tmp_path / "x.mp3")
    assert [level for level, _ in levels(left)] == [100 * (n + 1) for n in range(3) if n != index]


def test_no_files_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        join([Piece(tmp_path / "l.wav", tmp_path / "r.wav", 1.0)], tmp_path / "x.mp3")
