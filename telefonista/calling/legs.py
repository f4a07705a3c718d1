"""The vocabulary of a call: who is up, who hung up, and how one of several telephones is reached."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from telefonista.calling.capacity import Gates
from telefonista.calling.journal import Journal
from telefonista.calling.live import Live
from telefonista.calling.measures import Stopwatch
from telefonista.calling.pedido import Pedido, PernaPedido
from telefonista.calling.recorder import Recorder
from telefonista.engine.port import Bridge, CallerId, Destination, Engine, HungUp, Leg

NOBODY_THERE = 20  # Q.850: absent subscriber
NO_PLACE = 42  # Q.850: switching equipment congestion
ELSEWHERE = 26  # Q.850 as the engine uses it: answered elsewhere


class while_up:  # noqa: N801 - reads like asyncio.timeout
    """Like asyncio.timeout(), but the clock is the other phone: leave with HungUp when one of the legs hangs up.

    A cancel from outside in the same tick is kept (a TaskGroup loses it before Python 3.13, cpython gh-116720).
    Of several around each other the outermost one whose leg is gone raises.
    """

    def __init__(self, *legs: Leg) -> None:
        self._legs = legs
        self._ended: HungUp | None = None
        self._inside = True

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        for leg in self._legs:
            leg.gone.add_done_callback(self._interrupt)
        return self

    def _interrupt(self, gone: "asyncio.Future[HungUp]") -> None:
        if self._inside and self._ended is None:
            self._ended = gone.result()
            self._task.cancel()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._inside = False  # a hang-up of this very tick has its callback on the way already
        for leg in self._legs:
            leg.gone.remove_done_callback(self._interrupt)
        if self._ended and self._task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise self._ended from None


class NotReached(Exception):
    """Nobody could be called at all: no telephone registered, or no place in the trunk."""

    def __init__(self, cause: int, why: str) -> None:
        super().__init__(why)
        self.cause, self.why = cause, why


@dataclass(frozen=True)
class Desk:
    """What a flow works with."""

    engine: Engine
    gates: Gates
    journal: Journal
    live: Live
    recorder: Recorder


@asynccontextmanager
async def reached(desk: Desk, pedido: Pedido, perna: PernaPedido, *, heard_by: Leg | None = None) -> AsyncIterator[Leg]:
    """Ring every device of a perna at once and yield the leg that answers first.

    `heard_by` hears it ringing: a single device with its own early media, several with our ringing tone. Raises
    HungUp with the truth when nobody answers or `heard_by` leaves first, NotReached when nobody could be called.
    """
    destinations = perna.rota.destinations(desk.engine)
    if not destinations:
        desk.journal.not_reached(perna, NOBODY_THERE)
        raise NotReached(NOBODY_THERE, "no telephone is registered")
    async with AsyncExitStack() as stack:
        async with while_up(*([heard_by] if heard_by else [])), AsyncExitStack() as waiting:
            try:
                await stack.enter_async_context(desk.gates.place(perna.rota.tronco_id, perna.leg_id()))
            except TimeoutError:
                desk.journal.not_reached(perna, NO_PLACE)
                raise NotReached(NO_PLACE, "the trunk is full") from None
            await desk.journal.dialling(perna)
            bridge = None
            if heard_by is not None and len(destinations) == 1:
                bridge = await stack.enter_async_context(desk.engine.bridge(heard_by, id=pedido.ponte))
            elif heard_by is not None:
                await waiting.enter_async_context(heard_by.hearing_ringback())
            stopwatch = Stopwatch(perna.letra)
            legs, failures = await _dial_all(desk, pedido, perna, destinations, bridge, stack, stopwatch)
            leg = await _first_to_answer(desk, perna, legs, failures)
            stopwatch.answered()
        yield leg


async def _dial_all(
    desk: Desk,
    pedido: Pedido,
    perna: PernaPedido,
    destinations: Sequence[Destination],
    bridge: Bridge | None,
    stack: AsyncExitStack,
    stopwatch: Stopwatch,
) -> tuple[list[Leg], list[HungUp]]:
    """Call every device; those that fail at once are told apart."""
    legs: list[Leg] = []
    failures: list[HungUp] = []
    for index, to in enumerate(destinations):
        dialled = desk.engine.dial(
            to,
            id=perna.leg_id(index),
            bina=CallerId(perna.bina, perna.nome),
            ring_seconds=pedido.toque,
            limit_seconds=pedido.rede_de_seguranca,
            heard_in=bridge,
            labels={"call": str(pedido.id), "leg": perna.letra},
        )
        try:
            leg = await stack.enter_async_context(dialled)
        except HungUp as hangup:
            failures.append(hangup)
        else:
            leg.ringing.add_done_callback(_report(desk.journal, perna, stopwatch))
            legs.append(leg)
    return legs, failures


def _report(journal: Journal, perna: PernaPedido, stopwatch: Stopwatch) -> Callable[["asyncio.Future[datetime]"], None]:
    def report(ringing: "asyncio.Future[datetime]") -> None:
        if not ringing.cancelled():
            stopwatch.ringing()
            journal.ringing(perna, ringing.result())

    return report


async def _first_to_answer(desk: Desk, perna: PernaPedido, legs: list[Leg], failures: list[HungUp]) -> Leg:
    """Wait for the first answer; the others are told that it was answered elsewhere."""
    open_legs = list(legs)
    while open_legs:
        await asyncio.wait(
            {future for leg in open_legs for future in (leg.up, leg.gone)}, return_when=asyncio.FIRST_COMPLETED
        )
        for leg in open_legs:
            if leg.up.done():
                for other in legs:
                    if other is not leg:
                        other.hang_up(cause=ELSEWHERE)
                desk.journal.answered(perna, leg)
                return leg
        failures += [leg.gone.result() for leg in open_legs if leg.gone.done()]
        open_legs = [leg for leg in open_legs if not leg.gone.done()]
    failure = min(failures, key=_telling)
    desk.journal.ended(perna, failure)
    raise failure


def _telling(failure: HungUp) -> int:
    """Of several devices that did not answer, the one that says most: a refusal before silence before a fault."""
    if failure.cause in (17, 21):
        return 0
    return 1 if failure.cause in (18, 19) else 2
