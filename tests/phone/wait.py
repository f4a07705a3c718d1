"""How the telephone waits: a predicate tested at each change, inside a deadline; used by the phone's modules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Signal:
    """Wakes every waiter when something changed; each waiter tests its own predicate (which may raise to give up)."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def watched(self) -> bool:
        return bool(self._waiters)

    def fire(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def next(self) -> None:
        """Wait for the next change (no deadline of its own)."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    async def until(self, test: Callable[[], T], within: float, what: str) -> T:
        """Return the first true value of `test`; TimeoutError naming `what` after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while not (result := test()):
                    await self.next()
                return result
        except TimeoutError:
            raise TimeoutError(f"{what}: not within {within:g} s") from None
