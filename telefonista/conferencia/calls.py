"""The rows of a call into a room, by API or dialled on a telephone: checked, priced, its first block set aside."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.billing.ledger import reserve, tariff_for
from telefonista.billing.rates import Tariff, affordable_seconds
from telefonista.calling.bina import bina_of
from telefonista.calling.causes import Status
from telefonista.calling.creating import Limits, add_perna, route, tariff
from telefonista.calling.pedido import Pedido, PernaPedido, Rota
from telefonista.conferencia.queries import RECURSO, open_room
from telefonista.dialect.errors import DialectError, sem_saldo
from telefonista.engine.port import Incoming
from telefonista.storage.tables import Chamada, Conferencia, Conta, Evento, Participante, Perna, Ramal

CODE = "*6"
"""What a telephone dials before a room's id."""


@dataclass(frozen=True)
class Convite:
    """Whom to call into a room. `campo`: the name its number has in the request."""

    numero: str
    bina: str | None = None
    gravar: bool = False
    campo: str = "numero"


def add_call(
    session: Session, conta_id: int, conferencia_id: int, convite: Convite, limits: Limits, now: datetime
) -> Pedido:
    """Write the rows of a call that is to be placed now. Raises DialectError; then nothing was added."""
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    conferencia = open_room(session, conta_id, conferencia_id)
    rota = route(session, conta, convite.campo, convite.numero, limits)
    tarifa = tariff(session, conta_id, rota.classe)
    limite = affordable_seconds(conta.saldo - conta.reservado, [tarifa], limits.maximo)
    if limite < 1:
        raise sem_saldo()
    only = limits.so_bina_confirmada
    bina = bina_of(session, conta_id, rota, "", so_confirmada=only, pedida=convite.bina)
    chamada = Chamada(
        conta_id=conta_id,
        recurso=RECURSO,
        data_criacao=now,
        status_geral="criada",
        gravar_audio=convite.gravar,
        limite_segundos=limite,
        toque_segundos=limits.toque,
    )
    _add(session, conferencia, chamada, convite.numero.strip(), rota, tarifa, convite.bina, now)
    session.add(Evento(chamada_id=chamada.id, momento=now, tipo="criada", perna=None, dados=_dados(conferencia)))
    return _pedido(chamada, PernaPedido(chamada.id, "a", rota, bina))


@dataclass(frozen=True)
class Entra:
    """A telephone that may come in, once it knows the PIN."""

    pedido: Pedido
    conferencia_id: int
    pin: str | None


@dataclass(frozen=True)
class Barrada:
    """A telephone that may not: there is no chamada. `causa` is Q.850, `motivo` for the log, `aviso` what is said."""

    causa: int
    motivo: str
    aviso: str


def take_in(session: Session, call: Incoming, limits: Limits) -> Entra | Barrada:
    """Decide about a ramal that dialled a room, and write its rows; the leg that came in is the call's only one."""
    ramal = _ramal_of(session, call.endpoint)
    if ramal is None:
        return Barrada(21, "o ramal não existe mais", "nao_permitido")
    conta = session.get_one(Conta, ramal.conta_id, with_for_update=True)
    wanted = call.dialled.removeprefix(CODE)
    try:
        conferencia = open_room(session, conta.id, int(wanted) if wanted.isdecimal() and len(wanted) < 10 else 0)
    except DialectError as problem:
        return Barrada(1, problem.mensagem, "conferencia_inexistente")
    try:
        tarifa = tariff_for(session, conta.id, "ramal")
    except LookupError:
        return Barrada(21, "não há tarifa para a classe ramal", "nao_permitido")
    limite = affordable_seconds(conta.saldo - conta.reservado, [tarifa], limits.maximo)
    if limite < 1:
        return Barrada(21, "saldo insuficiente", "sem_saldo")
    rota = Rota("ramal", "ramal", ramal.ramal, ramal.usuario, ramal_id=ramal.id)
    chamada = Chamada(
        conta_id=conta.id,
        recurso=RECURSO,
        data_criacao=call.at,
        status_geral="curso",
        estagio="origem",
        ramal_id_origem=ramal.id,
        gravar_audio=ramal.gravar_audio,
        limite_segundos=limite,
        toque_segundos=limits.toque,
    )
    perna = _add(session, conferencia, chamada, ramal.ramal, rota, tarifa, None, call.at)
    perna.leg, perna.data_inicio, perna.status = call.leg.id, call.at, Status.CHAMANDO
    made = Evento(chamada_id=chamada.id, momento=call.at, tipo="criada", perna=None, dados=_dados(conferencia))
    came = Evento(chamada_id=chamada.id, momento=call.at, tipo="recebida", perna="a", dados={"leg": call.leg.id})
    session.add_all((made, came))
    pedido = _pedido(chamada, PernaPedido(chamada.id, "a", rota))
    return Entra(pedido, conferencia.id, conferencia.pin)


def restored(chamada: Chamada, perna: Perna) -> Pedido:
    """The pedido of a call that goes on after a restart of ours."""
    return _pedido(chamada, PernaPedido(chamada.id, "a", Rota(perna.tipo, perna.classe, perna.e164, endpoint="")))


def _add(
    session: Session,
    conferencia: Conferencia,
    chamada: Chamada,
    numero: str,
    rota: Rota,
    tarifa: Tariff,
    bina: str | None,
    now: datetime,
) -> Perna:
    session.add(chamada)
    session.flush()
    session.add(Participante(chamada_id=chamada.id, conferencia_id=conferencia.id))
    perna = add_perna(session, chamada, "a", "origem", numero, rota, tarifa, bina)
    reserve(session, chamada.conta_id, perna, tarifa.price(1), now)
    return perna


def _dados(conferencia: Conferencia) -> dict[str, int]:
    return {"conferencia_id": conferencia.id}


def _pedido(chamada: Chamada, perna: PernaPedido) -> Pedido:
    return Pedido(
        id=chamada.id,
        conta_id=chamada.conta_id,
        origem=perna,
        destino=perna,  # there is no other side: the room is
        toque=chamada.toque_segundos,
        limite=chamada.limite_segundos,
        gravar=chamada.gravar_audio,
    )


def _ramal_of(session: Session, usuario: str) -> Ramal | None:
    """The ramal that registers as `usuario`, see Ramal.usuario."""
    numero, _, conta_id = usuario.partition("c")
    if not (numero.isdecimal() and conta_id.isdecimal()):
        return None
    return session.scalars(select(Ramal).where(Ramal.conta_id == int(conta_id), Ramal.ramal == numero)).one_or_none()
