"""The routes of a recording: by the chamada with a token, or by a signed link without one."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from telefonista.calling.house import Casa, ContaAtual
from telefonista.dialect.envelope import envelope
from telefonista.dialect.errors import Motivo, nao_encontrado, sem_gravacao
from telefonista.dialect.models import IdCaminho
from telefonista.gravacao import queries
from telefonista.storage.tables import Gravacao

router = APIRouter(tags=["gravacao"])

_AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/mpeg": {}}, "description": "MP3 estéreo: origem à esquerda, destino à direita."}
}


@router.get("/chamada/{id}/gravacao", summary="Buscar gravação da chamada", responses=_AUDIO)
async def of_chamada(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    found, gravacao = await casa.storage.read(queries.of_chamada, conta.id, id)
    if not found:
        raise nao_encontrado("chamada")
    if gravacao is None:
        raise sem_gravacao()
    return _audio(casa.settings.recordings, gravacao)


@router.get("/rec", summary="Ouvir gravação por link", responses=_AUDIO)
async def by_link(
    casa: Casa,
    id: Annotated[int, Query(ge=1, le=2**31 - 1, description="ID da gravação.")],
    x: Annotated[str, Query(min_length=1, max_length=100, description="Assinatura do link.")],
    cid: Annotated[int, Query(ge=1, le=2**31 - 1, description="ID da conta.")],
) -> Response:
    gravacao = await casa.storage.read(queries.by_key, id, cid, x)
    if gravacao is None:
        raise nao_encontrado("gravação")
    return _audio(casa.settings.recordings, gravacao)


def _audio(folder: Path, gravacao: Gravacao) -> Response:
    """The file, with Range. One that was removed under us is no recording."""
    path = folder / str(gravacao.conta_id) / f"{gravacao.arquivo}.mp3"
    if not path.is_file():
        raise sem_gravacao()
    return _Audio(path, media_type="audio/mpeg", filename=path.name, content_disposition_type="inline")


class _Audio(FileResponse):
    """Starlette 1.10 refuses a bad Range in plain text: here it is refused in the envelope too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = False

        async def translate(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refused = True
            if not refused:
                await send(message)

        await super().__call__(scope, receive, translate)
        if refused:
            mensagem = "o cabeçalho Range pede um trecho que a gravação não tem: peça bytes=início-fim dentro dela"
            await envelope(416, Motivo.INVALIDO, mensagem)(scope, receive, send)
