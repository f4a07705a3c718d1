"""The row of a call dialled on a telephone, written in one transaction with the decision whether it may be made."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.billing.ledger import reserve, tariff_for
from telefonista.billing.rates import Tariff, affordable_seconds
from telefonista.calling import routing
from telefonista.calling.bina import bina_of
from telefonista.calling.causes import Status
from telefonista.calling.pedido import Pedido, PernaPedido, Rota
from telefonista.chamada.queries import Limits, add_perna
from telefonista.dialect.numbers import NumeroInvalido, classify, e_servico
from telefonista.engine.port import Incoming
from telefonista.storage.tables import Chamada, Conta, Evento, Ramal


@dataclass(frozen=True)
class Aceita:
    """To be called."""

    pedido: Pedido


@dataclass(frozen=True)
class Recusada:
    """A real number that this ramal or conta may not call: a chamada that ends at once. `aviso`: what is said."""

    pedido: Pedido
    aviso: str


@dataclass(frozen=True)
class Desconhecida:
    """Nothing to call, and so no chamada. `causa` is Q.850, `motivo` for the log, `aviso` what is said, if anything."""

    causa: int
    motivo: str
    aviso: str = ""


@dataclass(frozen=True)
class _Plano:
    """Where the call goes and what each leg costs; `recusa` says in Portuguese why it may not."""

    destino: Rota
    tarifas: Sequence[Tariff]  # of origem and destino
    limite: int = 0
    recusa: str = ""
    aviso: str = ""


_RAMAL = "ramal"
_UNPRICED = Tariff(Decimal(0))


def take_call(session: Session, call: Incoming, limits: Limits) -> Aceita | Recusada | Desconhecida:
    """Decide about a call of a ramal's keypad and write its rows; the leg that came in is its origem."""
    ramal = _ramal_of(session, call.endpoint)
    if ramal is None:
        return Desconhecida(21, "o ramal não existe mais")
    conta = session.get_one(Conta, ramal.conta_id, with_for_update=True)
    plano = _plan(session, conta, ramal, call.dialled, limits)
    if isinstance(plano, Desconhecida):
        return plano
    pedido = _write(session, ramal, call, plano, limits)
    return Recusada(pedido, plano.aviso) if plano.recusa else Aceita(pedido)


def _ramal_of(session: Session, usuario: str) -> Ramal | None:
    """The ramal that registers as `usuario`, see Ramal.usuario."""
    numero, _, conta_id = usuario.partition("c")
    if not (numero.isdigit() and conta_id.isdigit()):
        return None
    return session.scalars(select(Ramal).where(Ramal.conta_id == int(conta_id), Ramal.ramal == numero)).one_or_none()


def _plan(session: Session, conta: Conta, ramal: Ramal, dialled: str, limits: Limits) -> _Plano | Desconhecida:
    rights = routing.Chamador(externa=ramal.ligacao_externa, celular=ramal.ligacao_celular)
    try:
        destino = routing.resolve(session, conta, dialled, test_network=limits.test_network, chamador=rights)
    except routing.NaoPermitida as error:
        numero = classify(dialled)
        nowhere = Rota(numero.tipo, numero.classe, str(numero.e164), endpoint="")
        return _Plano(nowhere, (_UNPRICED, _UNPRICED), recusa=str(error), aviso="nao_permitido")
    except NumeroInvalido as error:
        if e_servico(dialled):
            return Desconhecida(21, "emergência e serviços de três dígitos não são atendidos", "nao_permitido")
        return Desconhecida(1, str(error))
    except routing.SemRota as error:
        return Desconhecida(3, str(error))
    try:
        tarifas = [tariff_for(session, conta.id, classe) for classe in (_RAMAL, destino.classe)]
    except LookupError as error:
        text = f"não há tarifa para a classe {error}"
        return _Plano(destino, (_UNPRICED, _UNPRICED), recusa=text, aviso="nao_permitido")
    limite = affordable_seconds(conta.saldo - conta.reservado, tarifas, limits.maximo)
    if limite < 1:
        return _Plano(destino, tarifas, recusa="saldo insuficiente", aviso="sem_saldo")
    return _Plano(destino, tarifas, limite)


def _write(session: Session, ramal: Ramal, call: Incoming, plano: _Plano, limits: Limits) -> Pedido:
    chamada = Chamada(
        conta_id=ramal.conta_id,
        data_criacao=call.at,
        status_geral="curso",
        estagio="origem",
        ramal_id_origem=ramal.id,
        gravar_audio=ramal.gravar_audio,
        limite_segundos=plano.limite,
        toque_segundos=limits.toque,
    )
    session.add(chamada)
    session.flush()
    origem = Rota(_RAMAL, _RAMAL, ramal.ramal, ramal.usuario, ramal_id=ramal.id)
    inside = plano.destino.tipo == _RAMAL
    wanted = ramal.ramal if inside else ramal.bina or ramal.ramal
    only = limits.so_bina_confirmada
    bina = bina_of(session, ramal.conta_id, plano.destino, wanted, so_confirmada=only)
    nome = ramal.nome or "" if inside else ""
    a = add_perna(session, chamada, "a", "origem", ramal.ramal, origem, plano.tarifas[0], None)
    numero, shown = call.dialled.strip()[:40], bina or None
    b = add_perna(session, chamada, "b", "destino", numero, plano.destino, plano.tarifas[1], shown)
    a.leg, a.data_inicio, a.status = call.leg.id, call.at, Status.CHAMANDO
    if not plano.recusa:
        for perna, tarifa in zip((a, b), plano.tarifas, strict=True):
            reserve(session, ramal.conta_id, perna, tarifa.price(1), call.at)
    _note(session, chamada, call, "criada")
    _note(session, chamada, call, "recebida", perna="a", leg=call.leg.id)
    if plano.recusa:
        _note(session, chamada, call, "recusada", motivo=plano.recusa)
    return Pedido(
        id=chamada.id,
        conta_id=ramal.conta_id,
        origem=PernaPedido(chamada.id, "a", origem),
        destino=PernaPedido(chamada.id, "b", plano.destino, bina, nome),
        toque=limits.toque,
        limite=plano.limite,
        gravar=ramal.gravar_audio,
    )


def _note(
    session: Session, chamada: Chamada, call: Incoming, tipo: str, *, perna: str | None = None, **dados: str
) -> None:
    session.add(Evento(chamada_id=chamada.id, momento=call.at, tipo=tipo, perna=perna, dados=dados))
