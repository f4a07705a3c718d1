"""Rooms dialled on a telephone: `*6` and the room's id; the wiring hands it to the keypad."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog

from telefonista.calling.creating import limits_of
from telefonista.calling.house import House
from telefonista.conferencia.calls import Barrada, Entra, take_in
from telefonista.conferencia.flow import OUR_FAULT, Doorman
from telefonista.engine.port import EngineError, HungUp, Incoming

log = structlog.get_logger()

_NOTICE_SECONDS = 15.0


@dataclass(frozen=True)
class Door:
    """Decides about every ramal that dials a room."""

    house: House
    doorman: Doorman

    async def __call__(self, call: Incoming) -> None:
        """Start its call, or tell it why it may not come in; returns before it is answered."""
        try:
            taken = await self.house.storage.write(take_in, call, limits_of(self.house.settings))
        except BaseException:
            call.leg.hang_up(cause=OUR_FAULT)
            raise
        match taken:
            case Entra(pedido, conferencia_id, pin):
                self.house.runner.start(pedido, self.doorman.came_in(conferencia_id, call.leg, pin))
            case Barrada(causa, motivo, aviso):
                log.info("a telephone may not come into a room", endpoint=call.endpoint, reason=motivo)
                await self._turn_away(call, causa, aviso)

    async def _turn_away(self, call: Incoming, causa: int, aviso: str) -> None:
        try:
            with suppress(EngineError, TimeoutError, HungUp):
                async with asyncio.timeout(_NOTICE_SECONDS):
                    await call.leg.play(self.doorman.avisos / f"{aviso}.wav")
        finally:
            call.leg.hang_up(cause=causa)
