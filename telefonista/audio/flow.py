"""How a voice message goes: ring, play from the first syllable, take the keys that are pressed, hang up."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from telefonista.calling.legs import Desk, reached, while_up
from telefonista.calling.pedido import Pedido
from telefonista.calling.run import Flow
from telefonista.engine.port import By, HungUp, Leg

PLAYED = "mensagem tocada"

ANSWER_SECONDS = 5.0
"""How long a key is waited for after the message, and after the key before it."""

ANSWER_MOST_SECONDS = 20.0
MOST_KEYS = 40
TAIL_SECONDS = 0.3
"""Before hanging up: what telephones still hold in their buffers is heard too."""

_GONE_SECONDS = 2.0
_LONG = 1e6


def message(sound: Path, pressed: Callable[[str], None] | None) -> Flow:
    """Call origem and play `sound` to it. With `pressed` a key interrupts it, and `pressed` is told all keys so far."""

    async def flow(desk: Desk, pedido: Pedido) -> str:
        async with reached(desk, pedido, pedido.origem) as leg, AsyncExitStack() as stack:
            stack.push_async_callback(desk.recorder.let_go)
            try:
                async with while_up(leg):
                    await desk.journal.talking(leg.up.result())
                    await leg.limit(pedido.limite)
                    if pedido.gravar:
                        await desk.recorder.begin("completa", "origem", leg, leg.up.result())
                    if pressed is None:
                        await leg.play(sound)
                    else:
                        await _ask(leg, sound, pressed)
                    await asyncio.wait({leg.gone}, timeout=TAIL_SECONDS)
                await desk.recorder.let_go()
                leg.hang_up()
                # Its trunk's place is given on when it is gone, not when it is asked to go: carriers count exactly.
                await asyncio.wait({leg.gone}, timeout=_GONE_SECONDS)
            except HungUp as hangup:
                return ending_of(hangup)
            return PLAYED

    return flow


def ending_of(hangup: HungUp) -> str:
    """The outcome of a message whose leg ended before it."""
    if hangup.by is By.LIMIT:
        return "limite"
    return "falha" if hangup.by is By.ENGINE else "destino desligou"


async def _ask(leg: Leg, sound: Path, pressed: Callable[[str], None]) -> None:
    """Play until a key comes, then take keys until no more come. Raises HungUp."""
    keys = await _play_until_key(leg, sound)
    if keys:
        pressed(keys)
    await collect(leg, pressed, keys)


async def collect(leg: Leg, pressed: Callable[[str], None], keys: str = "") -> None:
    """Take keys until none comes for 5 s, for 20 s at the most. Raises HungUp."""
    loop = asyncio.get_running_loop()
    end = loop.time() + ANSWER_MOST_SECONDS
    while len(keys) < MOST_KEYS and (key := await leg.keys(min(ANSWER_SECONDS, max(0.0, end - loop.time())))):
        keys += key
        pressed(keys)


async def _play_until_key(leg: Leg, sound: Path) -> str:
    """The key that interrupted the sound; "" when it was heard to its end."""
    playing = asyncio.create_task(leg.play(sound), name="mensagem")
    listening = asyncio.create_task(leg.keys(_LONG), name="teclas")
    try:
        await asyncio.wait({playing, listening}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            return listening.result()
        playing.result()
        return ""
    finally:
        for task in (playing, listening):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
