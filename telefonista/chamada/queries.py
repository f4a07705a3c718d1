"""The SQL of chamada, as functions taking a session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from telefonista.billing.ledger import reserve, tariff_for
from telefonista.billing.rates import Tariff, affordable_seconds
from telefonista.calling import routing
from telefonista.calling.pedido import Pedido, PernaPedido, Rota
from telefonista.calling.records import Tellers, finish, pernas_of
from telefonista.dialect.dates import Limites
from telefonista.dialect.errors import invalido, nao_permitido, sem_saldo
from telefonista.dialect.numbers import NumeroInvalido
from telefonista.settings import Settings
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
class Limits:
    """Seconds of the settings, and whether the test network is on."""

    toque: int
    maximo: int
    test_network: bool


def limits_of(settings: Settings) -> Limits:
    return Limits(settings.ring_seconds, settings.max_call_seconds, settings.test_network)


@dataclass(frozen=True)
class Vista:
    """A chamada with all that GET shows of it."""

    chamada: Chamada
    pernas: Sequence[Perna]
    gravacoes: Sequence[Gravacao]


def create_chamada(session: Session, conta_id: int, nova: Nova, limits: Limits, now: datetime) -> Pedido:
    """Check, price, set money aside and write the rows. Raises DialectError; then nothing was created."""
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    origem = route(session, conta, "numero_origem", nova.numero_origem, limits)
    destino = route(session, conta, "numero_destino", nova.numero_destino, limits)
    tarifas = [tariff(session, conta_id, rota.classe) for rota in (origem, destino)]
    limite = affordable_seconds(conta.saldo - conta.reservado, tarifas, limits.maximo)
    if limite < 1:
        raise sem_saldo()
    chamada = Chamada(
        conta_id=conta_id,
        data_criacao=now,
        agendada_para=nova.agendada_para,
        status_geral="criada",
        ramal_id_origem=origem.ramal_id,
        tags=nova.tags,
        gravar_audio=nova.gravar_audio,
        detecta_caixa=nova.detecta_caixa,
        detecta_caixa_origem=nova.detecta_caixa_origem,
        detecta_caixa_destino=nova.detecta_caixa_destino,
        limite_segundos=limite,
        toque_segundos=limits.toque,
    )
    session.add(chamada)
    session.flush()
    binas = (nova.bina_origem or nova.numero_destino, nova.bina_destino or nova.numero_origem)
    asked = (nova.bina_origem, nova.bina_destino)
    numeros = (nova.numero_origem, nova.numero_destino)
    for letra, papel, numero, rota, tarifa, bina in zip(
        "ab", ("origem", "destino"), numeros, (origem, destino), tarifas, asked, strict=True
    ):
        perna = add_perna(session, chamada, letra, papel, numero.strip(), rota, tarifa, bina)
        reserve(session, conta_id, perna, tarifa.price(1), now)
    session.add(Evento(chamada_id=chamada.id, momento=now, tipo="criada", perna=None, dados={}))
    return Pedido(
        id=chamada.id,
        conta_id=conta_id,
        origem=PernaPedido(chamada.id, "a", origem, routing.as_shown(binas[0])),
        destino=PernaPedido(chamada.id, "b", destino, routing.as_shown(binas[1])),
        toque=limits.toque,
        limite=limite,
        gravar=nova.gravar_audio,
    )


def add_perna(
    session: Session,
    chamada: Chamada,
    letra: str,
    papel: str,
    numero: str,
    rota: Rota,
    tarifa: Tariff,
    bina: str | None,
) -> Perna:
    """A leg's row, priced by a snapshot of its tariff."""
    perna = Perna(
        chamada_id=chamada.id,
        letra=letra,
        papel=papel,
        numero=numero,
        e164=rota.e164,
        tipo=rota.tipo,
        classe=rota.classe,
        bina=bina,
        tarifa=tarifa.snapshot(),
        reserva=Decimal(0),
    )
    session.add(perna)
    session.flush()
    return perna


def route(session: Session, conta: Conta, campo: str, texto: str, limits: Limits) -> Rota:
    """Where the number in `campo` rings; DialectError when it may or can not."""
    try:
        return routing.resolve(session, conta, texto, test_network=limits.test_network)
    except routing.NaoPermitida as error:
        raise nao_permitido(f"o campo {campo} não pode ser chamado: {error}") from None
    except (NumeroInvalido, routing.SemRota) as error:
        raise invalido(campo, str(error)) from None


def tariff(session: Session, conta_id: int, classe: str) -> Tariff:
    """What a class costs this conta; DialectError when nobody priced it."""
    try:
        return tariff_for(session, conta_id, classe)
    except LookupError:
        raise nao_permitido(f"não há tarifa para a classe {classe}: peça ao operador que a cadastre") from None


def cancel_scheduled(session: Session, chamada_id: int, now: datetime, tellers: Tellers) -> bool:
    """End a chamada that waits for its time and was never dialled; False when it is not such a one."""
    chamada = session.get_one(Chamada, chamada_id, with_for_update=True)
    if chamada.agendada_para is None or chamada.status_geral != "criada":
        return False
    return finish(session, chamada_id, "cancelada", now, tellers)


def chamada_by_id(session: Session, conta_id: int, chamada_id: int) -> Vista | None:
    """A chamada of this conta, whole."""
    chamada = session.get(Chamada, chamada_id)
    if chamada is None or chamada.conta_id != conta_id:
        return None
    gravacoes = session.scalars(select(Gravacao).where(Gravacao.chamada_id == chamada_id).order_by(Gravacao.id)).all()
    return Vista(chamada, pernas_of(session, chamada_id), gravacoes)


def list_chamadas(
    session: Session,
    conta_id: int,
    limites: Limites,
    *,
    origem: str | None,
    destino: str | None,
    posicao: int,
    limite: int,
) -> tuple[int, list[Vista]]:
    """One page of the report, oldest first, and how many there are in all."""
    query: Select[Any] = select(Chamada).where(Chamada.conta_id == conta_id)
    if limites.inicio is not None:
        query = query.where(Chamada.data_criacao >= limites.inicio)
    if limites.fim is not None:
        query = query.where(Chamada.data_criacao < limites.fim)
    for papel, numero in (("origem", origem), ("destino", destino)):
        if numero is not None:
            query = _with_number(query, papel, numero)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    page = session.scalars(query.order_by(Chamada.data_criacao, Chamada.id).offset(posicao).limit(limite)).all()
    ids = [chamada.id for chamada in page]
    pernas: dict[int, list[Perna]] = {id: [] for id in ids}
    for perna in session.scalars(select(Perna).where(Perna.chamada_id.in_(ids)).order_by(Perna.id)):
        pernas[perna.chamada_id].append(perna)
    gravacoes: dict[int, list[Gravacao]] = {id: [] for id in ids}
    for gravacao in session.scalars(select(Gravacao).where(Gravacao.chamada_id.in_(ids)).order_by(Gravacao.id)):
        gravacoes[gravacao.chamada_id].append(gravacao)
    return total, [Vista(chamada, pernas[chamada.id], gravacoes[chamada.id]) for chamada in page]


def _with_number(query: Select[Any], papel: str, numero: str) -> Select[Any]:
    perna = aliased(Perna)
    return query.join(perna, (perna.chamada_id == Chamada.id) & (perna.papel == papel)).where(perna.e164 == numero)
