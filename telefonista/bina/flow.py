"""How a number is proved: it is called, and hears a code twice."""

import asyncio
from pathlib import Path

from telefonista.calling.legs import Desk, reached, while_up
from telefonista.calling.pedido import Pedido
from telefonista.calling.run import Flow

PAUSE_SECONDS = 0.3  # before each sound
FALADO = "código falado"


def speak_code(codigo: str, avisos: Path) -> Flow:
    """Ring origem and read the code to it, digit by digit, with the notices in `avisos`; there is no other side."""

    async def flow(desk: Desk, pedido: Pedido) -> str:
        async with reached(desk, pedido, pedido.origem) as leg, while_up(leg):
            await leg.limit(pedido.limite)
            digits = [f"digito_{digit}" for digit in codigo]
            for sound in ("codigo", *digits, "repito", *digits):
                await asyncio.wait({leg.gone}, timeout=PAUSE_SECONDS)
                await leg.play(avisos / f"{sound}.wav")
            return FALADO

    return flow
