"""How long telephones take to ring and to be answered, for /metrics; used by legs only."""

import asyncio

from prometheus_client import Histogram

RING_SECONDS = Histogram(
    "telefonista_toque_segundos",
    "From dialling to the first ring",
    ["perna"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20),
)
ANSWER_SECONDS = Histogram(
    "telefonista_atendimento_segundos",
    "From dialling to the answer",
    ["perna"],
    buckets=(0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60),
)


class Stopwatch:
    """Started when a perna is dialled; tells its first ring and its answer, by the loop's clock."""

    def __init__(self, letra: str) -> None:
        self._papel = "origem" if letra == "a" else "destino"
        self._start = asyncio.get_running_loop().time()
        self._rang = False

    def ringing(self) -> None:
        """A device rings; of several the first counts."""
        if not self._rang:
            self._rang = True
            RING_SECONDS.labels(self._papel).observe(self._elapsed())

    def answered(self) -> None:
        ANSWER_SECONDS.labels(self._papel).observe(self._elapsed())

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._start
