"""An event loop whose clock jumps to the next timer when nothing is ready: a limit of 4 h costs microseconds.

For tests without sockets, threads and subprocesses; use `anyio_backend = VIRTUAL` in a fixture of the module.
"""

import asyncio
import selectors
import types
from typing import Any


class Deadlock(BaseException):
    """Nothing is ready and no timer is set: what is awaited can never happen. (Not an Exception: nobody handles it.)"""


class _Selector(selectors.DefaultSelector):
    """Never waits; where another selector would, it moves the loop's clock."""

    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events and (timeout is None or timeout > 0):
            self.loop.jump()
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s. Everything runs in the order real time would give it, ties in the order they were set."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def jump(self) -> None:
        timers = self._scheduled  # type: ignore[attr-defined]  # BaseEventLoop's heap, cancelled heads already gone
        if not timers:
            raise Deadlock("nothing is ready and no timer is set; these tasks wait for ever:\n" + self._waiting())
        self._now = max(self._now, timers[0].when())

    def _waiting(self) -> str:
        return "\n".join(f"  {task.get_name()}: {_where(task)}" for task in asyncio.all_tasks(self))


def _where(task: "asyncio.Task[Any]") -> str:
    """The innermost line a task waits at."""
    awaited: Any = task.get_coro()
    line = "?"
    while awaited is not None:
        frame: types.FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is not None:
            line = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    return line


VIRTUAL = ("asyncio", {"loop_factory": VirtualTimeLoop})
"""What a module's `anyio_backend` fixture returns to run its tests in virtual time."""
