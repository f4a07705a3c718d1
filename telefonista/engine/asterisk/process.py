"""One supervised engine that outlives this Python process: `EngineProcess`, made by the wiring and by tests."""

import asyncio
import fcntl
import hashlib
import json
import os
import secrets
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import structlog

from telefonista.engine.asterisk import ctl
from telefonista.engine.asterisk.conf import render
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.pid import Watched, reap, start_ticks
from telefonista.engine.asterisk.spawn import EngineStartError, free_port, spawn
from telefonista.engine.asterisk.state import STATE, Running, State, load, save, status, stop_engine
from telefonista.engine.asterisk.tree import EngineTree

__all__ = ["EngineProcess", "EngineStartError", "Running", "status", "stop_engine"]

READY_WITHIN = 15.0
ADOPT_WITHIN = 5.0
"""For an engine found alive: it may still be starting, because our predecessor died meanwhile."""
BACKOFF = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
HEALTHY_AFTER = 60.0
ROTATE_OVER = 20_000_000
KEPT_LOGS = 5

Hook = Callable[[], Awaitable[None]]
log = structlog.get_logger(__name__)


class EngineProcess:
    """Starts or adopts the engine of one instance, and keeps it alive while `supervise` runs.

    `rede_dialplan` replaces the test network's own dialplan (tests).
    """

    def __init__(self, instance: Instance, tree: EngineTree, *, rede_dialplan: str | None = None) -> None:
        self.instance = instance
        self._tree = tree
        self._rede = rede_dialplan
        self._watched: Watched | None = None
        self._running: Running | None = None
        self._stopping = asyncio.Event()
        self._changed: asyncio.Future[None] | None = None

    @property
    def running(self) -> Running:
        """The engine as it was started or adopted last; RuntimeError before `start`."""
        if self._running is None:
            raise RuntimeError("the engine was not started")
        return self._running

    async def start(self) -> Running:
        """Adopt the engine that runs in this directory, or start one; returns when it answers.

        An engine with another configuration is replaced unless it has calls. EngineStartError with the reason.
        """
        try:
            self.instance.prepare()
            digest = self._digest()
        except (OSError, ValueError) as problem:
            raise EngineStartError(str(problem)) from problem
        with _alone(self.instance.directory):
            self._stopping.clear()
            self._forget()
            if not await self._adopt(digest):
                await self._boot(digest)
        return self.running

    def changed(self) -> asyncio.Future[None]:
        """Done when `running` next becomes another engine. One future for all who wait: shield it, do not cancel it."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    async def wait_dead(self) -> None:
        """Return when the engine has ended, whoever ended it."""
        if self._watched is not None:
            await self._watched.dead.wait()

    async def stop(self, grace: float = 5.0) -> None:
        """End the engine (SIGTERM, SIGKILL after `grace` seconds) and `supervise` with it."""
        self._stopping.set()
        if self._watched is not None:
            await self._watched.end(grace)
            self._forget()
            (self.instance.directory / STATE).unlink(missing_ok=True)

    def leave(self) -> None:
        """Stop watching and let the engine live on, for the next process to adopt."""
        self._stopping.set()
        self._forget()

    async def supervise(self, on_down: Hook, on_up: Hook) -> None:
        """Start the engine again whenever it dies, until `stop`; run it as a task after `start`.

        `on_down` runs while the new one starts, `on_up` after both, when `running` is the new one; their errors are
        logged.
        """
        attempt = 0
        while not self._stopping.is_set():
            since = time.monotonic()
            pid = self.running.pid
            await self.wait_dead()
            if self._stopping.is_set():
                return
            log.error("engine_died", pid=pid)
            if time.monotonic() - since >= HEALTHY_AFTER:
                attempt = 0
            down = asyncio.create_task(_guarded(on_down), name="engine-down")
            try:
                while not await self._restarted(attempt):
                    attempt += 1
                attempt += 1
            finally:
                await down
            if self._stopping.is_set():
                return
            await _guarded(on_up)

    async def _restarted(self, attempt: int) -> bool:
        """One attempt after its pause; True when the engine is up, or nobody wants it any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BACKOFF[min(attempt, len(BACKOFF) - 1)]):
                await self._stopping.wait()
        if self._stopping.is_set():
            return True
        try:
            running = await self.start()
        except EngineStartError as problem:
            log.error("engine_restart_failed", attempt=attempt, problem=str(problem))
            return False
        log.info("engine_restarted", pid=running.pid, attempt=attempt)
        return True

    async def rotate(self) -> list[Path]:
        """Set aside logs over 20 MB, keeping five of each; returns those that moved. CtlError: see ctl."""
        inst = self.instance
        moved = [path for path in (inst.motor_log, inst.security_log, inst.cel) if _rotate(path)]
        if any(path != inst.cel for path in moved):  # the engine opens the cel file anew for every line
            await ctl.command(inst.ctl, "logger reload")
        return moved

    async def _adopt(self, digest: str) -> bool:
        state = load(self.instance.directory)
        watched = state and Watched.of(state.pid, state.started)
        if not state or not watched:
            return False
        running = state.running(adopted=True)
        try:
            answers = await _answers(watched, running, ADOPT_WITHIN)
            if answers and state.config != digest and await _channels(running) == 0:
                log.info("engine_restarts_for_new_configuration", pid=state.pid)
            elif answers:
                if state.config != digest:
                    log.warning("engine_keeps_old_configuration", pid=state.pid, because="it has calls")
                self._take(watched, running, state)
                return True
            else:
                log.error("engine_does_not_answer", pid=state.pid)
            await watched.end(5.0 if answers else 1.0)
        finally:
            if self._watched is not watched:
                watched.close()
        return False

    async def _boot(self, digest: str) -> None:
        inst = replace(self.instance, ari_port=free_port(), ari_password=secrets.token_urlsafe(32))
        began = time.monotonic()
        pid = spawn(inst, self._tree, render(inst, self._tree, self._rede))
        ticks = start_ticks(pid)
        watched = Watched.of(pid, ticks) if ticks is not None else None
        if ticks is None or watched is None:
            reap(pid)
            raise EngineStartError(self._why("O motor morreu ao iniciar."))
        state = State(pid, ticks, time.time(), inst.ari_port, inst.ari_password, digest)
        running = state.running(adopted=False)
        try:
            save(inst.directory, state)
            if not await _answers(watched, running, READY_WITHIN):
                died = watched.dead.is_set()
                raise EngineStartError(
                    self._why("O motor morreu ao iniciar." if died else "O motor não respondeu a tempo.")
                )
            self._take(watched, running, state)
        finally:
            if self._watched is not watched:
                watched.send(signal.SIGKILL)
                await watched.dead.wait()
        log.info("engine_started", pid=pid, version=self._tree.version, seconds=round(time.monotonic() - began, 3))

    def _take(self, watched: Watched, running: Running, state: State) -> None:
        self._watched, self._running = watched, running
        self.instance = replace(self.instance, ari_port=state.ari_port, ari_password=state.ari_password)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _forget(self) -> None:
        if self._watched is not None:
            self._watched.close()
            self._watched = None

    def _digest(self) -> str:
        """A fingerprint of everything the engine is started with, but for what changes at each boot."""
        inst = replace(self.instance, ari_port=0, ari_password="")
        files = render(inst, self._tree, self._rede)
        told = json.dumps([self._tree.version, self._tree.command, files], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    def _why(self, what: str) -> str:
        lines = [*_tail(self.instance.boot_log), *_tail(self.instance.motor_log)]
        return "\n".join([f"{what} Fim do registro do motor:", *(f"  {line}" for line in lines)])


def _ari(running: Running, within: float) -> aiohttp.ClientSession:
    headers = {"Authorization": aiohttp.encode_basic_auth(running.user, running.password)}
    return aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=within))


