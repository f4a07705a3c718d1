"""The SQL of chamada, as functions taking a session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.billing.ledger import reserve
from telefonista.billing.rates import Tariff, affordable_seconds
from telefonista.calling.bina import bina_of
from telefonista.calling.creating import Limits as Limits
from telefonista.calling.creating import add_perna as add_perna
from telefonista.calling.creating import limits_of as limits_of
from telefonista.calling.creating import route as route
from telefonista.calling.creating import tariff as tariff
from telefonista.calling.pedido import Pedido, PernaPedido, Rota
from telefonista.calling.records import pernas_of
from telefonista.dialect.errors import sem_saldo
from telefonista.storage.tables import Chamada, Conta, Evento, Gravacao, Perna


@dataclass(frozen=True)
class Nova:
    """A chamada as asked for. `agendada_para` None = now."""

    numero_origem: str
    numero_destino: str
    agendada_para: datetime | None = None
    gravar_audio: bool = False
    bina_origem: str | None = None
    bina_destino: str | None = None
    tags: str | None = None
    detecta_caixa: bool = False
    detecta_caixa_origem: bool = False
    detecta_caixa_destino: bool = False


@dataclass(frozen=True)
class Vista:
    """A chamada with all that GET shows of it."""

    chamada: Chamada
    pernas: Sequence[Perna]
    gravacoes: Sequence[Gravacao]


@dataclass(frozen=True)
class Plano:
    """Where a chamada rings, what each leg costs and shows, and how many seconds the saldo lets it talk."""

    rotas: tuple[Rota, Rota]  # of origem and destino
    tarifas: tuple[Tariff, Tariff]
    binas: tuple[str, str]
    limite: int


@dataclass(frozen=True)
class Criada:
    """A chamada whose rows are written: to be called now, or waiting for its time."""

    id: int
    pedido: Pedido | None
    agendada_para: datetime | None


def create_chamada(session: Session, conta_id: int, nova: Nova, limits: Limits, now: datetime) -> Criada:
    """Check, price and write the rows, and unless it is for later set its money aside.

    Raises DialectError; then nothing was created.
    """
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    asked = (nova.bina_origem, nova.bina_destino)
    plano = plan(session, conta, nova.numero_origem, nova.numero_destino, limits, asked)
    chamada = Chamada(
        conta_id=conta_id,
        data_criacao=now,
        agendada_para=nova.agendada_para,
        status_geral="criada",
        tags=nova.tags,
        ramal_id_origem=plano.rotas[0].ramal_id,
        gravar_audio=nova.gravar_audio,
        detecta_caixa=nova.detecta_caixa,
        detecta_caixa_origem=nova.detecta_caixa_origem,
        detecta_caixa_destino=nova.detecta_caixa_destino,
        limite_segundos=plano.limite,
        toque_segundos=limits.toque,
    )
    session.add(chamada)
    session.flush()
    (origem, destino), (de, para) = plano.rotas, plano.tarifas
    a = add_perna(session, chamada, "a", "origem", nova.numero_origem.strip(), origem, de, nova.bina_origem)
    b = add_perna(session, chamada, "b", "destino", nova.numero_destino.strip(), destino, para, nova.bina_destino)
    later = nova.agendada_para
    dados = {} if later is None else {"agendada_para": later.isoformat()}
    session.add(Evento(chamada_id=chamada.id, momento=now, tipo="criada", perna=None, dados=dados))
    return Criada(chamada.id, place(session, chamada, (a, b), plano, now) if later is None else None, later)


def plan(
    session: Session,
    conta: Conta,
    origem: str,
    destino: str,
    limits: Limits,
    binas: tuple[str | None, str | None] = (None, None),
) -> Plano:
    """Route and price a chamada between two numbers, writing nothing. Raises DialectError when it can not be made.

    `binas`: what was asked to be shown to origem and to destino; by default each is shown the other's number.
    """
    rotas = (
        route(session, conta, "numero_origem", origem, limits),
        route(session, conta, "numero_destino", destino, limits),
    )
    tarifas = (tariff(session, conta.id, rotas[0].classe), tariff(session, conta.id, rotas[1].classe))
    limite = affordable_seconds(conta.saldo - conta.reservado, tarifas, limits.maximo)
    if limite < 1:
        raise sem_saldo()
    shown = (
        _bina(session, conta, rotas[0], "bina_origem", binas[0], destino, limits),
        _bina(session, conta, rotas[1], "bina_destino", binas[1], origem, limits),
    )
    return Plano(rotas, tarifas, shown, limite)


def _bina(
    session: Session, conta: Conta, rota: Rota, campo: str, pedida: str | None, padrao: str, limits: Limits
) -> str:
    only = limits.so_bina_confirmada
    return bina_of(session, conta.id, rota, padrao, so_confirmada=only, pedida=pedida, campo=campo)


def place(session: Session, chamada: Chamada, pernas: tuple[Perna, Perna], plano: Plano, now: datetime) -> Pedido:
    """Set the money of both legs aside: from here on the chamada is to be called, now."""
    for perna, tarifa in zip(pernas, plano.tarifas, strict=True):
        reserve(session, chamada.conta_id, perna, tarifa.price(1), now)
    return Pedido(
        id=chamada.id,
        conta_id=chamada.conta_id,
        origem=PernaPedido(chamada.id, "a", plano.rotas[0], plano.binas[0]),
        destino=PernaPedido(chamada.id, "b", plano.rotas[1], plano.binas[1]),
        toque=chamada.toque_segundos,
        limite=plano.limite,
        gravar=chamada.gravar_audio,
    )


def chamada_by_id(session: Session, conta_id: int, chamada_id: int) -> Vista | None:
    """A chamada of this conta, whole. A voice message is none: /audio shows it."""
    chamada = session.get(Chamada, chamada_id)
    if chamada is None or chamada.conta_id != conta_id or chamada.recurso == "audio":
        return None
    gravacoes = session.scalars(select(Gravacao).where(Gravacao.chamada_id == chamada_id).order_by(Gravacao.id)).all()
    return Vista(chamada, pernas_of(session, chamada_id), gravacoes)
