"""Two mono recordings into one stereo MP3, and an MP3's measured length; for convert and whoever proves a length."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lameenc

from telefonista.media.wav import RATE, BadAudio, open_pcm

# 16 kHz is MPEG-2, a standard that every player implements; the telephone's 8 kHz is MPEG-2.5, an extension outside the
# standard. LAME's own resampler makes the step. Two voices in 48 kbit/s are 21.6 MB an hour; measured 19 dB segmental
# SNR on speech (8 kHz/48k: 17 dB; 16 kHz/32k: 15 dB). The rate is constant, so that a player seeks and shows the length
# by arithmetic: LAME's streaming interface writes no Xing header.
OUT_RATE = 16000
BIT_RATE = 48
_QUALITY = 5
_CHUNK = 5 * RATE

# What LAME 3.100 puts before the first sample: 576 of its own and a Layer III decoder's 529 (measured by decoding).
_LAME_DELAY = 1105
_MAX_DISAGREEMENT = 0.1


@dataclass(frozen=True, slots=True)
class Encoded:
    """What went into an MP3, in seconds; `seconds` is the longer side, cut at the asked maximum."""

    seconds: float
    left_seconds: float
    right_seconds: float


def encode_stereo(left: Path, right: Path, out: Path, *, max_seconds: float | None = None) -> float:
    """Write `left` (A) and `right` (B) as the two sides of the MP3 `out`; return its seconds.

    `.wav` is 8 kHz mono s16, `.alaw` is bare A-law. The shorter side is padded with silence. Memory is constant.
    `out` appears whole, measured and on disk (fsync, rename) or not at all. Raises BadAudio, OSError.
    """
    return encode(left, right, out, max_seconds=max_seconds).seconds


def encode(left: Path, right: Path, out: Path, *, max_seconds: float | None = None) -> Encoded:
    """As `encode_stereo`, telling also each side's own length."""
    partial = partial_path(out, os.getpid())
    try:
        with open_pcm(left) as a, open_pcm(right) as b, partial.open("wb") as file:
            total = max(a.samples, b.samples)
            if max_seconds is not None:
                total = min(total, round(max_seconds * RATE))
            encoder = _encoder()
            for start in range(0, total, _CHUNK):
                count = min(_CHUNK, total - start)
                file.write(encoder.encode(_interleave(a.read(count), b.read(count), count)))
            # LAME hands out a broken tail when flushed before any sample.
            if total:
                file.write(encoder.flush())
            file.flush()
            os.fsync(file.fileno())
            encoded = Encoded(total / RATE, a.seconds, b.seconds)
        if abs((measured := mp3_seconds(partial)) - encoded.seconds) > _MAX_DISAGREEMENT:
            raise BadAudio(f"{out.name}: MP3 com {measured:.2f} s para {encoded.seconds:.2f} s de áudio")
        partial.replace(out)
        _sync_directory(out.parent)
    finally:
        partial.unlink(missing_ok=True)
    return encoded


def partial_path(out: Path, pid: int) -> Path:
    """Where process `pid` writes before `out` exists, so that whoever kills it can clear up."""
    return out.with_name(f".{out.name}.{pid}.parcial")


def mp3_seconds(path: Path) -> float:
    """Length of the audio in an MP3, by walking its frames; raises BadAudio where the bytes stop making sense.

    A LAME tag gives delay and padding exactly. Without one (all of `encode_stereo`'s files) LAME's constant delay is
    taken off and its padding cannot be known: the answer is then long by 0 to 0.04 s, never short.
    """
    if path.stat().st_size == 0:
        return 0.0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        samples, trim, rate = 0, _LAME_DELAY, 0
        for index, (offset, frame) in enumerate(_frames(data, path.name)):
            rate = frame.rate
            if index == 0 and (tag := _tag(data, offset, frame)) is not None:
                trim = tag
                continue
            samples += frame.samples
    return max(samples - trim, 0) / rate if rate else 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One Layer III frame header (ISO 11172-3 2.4.1.3, ISO 13818-3, and the MPEG-2.5 extension)."""

    rate: int
    samples: int
    size: int
    mono: bool


_BIT_RATES = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def parse_frame(head: bytes) -> Frame | None:
    """The frame that these 4 bytes open, or None (free format counts as None)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, bit_rate, rate = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == 1 or bit_rate in (0, 15) or rate == 3:
        return None
    samples = 1152 if version == 3 else 576
    hertz = _RATES[version][rate]
    size = samples // 8 * _BIT_RATES[version == 3][bit_rate] * 1000 // hertz + ((head[2] >> 1) & 1)
    return Frame(hertz, samples, size, mono=head[3] >> 6 == 3)


def _frames(data: mmap.mmap, name: str) -> Iterator[tuple[int, Frame]]:
    offset, end = 0, len(data)
    if data[:3] == b"ID3" and end >= 10:
        offset = 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])
    if end - offset >= 128 and data[end - 128 : end - 125] == b"TAG":
        end -= 128
    while offset < end:
        frame = parse_frame(data[offset : offset + 4])
        if frame is None or offset + frame.size > end:
            raise BadAudio(f"{name}: MP3 interrompido no byte {offset}")
        yield offset, frame
        offset += frame.size


def _tag(data: mmap.mmap, offset: int, frame: Frame) -> int | None:
    """Samples to leave out by the Xing/Info frame (delay and padding in its LAME part); None when it is audio."""
    side = (17 if frame.mono else 32) if frame.samples == 1152 else (9 if frame.mono else 17)
    at = offset + 4 + side
    if data[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = data[at + 7]
    lame = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    if data[lame : lame + 4] not in (b"LAME", b"Lavc", b"Lavf"):
        return 0
    delay = int.from_bytes(data[lame + 21 : lame + 24], "big")
    return (delay >> 12) + (delay & 0xFFF)


def _encoder() -> lameenc.Encoder:
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_channels(2)
    encoder.set_in_sample_rate(RATE)
    encoder.set_out_sample_rate(OUT_RATE)
    encoder.set_bit_rate(BIT_RATE)
    encoder.set_quality(_QUALITY)
    return encoder


def _interleave(left: bytes, right: bytes, samples: int) -> bytes:
    """Two s16le sides into L R L R, each padded with silence to `samples`."""
    stereo = bytearray(4 * samples)
    for side, pcm in enumerate((left, right)):
        stereo[2 * side : 4 * (len(pcm) // 2) : 4] = pcm[0::2]
        stereo[2 * side + 1 : 4 * (len(pcm) // 2) : 4] = pcm[1::2]
    return bytes(stereo)


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
