"""Cadence and price: whole steps, one rounding, and how long a saldo lasts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonista.billing.rates import Tariff, affordable_seconds, whole_seconds

ANATEL = Tariff(Decimal("0.12"), inicial=30, incremento=6, gratis=3)
TARIFFS = st.builds(
    Tariff,
    st.decimals(0, 100, places=4),
    inicial=st.integers(1, 120),
    incremento=st.integers(1, 60),
    gratis=st.integers(0, 10),
)


@pytest.mark.parametrize(
    ("spoken", "billed"),
    [(-1, 0), (0, 0), (1, 0), (3, 0), (4, 30), (30, 30), (31, 36), (36, 36), (37, 42), (60, 60), (61, 66)],
)
def test_30_6_with_3_free(spoken: int, billed: int) -> None:
    assert ANATEL.billed_seconds(spoken) == billed


@pytest.mark.parametrize(("spoken", "billed"), [(0, 0), (1, 60), (60, 60), (61, 120), (120, 120), (121, 180)])
def test_whole_minutes(spoken: int, billed: int) -> None:
    assert Tariff(Decimal("0.10")).billed_seconds(spoken) == billed


@pytest.mark.parametrize(
    ("preco", "spoken", "price"),
    [("0.12", 30, "0.060000"), ("0.12", 31, "0.072000"), ("0.10", 36, "0.060000"), ("0.07", 31, "0.042000")],
)
def test_price(preco: str, spoken: int, price: str) -> None:
    assert Tariff(Decimal(preco), 30, 6, 3).price(spoken) == Decimal(price)


def test_rounded_once_half_up() -> None:
    third = Tariff(Decimal("0.000001"), 30, 30)
    assert third.price(1) == Decimal("0.000001")
    assert Tariff(Decimal("1"), 1, 1).price(1) == Decimal("0.016667")


@given(TARIFFS, st.integers(1, 20000))
def test_never_less_than_spoken_nor_a_step_too_much(tariff: Tariff, spoken: int) -> None:
    billed = tariff.billed_seconds(spoken)
    if spoken <= tariff.gratis:
        assert billed == 0
    else:
        assert spoken <= billed < max(tariff.inicial + 1, spoken + tariff.incremento)
        assert billed == tariff.inicial or (billed - tariff.inicial) % tariff.incremento == 0
    assert tariff.price(spoken + 1) >= tariff.price(spoken)


@given(st.decimals(0, 500, places=2), st.lists(TARIFFS, min_size=1, max_size=2), st.integers(0, 14400))
def test_what_a_saldo_affords(available: Decimal, tariffs: list[Tariff], ceiling: int) -> None:
    seconds = affordable_seconds(available, tariffs, ceiling)
    assert 0 <= seconds <= ceiling
    assert sum(tariff.price(seconds) for tariff in tariffs) <= available
    if seconds < ceiling:
        assert sum(tariff.price(seconds + 1) for tariff in tariffs) > available


@given(TARIFFS)
def test_a_snapshot_restores(tariff: Tariff) -> None:
    assert Tariff.restore(tariff.snapshot()) == tariff


@pytest.mark.parametrize(("elapsed", "seconds"), [(0, 0), (0.49, 0), (0.5, 1), (1.49, 1), (59.5, 60), (-3, 0)])
def test_whole_seconds(elapsed: float, seconds: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert whole_seconds(start, start + timedelta(seconds=elapsed)) == seconds
    assert whole_seconds(None, start) == whole_seconds(start, None) == 0
