"""The loop of the flow tests: jumps, keeps the order, and says when nothing can happen any more."""

import asyncio

import pytest

from tests.calls import clock, until
from tests.virtual_time import VIRTUAL, Deadlock, VirtualTimeLoop


@pytest.fixture
def anyio_backend():
    return VIRTUAL


async def test_hours_cost_nothing() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4 * 3600):
            await asyncio.Event().wait()
    assert clock() == 4 * 3600


async def test_timers_keep_their_order() -> None:
    order: list[str] = []
    loop = asyncio.get_running_loop()
    for name, when in (("c", 2.0), ("a", 1.0), ("b", 1.0), ("d", 2.0)):
        loop.call_at(when, order.append, name)
    await until(3.0)
    assert order == ["a", "b", "c", "d"]


def test_a_wait_for_nothing_is_named() -> None:
    async def stuck() -> None:
        await asyncio.create_task(asyncio.Event().wait(), name="hopeless")

    with pytest.raises(Deadlock, match="hopeless"), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(stuck())
