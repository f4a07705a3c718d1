"""When a delivery that failed is tried again: the schedule as data, and what the receiver asks for."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_MINUTE, _HOUR = 60.0, 3600.0
_MOST_ASKED = _HOUR
_JITTER = 0.2


@dataclass(frozen=True)
class Schedule:
    """`delays`: seconds from each failed attempt to the next, the last one again and again; `life`: seconds from a
    delivery's beginning to its last attempt."""

    delays: tuple[float, ...] = (5.0, 15.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR, 5 * _HOUR)
    life: float = 24 * _HOUR

    def next_attempt(self, failed: int, began: datetime, now: datetime, asked: float | None = None) -> datetime | None:
        """When to try again after the `failed`th failure (from 1); None: give up.

        A fifth more or less by chance, so that what failed together does not come back together. `asked`: the seconds
        of a Retry-After, honoured up to one hour.
        """
        last = began + timedelta(seconds=self.life)
        if now >= last:
            return None
        delay = self.delays[min(failed, len(self.delays)) - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)
        return min(last, now + timedelta(seconds=max(delay, min(asked or 0.0, _MOST_ASKED))))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that an answer's Retry-After asks for, given as seconds or as a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())