async def _answers(watched: Watched, running: Running, within: float) -> bool:
    """Wait until the engine answers a ping with 200; False when it dies or `within` seconds pass.

    It is asked every 20 ms, each pause ended at once by its death: the engine tells nobody when it is ready (22.10).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(within), _ari(running, 2) as http:
            while not watched.dead.is_set():
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(f"{running.ari_url}/asterisk/ping") as answer:
                        if answer.status == 200:
                            return True
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await watched.dead.wait()
    return False


async def _channels(running: Running) -> int:
    """How many channels the engine has; at least 1 when it does not say."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with (
            _ari(running, 5) as http,
            http.get(f"{running.ari_url}/channels") as answer,
        ):
            if answer.status == 200:
                return len(await answer.json())
    return 1


async def _guarded(hook: Hook) -> None:
    try:
        await hook()
    except Exception:
        log.exception("engine_hook_failed")


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep two processes from starting the same engine at once; the lock frees itself when its holder dies."""
    descriptor = os.open(directory / ".motor.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineStartError(f"Outro telefonista está iniciando o motor de {directory} agora.") from None
        yield
    finally:
        os.close(descriptor)


def _rotate(path: Path) -> bool:
    try:
        if path.stat().st_size <= ROTATE_OVER:
            return False
    except FileNotFoundError:
        return False
    for number in range(KEPT_LOGS - 1, 0, -1):
        with suppress(FileNotFoundError):
            path.with_name(f"{path.name}.{number}").replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))
    return True


def _tail(path: Path, lines: int = 8) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []
