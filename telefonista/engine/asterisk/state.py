"""What is known about a running engine from its directory alone; `status` and `stop_engine` serve other processes."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from telefonista.engine.asterisk.conf import USER
from telefonista.engine.asterisk.pid import Watched, start_ticks

STATE = "motor.json"


@dataclass(frozen=True)
class Running:
    """A living engine. `ari_url` has no final slash; `started_at` is in seconds since 1970."""

    pid: int
    ari_url: str
    user: str
    password: str = field(repr=False)
    adopted: bool
    started_at: float


@dataclass(frozen=True)
class State:
    """The content of motor.json (0600): which process, how to reach it, which configuration it was started with."""

    pid: int
    started: int
    """Clock ticks since boot, telling a process from a later one with the same number."""
    started_at: float
    ari_port: int
    ari_password: str = field(repr=False)
    config: str

    def running(self, *, adopted: bool) -> Running:
        url = f"http://127.0.0.1:{self.ari_port}/ari"
        return Running(self.pid, url, USER, self.ari_password, adopted, self.started_at)


def load(directory: Path) -> State | None:
    """The state left in `directory`; None when there is none, or it is not one of ours."""
    try:
        return State(**json.loads((directory / STATE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def save(directory: Path, state: State) -> None:
    """Write motor.json so that nobody reads half of it."""
    temporary = directory / f".{STATE}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    write_private(temporary, json.dumps(asdict(state)) + "\n")
    temporary.replace(directory / STATE)


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file nobody else may read, from its first byte on; never through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)


def status(directory: Path) -> Running | None:
    """The engine of this instance directory if its process is alive; it may be starting or hung (ping to know)."""
    state = load(directory)
    if state is None or start_ticks(state.pid) != state.started:
        return None
    return state.running(adopted=True)


async def stop_engine(directory: Path, grace: float = 5.0) -> bool:
    """End the engine of this directory (SIGTERM, SIGKILL after `grace` seconds); False when none was running.

    Its supervisor, if one lives, starts it again: end that first.
    """
    state = load(directory)
    watched = state and Watched.of(state.pid, state.started)
    if not watched:
        return False
    try:
        await watched.end(grace)
    finally:
        watched.close()
    (directory / STATE).unlink(missing_ok=True)
    return True
