"""The routes of /chamada: check, commit, answer; the telephones ring afterwards."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, key_of, zone_of
from telefonista.calling.idempotency import Chave, first_answer, keep_answer
from telefonista.chamada import queries
from telefonista.chamada.flow import bridged_call
from telefonista.chamada.objeto import ChamadaCriada, ChamadaObjeto
from telefonista.chamada.schedule_queries import cancel_scheduled
from telefonista.chamada.transfer import NovaTransferencia, transfer_or_rate
from telefonista.chamada.view import chamada_object
from telefonista.dialect import idempotency
from telefonista.dialect.dates import parse_agenda
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import inativa, nao_encontrado, sem_motor
from telefonista.dialect.fields import recusa
from telefonista.dialect.models import Booleano, Corpo, IdCaminho, Instante, Telefone, Texto
from telefonista.dialect.ratelimit import RateLimit

router = APIRouter(tags=["chamada"])

_CRIADA = "chamada criada com sucesso"

_BINA = re.compile(r"\+?[0-9]{2,20}")


def _check_bina(texto: str) -> str:
    if not _BINA.fullmatch(re.sub(r"[\s().-]", "", texto)):
        raise recusa("informe DDD + número, por exemplo 4832830151")
    return texto


Bina = Annotated[Telefone, AfterValidator(_check_bina)]


class NovaChamada(Corpo):
    """Uma chamada: liga para a origem; quando atende, liga para o destino e une os dois."""

    numero_origem: Annotated[
        Telefone, Field(description="Quem atende primeiro: ramal, DDD + número ou E.164.", examples=["1030000021"])
    ]
    numero_destino: Annotated[
        Telefone, Field(description="Quem é chamado depois que a origem atende.", examples=["1030000001"])
    ]
    data_criacao: Annotated[Instante | None, Field(description="Quando ligar, em UTC; vazio = agora.")] = None
    gravar_audio: Annotated[Booleano, Field(description="Grava os dois lados em estéreo.")] = False
    bina_origem: Annotated[Bina | None, Field(description="Número mostrado à origem.")] = None
    bina_destino: Annotated[Bina | None, Field(description="Número mostrado ao destino.")] = None
    tags: Annotated[Texto | None, Field(description="Texto livre seu, devolvido nas consultas.")] = None
    detecta_caixa: Annotated[Booleano, Field(description="Derruba quando o destino cai em caixa postal.")] = False
    detecta_caixa_origem: Annotated[Booleano, Field(description="O mesmo, para a origem.")] = False
    detecta_caixa_destino: Annotated[Booleano, Field(description="O mesmo, para o destino.")] = False


@router.post(
    "/chamada",
    summary="Criar chamada",
    responses=documented(ChamadaCriada),
    openapi_extra=idempotency.DOCUMENTED,
)
async def create(corpo: NovaChamada, request: Request, casa: Casa, conta: ContaAtual) -> Response:
    key, now = key_of(request, conta), datetime.now(UTC)
    ready = casa.engine.alive() and not casa.runner.draining
    limits = queries.limits_of(casa.settings)
    rate = casa.call_rate
    made = await casa.storage.write(_create_once, conta.id, corpo, limits, key, now, ready=ready, rate=rate)
    if isinstance(made, dict):
        return ok(made, _CRIADA)
    if made.pedido is not None:
        casa.runner.start(made.pedido, bridged_call)
    else:
        casa.scheduled(made.id, made.agendada_para)
    return ok({"id": made.id}, _CRIADA)


def _create_once(
    session: Session,
    conta_id: int,
    corpo: NovaChamada,
    limits: queries.Limits,
    chave: Chave | None,
    now: datetime,
    *,
    ready: bool,
    rate: RateLimit,
) -> queries.Criada | dict[str, Any]:
    """The chamada, to be called now or later, or the answer given before to the same key.

    A repeated key is answered first: also when its date has passed meanwhile, no engine is there any more, or the
    conta has made its calls of this second. One for later needs no engine yet, and is counted when its time comes.
    """
    if chave is not None and (answer := first_answer(session, chave, now)) is not None:
        return answer
    agendada_para = parse_agenda(corpo.data_criacao, now)
    if agendada_para is None:
        if not ready:
            raise sem_motor(2)
        rate.check(conta_id)
    nova = queries.Nova(**corpo.model_dump(exclude={"data_criacao"}), agendada_para=agendada_para)
    made = queries.create_chamada(session, conta_id, nova, limits, now)
    if chave is not None:
        keep_answer(session, chave, {"id": made.id}, now)
    return made


@router.get("/chamada/{id}", summary="Buscar chamada", responses=documented(ChamadaObjeto))
async def show(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    vista = await casa.storage.read(queries.chamada_by_id, conta.id, id)
    if vista is None:
        raise nao_encontrado("chamada")
    return ok(chamada_object(vista, zone_of(conta), casa.settings.base_url))


@router.delete("/chamada/{id}", summary="Desligar ou cancelar chamada", responses=documented(None))
async def end(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    vista = await casa.storage.read(queries.chamada_by_id, conta.id, id)
    if vista is None:
        raise nao_encontrado("chamada")
    if vista.chamada.status_geral == "finalizada":
        raise inativa()
    if not casa.runner.cancel(id):
        if await casa.storage.write(cancel_scheduled, id, datetime.now(UTC), casa.runner.tellers):
            casa.scheduled(id, None)
        elif not casa.runner.cancel(id):  # its time may have come meanwhile
            raise inativa()
    return ok(None, "encerrando chamada")


@router.post("/chamada/{id}", summary="Desligar ou cancelar chamada (forma antiga)", responses=documented(None))
async def end_by_post(
    id: IdCaminho, corpo: NovaTransferencia, request: Request, casa: Casa, conta: ContaAtual
) -> Response:
    """Um cliente publicado também transfere (`numero` e `perna`) e avalia (`nota`) por aqui."""
    if corpo.nota is not None or (corpo.numero is not None and corpo.perna is not None):
        return await transfer_or_rate(casa, conta, id, corpo, key_of(request, conta))
    return await end(id, casa, conta)
