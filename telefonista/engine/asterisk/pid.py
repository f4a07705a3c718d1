"""A process that may not be our child, watched by its pidfd (Linux 5.3); used by process and state."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self


def start_ticks(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot (proc(5), field 22); None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def reap(pid: int) -> None:
    """Clear away our own child if it has ended; nothing happens otherwise."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


class Watched:
    """One living process; `dead` is set when it ends, and our own child is reaped then."""

    def __init__(self, descriptor: int, pid: int) -> None:
        self.pid = pid
        self.dead = asyncio.Event()
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._died)

    @classmethod
    def of(cls, pid: int, started: int) -> Self | None:
        """Watch `pid` if it is still the process that started at `started` ticks."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        if start_ticks(pid) != started:  # asked after the pidfd is held: the number cannot change hands any more
            os.close(descriptor)
            return None
        return cls(descriptor, pid)

    def send(self, number: signal.Signals) -> None:
        """Signal exactly this process; nothing happens when it is gone."""
        if self._descriptor >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    async def end(self, grace: float) -> None:
        """SIGTERM, and SIGKILL when `grace` seconds are not enough; returns when it is gone."""
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self.dead.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.dead.wait()

    def close(self) -> None:
        """Stop watching; the process lives on."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _died(self) -> None:
        with suppress(ChildProcessError):  # adopted: its parent, or init, reaps it
            os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOHANG)
        self.dead.set()
        self.close()
