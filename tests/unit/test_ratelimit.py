"""The token bucket of a conta: what it lets through, when it says to come again, and that this is true."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonista.dialect.errors import DialectError
from telefonista.dialect.ratelimit import RateLimit


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def allowed(limit: RateLimit, times: int, conta_id: int = 1) -> int:
    return sum(limit.wait(conta_id) == 0 for _ in range(times))


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(20, 40, clock)
    assert allowed(limit, 100) == 40
    clock.now += 0.5
    assert allowed(limit, 100) == 10
    clock.now += 3600
    assert allowed(limit, 100) == 40, "a bucket holds no more than its burst"


def test_contas_do_not_share() -> None:
    limit = RateLimit(5, 10, Clock())
    assert allowed(limit, 20, conta_id=1) == 10
    assert allowed(limit, 20, conta_id=2) == 10


def test_zero_is_no_limit() -> None:
    assert allowed(RateLimit(0, 1, Clock()), 10_000) == 10_000


@pytest.mark.parametrize(("per_second", "retry"), [(5, "1"), (1, "1"), (0.25, "4")])
def test_the_refusal_says_when_to_come_again(per_second: float, retry: str) -> None:
    limit = RateLimit(per_second, 1, Clock())
    limit.check(1)
    with pytest.raises(DialectError) as refused:
        limit.check(1)
    assert (refused.value.status, refused.value.motivo) == (429, 100)
    assert refused.value.headers == {"Retry-After": retry}


def test_one_number_a_conta_is_kept() -> None:
    limit = RateLimit(5, 10, Clock())
    for conta_id in (1, 2, 3):
        allowed(limit, 50, conta_id)
    assert len(limit._full_at) == 3


@given(
    per_second=st.integers(1, 50),
    burst=st.integers(1, 60),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=80),
)
def test_no_window_has_more_than_burst_and_rate(per_second: int, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(per_second, burst, clock)
    passed: list[float] = []
    for pause in pauses:
        clock.now += pause
        wait = limit.wait(1)
        if wait == 0:
            passed.append(clock.now)
        else:
            assert wait <= 1 / per_second + 1e-9
            clock.now += wait
            assert limit.wait(1) == 0, "who comes when told is let through"
            passed.append(clock.now)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + per_second * (passed[last] - start) + 1e-6
