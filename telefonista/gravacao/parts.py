"""Joins the parts of a recording into one file a side; blocking, for a thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from telefonista.media.wav import RATE, open_header, open_pcm, repair_wav

_CHUNK = 1 << 19
_SLACK_SECONDS = 0.05


@dataclass(frozen=True)
class Piece:
    """One part: what origem said, what destino said, and for how long it is wanted (None = all of it)."""

    left: Path
    right: Path
    seconds: float | None


def join(pieces: Sequence[Piece], target: Path) -> tuple[Path, Path]:
    """Both sides whole, as WAVs: the only part itself, or its parts after each other, each cut to its own time.

    Mends what a dead engine left. A single part is cut too when a leg stayed up after the conversation. A part that was
    ended before its first sound has no files (engine 22.10.1) and is left out. BadAudio; OSError when none has any.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pieces = [piece for piece in pieces if piece.left.exists() and piece.right.exists()] or pieces
    lengths = [max(repair_wav(piece.left), repair_wav(piece.right)) for piece in pieces]
    if len(pieces) == 1 and (pieces[0].seconds is None or lengths[0] <= pieces[0].seconds + _SLACK_SECONDS):
        return pieces[0].left, pieces[0].right
    left, right = (target.with_name(f".{target.stem}-{side}.wav") for side in ("esquerda", "direita"))
    for out, sources in ((left, [p.left for p in pieces]), (right, [p.right for p in pieces])):
        with out.open("wb") as file:
            file.write(open_header())
            for source, piece, length in zip(sources, pieces, lengths, strict=True):
                _append(file, source, length if piece.seconds is None else min(length, piece.seconds))
        repair_wav(out)
    return left, right


def _append(file: BinaryIO, source: Path, seconds: float) -> None:
    """So many seconds of a part, padded with silence: both sides of a part stay in step."""
    missing = round(seconds * RATE)
    with open_pcm(source) as pcm:
        while missing and (data := pcm.read(min(missing, _CHUNK))):
            file.write(data)
            missing -= len(data) // 2
    file.write(bytes(2 * missing))
