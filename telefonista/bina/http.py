"""The routes of /bina: a conta's own numbers, each confirmed by a code that is spoken in a call to it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from telefonista.bina import queries
from telefonista.bina.flow import speak_code
from telefonista.bina.queries import Ligacao
from telefonista.calling.creating import limits_of
from telefonista.calling.house import Casa, ContaAtual, House, key_of, zone_of
from telefonista.calling.idempotency import Chave, first_answer, keep_answer
from telefonista.calling.routing import as_shown
from telefonista.dialect import idempotency
from telefonista.dialect.dates import iso_local
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import invalido, sem_motor
from telefonista.dialect.models import Corpo, IdCaminho, Telefone, Texto
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio
from telefonista.dialect.ratelimit import RateLimit
from telefonista.storage.tables import Bina, Conta

router = APIRouter(tags=["bina"])

Make = Callable[[Session, datetime], Ligacao]


class NovaBina(Corpo):
    """Um número da conta, a confirmar: ligamos para ele e falamos um código de seis dígitos."""

    numero: Annotated[Telefone, Field(description="DDD + número ou E.164.", examples=["4832830151"])]


class Confirmacao(Corpo):
    codigo: Annotated[Texto, Field(description="Os seis dígitos que a ligação falou.", examples=["483210"])]


class BinaCriada(BaseModel):
    """A ligação que fala o código está a caminho."""

    id: int = Field(description="ID da bina.", examples=[12])
    chamada_id: int = Field(description="ID da chamada que fala o código.", examples=[123123])


class BinaObjeto(BaseModel):
    """Um número que a conta pode mostrar, quando confirmado."""

    id: int = Field(description="ID da bina.", examples=[12])
    numero: str = Field(description="DDD + número, ou E.164 fora do Brasil.", examples=["4832830151"])
    confirmada: bool = Field(description="Só as confirmadas aparecem em ligações que saem por um tronco.")
    data_criacao: str = Field(description="Quando foi criada, no fuso da conta.")
    data_confirmacao: str | None = Field(description="Quando foi confirmada, no fuso da conta.")
    codigo_valido_ate: str | None = Field(description="Até quando vale o código falado por último; null = não há.")


@router.post("/bina", summary="Criar bina", responses=documented(BinaCriada), openapi_extra=idempotency.DOCUMENTED)
async def create(corpo: NovaBina, request: Request, casa: Casa, conta: ContaAtual) -> Response:
    def make(session: Session, now: datetime) -> Ligacao:
        return queries.create_bina(session, conta.id, corpo.numero, limits_of(casa.settings), now)

    return await _call(casa, conta, key_of(request, conta), make)


@router.post(
    "/bina/{id}/codigo",
    summary="Ligar de novo com outro código",
    responses=documented(BinaCriada),
    openapi_extra=idempotency.DOCUMENTED,
)
async def call_again(id: IdCaminho, request: Request, casa: Casa, conta: ContaAtual) -> Response:
    def make(session: Session, now: datetime) -> Ligacao:
        return queries.call_again(session, conta.id, id, limits_of(casa.settings), now)

    return await _call(casa, conta, key_of(request, conta), make)


async def _call(casa: House, conta: Conta, key: Chave | None, make: Make) -> Response:
    now = datetime.now(UTC)
    ready = casa.engine.alive() and not casa.runner.draining
    made = await casa.storage.write(_make_once, conta.id, make, key, now, ready=ready, rate=casa.call_rate)
    if isinstance(made, Ligacao):
        casa.runner.start(made.pedido, speak_code(made.codigo, casa.sounds / "avisos"))
        made = _answer(made)
    return ok(made, "ligando para o número: confirme o código que ele ouvir")


def _make_once(
    session: Session, conta_id: int, make: Make, key: Chave | None, now: datetime, *, ready: bool, rate: RateLimit
) -> Ligacao | dict[str, Any]:
    """The call to place, or the answer given before to the same key."""
    if key is not None and (answer := first_answer(session, key, now)) is not None:
        return answer
    if not ready:
        raise sem_motor(2)
    rate.check(conta_id)
    made = make(session, now)
    if key is not None:
        keep_answer(session, key, _answer(made), now)
    return made


def _answer(made: Ligacao) -> dict[str, Any]:
    return {"id": made.bina_id, "chamada_id": made.pedido.id}


@router.post("/bina/{id}/confirmar", summary="Confirmar bina", responses=documented(None))
async def confirm(id: IdCaminho, corpo: Confirmacao, casa: Casa, conta: ContaAtual) -> Response:
    left = await casa.storage.write(queries.confirm, conta.id, id, corpo.codigo, datetime.now(UTC))
    if left is not None:
        rest = f"restam {left} tentativas" if left else "peça outro em POST /bina/id/codigo"
        raise invalido("codigo", f"não é o que a ligação falou; {rest}")
    return ok(None, "bina confirmada com sucesso")


@router.get("/bina", summary="Listar binas", responses=documented(Relatorio[BinaObjeto]))
@router.get("/bina/relatorio", summary="Relatório de binas", responses=documented(Relatorio[BinaObjeto]))
async def report(consulta: Annotated[ConsultaRelatorio, Query()], casa: Casa, conta: ContaAtual) -> Response:
    pagina, zone = consulta.pagina(), zone_of(conta)
    total, binas = await casa.storage.read(queries.list_binas, conta.id, posicao=pagina.posicao, limite=pagina.limite)
    return ok(relatorio(total, pagina.posicao, pagina.limite, [bina_object(bina, zone) for bina in binas]))


@router.get("/bina/{id}", summary="Buscar bina", responses=documented(BinaObjeto))
async def show(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    return ok(bina_object(await casa.storage.read(queries.bina_by_id, conta.id, id), zone_of(conta)))


@router.delete("/bina/{id}", summary="Remover bina", responses=documented(None))
async def remove(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    await casa.storage.write(queries.delete_bina, conta.id, id)
    return ok(None, "bina removida com sucesso")


def bina_object(bina: Bina, zone: ZoneInfo) -> dict[str, Any]:
    """The documented object."""
    return {
        "id": bina.id,
        "numero": as_shown(bina.numero),
        "confirmada": bina.confirmada_em is not None,
        "data_criacao": iso_local(bina.criada_em, zone),
        "data_confirmacao": iso_local(bina.confirmada_em, zone),
        "codigo_valido_ate": None if bina.codigo is None else iso_local(bina.expira_em, zone),
    }
