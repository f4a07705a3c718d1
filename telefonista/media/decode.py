"""MP3, WAV and OGG from strangers become telephone audio, in a process of its own with hard limits: `decode()`.

The child gets the file on its stdin and gives s16le at 8 kHz on its stdout; it may write no file. What it reads is told
by its first bytes and never by the library's own guess: among what that knows are playlists that open other files.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import resource
import sys
from pathlib import Path

MOST_SECONDS = 600
RATE = 8000

_CPU_SECONDS = 20
_MEMORY = 512 << 20
_NICENESS = 5
_SHORTEST_SECONDS = 0.05
_REFUSED = 3  # exit code: stderr has the text for the customer

_FORMATS = "envie um MP3, WAV ou OGG"


class BadSound(ValueError):
    """The file cannot be played; the text says why and what to send, in Portuguese."""


def kind_of(content: bytes) -> str:
    """mp3, wav or ogg by the first bytes. BadSound for anything else, saying what it looks like."""
    head = content.lstrip(b"\0")[:4096]
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:3] == b"ID3" or _mpeg_frame(head):
        return "mp3"
    if not content:
        raise BadSound(f"o arquivo está vazio: {_FORMATS}")
    if head.lstrip()[:1] in (b"<", b"{"):
        raise BadSound(f"o endereço devolve uma página e não um áudio: {_FORMATS}")
    raise BadSound(f"o arquivo não é um áudio conhecido: {_FORMATS}")


def _mpeg_frame(head: bytes) -> bool:
    """Whether a frame of MPEG layer II or III begins here (ISO 11172-3 2.4.1.3: sync, version, layer, rates)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer in (1, 2) and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3


async def decode(content: bytes, within: float = 10.0) -> bytes:
    """Telephone audio, s16le at 8 kHz, at most 10 minutes. BadSound; the process is gone when this returns or raises.

    How many run at once is the caller's choice.
    """
    kind = kind_of(content)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "telefonista.media.decode",
        kind,
        cwd=Path(__file__).parents[2],
        # Nothing of ours is handed on; each thread of a library would only reserve memory.
        env={"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            stdout, stderr = await process.communicate(content)
    except TimeoutError:
        raise BadSound("o áudio demorou demais para ser preparado: envie um arquivo menor ou mais simples") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    if process.returncode == 0:
        return stdout
    if process.returncode == _REFUSED:
        raise BadSound(stderr.decode(errors="replace").strip().rpartition("\n")[2])
    raise BadSound(f"o arquivo está danificado e não pode ser tocado: {_FORMATS}")


def main(arguments: list[str]) -> int:
    """The child: limits first, then the libraries, then the stranger's bytes."""
    os.nice(_NICENESS)
    for what, most in (
        (resource.RLIMIT_CPU, _CPU_SECONDS),
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    try:
        pcm = to_telephone(sys.stdin.buffer.read(), arguments[0])
    except BadSound as error:
        sys.stderr.write(f"\n{error}\n")
        return _REFUSED
    sys.stdout.buffer.write(pcm)
    sys.stdout.buffer.flush()
    return 0


def to_telephone(content: bytes, kind: str) -> bytes:
    """As `decode`, in this process and without limits. A damaged stretch is left out; BadSound when most of it is."""
    import av
    import numpy as np

    from telefonista.media.loudness import for_telephone

    av.logging.set_level(None)
    pieces: list[bytes] = []
    samples = broken = good = 0

    def keep(frames: list[av.AudioFrame]) -> None:
        nonlocal samples
        for frame in frames:
            pieces.append(frame.to_ndarray().tobytes())
            samples += frame.samples
        if samples > MOST_SECONDS * RATE:
            raise BadSound(f"o áudio tem mais de {MOST_SECONDS // 60} minutos: envie um mais curto")

    try:
        with av.open(io.BytesIO(content), "r", format=kind, metadata_errors="ignore") as file:
            if not file.streams.audio:
                raise BadSound(f"o arquivo não tem áudio: {_FORMATS}")
            stream = file.streams.audio[0]
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for packet in file.demux(stream):
                try:
                    for frame in packet.decode():
                        frame.pts = None  # a gap in the numbering is no silence
                        keep(resampler.resample(frame))
                        good += 1
                except av.FFmpegError:
                    broken += 1
            keep(resampler.resample(None))
    except (av.FFmpegError, ValueError, MemoryError, OverflowError) as error:
        if isinstance(error, BadSound):
            raise
        if not good:
            raise BadSound(f"o arquivo está danificado e não pode ser tocado: {_FORMATS}") from None
        broken += 1
    if broken > good or samples < _SHORTEST_SECONDS * RATE:
        raise BadSound(f"o arquivo está danificado ou não tem som: {_FORMATS}")
    return for_telephone(np.frombuffer(b"".join(pieces), dtype=np.int16)).tobytes()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
