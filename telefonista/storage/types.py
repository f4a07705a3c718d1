"""Column types that mean the same on SQLite and PostgreSQL; used by the tables only."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import BigInteger, DateTime, Dialect
from sqlalchemy.types import TypeDecorator

MICRO = Decimal("0.000001")


class Money(TypeDecorator[Decimal]):
    """Reais as a Decimal of six places, kept as an integer of millionths: sums are exact in SQL on every database.

    In SQL the result of arithmetic is a bare integer. Compare a column with it, `a >= b + value`; written as
    `a - b >= value`, value goes in as reais among millionths.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        return None if value is None else int((value / MICRO).to_integral_value(ROUND_HALF_UP))

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-6)


class Instant(TypeDecorator[datetime]):
    """An aware instant, always UTC. Naive values are refused: a zone forgotten is an hour lost."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
