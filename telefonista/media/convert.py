"""The MP3 conversion as a process of its own, outside the event loop: `python -m telefonista.media.convert A B SAIDA`.

Run by `convert()` for whoever finishes a recording. The child prints one JSON line, {"segundos", "esquerda", "direita",
"bytes"} or {"erro"}. The top imports stay light because the child pays for them on each recording.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NICENESS = 10


class ConversionError(Exception):
    """The recording could not be converted; the text says why, in Portuguese. The inputs are untouched."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A finished MP3: lengths in seconds (`seconds` = the longer side), size in bytes."""

    path: Path
    seconds: float
    left_seconds: float
    right_seconds: float
    size: int


async def convert(left: Path, right: Path, out: Path, within: float = 600.0) -> Converted:
    """Make the stereo MP3 `out` (see mp3.encode_stereo) in a low-priority process, given `within` seconds.

    Raises ConversionError on bad input, a failed process or an exceeded deadline. Late or cancelled, the process is
    killed and its partial file removed; `out` is complete or absent. How many run at once is the caller's choice.
    """
    import asyncio
    import contextlib

    from telefonista.media.mp3 import partial_path

    # The package's own parent as cwd: `-m` finds this very code, not whatever lies in the server's directory.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "telefonista.media.convert",
        *(str(path.absolute()) for path in (left, right, out)),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        raise ConversionError(f"{out.name}: conversão não terminou em {within:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
            partial_path(out, process.pid).unlink(missing_ok=True)
    return _converted(out, process.returncode or 0, stdout, stderr)


def _converted(out: Path, code: int, stdout: bytes, stderr: bytes) -> Converted:
    try:
        answer: dict[str, Any] = json.loads(stdout)
        if code == 0:
            return Converted(out, answer["segundos"], answer["esquerda"], answer["direita"], answer["bytes"])
        raise ConversionError(answer["erro"])
    except (ValueError, KeyError):
        last = stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ConversionError(f"{out.name}: conversor terminou com código {code}: {last or 'sem mensagem'}") from None


def main(arguments: list[str]) -> int:
    """The child: convert and print the JSON line; 0 done, 1 failed, 2 misused."""
    from telefonista.media.mp3 import encode
    from telefonista.media.wav import BadAudio

    if len(arguments) != 3:
        return _answer(2, erro="uso: python -m telefonista.media.convert ESQUERDA DIREITA SAIDA")
    left, right, out = map(Path, arguments)
    os.nice(_NICENESS)
    try:
        encoded = encode(left, right, out)
    except BadAudio as error:
        return _answer(1, erro=str(error))
    except FileNotFoundError as error:
        return _answer(1, erro=f"{Path(error.filename).name}: arquivo não encontrado")
    except OSError as error:
        name = Path(error.filename).name if isinstance(error.filename, str) else out.name
        return _answer(1, erro=f"{name}: {error.strerror}")
    return _answer(
        0,
        segundos=round(encoded.seconds, 3),
        esquerda=round(encoded.left_seconds, 3),
        direita=round(encoded.right_seconds, 3),
        bytes=out.stat().st_size,
    )


def _answer(code: int, **answer: object) -> int:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
