"""while_up: the hang-up is an exception inside it and nowhere else, and never swallows a cancel from outside."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from typing import Any, cast

import pytest

from telefonista.calling.legs import while_up
from telefonista.engine.port import By, HungUp, Leg
from tests.virtual_time import VIRTUAL

TICKS = 6


@pytest.fixture
def anyio_backend():
    return VIRTUAL


class Line:
    """A leg as far as while_up looks."""

    def __init__(self) -> None:
        self.id = "x"
        self.gone: asyncio.Future[HungUp] = asyncio.get_running_loop().create_future()

    def hang_up(self) -> None:
        self.gone.set_result(HungUp(cast(Leg, self), 16, None, By.FAR, datetime.now(UTC)))


def lines(*some: Line) -> list[Leg]:
    return [cast(Leg, line) for line in some]


def after(ticks: int, act: Callable[[], Any]) -> None:
    """Do something some turns of the loop from now."""
    loop = asyncio.get_running_loop()
    if ticks == 0:
        act()
    else:
        loop.call_soon(after, ticks - 1, act)


async def turns(number: int) -> None:
    """Stay for some turns of the loop, giving every one of them the chance to cancel us."""
    for _ in range(number):
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda turn=turn: turn.done() or turn.set_result(None))
        await turn


async def trial(*, hang_up_at: int, cancel_at: int | None, leave_at: int | None) -> tuple[str, bool]:
    """How the body of a while_up and then its task ended, with things happening at these turns of the loop."""
    line = Line()
    ending = "running"
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal ending
        try:
            async with while_up(*lines(line)):
                await enough.wait()
            ending = "left"
        except HungUp:
            ending = "hung up"
        await turns(2 * TICKS)

    task = asyncio.create_task(work())
    after(hang_up_at, line.hang_up)
    if cancel_at is not None:
        after(cancel_at, task.cancel)
    if leave_at is not None:
        after(leave_at, enough.set)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return ending, task.cancelled()


@pytest.mark.parametrize("offset", range(-TICKS // 2, TICKS // 2 + 1))
async def test_a_cancel_beside_a_hang_up_is_never_lost(offset: int) -> None:
    """Offsets of the cancel against the hang-up, in turns of the loop; 0 is the same turn."""
    for hang_up_at in range(3, 3 + TICKS):
        _, cancelled = await trial(hang_up_at=hang_up_at, cancel_at=hang_up_at + offset, leave_at=None)
        assert cancelled


async def test_a_cancel_after_the_hang_up_in_the_same_turn_is_kept() -> None:
    line = Line()
    seen: list[str] = []

    async def work() -> None:
        try:
            async with while_up(*lines(line)):
                await asyncio.Event().wait()
        except HungUp:
            seen.append("hung up")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    for first, second in product(("hang up", "cancel"), repeat=2):
        if first == second:
            continue
        line, task = Line(), asyncio.create_task(work())
        await turns(2)
        for act in (first, second):
            line.hang_up() if act == "hang up" else task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
    assert seen == ["cancelled", "cancelled"]


@pytest.mark.parametrize("hang_up_at", range(1, 1 + TICKS))
@pytest.mark.parametrize("leave_at", range(1, 1 + TICKS))
async def test_a_hang_up_at_the_door_stays_inside(hang_up_at: int, leave_at: int) -> None:
    ending, cancelled = await trial(hang_up_at=hang_up_at, cancel_at=None, leave_at=leave_at)
    assert not cancelled
    assert ending == ("left" if leave_at < hang_up_at else "hung up") or abs(leave_at - hang_up_at) <= 1


async def test_every_collision_of_three() -> None:
    for hang_up_at, cancel_at, leave_at in product(range(1, 1 + TICKS), repeat=3):
        _, cancelled = await trial(hang_up_at=hang_up_at, cancel_at=cancel_at, leave_at=leave_at)
        assert cancelled, (hang_up_at, cancel_at, leave_at)


async def test_a_leg_that_is_gone_already() -> None:
    line = Line()
    line.hang_up()
    with pytest.raises(HungUp):
        async with while_up(*lines(line)):
            await asyncio.Event().wait()


async def test_the_first_of_several_is_named() -> None:
    a, b = Line(), Line()
    after(3, b.hang_up)
    after(4, a.hang_up)
    with pytest.raises(HungUp) as caught:
        async with while_up(*lines(a, b)):
            await asyncio.Event().wait()
    assert cast(Any, caught.value.leg) is b


async def test_the_outermost_raises_for_a_leg_both_watch() -> None:
    a, b = Line(), Line()
    after(3, a.hang_up)
    inner = "nothing"
    with pytest.raises(HungUp):
        async with while_up(*lines(a)):
            try:
                async with while_up(*lines(a, b)):
                    await asyncio.Event().wait()
            except HungUp:
                inner = "hung up"
    assert inner == "nothing"
    assert asyncio.current_task().cancelling() == 0


async def test_an_error_of_the_body_goes_through() -> None:
    line = Line()
    with pytest.raises(KeyError):
        async with while_up(*lines(line)):
            line.hang_up()
            raise KeyError
    await turns(TICKS)


async def test_a_timeout_inside_and_a_hang_up_at_once() -> None:
    line = Line()
    asyncio.get_running_loop().call_later(1.0, line.hang_up)
    with pytest.raises((HungUp, TimeoutError)):
        async with while_up(*lines(line)), asyncio.timeout(1.0):
            await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0
    await turns(TICKS)
