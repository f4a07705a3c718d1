"""Read, write and repair the engine's recordings (8 kHz mono 16-bit WAV, bare A-law); callable from anywhere.

A killed engine leaves RIFF sizes of 0 behind (22.10 writes them on close); the file's own size is then the truth.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from telefonista.media.g711 import alaw_to_pcm

RATE = 8000
_HEADER_BYTES = 44
_SEARCH_BYTES = 65536


class BadAudio(ValueError):
    """The file is not audio this package reads; the text says why, in Portuguese."""


@dataclass(frozen=True, slots=True)
class Pcm:
    """Telephone audio open for reading in order: 8 kHz, mono."""

    file: BinaryIO
    samples: int
    alaw: bool

    @property
    def seconds(self) -> float:
        return self.samples / RATE

    def read(self, samples: int) -> bytes:
        """The next samples as s16le, fewer at the end (whatever the engine appends after opening is left alone)."""
        width = 1 if self.alaw else 2
        data = self.file.read(samples * width)
        data = data[: len(data) - len(data) % width]
        return alaw_to_pcm(data) if self.alaw else data


@contextmanager
def open_pcm(path: Path) -> Iterator[Pcm]:
    """Open `.wav` (8 kHz mono s16, header possibly broken) or `.alaw` (bare); raises BadAudio, FileNotFoundError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if path.suffix == ".alaw":
            yield Pcm(file, size, alaw=True)
        elif path.suffix == ".wav":
            start, length = _data_span(file, size, path.name)
            file.seek(start)
            yield Pcm(file, length // 2, alaw=False)
        else:
            raise BadAudio(f"{path.name}: extensão desconhecida; use .wav ou .alaw")


def read_pcm(path: Path) -> bytes:
    """The whole recording as s16le; as `open_pcm`."""
    with open_pcm(path) as pcm:
        return pcm.read(pcm.samples)


def write_wav(path: Path, pcm: bytes, *, rate: int = RATE) -> None:
    """Write mono s16le as a WAV, whole or not at all (a temporary file beside it, renamed)."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.parcial")
    try:
        with partial.open("wb") as file:
            file.write(_header(len(pcm), rate) + pcm)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_header() -> bytes:
    """The header of a WAV whose length is not known yet: write audio behind it, then `repair_wav`."""
    return _header(0, RATE)


def repair_wav(path: Path) -> float:
    """Rewrite in place the header of a recording whose writer died; return its seconds.

    Idempotent, and harmless to a whole file; an empty one becomes a valid one of 0 s. BadAudio for another format.
    """
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEADER_BYTES:
            # Killed before its first flush: there was never any audio in it.
            file.truncate(0)
            file.write(_header(0, RATE))
            length = 0
        else:
            start, length = _data_span(file, size, path.name)
            rest = size - start - length
            # A lone half sample at the end goes; anything longer is a chunk after the audio and is kept.
            if rest == 1:
                file.truncate(size - 1)
                rest = 0
            file.seek(4)
            file.write(struct.pack("<I", start + length + rest - 8))
            file.seek(start - 4)
            file.write(struct.pack("<I", length))
        file.flush()
        os.fsync(file.fileno())
    return length / 2 / RATE


def _data_span(file: BinaryIO, size: int, name: str) -> tuple[int, int]:
    """Where the audio starts and its bytes (even), trusting the file's size over an absent or impossible one."""
    if size < _HEADER_BYTES:
        return size, 0
    head = file.read(min(size, _SEARCH_BYTES))
    if head[0:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise BadAudio(f"{name}: não é um arquivo WAV")
    offset, known = 12, False
    while offset + 8 <= len(head):
        tag, length = head[offset : offset + 4], int.from_bytes(head[offset + 4 : offset + 8], "little")
        offset += 8
        if tag == b"fmt " and offset + 16 <= len(head):
            form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, offset)
            if (form, channels, rate, bits) != (1, 1, RATE, 16):
                raise BadAudio(f"{name}: {rate} Hz, {channels} canal(is), {bits} bits; aceito 8000 Hz, mono, 16 bits")
            known = True
        elif tag == b"data":
            if not known:
                break
            rest = size - offset
            span = length if 0 < length <= rest else rest
            return offset, span - span % 2
        offset += length + length % 2
    raise BadAudio(f"{name}: cabeçalho WAV incompleto")


def _header(length: int, rate: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16)
    riff = b"RIFF" + struct.pack("<I", 36 + length) + b"WAVEfmt " + struct.pack("<I", len(form)) + form
    return riff + b"data" + struct.pack("<I", length)
