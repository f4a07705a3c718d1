"""A trunk's gate: channels, calls per second, turns in order, and places that always come back."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telefonista.calling.capacity import Gates
from tests.calls import clock, until
from tests.virtual_time import VIRTUAL


@pytest.fixture
def anyio_backend():
    return VIRTUAL


class Crowd:
    """Callers that hold a place for some seconds."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.inside = self.most = 0
        self.entered: list[tuple[int, float]] = []
        self.refused: list[tuple[int, float]] = []

    async def caller(self, name: int, stay: float) -> None:
        try:
            async with self.gates.place(7):
                self.entered.append((name, clock()))
                self.inside += 1
                self.most = max(self.most, self.inside)
                try:
                    await until(clock() + stay)
                finally:
                    self.inside -= 1
        except TimeoutError:
            self.refused.append((name, clock()))

    async def all(self, *stays: float) -> None:
        await asyncio.gather(*(self.caller(name, stay) for name, stay in enumerate(stays)))


async def test_no_more_at_once_than_channels() -> None:
    crowd = Crowd(Gates(100))
    crowd.gates.limit(7, canais=3, cps=100)
    await crowd.all(*[5.0] * 10)
    assert crowd.most == 3 and clock() == 20
    assert [name for name, _ in crowd.entered] == list(range(10))


async def test_no_more_in_a_second_than_cps() -> None:
    crowd = Crowd(Gates(100))
    crowd.gates.limit(7, canais=1000, cps=4)
    await crowd.all(*[0.1] * 18)
    times = [at for _, at in crowd.entered]
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[4:], strict=False))
    assert times[-1] == 4


@pytest.mark.parametrize("start", [0.1, 0.7, 1.3, 123456.789, 1e6 / 3])
async def test_the_second_is_over_when_it_is(start: float) -> None:
    """Floating point: an instant plus a second, less a second, may lie before that instant."""
    crowd = Crowd(Gates(100))
    crowd.gates.limit(7, canais=1000, cps=1)
    await until(start)
    await crowd.all(*[0.0] * 5)
    assert [at - start for _, at in crowd.entered] == pytest.approx([0, 1, 2, 3, 4])


async def test_refused_after_the_wait() -> None:
    crowd = Crowd(Gates(10))
    crowd.gates.limit(7, canais=1, cps=10)
    await crowd.all(30.0, 1.0, 1.0)
    assert crowd.refused == [(1, 10.0), (2, 10.0)]


async def test_an_unlimited_trunk_and_no_trunk() -> None:
    gates = Gates(1)
    for trunk in (None, 3):
        async with gates.place(trunk), gates.place(trunk):
            assert clock() == 0


async def test_new_limits_let_waiting_ones_in() -> None:
    crowd = Crowd(Gates(100))
    crowd.gates.limit(7, canais=1, cps=10)
    asyncio.get_running_loop().call_later(5.0, lambda: crowd.gates.limit(7, canais=2, cps=10))
    await crowd.all(50.0, 1.0)
    assert crowd.entered == [(0, 0.0), (1, 5.0)]


async def test_a_queue_sets_one_timer() -> None:
    """However many wait for the second to pass."""
    crowd = Crowd(Gates(1000))
    crowd.gates.limit(7, canais=1000, cps=1)
    waiting = asyncio.gather(*(crowd.caller(name, 0.0) for name in range(50)))
    await until(0.5)
    timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]
    assert len([timer for timer in timers if timer.when() < 2]) == 1
    await waiting
    assert len(crowd.entered) == 50


@given(
    stays=st.lists(st.floats(0, 3), min_size=1, max_size=12),
    cancels=st.lists(st.tuples(st.integers(0, 11), st.floats(0, 6)), max_size=8),
    canais=st.integers(1, 4),
    cps=st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
async def test_places_come_back(stays: list[float], cancels: list[tuple[int, float]], canais: int, cps: int) -> None:
    crowd = Crowd(Gates(3.0))
    crowd.gates.limit(7, canais=canais, cps=cps)
    tasks = [asyncio.create_task(crowd.caller(name, stay)) for name, stay in enumerate(stays)]
    for index, when in cancels:
        asyncio.get_running_loop().call_later(when, tasks[index % len(tasks)].cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert crowd.most <= canais and crowd.inside == 0
    await until(clock() + 2.0)
    for _ in range(canais):  # all places at once, each in its turn
        await asyncio.wait_for(crowd.gates.place(7).__aenter__(), 2.0)
