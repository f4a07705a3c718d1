"""Recording commanded in mid-call: a stretch begun and stopped, a pause and its end; routes beside those of http."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, House
from telefonista.calling.legs import Desk
from telefonista.calling.live import NotTalking
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import DialectError, Motivo, inativa, nao_encontrado, sem_motor
from telefonista.dialect.models import Booleano, Corpo, IdCaminho, Identificador
from telefonista.engine.port import EngineError, HungUp
from telefonista.gravacao import queries

router = APIRouter(tags=["gravacao"])

T = TypeVar("T")

_QUAL = "ID de uma gravação em curso desta chamada; ausente = "


class GravacaoIniciada(BaseModel):
    """O trecho está sendo gravado; está em `gravacoes_parciais` da chamada."""

    id: int = Field(description="ID da gravação.", examples=[4321])


class ConsultaParada(Corpo):
    id: Annotated[Identificador | None, Field(description=_QUAL + "todas as parciais.")] = None


class Pausa(Corpo):
    """Pausa ou retoma; o tempo em pausa fica fora da gravação."""

    pausada: Annotated[Booleano, Field(description="true pausa, false retoma.")]
    id: Annotated[Identificador | None, Field(description=_QUAL + "todas as que estão em curso.")] = None


@router.post(
    "/chamada/{id}/gravacao", summary="Iniciar gravação parcial da chamada", responses=documented(GravacaoIniciada)
)
async def start(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    async def begin(desk: Desk) -> int:
        lado = desk.live.lado
        return await desk.recorder.begin("parcial", lado, desk.live.leg_of(lado), datetime.now(UTC))

    gravacao_id = await _command(await _desk(casa, conta.id, id), begin)
    return ok({"id": gravacao_id}, "gravação iniciada com sucesso")


@router.delete("/chamada/{id}/gravacao", summary="Encerrar gravação parcial da chamada", responses=documented(None))
async def stop(id: IdCaminho, consulta: Annotated[ConsultaParada, Query()], casa: Casa, conta: ContaAtual) -> Response:
    async def end(desk: Desk) -> None:
        desk.live.leg_of("destino")
        for gravacao_id in _wanted(desk, consulta.id, "parcial"):
            await desk.recorder.stop(gravacao_id)

    await _command(await _desk(casa, conta.id, id), end)
    casa.recorded()
    return ok(None, "gravação encerrada com sucesso")


@router.put("/chamada/{id}/gravacao", summary="Pausar ou retomar gravação da chamada", responses=documented(None))
async def pause(id: IdCaminho, corpo: Pausa, casa: Casa, conta: ContaAtual) -> Response:
    async def switch(desk: Desk) -> None:
        lado = desk.live.lado
        leg = desk.live.leg_of(lado)
        for gravacao_id in _wanted(desk, corpo.id, None):
            if corpo.pausada:
                await desk.recorder.pause(gravacao_id)
            else:
                await desk.recorder.resume(gravacao_id, lado, leg)

    await _command(await _desk(casa, conta.id, id), switch)
    return ok(None, "gravação pausada com sucesso" if corpo.pausada else "gravação retomada com sucesso")


async def _desk(casa: House, conta_id: int, chamada_id: int) -> Desk:
    """What commands a running chamada of this conta: 404/60 when it is another's, 405/80 when it does not run."""
    if not await casa.storage.read(queries.owns_chamada, conta_id, chamada_id):
        raise nao_encontrado("chamada")
    desk = casa.runner.desk(chamada_id)
    if desk is None:
        raise inativa()
    return desk


async def _command(desk: Desk, act: Callable[[Desk], Awaitable[T]]) -> T:
    try:
        return await act(desk)
    except (NotTalking, HungUp):
        raise inativa() from None
    except EngineError:
        raise sem_motor(2) from None


def _wanted(desk: Desk, gravacao_id: int | None, tipo: str | None) -> list[int]:
    """The recording named, or all of the tipo that are not finished. Refuses when there is none."""
    running = desk.recorder.takes(None if gravacao_id else tipo)
    if gravacao_id is not None:
        if gravacao_id not in running:
            raise nao_encontrado("gravação em curso")
        return [gravacao_id]
    if not running:
        texto = "a chamada não tem gravação em curso: inicie uma com POST /chamada/{id}/gravacao"
        raise DialectError(404, Motivo.SEM_GRAVACAO, texto)
    return list(running)
