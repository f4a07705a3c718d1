"""What a leg costs: cadence and price, in decimals; pure arithmetic for the floors above."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

CENT_MICRO = Decimal("0.000001")


@dataclass(frozen=True)
class Tariff:
    """R$ a minute and a cadence: `inicial` seconds at once, then steps of `incremento`; up to `gratis` is free."""

    preco_minuto: Decimal
    inicial: int = 60
    incremento: int = 60
    gratis: int = 0

    def billed_seconds(self, spoken: int) -> int:
        """Seconds to charge for `spoken` seconds; 0 when never answered."""
        if spoken <= self.gratis or spoken <= 0:
            return 0
        steps = -(-max(0, spoken - self.inicial) // self.incremento)
        return self.inicial + steps * self.incremento

    def price(self, spoken: int) -> Decimal:
        """R$ for `spoken` seconds, rounded once, to a millionth."""
        return self.of_block(self.billed_seconds(spoken))

    def of_block(self, seconds: int) -> Decimal:
        """R$ for `seconds` already in cadence."""
        return (self.preco_minuto * seconds / 60).quantize(CENT_MICRO, ROUND_HALF_UP)

    def snapshot(self) -> dict[str, Any]:
        """What is kept with the leg, so that its price can be explained later."""
        return {
            "preco_minuto": str(self.preco_minuto),
            "inicial": self.inicial,
            "incremento": self.incremento,
            "gratis": self.gratis,
        }

    @classmethod
    def restore(cls, snapshot: dict[str, Any]) -> "Tariff":
        return cls(Decimal(snapshot["preco_minuto"]), *(snapshot[key] for key in ("inicial", "incremento", "gratis")))


def affordable_seconds(available: Decimal, tariffs: Sequence[Tariff], ceiling: int) -> int:
    """How long all these legs can talk together for `available` R$, at most `ceiling` seconds; 0 = not even a start."""
    low, high = 0, ceiling
    while low < high:
        middle = (low + high + 1) // 2
        if sum((tariff.price(middle) for tariff in tariffs), Decimal(0)) <= available:
            low = middle
        else:
            high = middle - 1
    return low


def whole_seconds(start: datetime | None, end: datetime | None) -> int:
    """Elapsed whole seconds, to the nearest; 0 when either end is missing."""
    if start is None or end is None:
        return 0
    return max(0, int((end - start).total_seconds() + 0.5))
