"""The SQL of audio, as functions taking a session: made, edited, cancelled, listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.audio.flow import ANSWER_MOST_SECONDS
from telefonista.billing.ledger import NotEnough, reserve
from telefonista.billing.rates import Tariff
from telefonista.calling.bina import bina_of
from telefonista.calling.creating import Limits, add_perna, route, tariff
from telefonista.calling.pedido import Rota
from telefonista.calling.records import Tellers, finish
from telefonista.calling.sounds import Sound
from telefonista.dialect.dates import Limites
from telefonista.dialect.errors import inativa, nao_encontrado, sem_saldo
from telefonista.storage.tables import Audio, Chamada, Conta, Evento, Gravacao, Perna


@dataclass(frozen=True)
class Novo:
    """An audio as asked for. `agendado_para` None = now."""

    numero_destino: str
    url_audio: str
    agendado_para: datetime | None = None
    resposta_usuario: bool = False
    gravar_audio: bool = False
    bina: str | None = None
    detecta_caixa: bool = False
    tags: str | None = None


@dataclass(frozen=True)
class Vista:
    """An audio with all that GET shows of it."""

    audio: Audio
    chamada: Chamada
    perna: Perna
    gravacao: Gravacao | None


@dataclass(frozen=True)
class Plano:
    """Where a message rings, what it costs and shows, and after how many seconds it is over at the latest."""

    rota: Rota
    tarifa: Tariff
    bina: str
    limite: int


def plan(session: Session, conta: Conta, numero: str, bina: str | None, audio: Audio, limits: Limits) -> Plano:
    """Route and price a message, writing nothing. Raises DialectError when it can not be made."""
    rota = route(session, conta, "numero_destino", numero, limits)
    tarifa = tariff(session, conta.id, rota.classe)
    shown = bina_of(session, conta.id, rota, "", so_confirmada=limits.so_bina_confirmada, pedida=bina)
    answer = ANSWER_MOST_SECONDS if audio.resposta_usuario else 0
    return Plano(rota, tarifa, shown, min(limits.maximo, -(-audio.duracao_ms // 1000) + int(answer) + 2))


def set_aside(session: Session, conta: Conta, perna: Perna, plano: Plano, now: datetime) -> None:
    """Set aside what the whole message costs, beside what is already. 402/9 when it is not there."""
    try:
        reserve(session, conta.id, perna, plano.tarifa.price(plano.limite) - perna.reserva, now)
    except NotEnough:
        raise sem_saldo() from None


def create_audio(session: Session, conta_id: int, novo: Novo, sound: Sound, limits: Limits, now: datetime) -> int:
    """Check, price and write the rows, and unless it is for later set its money aside; the id. It waits in the queue.

    Raises DialectError; then nothing was created.
    """
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    when = novo.agendado_para or now
    audio = Audio(
        conta_id=conta_id,
        url_audio=novo.url_audio,
        arquivo=sound.name,
        duracao_ms=sound.milliseconds,
        resposta_usuario=novo.resposta_usuario,
        na_fila=True,
        quando=when,
    )
    plano = plan(session, conta, novo.numero_destino, novo.bina, audio, limits)
    chamada = Chamada(
        conta_id=conta_id,
        recurso="audio",
        data_criacao=now,
        agendada_para=when,  # what waits for its time is left alone after a restart
        status_geral="criada",
        tags=novo.tags,
        gravar_audio=novo.gravar_audio,
        detecta_caixa=novo.detecta_caixa,
        limite_segundos=plano.limite,
        toque_segundos=limits.toque,
    )
    session.add(chamada)
    session.flush()
    audio.chamada_id, audio.tronco_id = chamada.id, plano.rota.tronco_id or 0
    session.add(audio)
    perna = add_perna(session, chamada, "a", "origem", novo.numero_destino.strip(), plano.rota, plano.tarifa, novo.bina)
    if novo.agendado_para is None:
        set_aside(session, conta, perna, plano, now)
    elif plano.tarifa.price(plano.limite) > conta.saldo - conta.reservado:
        raise sem_saldo()
    dados = {} if novo.agendado_para is None else {"agendada_para": when.isoformat()}
    session.add(Evento(chamada_id=chamada.id, momento=now, tipo="criada", perna=None, dados=dados))
    return chamada.id


@dataclass(frozen=True)
class Mudanca:
    """What a PUT changes: fields as in Novo, only those given. `sound` is that of a new url_audio."""

    campos: dict[str, Any]
    sound: Sound | None = None
    muda_data: bool = False
    agendado_para: datetime | None = None  # None with `muda_data`: now


def edit_audio(session: Session, conta_id: int, id: int, mudanca: Mudanca, limits: Limits, now: datetime) -> None:
    """Change an audio that was not dialled yet; 405/80 when it was. Raises DialectError; then nothing changed."""
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    audio, chamada, perna = _rows(session, conta_id, id)
    if not audio.na_fila:
        raise inativa()
    campos = mudanca.campos
    for name in ("url_audio", "resposta_usuario"):
        setattr(audio, name, campos.get(name, getattr(audio, name)))
    for name in ("gravar_audio", "detecta_caixa", "tags"):
        setattr(chamada, name, campos.get(name, getattr(chamada, name)))
    if mudanca.sound is not None:
        audio.arquivo, audio.duracao_ms = mudanca.sound.name, mudanca.sound.milliseconds
    if mudanca.muda_data:
        audio.quando = chamada.agendada_para = mudanca.agendado_para or now
    perna.numero, perna.bina = campos.get("numero_destino", perna.numero).strip(), campos.get("bina", perna.bina)
    plano = plan(session, conta, perna.numero, perna.bina, audio, limits)
    write_plan(audio, chamada, perna, plano, limits)
    if audio.quando <= now:
        set_aside(session, conta, perna, plano, now)
    elif plano.tarifa.price(plano.limite) - perna.reserva > conta.saldo - conta.reservado:
        raise sem_saldo()
    session.add(Evento(chamada_id=id, momento=now, tipo="editada", perna=None, dados={"campos": sorted(campos)}))


def write_plan(audio: Audio, chamada: Chamada, perna: Perna, plano: Plano, limits: Limits) -> None:
    """Bring the rows of a message that was not dialled yet up to its plan."""
    rota = plano.rota
    perna.tipo, perna.classe, perna.e164, perna.tarifa = rota.tipo, rota.classe, rota.e164, plano.tarifa.snapshot()
    chamada.limite_segundos, chamada.toque_segundos = plano.limite, limits.toque
    audio.tronco_id = rota.tronco_id or 0


def cancel_waiting(session: Session, conta_id: int, id: int, now: datetime, tellers: Tellers) -> bool:
    """End an audio that waits in the queue; False when it does not wait there. 404/60 when there is none."""
    audio, _, _ = _rows(session, conta_id, id)
    if not audio.na_fila:
        return False
    audio.na_fila = False
    return finish(session, id, "cancelada", now, tellers)


def note_answer(session: Session, id: int, keys: str) -> None:
    """The keys that were pressed so far."""
    session.get_one(Audio, id).resposta = keys


def audio_by_id(session: Session, conta_id: int, id: int) -> Vista:
    """An audio of this conta, whole; 404/60 when there is none."""
    audio, chamada, perna = _rows(session, conta_id, id)
    return Vista(audio, chamada, perna, _gravacoes(session, [id]).get(id))


def list_audios(
    session: Session, conta_id: int, limites: Limites, *, status: str | None, posicao: int, limite: int
) -> tuple[int, list[Vista]]:
    """One page of the report, oldest first, and how many there are in all. `status`: only those whose leg has it."""
    query = (
        select(Audio, Chamada, Perna)
        .join(Chamada, Chamada.id == Audio.chamada_id)
        .join(Perna, (Perna.chamada_id == Chamada.id) & (Perna.letra == "a"))
        .where(Chamada.conta_id == conta_id, Chamada.recurso == "audio")
    )
    if limites.inicio is not None:
        query = query.where(Chamada.data_criacao >= limites.inicio)
    if limites.fim is not None:
        query = query.where(Chamada.data_criacao < limites.fim)
    if status is not None:
        query = query.where(Perna.status == status)
    total = session.scalar(select(func.count()).select_from(query.with_only_columns(Audio.chamada_id).subquery())) or 0
    page = session.execute(query.order_by(Chamada.data_criacao, Chamada.id).offset(posicao).limit(limite)).all()
    gravacoes = _gravacoes(session, [audio.chamada_id for audio, _, _ in page])
    return total, [Vista(audio, chamada, perna, gravacoes.get(chamada.id)) for audio, chamada, perna in page]


def _gravacoes(session: Session, ids: Sequence[int]) -> dict[int, Gravacao]:
    query = select(Gravacao).where(Gravacao.chamada_id.in_(ids), Gravacao.tipo == "completa")
    return {gravacao.chamada_id: gravacao for gravacao in session.scalars(query)}


def _rows(session: Session, conta_id: int, id: int) -> tuple[Audio, Chamada, Perna]:
    audio = session.get(Audio, id)
    if audio is None or audio.conta_id != conta_id:
        raise nao_encontrado("audio")
    return audio, session.get_one(Chamada, id), perna_of(session, id)


def perna_of(session: Session, id: int) -> Perna:
    """The one leg of an audio."""
    return session.scalars(select(Perna).where(Perna.chamada_id == id, Perna.letra == "a")).one()
