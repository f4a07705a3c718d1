"""G.711 A-law and mu-law to and from 16-bit PCM by tables (ITU-T G.711 as G.191 does it); callable from anywhere."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Law = Literal["alaw", "ulaw"]


def alaw_to_pcm(data: bytes) -> bytes:
    """Decode A-law octets into s16le PCM, two bytes for each octet."""
    return _decode(data, "alaw")


def ulaw_to_pcm(data: bytes) -> bytes:
    """Decode mu-law octets into s16le PCM, two bytes for each octet."""
    return _decode(data, "ulaw")


def pcm_to_alaw(samples: NDArray[np.int16]) -> bytes:
    """Encode int16 samples, one A-law octet each."""
    return _encode(samples, "alaw")


def pcm_to_ulaw(samples: NDArray[np.int16]) -> bytes:
    """Encode int16 samples, one mu-law octet each."""
    return _encode(samples, "ulaw")


def _decode(data: bytes, law: Law) -> bytes:
    low, high = _decode_tables(law)
    pcm = bytearray(2 * len(data))
    pcm[0::2] = data.translate(low)
    pcm[1::2] = data.translate(high)
    return bytes(pcm)


def _encode(samples: NDArray[np.int16], law: Law) -> bytes:
    octets: NDArray[np.uint8] = _encode_table(law)[samples.view("u2")]
    return octets.tobytes()


@cache
def _decode_tables(law: Law) -> tuple[bytes, bytes]:
    """Low and high byte of the sample for each octet: two `bytes.translate` are numpy-fast without numpy."""
    expand = _expand_alaw if law == "alaw" else _expand_ulaw
    samples = [expand(octet) & 0xFFFF for octet in range(256)]
    return bytes(s & 0xFF for s in samples), bytes(s >> 8 for s in samples)


def _expand_alaw(octet: int) -> int:
    code = octet ^ 0x55
    exponent, mantissa = (code & 0x7F) >> 4, code & 0x0F
    magnitude = (mantissa << 4) + 8
    if exponent:
        magnitude = (magnitude + 0x100) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


def _expand_ulaw(octet: int) -> int:
    code = ~octet & 0xFF
    exponent, mantissa = (code & 0x7F) >> 4, code & 0x0F
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return -magnitude if code & 0x80 else magnitude


@cache
def _encode_table(law: Law) -> NDArray[np.uint8]:
    """Octet for each sample, indexed by its 16 bits taken as unsigned."""
    import numpy as np  # decoding must not pay for numpy

    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.where(sample < 0, ~sample, sample)
    positive = np.where(sample < 0, 0, 0x80)
    if law == "alaw":
        level = magnitude >> 4
        shift = np.maximum(np.floor(np.log2(np.maximum(level, 1))).astype(np.int32) - 4, 0)
        code = np.where(level < 16, level, ((shift + 1) << 4) | ((level >> shift) & 0x0F))
        octets = (code | positive) ^ 0x55
    else:
        level = np.minimum((magnitude >> 2) + 33, 0x1FFF)
        segment = np.floor(np.log2(level)).astype(np.int32) - 5
        code = (segment << 4) | ((level >> (segment + 1)) & 0x0F)
        octets = (~code & 0x7F) | positive
    table: NDArray[np.uint8] = octets.astype(np.uint8)
    return table
