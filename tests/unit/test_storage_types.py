"""Money and Instant mean the same on both databases: exact, ordered, summed in SQL, and never without a zone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, create_engine, func, select, text
from sqlalchemy.exc import StatementError

from telefonista.storage.types import Instant, Money

pytest_plugins = ["tests.databases"]

# The fixture is one connection for all examples: each empties the table.
examples = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
MONEY = st.decimals(-(10**12), 10**12, places=6, allow_nan=False)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.timezones())

COISA = Table(
    "coisa",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("valor", Money),
    Column("quando", Instant),
)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            COISA.create(connection)
            yield connection
    finally:
        engine.dispose()


def store(connection: Connection, column: str, values: list[object]) -> None:
    connection.execute(COISA.delete())
    if values:
        connection.execute(COISA.insert(), [{column: value} for value in values])


@examples
@given(values=st.lists(MONEY, min_size=1, max_size=8))
def test_money_comes_back_exact_and_sums_and_sorts_in_sql(connection: Connection, values: list[Decimal]) -> None:
    store(connection, "valor", [*values])
    assert list(connection.scalars(select(COISA.c.valor).order_by(COISA.c.id))) == values
    assert list(connection.scalars(select(COISA.c.valor).order_by(COISA.c.valor))) == sorted(values)
    assert connection.scalar(select(func.sum(COISA.c.valor))) == sum(values)
    assert set(connection.scalars(select(COISA.c.valor).where(COISA.c.valor >= values[0]))) == {
        value for value in values if value >= values[0]
    }
    change = values[0] / 2 // Decimal("0.000001") * Decimal("0.000001")
    connection.execute(COISA.update().values(valor=COISA.c.valor + change))
    assert list(connection.scalars(select(COISA.c.valor).order_by(COISA.c.id))) == [v + change for v in values]


@pytest.mark.parametrize(
    ("given_value", "kept"),
    [
        ("0", "0"),
        ("0.0000005", "0.000001"),
        ("-0.0000005", "-0.000001"),
        ("0.00000049", "0"),
        ("1E+3", "1000"),
        ("-9223372036854.775807", "-9223372036854.775807"),
    ],
)
def test_money_is_kept_to_a_millionth_half_away_from_zero(connection: Connection, given_value: str, kept: str) -> None:
    store(connection, "valor", [Decimal(given_value)])
    value = connection.scalar(select(COISA.c.valor))
    assert (type(value), value) == (Decimal, Decimal(kept))


@examples
@given(values=st.lists(INSTANTS, min_size=1, max_size=8))
def test_an_instant_comes_back_in_utc_and_sorts_and_compares_in_sql(
    connection: Connection, values: list[datetime]
) -> None:
    store(connection, "quando", [*values])
    moments = [value.astimezone(UTC) for value in values]
    kept = list(connection.scalars(select(COISA.c.quando).order_by(COISA.c.id)))
    assert kept == moments
    assert {value.tzinfo for value in kept} == {UTC}
    assert list(connection.scalars(select(COISA.c.quando).order_by(COISA.c.quando))) == sorted(moments)
    later = connection.scalars(select(COISA.c.quando).where(COISA.c.quando > values[0]))
    assert sorted(later) == sorted(moment for moment in moments if moment > moments[0])


@pytest.mark.parametrize("sent", ["stored", "compared"])
def test_a_naive_instant_is_refused(connection: Connection, sent: str) -> None:
    naive = datetime(2026, 3, 1, 12)
    with pytest.raises(StatementError, match="needs a zone"):
        if sent == "stored":
            store(connection, "quando", [naive])
        else:
            connection.scalars(select(COISA).where(COISA.c.quando > naive))


def test_nothing_stays_nothing(connection: Connection) -> None:
    connection.execute(COISA.insert().values(valor=None, quando=None))
    assert tuple(connection.execute(select(COISA.c.valor, COISA.c.quando)).one()) == (None, None)


def test_an_instant_is_stored_in_utc_whatever_zone_it_came_in(connection: Connection, backend: str) -> None:
    """What another program reads in the file or in psql is the same instant."""
    store(connection, "quando", [datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=-3)))])
    utc = "quando" if backend == "sqlite" else "timezone('UTC', quando)"
    assert str(connection.scalar(text(f"SELECT {utc} FROM coisa"))).startswith("2026-03-01 12:30:00")  # noqa: S608
