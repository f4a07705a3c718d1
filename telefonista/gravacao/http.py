"""The routes of a recording: by the chamada with a token, or by a signed link without one; and who heard it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from telefonista.calling.house import Casa, ContaAtual, House, zone_of
from telefonista.dialect.dates import iso_local
from telefonista.dialect.envelope import documented, envelope, ok
from telefonista.dialect.errors import Motivo, nao_encontrado, sem_gravacao
from telefonista.dialect.models import Corpo, IdCaminho, Identificador
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio
from telefonista.gravacao import queries
from telefonista.gravacao.queries import Acesso
from telefonista.storage.tables import Gravacao

router = APIRouter(tags=["gravacao"])

_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/mpeg": {}}, "description": "MP3 estéreo: origem à esquerda, destino à direita."}
}


class ConsultaGravacao(Corpo):
    id: Annotated[
        Identificador | None,
        Field(description="ID de uma gravação parcial da chamada; ausente = a gravação da conversa inteira."),
    ] = None


class AcessoObjeto(BaseModel):
    """Quem ouviu uma gravação da chamada."""

    id: int = Field(description="ID do acesso.")
    gravacao_id: int = Field(description="Qual gravação foi ouvida.")
    data: str = Field(description="Quando, no fuso da conta.")
    por: str = Field(description="token = com o Access-Token; link = pela url_gravacao.")
    endereco: str = Field(description="Endereço IP de quem a pediu.", examples=["203.0.113.7"])


@router.get("/chamada/{id}/gravacao", summary="Buscar gravação da chamada", responses=_AUDIO)
async def of_chamada(
    id: IdCaminho,
    consulta: Annotated[ConsultaGravacao, Query()],
    request: Request,
    casa: Casa,
    conta: ContaAtual,
) -> Response:
    if not await casa.storage.read(queries.owns_chamada, conta.id, id):
        raise nao_encontrado("chamada")
    gravacao = await casa.storage.read(queries.of_chamada, id, consulta.id)
    if gravacao is None:
        raise sem_gravacao()
    return _audio(casa, gravacao, request, "token")


@router.get(
    "/chamada/{id}/gravacao/acessos",
    summary="Relatório de acessos às gravações da chamada",
    responses=documented(Relatorio[AcessoObjeto]),
)
async def accesses(
    id: IdCaminho, consulta: Annotated[ConsultaRelatorio, Query()], casa: Casa, conta: ContaAtual
) -> Response:
    if not await casa.storage.read(queries.owns_chamada, conta.id, id):
        raise nao_encontrado("chamada")
    zone, pagina = zone_of(conta), consulta.pagina()
    limites = consulta.limites(zone, datetime.now(UTC), tudo=True)
    total, found = await casa.storage.read(
        queries.list_acessos, id, limites, posicao=pagina.posicao, limite=pagina.limite
    )
    itens = [
        {
            "id": acesso.id,
            "gravacao_id": acesso.gravacao_id,
            "data": iso_local(acesso.momento, zone),
            "por": acesso.por,
            "endereco": acesso.endereco,
        }
        for acesso in found
    ]
    return ok(relatorio(total, pagina.posicao, pagina.limite, itens))


@router.get("/rec", summary="Ouvir gravação por link", responses=_AUDIO)
async def by_link(
    request: Request,
    casa: Casa,
    id: Annotated[int, Query(ge=1, le=2**31 - 1, description="ID da gravação.")],
    x: Annotated[str, Query(min_length=1, max_length=100, description="Assinatura do link.")],
    cid: Annotated[int, Query(ge=1, le=2**31 - 1, description="ID da conta.")],
) -> Response:
    gravacao = await casa.storage.read(queries.by_key, id, cid, x)
    if gravacao is None:
        raise nao_encontrado("gravação")
    return _audio(casa, gravacao, request, "link")


def _audio(casa: House, gravacao: Gravacao, request: Request, por: str) -> Response:
    """The file, with Range; who hears it is written down. One that was removed under us is no recording."""
    path = casa.settings.recordings / str(gravacao.conta_id) / f"{gravacao.arquivo}.mp3"
    if not path.is_file():
        raise sem_gravacao()
    endereco = request.client.host[:45] if request.client else ""

    def heard(continua: bool) -> None:
        acesso = Acesso(gravacao.id, datetime.now(UTC), por, endereco, continua)
        casa.storage.queue(queries.note_acesso, acesso)

    audio = _Audio(path, media_type="audio/mpeg", filename=path.name, content_disposition_type="inline")
    audio.heard = heard
    return audio


class _Audio(FileResponse):
    """Starlette 1.10 refuses a bad Range in plain text: here it is refused in the envelope too.

    `heard` is called when the sound begins to be sent, and told whether it does not begin at the beginning.
    """

    heard: Callable[[bool], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def translate(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                if message["status"] >= 400:
                    refused = True
                else:
                    self.heard(_continues(message))
            if not refused:
                await send(message)

        await super().__call__(scope, receive, translate)
        if refused:
            mensagem = "o cabeçalho Range pede um trecho que a gravação não tem: peça bytes=início-fim dentro dela"
            await envelope(416, Motivo.INVALIDO, mensagem)(scope, receive, send)


def _continues(start: Message) -> bool:
    """Whether an answer holds one stretch that does not begin at byte 0."""
    stretch = next((value for name, value in start["headers"] if name == b"content-range"), b"")
    return bool(stretch) and not stretch.startswith(b"bytes 0-")
