"""Webhooks and deliveries as the customer reads them, and as OpenAPI documents them."""

from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from telefonista.dialect.dates import iso_local
from telefonista.outbox.rows import PENDENTE
from telefonista.outbox.sign import message_id
from telefonista.storage.tables import Webhook
from telefonista.webhook.queries import Vista

Nome = Literal[
    "chamada_fim",
    "status_tempo_real",
    "chamada_tempo_real",
    "ramal_tempo_real",
    "did_tempo_real",
    "conferencia_tempo_real",
    "audio_fim",
    "tts_fim",
    "composto_fim",
    "did_fim",
    "voicemail",
    "aviso_saldo",
]
Estado = Literal["pendente", "entregue", "desistiu", "cancelada"]


class WebhookObjeto(BaseModel):
    """Para onde a conta é avisada de um tipo de evento."""

    nome: Nome = Field(description="O evento.")
    url: str = Field(description="Quem recebe o POST.", examples=["https://exemplo.com.br/webhooks"])
    segredo: str = Field(description="Com ele se confere a assinatura (Standard Webhooks).", examples=["whsec_..."])
    data_criacao: str = Field(description="Quando foi cadastrado, no fuso da conta.")


class TentativaObjeto(BaseModel):
    """Uma tentativa de entrega."""

    data: str = Field(description="Quando, no fuso da conta.")
    url: str = Field(description="Para onde.")
    status: int | None = Field(description="O status HTTP da resposta; null = ninguém respondeu.")
    erro: str | None = Field(description="O que deu errado, se não foi o status.")
    milissegundos: int = Field(description="Quanto demorou.")


class EntregaObjeto(BaseModel):
    """Um aviso a entregar, ou já entregue, e as suas tentativas."""

    id: int = Field(description="ID da entrega.")
    webhook_id: str = Field(description="O cabeçalho webhook-id: o mesmo em todas as tentativas.", examples=["msg_1"])
    nome: Nome = Field(description="O evento.")
    estado: Estado = Field(description="pendente, entregue, desistiu (após 24 h ou HTTP 410) ou cancelada.")
    corpo: dict[str, Any] = Field(description="O que é enviado.")
    data_criacao: str = Field(description="Quando o evento aconteceu, no fuso da conta.")
    data_entrega: str | None = Field(description="Quando o receptor aceitou.")
    proxima_tentativa: str | None = Field(description="Quando será tentada de novo, se pendente.")
    tentativas: list[TentativaObjeto] = Field(description="As tentativas feitas, a primeira antes.")


def webhook_object(webhook: Webhook, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "nome": webhook.nome,
        "url": webhook.url,
        "segredo": webhook.segredo,
        "data_criacao": iso_local(webhook.criado_em, zone),
    }


def entrega_object(vista: Vista, zone: ZoneInfo) -> dict[str, Any]:
    entrega = vista.entrega
    return {
        "id": entrega.id,
        "webhook_id": message_id(entrega.id),
        "nome": entrega.nome,
        "estado": entrega.estado,
        "corpo": entrega.corpo,
        "data_criacao": iso_local(entrega.criada_em, zone),
        "data_entrega": iso_local(entrega.entregue_em, zone),
        "proxima_tentativa": iso_local(entrega.proxima_em, zone) if entrega.estado == PENDENTE else None,
        "tentativas": [
            {
                "data": iso_local(tentativa.momento, zone),
                "url": tentativa.url,
                "status": tentativa.status,
                "erro": tentativa.erro,
                "milissegundos": tentativa.milissegundos,
            }
            for tentativa in vista.tentativas
        ],
    }
