"""The routes of /audio: fetch and check, commit, answer; the telephone rings afterwards, in its turn."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from telefonista.audio import queries
from telefonista.audio.fila import Fila
from telefonista.audio.objeto import AudioCriado, AudioObjeto, Status
from telefonista.audio.view import audio_object
from telefonista.calling.creating import Limits, limits_of
from telefonista.calling.house import Casa, ContaAtual, key_of, zone_of
from telefonista.calling.idempotency import Chave, first_answer, keep_answer
from telefonista.calling.sounds import NoSound, Sound, Sounds
from telefonista.dialect import idempotency
from telefonista.dialect.dates import parse_agenda
from telefonista.dialect.envelope import documented, ok
from telefonista.dialect.errors import inativa, invalido, sem_motor
from telefonista.dialect.fields import recusa
from telefonista.dialect.models import Booleano, Corpo, IdCaminho, Instante, Telefone, Texto
from telefonista.dialect.paging import ConsultaRelatorio, Relatorio, relatorio
from telefonista.net.guarded import MAX_URL, BadUrl, parse

router = APIRouter(tags=["audio"])

_CRIADO = "audio criado com sucesso"
_BINA = re.compile(r"\+?[0-9]{2,20}")


@dataclass(frozen=True)
class Audios:
    """What the routes of /audio need beside the house; put into the app by the wiring."""

    sounds: Sounds
    fila: Fila


async def _audios(request: Request) -> Audios:
    audios: Audios = request.app.state.audios
    return audios


Torpedos = Annotated[Audios, Depends(_audios)]


def _check_bina(texto: str) -> str:
    if not _BINA.fullmatch(re.sub(r"[\s().-]", "", texto)):
        raise recusa("informe DDD + número, por exemplo 4832830151")
    return texto


def _check_url(texto: str) -> str:
    try:
        parse(texto)
    except BadUrl as problem:
        raise recusa(str(problem)) from None
    return texto


def _plain(texto: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", texto.strip().lower()) if not unicodedata.combining(c))


_STATUS: dict[str, str] = {_plain(status): status for status in get_args(Status)}


def _check_status(texto: str) -> str:
    if (status := _STATUS.get(_plain(texto).replace("_", " "))) is None:
        raise recusa("informe um de: " + ", ".join(_STATUS.values()))
    return status


_URL = Field(
    min_length=1,
    max_length=MAX_URL,
    description="Endereço http ou https público de um MP3, WAV ou OGG de até 5 MB e 10 minutos.",
    examples=["https://exemplo.com.br/audio.mp3"],
)
Url = Annotated[str, AfterValidator(str.strip), AfterValidator(_check_url)]
Bina = Annotated[Telefone, AfterValidator(_check_bina)]
Estado = Annotated[Texto, AfterValidator(_check_status)]


_NUMERO = Field(description="Quem ouve a mensagem: DDD + número, E.164 ou ramal.", examples=["1030000002"])
_RESPOSTA = "Guarda em `resposta` as teclas apertadas até 5 s depois do áudio, que uma tecla interrompe."


class _Opcoes(Corpo):
    resposta_usuario: Annotated[Booleano, Field(description=_RESPOSTA)] = False
    gravar_audio: Annotated[Booleano, Field(description="Grava os dois lados em estéreo.")] = False
    bina: Annotated[Bina | None, Field(description="Número mostrado a quem é chamado.")] = None
    detecta_caixa: Annotated[Booleano, Field(description="Derruba quando cai em caixa postal.")] = False
    data_criacao: Annotated[Instante | None, Field(description="Quando ligar, em UTC; vazio = agora.")] = None
    tags: Annotated[Texto | None, Field(description="Texto livre seu, devolvido nas consultas.")] = None


class NovoAudio(_Opcoes):
    """Um audio (torpedo de voz): liga, toca o áudio e desliga."""

    numero_destino: Annotated[Telefone, _NUMERO]
    url_audio: Annotated[Url, _URL]


class EdicaoAudio(_Opcoes):
    """O que muda num audio que ainda não foi discado; o que não é informado fica como está."""

    numero_destino: Annotated[Telefone | None, _NUMERO] = None
    url_audio: Annotated[Url | None, _URL] = None


class ConsultaAudios(ConsultaRelatorio):
    status: Annotated[Estado | None, Field(description="Só os que estão assim, como `atendida`.")] = None


@router.post("/audio", summary="Enviar audio", responses=documented(AudioCriado), openapi_extra=idempotency.DOCUMENTED)
async def create(corpo: NovoAudio, request: Request, casa: Casa, conta: ContaAtual, audios: Torpedos) -> Response:
    key, now = key_of(request, conta), datetime.now(UTC)
    if key is not None and (answer := await casa.storage.write(first_answer, key, now)) is not None:
        return ok(answer, _CRIADO)
    if not casa.engine.alive() or casa.runner.draining:
        raise sem_motor(2)
    agendado_para = parse_agenda(corpo.data_criacao, now)
    sound = await _sound(audios, corpo.url_audio)
    novo = queries.Novo(**corpo.model_dump(exclude={"data_criacao"}), agendado_para=agendado_para)
    made = await casa.storage.write(_create_once, conta.id, novo, sound, limits_of(casa.settings), key)
    audios.fila.changed(made["id"])
    return ok(made, _CRIADO)


def _create_once(
    session: Session, conta_id: int, novo: queries.Novo, sound: Sound, limits: Limits, key: Chave | None
) -> dict[str, Any]:
    """The answer to a new audio, or the one given before to the same key."""
    now = datetime.now(UTC)
    if key is not None and (answer := first_answer(session, key, now)) is not None:
        return answer
    answer = {"id": queries.create_audio(session, conta_id, novo, sound, limits, now)}
    if key is not None:
        keep_answer(session, key, answer, now)
    return answer


async def _sound(audios: Audios, url: str) -> Sound:
    try:
        return await audios.sounds.obtain(url)
    except NoSound as problem:
        raise invalido("url_audio", str(problem)) from None


@router.get("/audio/relatorio", summary="Relatório de audios", responses=documented(Relatorio[AudioObjeto]))
async def report(consulta: Annotated[ConsultaAudios, Query()], casa: Casa, conta: ContaAtual) -> Response:
    zone, pagina = zone_of(conta), consulta.pagina()
    total, vistas = await casa.storage.read(
        queries.list_audios,
        conta.id,
        consulta.limites(zone, datetime.now(UTC)),
        status=consulta.status,
        posicao=pagina.posicao,
        limite=pagina.limite,
    )
    itens = [audio_object(vista, zone, casa.settings.base_url) for vista in vistas]
    return ok(relatorio(total, pagina.posicao, pagina.limite, itens))


@router.get("/audio/{id}", summary="Buscar audio", responses=documented(AudioObjeto))
async def show(id: IdCaminho, casa: Casa, conta: ContaAtual) -> Response:
    vista = await casa.storage.read(queries.audio_by_id, conta.id, id)
    return ok(audio_object(vista, zone_of(conta), casa.settings.base_url))


@router.put("/audio/{id}", summary="Editar audio", responses=documented(None))
async def edit(id: IdCaminho, corpo: EdicaoAudio, casa: Casa, conta: ContaAtual, audios: Torpedos) -> Response:
    vista = await casa.storage.read(queries.audio_by_id, conta.id, id)
    if not vista.audio.na_fila:
        raise inativa()
    campos, now = corpo.informados(), datetime.now(UTC)
    muda_data = campos.pop("data_criacao", None) is not None
    agendado_para = parse_agenda(corpo.data_criacao, now)
    sound = None if corpo.url_audio is None else await _sound(audios, corpo.url_audio)
    mudanca = queries.Mudanca(campos, sound, muda_data, agendado_para)
    await casa.storage.write(queries.edit_audio, conta.id, id, mudanca, limits_of(casa.settings), now)
    audios.fila.changed(id)
    return ok(None, "dados atualizados com sucesso")


@router.delete("/audio/{id}", summary="Encerrar ou cancelar audio", responses=documented(None))
async def end(id: IdCaminho, casa: Casa, conta: ContaAtual, audios: Torpedos) -> Response:
    await casa.storage.read(queries.audio_by_id, conta.id, id)
    waited = await casa.storage.write(queries.cancel_waiting, conta.id, id, datetime.now(UTC), casa.runner.tellers)
    audios.fila.changed(id)
    if not waited and not casa.runner.cancel(id):
        raise inativa()
    return ok(None, "encerrando audio")
