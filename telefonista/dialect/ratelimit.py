"""How many requests, or calls, a conta may make: a token bucket each, in memory; 429/100 when it is empty."""

import time
from collections.abc import Callable

from telefonista.dialect.errors import limite_de_taxa


class RateLimit:
    """`per_second` in the long run, up to `burst` at once; 0 a second = no limit.

    One number is kept of each conta: when its bucket is full again (the virtual scheduling of GCRA, ITU-T I.371).
    Not for several threads at once.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._depth = max(1, burst) * self._interval
        self._clock = clock
        self._full_at: dict[int, float] = {}

    def wait(self, conta_id: int) -> float:
        """Take a token and return 0, or take none and return the seconds until there is one."""
        if not self._interval:
            return 0.0
        now = self._clock()
        full_at = max(now, self._full_at.get(conta_id, now)) + self._interval
        if full_at - now > self._depth + 1e-9:
            return full_at - now - self._depth
        self._full_at[conta_id] = full_at
        return 0.0

    def check(self, conta_id: int) -> None:
        """Take a token, or refuse with 429/100 and when to come again."""
        seconds = self.wait(conta_id)
        if seconds > 0:
            raise limite_de_taxa(seconds)
