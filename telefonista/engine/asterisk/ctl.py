"""The engine's console without a subprocess: `command` sends one line to its socket and returns what it prints.

For what ARI lacks (mixmonitor, logger, registrations). Protocol of `asterisk -rx`, main/asterisk.c of Asterisk 20-22:
the server writes a banner line, we write `cli quit after <command>` and NUL, it prints and closes the connection.
"""

import asyncio
import socket as sockets
import struct
from pathlib import Path

LONGEST = 480
"""The server reads a command into 512 bytes and drops the rest without a word."""
_QUIT_AFTER = b"cli quit after "
_VERBOSE = 0xF5
"""A line that begins with this byte or above is a verbose message, not output: no UTF-8 text begins so."""


class CtlError(Exception):
    """The engine did not take or finish the command; whether it ran is unknown after a timeout."""


async def command(socket: Path, text: str, *, within: float = 5.0) -> str:
    """What the engine prints for `text`, without the final line break.

    A command the engine does not know is not an error here: it prints "No such command". Commands sent at the same
    time run at the same time. CtlError when nobody listens or `within` seconds pass; ValueError for a line that is
    empty, too long or holds control characters.
    """
    line = text.encode()
    if not line.strip() or len(line) > LONGEST or any(byte < 32 for byte in line):
        raise ValueError("a console command is one line of 1 to 480 bytes")
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_unix_connection(sock=await _connect(socket, within), limit=2**20)
            try:
                writer.write(_QUIT_AFTER + line + b"\0")
                answer = await reader.read()
            finally:
                writer.close()
    except TimeoutError as problem:
        raise CtlError(f"the engine's console did not finish {text.split()[0]!r} within {within} s") from problem
    except OSError as problem:
        raise CtlError(f"the engine's console does not answer: {problem.strerror or problem}") from problem
    banner, found, output = answer.partition(b"\n")
    if not found or banner.count(b"/") < 2:
        raise CtlError("the engine's console closed without a greeting")
    kept = [part for part in output.splitlines(keepends=True) if part[0] < _VERBOSE]
    return b"".join(kept).decode("utf-8", "replace").removesuffix("\n")


async def _connect(socket: Path, within: float) -> sockets.socket:
    """A connection, after waiting for a free place: the engine queues only two, and a third gets EAGAIN.

    For asyncio EAGAIN means "under way", which is not true of AF_UNIX (unix(7)); only a blocking connect() waits.
    """
    connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        connection.setblocking(False)
        try:
            connection.connect(str(socket))
        except BlockingIOError:
            connection.setblocking(True)
            timeout = struct.pack("@ll", int(within), int(within % 1 * 1_000_000))
            connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDTIMEO, timeout)
            await asyncio.to_thread(connection.connect, str(socket))
            connection.setblocking(False)
    except BaseException:
        connection.close()
        raise
    return connection
