"""Calls dialled on a telephone of ours: who may call what, and how such a call goes; the wiring hands it to the engine.

`engine.on_incoming(Keypad(house, sounds))`
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from telefonista.calling.house import House
from telefonista.calling.legs import Desk, NotReached, reached, while_up
from telefonista.calling.pedido import Pedido
from telefonista.calling.run import Flow
from telefonista.calling.talk import conversation
from telefonista.chamada.keypad_rows import Aceita, Desconhecida, Recusada, take_call
from telefonista.chamada.queries import limits_of
from telefonista.engine.port import EngineError, HungUp, Incoming, Leg

log = structlog.get_logger()

NOBODY = 1  # Q.850: unallocated number
REFUSED = 21
NO_PLACE = 34
OUR_FAULT = 38

_NOTICE_SECONDS = 15.0


@dataclass(frozen=True)
class Keypad:
    """Decides about every leg that comes in. `sounds` holds the folder `avisos` with the spoken notices."""

    house: House
    sounds: Path
    services: Mapping[str, Callable[[Incoming], Awaitable[None]]] = field(default_factory=dict)
    """Who decides instead about what is dialled with these first keys, as `*6`."""

    async def __call__(self, call: Incoming) -> None:
        """Refuse, or write the chamada and start its flow; returns before anything rings."""
        if call.door != "ramal":
            call.leg.hang_up(cause=NOBODY)  # no number of ours is reached from outside
            return
        if self.house.runner.draining:
            call.leg.hang_up(cause=NO_PLACE)
            return
        for keys, service in self.services.items():
            if call.dialled.startswith(keys):
                await service(call)
                return
        limits = limits_of(self.house.settings)
        try:
            taken = await self.house.storage.write(take_call, call, limits)
        except BaseException:
            call.leg.hang_up(cause=OUR_FAULT)
            raise
        match taken:
            case Aceita(pedido):
                self.house.runner.start(pedido, keypad_call(call.leg))
            case Recusada(pedido, aviso):
                self.house.runner.start(pedido, refused_call(call.leg, self._notice(aviso)))
            case Desconhecida(causa, motivo, aviso):
                log.info("a telephone dialled what cannot be called", endpoint=call.endpoint, reason=motivo)
                await _turn_away(call.leg, causa, self._notice(aviso) if aviso else None)

    def _notice(self, name: str) -> Path:
        return self.sounds / "avisos" / f"{name}.wav"


def keypad_call(leg: Leg) -> Flow:
    """The telephone that dialled waits, and hears destino ringing; when destino answers it is answered too."""

    async def flow(desk: Desk, pedido: Pedido) -> str:
        async with _came_in(desk, pedido, leg), AsyncExitStack() as destino:
            async with while_up(leg):
                await leg.limit(pedido.rede_de_seguranca)
                b = await destino.enter_async_context(reached(desk, pedido, pedido.destino, heard_by=leg))
                await _answer(desk, pedido, leg)
            return await conversation(desk, pedido, leg, b)

    return flow


def refused_call(leg: Leg, notice: Path) -> Flow:
    """The telephone hears why it may not call, and is let go with cause 21."""

    async def flow(desk: Desk, pedido: Pedido) -> str:
        async with _came_in(desk, pedido, leg):
            desk.journal.not_reached(pedido.destino, REFUSED)
            await _turn_away(leg, REFUSED, notice)
            return "recusada"

    return flow


@asynccontextmanager
async def _came_in(desk: Desk, pedido: Pedido, leg: Leg) -> AsyncIterator[None]:
    """The incoming leg as origem of a chamada: what happens to it is written down, and leaving lets it go with the
    cause for which destino was not reached."""
    desk.journal.watch(pedido.origem.letra, leg)
    cause = 16
    try:
        yield
    except HungUp as hangup:
        cause = hangup.cause
        raise
    except NotReached as reason:
        cause = reason.cause
        raise
    except EngineError:
        cause = OUR_FAULT
        raise
    finally:
        leg.hang_up(cause=cause)


async def _answer(desk: Desk, pedido: Pedido, leg: Leg) -> None:
    try:
        await leg.answer()
    finally:
        if leg.up.done():
            desk.journal.answered(pedido.origem, leg)


async def _turn_away(leg: Leg, cause: int, notice: Path | None) -> None:
    """Say why, before any answer, and hang up. A notice that cannot be played, or heard to its end, is left out."""
    try:
        if notice is not None:
            with suppress(EngineError, TimeoutError, HungUp):
                async with asyncio.timeout(_NOTICE_SECONDS):
                    await leg.play(notice)
    finally:
        leg.hang_up(cause=cause)
