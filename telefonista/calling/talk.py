"""The conversation: two legs joined until one leaves. The only stage of a call that recovery re-enters."""

import asyncio
from contextlib import AsyncExitStack

from telefonista.calling.legs import Desk, while_up
from telefonista.calling.pedido import Pedido
from telefonista.engine.port import By, HungUp, Leg

BLOCK_SECONDS = 60  # how much more talk is paid for at a time
NOTICE_SECONDS = 15  # how long before the paid time ends the next block is asked for


async def talk(desk: Desk, pedido: Pedido, a: Leg, b: Leg, *, talked: float | None = None) -> str:
    """Join `a` and `b` and stay until one hangs up or the limit comes; says which ("falha": the engine lost one).

    Everything it needs comes in as arguments. `talked`: taken up again after a restart of ours, so many seconds into
    the conversation; its recording and its limit are in the engine's hands already.
    """
    try:
        async with while_up(a, b), AsyncExitStack() as stack:
            await stack.enter_async_context(desk.engine.bridge(a, b, id=pedido.ponte))
            if talked is None:
                if pedido.gravar:
                    await stack.enter_async_context(desk.engine.record(b, pedido.gravacao))
                await desk.journal.talking(pedido, b.up.result())
                await a.limit(pedido.limite)
            await _stay(desk, pedido, a, talked or 0.0)
    except HungUp as hangup:
        if hangup.by is By.LIMIT:
            return "limite"
        if hangup.by is By.ENGINE:
            return "falha"
        return "origem desligou" if hangup.leg is a else "destino desligou"
    raise AssertionError("a conversation ends only by a hang-up")


async def _stay(desk: Desk, pedido: Pedido, a: Leg, talked: float) -> None:
    """Wait for the end with the time ahead always paid for; where the saldo no longer reaches, the engine ends it."""
    loop = asyncio.get_running_loop()
    start = loop.time() - talked
    paid = int(talked)
    while paid < pedido.limite:
        if not await desk.journal.pay_until(min(paid + BLOCK_SECONDS, pedido.limite)):
            await a.limit(max(1, round(start + paid - loop.time())))
            break
        paid += BLOCK_SECONDS
        await _until(start + paid - NOTICE_SECONDS)
    await asyncio.Event().wait()


async def _until(when: float) -> None:
    """Wait for an instant of the loop's clock."""
    try:
        async with asyncio.timeout_at(when):
            await asyncio.Event().wait()
    except TimeoutError:
        return
