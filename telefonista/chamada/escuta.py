"""Listening in on a chamada under way: POST (and GET) /chamada/{id}/escuta, and how the listener's leg goes."""

import asyncio
from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, House, key_of
from telefonista.calling.idempotency import Chave, once
from telefonista.calling.legs import Desk, NotReached, reached, while_up
from telefonista.calling.live import Listener
from telefonista.calling.pedido import Pedido, PernaPedido
from telefonista.chamada.guests import Guest, add_listener
from telefonista.chamada.objeto import ChamadaCriada
from telefonista.chamada.queries import limits_of
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import inativa
from telefonista.dialect.idempotency import DOCUMENTED
from telefonista.dialect.models import Corpo, IdCaminho, Inteiro, Telefone
from telefonista.engine.port import EngineError, HungUp, Leg
from telefonista.storage.tables import Conta

router = APIRouter(tags=["chamada"])

_CRIADA = "escuta criada com sucesso"

OUVIR, SUSSURRAR, CONFERENCIA = 1, 2, 3


class NovaEscuta(Corpo):
    """Liga para `numero` e o põe na chamada em curso."""

    numero: Annotated[Telefone, Field(description="Quem vai escutar: ramal, DDD + número ou E.164.")]
    modo: Annotated[
        Inteiro,
        Field(ge=1, le=3, description="1 = ouve os dois; 2 = sussurra só para a origem; 3 = todos se ouvem."),
    ]


@router.post(
    "/chamada/{id}/escuta",
    summary="Escutar chamada",
    responses=documented(ChamadaCriada),
    openapi_extra=DOCUMENTED,
)
async def listen(id: IdCaminho, corpo: NovaEscuta, request: Request, casa: Casa, conta: ContaAtual) -> Response:
    return await _listen(casa, conta, id, corpo, key_of(request, conta))


@router.get("/chamada/{id}/escuta", summary="Escutar chamada (forma antiga)", responses=documented(ChamadaCriada))
async def listen_by_get(
    id: IdCaminho, consulta: Annotated[NovaEscuta, Query()], casa: Casa, conta: ContaAtual
) -> Response:
    return await _listen(casa, conta, id, consulta, None)


async def _listen(casa: House, conta: Conta, id: int, corpo: NovaEscuta, chave: Chave | None) -> Response:
    """Who listens already gets the new mode on the leg it has; anybody else is called."""
    guest, limits, now = Guest(id, corpo.numero, "escuta"), limits_of(casa.settings), datetime.now(UTC)

    def add(session: Session) -> PernaPedido | None:
        return once(session, chave, now, lambda: add_listener(session, conta.id, guest, limits, now), {"id": id})

    perna = await casa.storage.write(add)
    if perna is None:
        return ok({"id": id}, _CRIADA)
    desk = casa.runner.desk(id)
    if desk is None or desk.live.parties is None:
        raise inativa()  # it ended this very moment; its ending settles the leg
    listener = desk.live.listeners.get(perna.letra)
    if listener is not None:
        listener.change(corpo.modo)
    else:
        listener = desk.live.listeners[perna.letra] = Listener(corpo.modo)
        desk.live.attend(listen_in(desk, perna, listener), name=f"chamada-{id}-{perna.letra}")
    return ok({"id": id}, _CRIADA)


async def listen_in(desk: Desk, perna: PernaPedido, listener: Listener) -> None:
    """Ring the listener and let it hear the call as its mode says, until it hangs up or the call ends."""
    pedido = desk.live.pedido
    try:
        async with reached(desk, pedido, perna) as leg, while_up(leg):
            for turn in count():
                await desk.live.joined()
                await _hear(desk, pedido, leg, listener, id=f"{perna.leg_id()}-{turn}")
    except (HungUp, NotReached, EngineError):
        return  # the journal has it; the call goes on without the listener
    finally:
        del desk.live.listeners[perna.letra]


async def _hear(desk: Desk, pedido: Pedido, leg: Leg, listener: Listener, *, id: str) -> None:
    """One stretch of listening: until the mode is changed, or origem's place is taken by another leg."""
    origem = desk.live.leg_of("origem")
    changed = listener.changed()
    if listener.modo == CONFERENCIA:
        async with desk.engine.bridge(id=pedido.ponte) as room:
            await room.add(leg)
            try:
                await changed
            finally:
                await room.remove(leg)
    else:
        async with desk.engine.spy(origem, to=leg, id=id, whisper=listener.modo == SUSSURRAR):
            until: set[asyncio.Future[Any]] = {changed, origem.gone}
            await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
