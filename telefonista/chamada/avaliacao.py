"""Ratings of chamadas: POST /chamada/{id}/avaliar, and what they come to in GET /chamada/relatorio/avaliacoes."""

from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from telefonista.calling.house import Casa, ContaAtual, House, zone_of
from telefonista.chamada.avaliacao_queries import Avaliada, Medias, rate_chamada, ratings
from telefonista.dialect.dates import iso_local
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.models import Corpo, IdCaminho, Inteiro, Tambem, TextoLongo
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio
from telefonista.storage.tables import Conta

router = APIRouter(tags=["chamada"])


class NovaAvaliacao(Corpo):
    """Uma nota de 1 a 5; vale a última dada."""

    nota: Annotated[
        Inteiro, Tambem("numero"), Field(ge=1, le=5, description="De 1 a 5; também aceita como `numero`.", examples=[5])
    ]
    comentario: Annotated[TextoLongo | None, Field(description="Até 1000 caracteres.")] = None


class AvaliacaoNoRelatorio(BaseModel):
    """Uma chamada avaliada."""

    chamada_id: int = Field(description="ID da chamada.")
    nota: int = Field(description="De 1 a 5.", examples=[5])
    comentario: str | None = Field(description="O comentário, se houve.")
    data: str = Field(description="Quando foi avaliada, no fuso da conta.")
    ramal_id_origem: int | None = Field(description="ID do ramal que originou a chamada, se houver.")


class MediaDoDia(BaseModel):
    """As notas das chamadas de um dia."""

    data: str = Field(description="O dia em que as chamadas foram criadas, no fuso da conta.", examples=["2018-08-02"])
    total: int = Field(description="Quantas foram avaliadas.")
    media: float = Field(description="A média das notas, com duas casas.", examples=[4.25])


class MediaDoRamal(BaseModel):
    """As notas das chamadas que um ramal originou."""

    ramal_id: int = Field(description="ID do ramal.")
    ramal: str = Field(description="O número do ramal.", examples=["4000"])
    total: int = Field(description="Quantas foram avaliadas.")
    media: float = Field(description="A média das notas, com duas casas.", examples=[4.25])


class RelatorioAvaliacoes(Relatorio[AvaliacaoNoRelatorio]):
    """As avaliações das chamadas criadas no período, uma página delas, e as médias do período inteiro."""

    media: float | None = Field(description="A média de todas as notas, com duas casas; null sem avaliações.")
    por_dia: list[MediaDoDia] = Field(description="Por dia de criação da chamada, do mais antigo ao mais novo.")
    por_ramal: list[MediaDoRamal] = Field(description="Por ramal que originou a chamada.")


@router.post("/chamada/{id}/avaliar", summary="Avaliar chamada", responses=documented(None))
async def create(id: IdCaminho, corpo: NovaAvaliacao, casa: Casa, conta: ContaAtual) -> Response:
    return await rate(casa, conta, id, corpo.nota, corpo.comentario)


async def rate(casa: House, conta: Conta, id: int, nota: int, comentario: str | None) -> Response:
    """Rate a chamada of the conta, 1 to 5, and answer. 404/60 when it is not there, 405/80 when it has not begun."""
    await casa.storage.write(rate_chamada, conta.id, id, nota, comentario, datetime.now(UTC))
    return ok(None, "chamada avaliada com sucesso")


@router.get(
    "/chamada/relatorio/avaliacoes",
    summary="Relatório de avaliações",
    responses=documented(RelatorioAvaliacoes),
)
async def report(consulta: Annotated[ConsultaRelatorio, Query()], casa: Casa, conta: ContaAtual) -> Response:
    """O período é o da criação das chamadas, como em `/chamada/relatorio`."""
    zone, pagina = zone_of(conta), consulta.pagina()
    limites = consulta.limites(zone, datetime.now(UTC))
    medias, rows = await casa.storage.read(
        ratings, conta.id, limites, zone, posicao=pagina.posicao, limite=pagina.limite
    )
    itens = [_item(row, zone) for row in rows]
    return ok(relatorio(medias.todas.total, pagina.posicao, pagina.limite, itens) | _medias(medias))


def _item(row: Avaliada, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "chamada_id": row.chamada_id,
        "nota": row.nota,
        "comentario": row.comentario,
        "data": iso_local(row.avaliada_em, zone),
        "ramal_id_origem": row.ramal_id_origem,
    }


def _medias(medias: Medias) -> dict[str, Any]:
    return {
        "media": medias.todas.media,
        "por_dia": [
            {"data": dia.isoformat(), "total": media.total, "media": media.media}
            for dia, media in sorted(medias.por_dia.items())
        ],
        "por_ramal": [
            {"ramal_id": id, "ramal": ramal, "total": media.total, "media": media.media}
            for (id, ramal), media in sorted(medias.por_ramal.items())
        ],
    }
