"""GET /chamada/{id}/eventos: the story of a chamada, as JSON for programs or as one page for people."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import HTMLResponse, Response

from telefonista.calling.house import Casa, ContaAtual, zone_of
from telefonista.chamada.story_page import page, policy
from telefonista.chamada.story_told import historia_of, story_object
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import nao_encontrado
from telefonista.dialect.fields import recusa
from telefonista.dialect.models import Corpo, IdCaminho, Texto

router = APIRouter(tags=["chamada"])


class EventoObjeto(BaseModel):
    """Uma linha do diário da chamada."""

    momento: str = Field(description="Quando, no fuso da conta.", examples=["2018-08-02T10:49:30-03:00"])
    decorrido_ms: int = Field(description="Milissegundos desde a criação da chamada.", examples=[4120])
    tipo: str = Field(
        description="`criada`, `discada`, `chamando`, `atendida`, `conversa`, `transferencia`, `gravando`, `midia`,"
        " `desligada`, `fim` e outros que surgirem.",
        examples=["atendida"],
    )
    perna: str | None = Field(description="A letra da perna; null quando é da chamada inteira.", examples=["a"])
    papel: str | None = Field(description="origem, destino, transferencia ou escuta.", examples=["origem"])
    numero: str | None = Field(description="O número da perna, como foi informado.")
    dados: dict[str, Any] = Field(description="O que mais se sabe do evento, conforme o tipo.")


class MidiaObjeto(BaseModel):
    """O som de uma perna, medido quando ela terminou."""

    pacotes_enviados: int = Field(description="Pacotes RTP que enviamos a este telefone.")
    pacotes_recebidos: int = Field(description="Pacotes RTP que chegaram dele.")
    perdidos: int = Field(description="Pacotes dele que não chegaram.")
    perda_percentual: float = Field(description="O mesmo, em porcentagem do que ele enviou.", examples=[0.4])
    jitter_ms: float = Field(description="Variação do atraso na chegada, em milissegundos.", examples=[3.2])
    rtt_ms: float | None = Field(description="Tempo de ida e volta; null quando o telefone não o informa.")


class PernaNaHistoria(BaseModel):
    """Uma perna com os seus tempos, o seu fim e o seu som."""

    perna: str = Field(description="A letra que os eventos usam.", examples=["a"])
    papel: str = Field(description="origem, destino, transferencia ou escuta.")
    substitui: str | None = Field(description="A letra da perna cujo lugar tomou em uma transferência.")
    numero: str = Field(description="O número como foi informado.")
    tipo: str = Field(description="ramal, movel ou fixo.")
    bina: str | None = Field(description="O número pedido para ser mostrado.")
    status: str = Field(description="Como está a perna ou como terminou.", examples=["atendida"])
    substatus: str | None = Field(description="`caixa_postal` quando a detecção de caixa postal encerrou a perna.")
    data_inicio: str | None = Field(description="Quando começou a ser discada.")
    data_toque: str | None = Field(description="Quando começou a tocar.")
    data_atendimento: str | None = Field(description="Quando atendeu.")
    data_fim: str | None = Field(description="Quando terminou.")
    duracao_segundos: int = Field(description="Do início da discagem ao fim.")
    duracao_falada_segundos: int = Field(description="Desde que atendeu.")
    duracao_cobrada_segundos: int = Field(description="Segundos cobrados, pela cadência da tarifa.")
    preco: float = Field(description="Valor cobrado por esta perna, em reais.")
    causa: int | None = Field(description="A causa Q.850; null antes do fim.", examples=[16])
    sip: int | None = Field(description="O código SIP que a encerrou, se houve.", examples=[486])
    motivo_desconexao: str = Field(description="A causa e o seu texto.", examples=["17. ocupado"])
    quem_desligou: str | None = Field(
        description="telefone (o outro lado), sistema (nós), limite (duração máxima) ou motor (som perdido, queda)."
    )
    midia: MidiaObjeto | None = Field(description="null quando não houve som, ou houve menos de dois segundos.")


class GravacaoNaHistoria(BaseModel):
    """Uma gravação da chamada."""

    id: int = Field(description="ID da gravação.")
    tipo: str = Field(description="completa ou parcial.")
    status: str = Field(description="gravando, pausada, convertendo, pronta, falhou ou removida.")
    data_inicio: str | None = Field(description="Quando começou.")
    duracao_segundos: int = Field(description="Duração em segundos; 0 enquanto não está pronta.")
    url_gravacao: str | None = Field(description="Link que dispensa token; null enquanto não está pronta.")


class HistoriaObjeto(BaseModel):
    """Tudo o que aconteceu em uma chamada, em ordem."""

    id: int = Field(description="ID da chamada.")
    status_geral: str = Field(description="criada, curso ou finalizada.")
    desfecho: str | None = Field(description="Como terminou, em uma palavra ou duas; null antes do fim.")
    data_criacao: str = Field(description="Quando foi criada, no fuso da conta.")
    data_fim: str | None = Field(description="Quando terminou.")
    eventos: list[EventoObjeto] = Field(description="O diário inteiro, do primeiro ao último.")
    pernas: list[PernaNaHistoria] = Field(description="As pernas, na ordem em que entraram.")
    gravacoes: list[GravacaoNaHistoria] = Field(description="As gravações, na ordem em que começaram.")


def _check_formato(texto: str) -> str:
    word = texto.strip().lower()
    if word not in ("json", "html"):
        raise recusa("informe json ou html")
    return word


class ConsultaEventos(Corpo):
    formato: Annotated[
        Texto | None,
        AfterValidator(lambda texto: None if texto is None else _check_formato(texto)),
        Field(description="`json` ou `html`; ausente = o que o cabeçalho `Accept` pedir.", examples=["html"]),
    ] = None


_ANSWERS: dict[int | str, dict[str, Any]] = documented(HistoriaObjeto)
_ANSWERS[200]["content"] = {"text/html": {"schema": {"type": "string"}}}


@router.get("/chamada/{id}/eventos", summary="História da chamada", responses=_ANSWERS)
async def show(
    id: IdCaminho, consulta: Annotated[ConsultaEventos, Query()], request: Request, casa: Casa, conta: ContaAtual
) -> Response:
    historia = await casa.storage.read(historia_of, conta.id, id)
    if historia is None:
        raise nao_encontrado("chamada")
    zone, base_url = zone_of(conta), casa.settings.base_url
    formato = consulta.formato or ("html" if "text/html" in request.headers.get("accept", "") else "json")
    if formato == "json":
        return ok(story_object(historia, zone, base_url))
    headers = {
        "Content-Security-Policy": policy(base_url),
        "Referrer-Policy": "no-referrer",  # the address may hold the token
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(page(historia, zone, base_url), headers=headers)
