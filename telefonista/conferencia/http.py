"""The routes of /conferencia: rooms, the calls into them, and what may be done to those."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from telefonista.calling.creating import limits_of
from telefonista.calling.house import Casa, ContaAtual, House, zone_of
from telefonista.calling.idempotency import Chave, first_answer, keep_answer
from telefonista.calling.pedido import Pedido
from telefonista.calling.sounds import NoSound, Sounds
from telefonista.conferencia import queries
from telefonista.conferencia.calls import Convite, add_call
from telefonista.conferencia.flow import Doorman, Message
from telefonista.conferencia.objeto import ChamadaDaConferenciaCriada, ConferenciaCriada, ConferenciaObjeto
from telefonista.conferencia.tell import ENCERRADA, Herald
from telefonista.conferencia.view import conferencia_object
from telefonista.dialect import idempotency
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import invalido, obrigatorio, sem_motor
from telefonista.dialect.fields import recusa
from telefonista.dialect.lenient import dados
from telefonista.dialect.models import Booleano, Corpo, IdCaminho, Telefone, Texto
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio
from telefonista.engine.port import EngineError, HungUp
from telefonista.storage.tables import Conferencia, Conta

router = APIRouter(tags=["conferencia"])

_CRIADA = "conferencia criado com sucesso"
_CHAMADA_CRIADA = "chamada da conferencia criada com sucesso"
_BINA = re.compile(r"\+?[0-9]{2,20}")
_PIN = re.compile(r"[0-9]{3,12}")


@dataclass(frozen=True)
class Conferencias:
    """What the routes need beside the house; put into the app by the wiring."""

    doorman: Doorman
    herald: Herald
    sounds: Sounds


async def _conferencias(request: Request) -> Conferencias:
    conferencias: Conferencias = request.app.state.conferencias
    return conferencias


Salas = Annotated[Conferencias, Depends(_conferencias)]


def _check_bina(texto: str) -> str:
    if not _BINA.fullmatch(re.sub(r"[\s().-]", "", texto)):
        raise recusa("informe DDD + número, por exemplo 4832830151")
    return texto


def _check_pin(texto: str) -> str:
    if not _PIN.fullmatch(texto.strip()):
        raise recusa("informe de 3 a 12 dígitos, por exemplo 4321")
    return texto.strip()


Bina = Annotated[Telefone, AfterValidator(_check_bina)]


class NovaConferencia(Corpo):
    """Uma sala privada. Com `numero_destino` e `url_conferencia` (forma antiga), a sala nasce com uma chamada."""

    pin: Annotated[
        Annotated[Telefone, AfterValidator(_check_pin)] | None,
        Field(description="O que um ramal tecla para entrar quando disca `*6` e o id da sala.", examples=["4321"]),
    ] = None
    numero_destino: Annotated[Telefone | None, Field(description="Forma antiga: quem é chamado para a sala.")] = None
    url_conferencia: Annotated[
        Texto | None, Field(description="Forma antiga: o MP3 que essa chamada ouve antes de entrar na sala.")
    ] = None
    resposta_usuario: Annotated[Booleano, Field(description="Forma antiga: guarda em `resposta` as teclas.")] = False
    gravar_conferencia: Annotated[Booleano, Field(description="Forma antiga: grava essa chamada.")] = False
    bina: Annotated[Bina | None, Field(description="Forma antiga: número mostrado a quem é chamado.")] = None


class NovaChamadaDaConferencia(Corpo):
    """Liga para `numero` e, quando atende, o põe na sala."""

    numero: Annotated[
        Telefone, Field(description="Quem é chamado: ramal, DDD + número ou E.164.", examples=["1030000021"])
    ]
    bina: Annotated[Bina | None, Field(description="Número mostrado a quem é chamado.")] = None
    gravar_audio: Annotated[Booleano, Field(description="Grava esta chamada: ela e o que ela ouve.")] = False


class MudaChamadaDaConferencia(Corpo):
    """O que muda numa chamada da sala."""

    mudo: Annotated[Booleano, Field(description="true = os outros não a ouvem.")]


@router.post(
    "/conferencia",
    summary="Criar conferência",
    responses=documented(ConferenciaCriada),
    openapi_extra=idempotency.DOCUMENTED,
)
async def create(corpo: NovaConferencia, request: Request, casa: Casa, conta: ContaAtual, salas: Salas) -> Response:
    if corpo.numero_destino is None and corpo.url_conferencia is not None:
        raise obrigatorio("numero_destino")
    if corpo.numero_destino is not None and corpo.url_conferencia is None:
        raise obrigatorio("url_conferencia")
    key, message = _key(request, conta), None
    if key is not None and (answer := await casa.storage.write(first_answer, key, datetime.now(UTC))) is not None:
        return ok(answer, _CRIADA)
    if corpo.url_conferencia is not None:
        message = Message(await _sound(salas, corpo.url_conferencia), corpo.resposta_usuario)
    limits, ready = limits_of(casa.settings), _ready(casa)

    def make(session: Session, now: datetime) -> tuple[int, Pedido | None]:
        fields = corpo.model_dump(exclude={"bina"})
        conferencia = Conferencia(conta_id=conta.id, data_criacao=now, **fields)
        session.add(conferencia)
        session.flush()
        if corpo.numero_destino is None:
            return conferencia.id, None
        _may_call(casa, conta, ready=ready)
        convite = Convite(corpo.numero_destino, corpo.bina, corpo.gravar_conferencia, "numero_destino")
        return conferencia.id, add_call(session, conta.id, conferencia.id, convite, limits, now)

    id, pedido = await casa.storage.write(_once, key, datetime.now(UTC), make)
    if pedido is not None:
        casa.runner.start(pedido, salas.doorman.called(id, message))
    return ok({"id": id}, _CRIADA)


async def _sound(salas: Conferencias, url: str) -> Any:
    try:
        return (await salas.sounds.obtain(url)).path
    except NoSound as problem:
        raise invalido("url_conferencia", str(problem)) from None


@router.post(
    "/conferencia/{id}",
    summary="Chamar para a conferência",
    responses=documented(ChamadaDaConferenciaCriada),
    openapi_extra=idempotency.DOCUMENTED,
)
async def invite(
    id: IdCaminho,
    corpo: NovaChamadaDaConferencia,
    request: Request,
    casa: Casa,
    conta: ContaAtual,
    salas: Salas,
) -> Response:
    limits, ready = limits_of(casa.settings), _ready(casa)

    def make(session: Session, now: datetime) -> tuple[int, Pedido | None]:
        queries.open_room(session, conta.id, id)
        _may_call(casa, conta, ready=ready)
        convite = Convite(corpo.numero, corpo.bina, corpo.gravar_audio)
        pedido = add_call(session, conta.id, id, convite, limits, now)
        return pedido.id, pedido

    chamada_id, pedido = await casa.storage.write(_once, _key(request, conta), datetime.now(UTC), make)
    if pedido is not None:
        casa.runner.start(pedido, salas.doorman.called(id))
    return ok({"id": chamada_id}, _CHAMADA_CRIADA)


def _ready(casa: House) -> bool:
    return casa.engine.alive() and not casa.runner.draining


def _may_call(casa: House, conta: Conta, *, ready: bool) -> None:
    """In the transaction: a repeated key neither needs an engine nor counts as a call."""
    if not ready:
        raise sem_motor(2)
    casa.call_rate.check(conta.id)


def _key(request: Request, conta: Conta) -> Chave | None:
    chave = idempotency.chave(request)
    return Chave(conta.id, chave, idempotency.digest("POST", request.url.path, dados(request))) if chave else None


def _once(
    session: Session,
    chave: Chave | None,
    now: datetime,
    make: Callable[[Session, datetime], tuple[int, Pedido | None]],
) -> tuple[int, Pedido | None]:
    """What is made, or the id that was answered to the same key, with nothing to call."""
    if chave is not None and (answer := first_answer(session, chave, now)) is not None:
        return int(answer["id"]), None
    id, pedido = make(session, now)
    if chave is not None:
        keep_answer(session, chave, {"id": id}, now)
    return id, pedido


@router.get(
    "/conferencia/relatorio", summary="Relatório de conferências", responses=documented(Relatorio[ConferenciaObjeto])
)
async def report(
    consulta: Annotated[ConsultaRelatorio, Query()], casa: Casa, conta: ContaAtual, salas: Salas
) -> Response:
    zone, pagina = zone_of(conta), consulta.pagina()
    limites = consulta.limites(zone, datetime.now(UTC))
    total, vistas = await casa.storage.read(
        queries.list_conferencias, conta.id, limites, posicao=pagina.posicao, limite=pagina.limite
    )
    itens = [_object(vista, casa, conta, salas) for vista in vistas]
    return ok(relatorio(total, pagina.posicao, pagina.limite, itens))


@router.get("/conferencia/{id}", summary="Buscar conferência", responses=documented(ConferenciaObjeto))
async def show(id: IdCaminho, casa: Casa, conta: ContaAtual, salas: Salas) -> Response:
    vista = await casa.storage.read(queries.conferencia_by_id, conta.id, id)
    return ok(_object(vista, casa, conta, salas))


def _object(vista: queries.Vista, casa: House, conta: Conta, salas: Conferencias) -> dict[str, Any]:
    talking = salas.doorman.rooms.talking(vista.conferencia.id)
    return conferencia_object(vista, zone_of(conta), casa.settings.base_url, talking)


@router.delete("/conferencia/{id}", summary="Encerrar conferência", responses=documented(None))
async def end(id: IdCaminho, casa: Casa, conta: ContaAtual, salas: Salas) -> Response:
    def close(session: Session) -> list[int]:
        calls = queries.close_room(session, conta.id, id, datetime.now(UTC))
        salas.herald.tell(session, id, ENCERRADA)
        return calls

    for chamada_id in await casa.storage.write(close):
        casa.runner.cancel(chamada_id)
    return ok(None, "encerrando conferencia")


@router.put(
    "/conferencia/{id}/chamadas/{chamada_id}", summary="Emudecer chamada da conferência", responses=documented(None)
)
async def mute(
    id: IdCaminho,
    chamada_id: IdCaminho,
    corpo: MudaChamadaDaConferencia,
    casa: Casa,
    conta: ContaAtual,
    salas: Salas,
) -> Response:
    """Também antes de ela entrar: então entra muda."""
    await casa.storage.write(queries.set_mudo, conta.id, id, chamada_id, corpo.mudo)
    leg = salas.doorman.rooms.leg(id, chamada_id)
    if leg is not None:
        try:
            await leg.mute(corpo.mudo)
        except HungUp:
            pass  # it has just left
        except EngineError:
            raise sem_motor(2) from None
    return ok(None, "dados atualizados com sucesso")


@router.delete(
    "/conferencia/{id}/chamadas/{chamada_id}", summary="Tirar chamada da conferência", responses=documented(None)
)
async def kick(id: IdCaminho, chamada_id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    """Desliga uma chamada da sala; as outras continuam."""

    def check(session: Session) -> None:
        queries.active_call(session, conta.id, id, chamada_id)

    await casa.storage.read(check)
    casa.runner.cancel(chamada_id)
    return ok(None, "encerrando chamada")
