"""Who serves a HOME: a lock held for the server's life and its note `servidor.json`; for serve, stop and doctor."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from telefonista.engine.asterisk.pid import start_ticks
from telefonista.refusal import Refusal

LOCK = "servidor.lock"
NOTE = "servidor.json"


class HomeRefused(Refusal):
    """This HOME cannot be served now; the text says why and what to do, in Portuguese."""


@dataclass(frozen=True)
class Server:
    """A server process. `drain_seconds` is how long it waits for calls when told to stop."""

    pid: int
    started: int
    """Clock ticks since boot: tells the process from a later one with the same number."""
    drain_seconds: int


@contextmanager
def serving(home: Path, drain_seconds: int) -> Iterator["Presence"]:
    """Hold HOME (made when absent) while the block runs; HomeRefused when another process does or it is not writable.

    The kernel frees the lock when its holder dies, however it dies: no stale lock, nothing to clean up.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise HomeRefused(
            f"Não posso gravar em {home} ({problem.strerror}): corrija as permissões ou mude TELEFONISTA_HOME."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeRefused(_already(home, _parsed(os.pread(descriptor, 4096, 0)))) from None
        me = Server(os.getpid(), start_ticks(os.getpid()) or 0, drain_seconds)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _text(me), 0)
        presence = Presence(home, me)
        try:
            yield presence
        finally:
            (home / NOTE).unlink(missing_ok=True)
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


class Presence:
    """The server's hold on its HOME."""

    def __init__(self, home: Path, server: Server) -> None:
        self._home = home
        self._server = server

    def ready(self) -> None:
        """Leave the note that says we answer."""
        temporary = self._home / f".{NOTE}"
        temporary.touch(mode=0o600)
        temporary.write_bytes(_text(self._server))
        temporary.replace(self._home / NOTE)


def starting_or_serving(home: Path) -> Server | None:
    """The living server of this HOME, from its first moment on."""
    return _living(home / LOCK)


def answering(home: Path) -> Server | None:
    """The living server of this HOME once it has become ready."""
    return _living(home / NOTE)


def _living(file: Path) -> Server | None:
    try:
        server = _parsed(file.read_bytes())
    except OSError:
        return None
    return server if server and start_ticks(server.pid) == server.started else None


def _text(server: Server) -> bytes:
    return json.dumps(asdict(server)).encode() + b"\n"


def _parsed(text: bytes) -> Server | None:
    try:
        return Server(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _already(home: Path, server: Server | None) -> str:
    who = f" (pid {server.pid})" if server else ""
    return (
        f"A telefonista de {home} já está em execução{who}. Encerre-a com `telefonista stop`, "
        "ou use outro TELEFONISTA_HOME e outras portas para uma segunda."
    )
