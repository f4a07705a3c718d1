"""Portuguese speech for telephone prompts, made by an espeak-ng that the caller names; callable from anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import numpy as np

from telefonista.media.levels import Samples, normalise
from telefonista.media.resample import resample
from telefonista.media.wav import RATE

VOICE = "pt-br"
_WORDS_PER_MINUTE = 150


class SpeechError(Exception):
    """espeak-ng gave no speech; the text carries its own words."""


def speech_arguments(text: str) -> tuple[str, ...]:
    """What to pass to espeak-ng (1.50 or later) so that `text` comes out of its stdout as a WAV."""
    return ("-v", VOICE, "-s", str(_WORDS_PER_MINUTE), "--stdout", text)


async def speak(argv: tuple[str, ...], *, within: float = 30.0) -> Samples:
    """Run `argv` (a command line ending in `speech_arguments`) and return the speech: 8 kHz, -16 dBFS RMS, peaks to -3.

    Raises SpeechError when the program fails, is silent or exceeds `within` seconds; OSError when it cannot be run.
    """
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(within):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        raise SpeechError(f"espeak-ng did not end within {within:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    if process.returncode != 0:
        raise SpeechError(f"espeak-ng exited with {process.returncode}: {stderr.decode(errors='replace').strip()}")
    return await asyncio.to_thread(_telephone, stdout, stderr)


def _telephone(wav: bytes, stderr: bytes) -> Samples:
    # On stdout espeak-ng cannot go back to fill in the sizes: the rate is in the header, the audio is all the rest.
    if len(wav) <= 44 or wav[:4] != b"RIFF" or wav[36:40] != b"data":
        raise SpeechError(f"espeak-ng spoke nothing: {stderr.decode(errors='replace').strip()}")
    (rate,) = struct.unpack_from("<I", wav, 24)
    samples = np.frombuffer(wav[44 : len(wav) - len(wav) % 2], dtype="<i2").astype(np.int16)
    return normalise(_trim(resample(samples, rate, RATE)))


def _trim(samples: Samples) -> Samples:
    """Without the silence espeak-ng puts before and after, less 50 ms of it."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 200)
    if loud.size == 0:
        raise SpeechError("espeak-ng spoke nothing audible")
    margin = RATE // 20
    return samples[max(int(loud[0]) - margin, 0) : int(loud[-1]) + margin]
