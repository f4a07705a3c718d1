"""When a delivery that failed is tried again: the schedule as data, and what the receiver asks for."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_MINUTE, _HOUR = 60.0, 3600.0

DELAYS = (
    *(5.0, 15.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 3 * _HOUR),
    *(4 * _HOUR, 5 * _HOUR, 5 * _HOUR, 5 * _HOUR + 38 * _MINUTE + 40),
)
"""Seconds from each failed attempt to the next: 24 h in all, after which the delivery is given up."""

MOST_ASKED = _HOUR
_JITTER = 0.2


def next_attempt(
    failed: int, now: datetime, delays: tuple[float, ...] = DELAYS, *, asked: float | None = None
) -> datetime | None:
    """When to try again after the `failed`th failure (from 1); None: give up.

    A fifth more or less by chance, so that what failed together does not come back together. `asked`: the seconds of
    a Retry-After, honoured up to one hour.
    """
    if failed > len(delays):
        return None
    delay = delays[failed - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)
    return now + timedelta(seconds=max(delay, min(asked or 0.0, MOST_ASKED)))


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that an answer's Retry-After asks for, given as seconds or as a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())
