"""How a call into a room goes: called or come in, let in, there until it leaves; the same after a restart of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from telefonista.calling.legs import Desk, reached, while_up
from telefonista.calling.pedido import Pedido
from telefonista.calling.recorder import Take
from telefonista.calling.run import Flow
from telefonista.calling.talk import stay
from telefonista.conferencia import queries
from telefonista.conferencia.rooms import Rooms
from telefonista.engine.port import By, EngineError, HungUp, Leg
from telefonista.storage.session import Storage

LET_IN_ATTEMPTS = 3
KEY_SECONDS = 8.0  # how long each key of a PIN may take, from the end of the question
AFTER_MESSAGE_SECONDS = 5.0  # how long keys are still taken after the message
REFUSED = 21  # Q.850
OUR_FAULT = 38


@dataclass(frozen=True)
class Message:
    """What the first one called hears before it comes in. `keys`: it may answer by keys, which end the message."""

    sound: Path
    keys: bool


@dataclass(frozen=True)
class Doorman:
    """Makes the flows of one house. `avisos` holds the spoken notices."""

    rooms: Rooms
    storage: Storage
    avisos: Path

    def called(self, conferencia_id: int, message: Message | None = None) -> Flow:
        """Ring the number; when it answers it hears the message, if there is one, and is in the room."""

        async def flow(desk: Desk, pedido: Pedido) -> str:
            async with reached(desk, pedido, pedido.origem) as leg, AsyncExitStack() as stack:
                if message is not None:
                    async with while_up(leg):
                        await stack.enter_async_context(self._heard(conferencia_id, leg, message))
                return await self._inside(desk, pedido, conferencia_id, leg)

        return flow

    def came_in(self, conferencia_id: int, leg: Leg, pin: str | None) -> Flow:
        """A telephone dialled the room: it is answered, asked for the PIN, and let in."""

        async def flow(desk: Desk, pedido: Pedido) -> str:
            desk.journal.watch(pedido.origem.letra, leg)
            cause = 16
            try:
                async with while_up(leg):
                    await leg.limit(pedido.rede_de_seguranca)
                    await leg.answer()
                    desk.journal.answered(pedido.origem, leg)
                    if pin is not None and not await self._knows(leg, pin):
                        cause = REFUSED
                        return "pin incorreto"
                return await self._inside(desk, pedido, conferencia_id, leg)
            except EngineError:
                cause = OUR_FAULT
                raise
            finally:
                leg.hang_up(cause=cause)

        return flow

    def resumed(self, conferencia_id: int, leg: Leg, talked: float, take: "tuple[Take, bool] | None") -> Flow:
        """A call that the engine carried on while we were away. `take`: its recording, and whether it runs."""

        async def flow(desk: Desk, pedido: Pedido) -> str:
            try:
                if take is not None:
                    await desk.recorder.adopt(take[0], leg if take[1] else None)
                return await self._inside(desk, pedido, conferencia_id, leg, talked=talked)
            finally:
                leg.hang_up()

        return flow

    async def _inside(
        self, desk: Desk, pedido: Pedido, conferencia_id: int, leg: Leg, *, talked: float | None = None
    ) -> str:
        """In the room until it hangs up, its money or its time is over, or it is sent away."""
        began = asyncio.get_running_loop().time() - (talked or 0.0)
        staying: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            async with AsyncExitStack() as stack:
                stack.push_async_callback(desk.recorder.let_go)
                async with while_up(leg):
                    if talked is None:
                        now = datetime.now(UTC)
                        await desk.journal.talking(now)
                        if pedido.gravar:
                            await desk.recorder.begin("completa", "origem", leg, now)
                        await leg.limit(pedido.limite)
                    muted = partial(self.storage.read, queries.is_mudo, pedido.id)
                    inside = self.rooms.inside(conferencia_id, pedido.id, leg, muted=muted, quiet=talked is not None)
                    await stack.enter_async_context(inside)
                    return await stay(desk, pedido, leg, staying, began)
        except HungUp as hangup:
            if hangup.by is By.LIMIT:
                return "limite"
            return "falha" if hangup.by is By.ENGINE else "saiu"

    async def _knows(self, leg: Leg, pin: str) -> bool:
        """Ask for the PIN; a wrong one is asked for again, and told when it was the last time."""
        for _ in range(LET_IN_ATTEMPTS):
            typed = await _answer_by_keys(leg, self.avisos / "conferencia_pin.wav", len(pin))
            if typed == pin:
                return True
        with suppress(EngineError):
            await leg.play(self.avisos / "conferencia_pin_incorreto.wav")
        return False

    @asynccontextmanager
    async def _heard(self, conferencia_id: int, leg: Leg, message: Message) -> AsyncIterator[None]:
        """The message is heard to its end, or to the first key; keys are then still taken for some seconds."""
        if not message.keys:
            await leg.play(message.sound)
            yield
            return
        keys = [key] if (key := await _first_key(leg, message.sound)) else []
        collecting = asyncio.create_task(self._collect(conferencia_id, leg, keys), name=f"teclas-{leg.id}")
        try:
            yield
        finally:
            collecting.cancel()
            await asyncio.wait({collecting})

    async def _collect(self, conferencia_id: int, leg: Leg, keys: list[str]) -> None:
        until = asyncio.get_running_loop().time() + AFTER_MESSAGE_SECONDS
        with suppress(HungUp):
            while True:
                if keys:
                    await self.storage.write(queries.set_resposta, conferencia_id, "".join(keys))
                left = until - asyncio.get_running_loop().time()
                if left <= 0 or not (key := await leg.keys(left)):
                    return
                keys.append(key)


async def _answer_by_keys(leg: Leg, question: Path, length: int) -> str:
    """The keys typed after a question, or during it, up to `#` or `length`, none later than the other by 8 s."""
    typed = await _first_key(leg, question) or await leg.keys(KEY_SECONDS)
    while typed and not typed.endswith("#") and len(typed) < length:
        key = await leg.keys(KEY_SECONDS)
        if not key:
            break
        typed += key
    return typed.rstrip("#")


async def _first_key(leg: Leg, sound: Path) -> str:
    """Play until a key is pressed; "" when it was heard to its end. A sound that can not be played counts as heard."""
    playing = asyncio.create_task(leg.play(sound), name=f"pergunta-{leg.id}")
    pressed = asyncio.create_task(leg.keys(3600.0), name=f"tecla-{leg.id}")
    tasks: set[asyncio.Task[Any]] = {playing, pressed}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return pressed.result() if pressed.done() and not pressed.cancelled() else ""
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if not playing.cancelled():
            playing.exception()
