"""The conversation: two legs joined until one leaves, through every transfer. Only this is re-entered by recovery."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TypeVar

from telefonista.calling.legs import Desk, NotReached, reached, while_up
from telefonista.calling.live import HandOver, Transfer, Wish
from telefonista.calling.pedido import Pedido
from telefonista.engine.port import By, HungUp, Leg

T = TypeVar("T")

BLOCK_SECONDS = 60  # how much more talk is paid for at a time
NOTICE_SECONDS = 15  # how long before the paid time ends the next block is asked for
BUSY_SECONDS = 2.0  # how long the busy tone tells that a transfer came to nothing


async def conversation(desk: Desk, pedido: Pedido, a: Leg, b: Leg, *, talked: float | None = None) -> str:
    """Join the parties, and follow every transfer, until one hangs up; says who, or "limite", or "falha".

    `talked`: taken up again after a restart of ours, so many seconds into the conversation; its recordings and its
    limit are in the engine's hands already.
    """
    began = asyncio.get_running_loop().time() - (talked or 0.0)
    try:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(desk.recorder.let_go)
            async with while_up(a, b):
                await stack.enter_async_context(desk.engine.bridge(a, b, id=pedido.ponte))
                if talked is None:
                    await desk.journal.talking(b.up.result())
                    if pedido.gravar:
                        await desk.recorder.begin("completa", "destino", b, b.up.result())
                    await a.limit(pedido.limite)
            while True:
                wish = await talk(desk, pedido, a, b, began=began)
                if isinstance(wish, HandOver):
                    return _handed_over(desk, wish, a if wish.papel == "origem" else b)
                a, b = await _transferred(desk, pedido, wish, a, b, stack, began)
    except HungUp as hangup:
        if hangup.by is By.LIMIT:
            return "limite"
        if hangup.by is By.ENGINE:
            return "falha"
        return "origem desligou" if hangup.leg is a else "destino desligou"
    except _NobodyCame:
        return "transferência sem resposta"


class _NobodyCame(Exception):
    """A transfer reached nobody; the party that stayed has been told."""


async def talk(desk: Desk, pedido: Pedido, a: Leg, b: Leg, *, began: float) -> Wish:
    """Stay in the conversation until something is asked of it. Raises HungUp when a party leaves."""
    async with while_up(a, b), desk.engine.bridge(a, b, id=pedido.ponte):
        with desk.live.talking(a, b) as wish:
            return await stay(desk, pedido, a, wish, began)


async def stay(desk: Desk, pedido: Pedido, a: Leg, wish: "asyncio.Future[T]", began: float) -> T:
    """Wait for a wish with the time ahead always paid for; where the saldo no longer reaches, the engine ends it.

    `began`: since when there is talk, by the loop's clock. The caller sees to it that a leg's end ends the wait.
    """
    loop = asyncio.get_running_loop()
    paid = int(loop.time() - began)
    while paid < pedido.limite and not wish.done():
        if not await desk.journal.pay_until(min(paid + BLOCK_SECONDS, pedido.limite)):
            await a.limit(max(1, round(began + paid - loop.time())))
            break
        paid += BLOCK_SECONDS
        await asyncio.wait({wish}, timeout=max(0.0, began + paid - NOTICE_SECONDS - loop.time()))
    return await wish


async def _transferred(
    desk: Desk, pedido: Pedido, wish: Transfer, a: Leg, b: Leg, stack: AsyncExitStack, began: float
) -> tuple[Leg, Leg]:
    """Release one party and ring another, heard by the one that stays."""
    leaving, staying = (a, b) if wish.sai == "origem" else (b, a)
    async with while_up(staying):
        await desk.journal.transferring(wish.sai, wish.perna)
        await desk.recorder.move(wish.sai, staying)
        await staying.limit(max(1, round(began + pedido.limite - asyncio.get_running_loop().time())))
    new = None
    try:
        if wish.by_key:
            await (await stack.enter_async_context(desk.engine.bridge(id=pedido.ponte))).remove(leaving)
        else:
            leaving.hang_up()
        new = await _newcomer(desk, pedido, wish, staying, stack)
    finally:
        if wish.by_key:
            await leaving.referred(done=new is not None)
            leaving.hang_up()
    async with while_up(new, staying):
        desk.live.lado = wish.sai
        await desk.recorder.follow(wish.sai, new)
        await desk.journal.talking(datetime.now(UTC))
    return (new, staying) if wish.sai == "origem" else (staying, new)


async def _newcomer(desk: Desk, pedido: Pedido, wish: Transfer, staying: Leg, stack: AsyncExitStack) -> Leg:
    """Who takes the place: handed over by another call, or called while `staying` hears it ringing."""
    if wish.leg is not None:
        stack.callback(wish.leg.hang_up)
        desk.journal.took_over(wish.perna, wish.leg)
        await stack.enter_async_context(desk.engine.bridge(staying, wish.leg, id=pedido.ponte))
        return wish.leg
    try:
        return await stack.enter_async_context(reached(desk, pedido, wish.perna, heard_by=staying))
    except (HungUp, NotReached):
        if staying.gone.done():
            raise staying.gone.result() from None
        await staying.hear_busy(BUSY_SECONDS)
        raise _NobodyCame from None


def _handed_over(desk: Desk, wish: HandOver, leg: Leg) -> str:
    """This call is over; the party goes on in another."""
    leg.hand_over()
    desk.journal.gave_away(leg)
    wish.taken.set_result(leg)
    return "transferida"
