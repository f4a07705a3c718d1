"""Who of those whose time has come is started, and when: fair, in order, within the limits of trunks and contas."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telefonista.calling.capacity import Gates
from telefonista.calling.pacing import Due, Pacer
from tests.calls import clock, until
from tests.virtual_time import VIRTUAL

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIXOS, MOVEIS = 7, 8


@pytest.fixture
def anyio_backend():
    return VIRTUAL


def due(id: int, conta_id: int = 1, *, late: float = 0, origem: int | None = None, destino: int | None = None) -> Due:
    return Due(NOON + timedelta(seconds=late), id, conta_id, origem, destino)


def taken(pacer: Pacer) -> list[int]:
    """All that may start now."""
    found = []
    while (one := pacer.take()) is not None:
        found.append(one.id)
    return found


async def test_in_order_of_time_and_id() -> None:
    pacer = Pacer(Gates(1.0), 0)
    for one in (due(3), due(9), due(1, late=1, origem=FIXOS), due(2, late=2)):
        pacer.add(one)
    assert taken(pacer) == [3, 9, 1, 2]
    assert not pacer and pacer.oldest() is None and pacer.soonest == inf


async def test_contas_take_turns() -> None:
    pacer = Pacer(Gates(1.0), 0)
    for id in range(1, 101):
        pacer.add(due(id, conta_id=1))
    for id in (201, 202):
        pacer.add(due(id, conta_id=2, late=30))
    order = taken(pacer)
    assert order[:5] == [1, 201, 2, 202, 3] and len(order) == 102


async def test_a_conta_starts_so_many_in_a_second() -> None:
    pacer = Pacer(Gates(1.0), 5)
    for id in range(1, 13):
        pacer.add(due(id))
    pacer.add(due(50, conta_id=2))
    assert taken(pacer) == [1, 50, 2, 3, 4, 5]
    assert pacer.soonest == 1.0
    await until(0.999)
    assert taken(pacer) == []
    await until(1.0)
    assert taken(pacer) == [6, 7, 8, 9, 10]
    await until(2.0)
    assert taken(pacer) == [11, 12]


async def test_a_full_trunk_holds_up_nothing_else() -> None:
    gates = Gates(1.0)
    gates.limit(FIXOS, canais=1, cps=10)
    pacer = Pacer(gates, 0)
    for one in (due(1, origem=FIXOS), due(2, origem=FIXOS), due(3), due(4, origem=MOVEIS)):
        pacer.add(one)
    assert taken(pacer) == [1, 3, 4]
    assert len(pacer) == 1 and pacer.soonest == inf, "only a place given back helps"
    heard: list[float] = []
    gates.on_room = lambda: heard.append(clock())
    pacer.release(due(1, origem=FIXOS))
    assert heard == [0.0] and taken(pacer) == [2]


async def test_both_legs_have_their_place_before_the_first_rings() -> None:
    """Else ten origens fill a trunk of ten channels, and no destino can ever be called."""
    gates = Gates(1.0)
    gates.limit(FIXOS, canais=5, cps=100)
    pacer = Pacer(gates, 0)
    for id in range(1, 5):
        pacer.add(due(id, origem=FIXOS, destino=FIXOS))
    assert taken(pacer) == [1, 2]
    async with gates.place(FIXOS, "1-a"), gates.place(FIXOS, "1-b"), gates.place(FIXOS, "2-a"):  # noqa: SIM117
        async with gates.place(FIXOS, "9-a"):  # the fifth channel is anybody's
            assert clock() == 0
            with pytest.raises(TimeoutError):
                await gates.place(FIXOS, "10-a").__aenter__()
    pacer.release(due(2, origem=FIXOS, destino=FIXOS))  # its destino was never called
    assert gates.room(FIXOS, 5) == 0


async def test_the_calls_per_second_of_a_trunk() -> None:
    gates = Gates(1.0)
    gates.limit(FIXOS, canais=100, cps=4)
    pacer = Pacer(gates, 0)
    for id in range(1, 11):
        pacer.add(due(id, origem=FIXOS))
    assert taken(pacer) == [1, 2, 3, 4]
    await until(pacer.soonest)
    assert clock() == 1.0 and taken(pacer) == [5, 6, 7, 8]


async def test_a_held_destino_waits_for_its_second_in_front_of_the_line() -> None:
    gates = Gates(5.0)
    gates.limit(MOVEIS, canais=2, cps=1)
    pacer = Pacer(gates, 0)
    pacer.add(due(1, destino=MOVEIS))
    assert taken(pacer) == [1]
    order: list[tuple[str, float]] = []

    async def caller(key: str) -> None:
        async with gates.place(MOVEIS, key):
            order.append((key, clock()))
            await until(clock() + 3)

    async with asyncio.TaskGroup() as group:
        for key in ("20-a", "21-a", "1-b"):
            group.create_task(caller(key))
            await until(clock() + 0.1)
    assert order == [("20-a", 0.0), ("1-b", 1.0), ("21-a", 3.0)]


async def test_calls_placed_now_do_not_stand_behind_thousands_due() -> None:
    gates = Gates(2.0)
    gates.limit(FIXOS, canais=10, cps=10)
    pacer = Pacer(gates, 0)
    for id in range(1, 2001):
        pacer.add(due(id, origem=FIXOS))
    assert len(taken(pacer)) == 10
    now = asyncio.ensure_future(gates.place(FIXOS, "9001-a").__aenter__())
    await until(0.5)
    pacer.release(due(1, origem=FIXOS))
    assert taken(pacer) == [], "whoever waits in the line goes first"
    await until(1.0)
    await now
    assert clock() == 1.0 and taken(pacer) == []


async def test_cancelled_ones_are_passed_over() -> None:
    pacer = Pacer(Gates(1.0), 2)
    for id in range(1, 1001):
        pacer.add(due(id))
    for id in range(1, 999):
        pacer.drop(id)
    assert len(pacer) == 2 and taken(pacer) == [999, 1000]


async def test_what_waits_too_long_is_taken_out() -> None:
    gates = Gates(1.0)
    gates.limit(FIXOS, canais=0, cps=1)
    pacer = Pacer(gates, 0)
    for id in range(1, 6):
        pacer.add(due(id, origem=FIXOS, late=id))
    pacer.add(due(3, origem=FIXOS, late=3))  # known already
    pacer.drop(1)
    assert taken(pacer) == [] and pacer.oldest() == NOON + timedelta(seconds=2)
    assert [one.id for one in pacer.overdue(NOON + timedelta(seconds=3))] == [2, 3]
    assert len(pacer) == 2 and 3 not in pacer and 4 in pacer


async def test_nothing_is_kept_of_contas_that_are_through() -> None:
    pacer = Pacer(Gates(1.0), 5)
    for id in range(1, 501):
        pacer.add(due(id, conta_id=id))
    assert len(taken(pacer)) == 500
    await until(1.5)
    assert taken(pacer) == [] and not pacer._contas and not pacer._rotation


async def test_an_unknown_trunk_and_places_held_twice() -> None:
    gates = Gates(1.0)
    gates.hold(99, "1-a", start=True)
    gates.release(99, "1-a")
    assert gates.room(99, 1000) == gates.room(None) == 0
    gates.limit(FIXOS, canais=2, cps=5)
    for _ in range(3):
        gates.hold(FIXOS, "1-a", start=True)
    assert gates.room(FIXOS) == 0 and gates.room(FIXOS, 2) == inf
    for _ in range(3):
        gates.release(FIXOS, "1-a")
    assert gates.room(FIXOS, 2) == 0


CALLS = st.lists(
    st.tuples(
        st.integers(1, 3),  # conta
        st.sampled_from([None, FIXOS, MOVEIS]),
        st.sampled_from([None, FIXOS, MOVEIS]),
        st.floats(0, 3),  # how long each leg stays
        st.booleans(),  # destino is called
    ),
    min_size=1,
    max_size=25,
)


@given(calls=CALLS, canais=st.integers(2, 4), cps=st.integers(1, 4), per_second=st.integers(0, 3))
@settings(max_examples=120, deadline=None)
async def test_every_call_is_placed_and_every_limit_kept(
    calls: list[tuple[int, int | None, int | None, float, bool]], canais: int, cps: int, per_second: int
) -> None:
    gates, room = Gates(30.0), asyncio.Event()
    for tronco in (FIXOS, MOVEIS):
        gates.limit(tronco, canais=canais, cps=cps)
    gates.on_room = room.set
    pacer = Pacer(gates, per_second)
    dues = {id: due(id, conta, origem=a, destino=b) for id, (conta, a, b, _, _) in enumerate(calls, 1)}
    for one in dues.values():
        pacer.add(one)
    busy: Counter[int | None] = Counter()
    starts: dict[tuple[str, int | None], list[float]] = {}

    async def leg(tronco: int | None, key: str, stay: float) -> None:
        async with gates.place(tronco, key):
            starts.setdefault(("tronco", tronco), []).append(clock())
            busy[tronco] += 1
            assert tronco is None or busy[tronco] <= canais
            await until(clock() + stay)
            busy[tronco] -= 1

    async def call(one: Due) -> None:
        _, a, b, stay, goes_on = calls[one.id - 1]
        async with asyncio.TaskGroup() as legs:
            legs.create_task(leg(a, f"{one.id}-a", stay + 1))
            await until(clock() + 0.5)
            if goes_on:
                legs.create_task(leg(b, f"{one.id}-b", stay))
        pacer.release(one)

    async with asyncio.TaskGroup() as group:
        while pacer:
            room.clear()
            while (one := pacer.take()) is not None:
                starts.setdefault(("conta", one.conta_id), []).append(clock())
                group.create_task(call(one))
            if pacer:
                assert clock() < 600, "stuck"
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(pacer.soonest, clock() + 600)):
                        await room.wait()
    for (kind, of), times in starts.items():
        most = cps if kind == "tronco" else per_second
        if most and of is not None:
            assert all(later - earlier >= 1 - 1e-9 for earlier, later in zip(times, times[most:], strict=False))
    assert sum(len(times) for (kind, _), times in starts.items() if kind == "conta") == len(calls)
    assert not any(busy.values())
    await until(clock() + 2)
    for tronco in (FIXOS, MOVEIS):
        assert gates.room(tronco, canais) == 0, "every place came back"
