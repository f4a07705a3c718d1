"""When a delivery that failed is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonista.outbox.schedule import Schedule, retry_after

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("failed", "delay"),
    [(1, 5), (2, 15), (3, 60), (4, 300), (5, 900), (6, 3600), (7, 10800), (8, 18000), (9, 18000), (50, 18000)],
)
def test_ever_later_and_never_in_step(failed: int, delay: float) -> None:
    seen = {Schedule().next_attempt(failed, NOW, NOW) for _ in range(50)}
    assert len(seen) > 40
    assert all(when and 0.8 * delay <= (when - NOW).total_seconds() <= 1.2 * delay for when in seen)


def test_a_whole_life() -> None:
    """The last attempt is 24 h after the beginning."""
    schedule, moments = Schedule(), [NOW]
    while (when := schedule.next_attempt(len(moments), NOW, moments[-1])) is not None:
        moments.append(when)
    assert moments[-1] == NOW + timedelta(hours=24)
    assert 11 <= len(moments) <= 14
    assert moments == sorted(set(moments))


@given(st.integers(1, 20), st.floats(0, 86399), st.none() | st.floats(0, 1e9))
def test_always_ahead_and_within_its_life(failed: int, age: float, asked: float | None) -> None:
    now = NOW + timedelta(seconds=age)
    when = Schedule().next_attempt(failed, NOW, now, asked)
    assert when is not None and now < when <= NOW + timedelta(hours=24)
    if asked is not None and when != NOW + timedelta(hours=24):
        assert (when - now).total_seconds() >= min(asked, 3600) - 1e-3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("9" * 400, 999999999),
        *((bad, None) for bad in ("", "logo", "-5", "1.5", "Sun, 99 Mar 2026 12:02:00 GMT", "²")),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text}, NOW) == seconds


def test_no_retry_after() -> None:
    assert retry_after({}, NOW) is None
