"""How a number is proved: it is called, and hears a code twice."""

import asyncio
from pathlib import Path

from telefonista.calling.legs import Desk, reached, while_up
from telefonista.calling.pedido import Pedido
from telefonista.calling.run import Flow

PAUSE_SECONDS = 0.3  # between two digits
FALADO = "código falado"


def speak_code(codigo: str, avisos: Path) -> Flow:
    """Ring origem and read the code to it, digit by digit, with the notices in `avisos`; there is no other side."""

    async def flow(desk: Desk, pedido: Pedido) -> str:
        async with reached(desk, pedido, pedido.origem) as leg, while_up(leg):
            await leg.limit(pedido.limite)
            for opening in ("codigo", "repito"):
                await leg.play(avisos / f"{opening}.wav")
                for digit in codigo:
                    await asyncio.wait({leg.gone}, timeout=PAUSE_SECONDS)
                    await leg.play(avisos / f"digito_{digit}.wav")
            return FALADO

    return flow
