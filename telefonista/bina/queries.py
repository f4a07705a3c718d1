"""The SQL of bina, as functions taking a session: numbers that a conta may show, their codes and their calls."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.billing.ledger import reserve
from telefonista.billing.rates import affordable_seconds
from telefonista.calling.bina import bina_of
from telefonista.calling.creating import Limits, add_perna, route, tariff
from telefonista.calling.pedido import Pedido, PernaPedido
from telefonista.calling.routing import as_shown
from telefonista.dialect.errors import DialectError, Motivo, invalido, nao_encontrado, sem_saldo
from telefonista.dialect.numbers import NumeroInvalido, classify
from telefonista.storage.tables import Bina, Chamada, Conta, Evento, Perna

VALID = timedelta(minutes=15)
ATTEMPTS = 5
EVERY = timedelta(minutes=1)
A_DAY = 10  # calls to one number in 24 h
CALL_SECONDS = 60

CONFIRMACAO = "confirmação de bina"
"""The `tags` of the chamadas that speak a code: they are counted by it, also those of a bina that was removed."""


@dataclass(frozen=True)
class Ligacao:
    """A call to place, and the code to speak in it."""

    bina_id: int
    pedido: Pedido
    codigo: str = field(repr=False)


def create_bina(session: Session, conta_id: int, numero: str, limits: Limits, now: datetime) -> Ligacao:
    """An unconfirmed bina and the call that proves it. Raises DialectError; then nothing was created."""
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    e164 = e164_of_bina(numero)
    if bina_by_numero(session, conta_id, e164) is not None:
        texto = "este numero já está entre as binas da conta: se falta confirmá-lo, peça outro código"
        raise DialectError(405, Motivo.DUPLICADO, texto)
    bina = Bina(conta_id=conta_id, numero=e164, criada_em=now)
    session.add(bina)
    session.flush()
    return _call(session, conta, bina, limits, now)


def call_again(session: Session, conta_id: int, bina_id: int, limits: Limits, now: datetime) -> Ligacao:
    """Another code for an unconfirmed bina; the one before is void."""
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    bina = bina_by_id(session, conta_id, bina_id)
    if bina.confirmada_em is not None:
        raise DialectError(405, Motivo.DUPLICADO, "esta bina já está confirmada: não precisa de código")
    return _call(session, conta, bina, limits, now)


def confirm(session: Session, conta_id: int, bina_id: int, codigo: str, now: datetime) -> int | None:
    """Try a code: None when the bina is confirmed now, else how many attempts are left. 405/11 when none is."""
    bina = bina_by_id(session, conta_id, bina_id)
    if bina.confirmada_em is not None:
        return None
    if bina.codigo is None or bina.expira_em is None or bina.expira_em <= now:
        raise invalido("codigo", f"o último venceu ou foi errado {ATTEMPTS} vezes; peça outro em POST /bina/id/codigo")
    if secrets.compare_digest(bina.codigo, _hash(bina, codigo)):
        set_confirmed(bina, now)
        return None
    bina.tentativas += 1
    if bina.tentativas >= ATTEMPTS:
        bina.codigo = None
    return ATTEMPTS - bina.tentativas


def set_confirmed(bina: Bina, now: datetime) -> None:
    bina.confirmada_em, bina.codigo, bina.expira_em = now, None, None


def add_confirmed(session: Session, conta_id: int, e164: str, now: datetime) -> Bina:
    """The operator vouches for a number: it is confirmed, and made where it is missing."""
    bina = bina_by_numero(session, conta_id, e164)
    if bina is None:
        bina = Bina(conta_id=conta_id, numero=e164, criada_em=now)
        session.add(bina)
    if bina.confirmada_em is None:
        set_confirmed(bina, now)
    session.flush()
    return bina


def delete_bina(session: Session, conta_id: int, bina_id: int) -> None:
    session.delete(bina_by_id(session, conta_id, bina_id))


def bina_by_id(session: Session, conta_id: int, bina_id: int) -> Bina:
    """404/60 when it is not of this conta."""
    bina = session.get(Bina, bina_id)
    if bina is None or bina.conta_id != conta_id:
        raise nao_encontrado("bina")
    return bina


def bina_by_numero(session: Session, conta_id: int, e164: str) -> Bina | None:
    return session.scalars(select(Bina).where(Bina.conta_id == conta_id, Bina.numero == e164)).one_or_none()


def list_binas(
    session: Session, conta_id: int | None, *, posicao: int = 0, limite: int | None = None
) -> tuple[int, Sequence[Bina]]:
    """One page of a conta's binas, or of all contas', in their order; and how many there are in all."""
    query = select(Bina) if conta_id is None else select(Bina).where(Bina.conta_id == conta_id)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return total, session.scalars(query.order_by(Bina.id).offset(posicao).limit(limite)).all()


def e164_of_bina(texto: str) -> str:
    """E.164 of a number that could be a bina; 405/11 for another."""
    try:
        numero = classify(texto)
    except NumeroInvalido as error:
        raise invalido("numero", str(error)) from None
    if numero.e164 is None:
        raise invalido("numero", "informe DDD + número, por exemplo 4832830151; ramais não precisam ser confirmados")
    return numero.e164


def _call(session: Session, conta: Conta, bina: Bina, limits: Limits, now: datetime) -> Ligacao:
    """A new code, and the rows of the chamada that speaks it: one perna, no destino."""
    _check_pace(session, bina, now)
    rota = route(session, conta, "numero", bina.numero, limits)
    tarifa = tariff(session, conta.id, rota.classe)
    limite = affordable_seconds(conta.saldo - conta.reservado, [tarifa], CALL_SECONDS)
    if limite < 1:
        raise sem_saldo()
    chamada = Chamada(
        conta_id=conta.id,
        data_criacao=now,
        status_geral="criada",
        tags=CONFIRMACAO,
        limite_segundos=limite,
        toque_segundos=limits.toque,
    )
    session.add(chamada)
    session.flush()
    perna = add_perna(session, chamada, "a", "origem", as_shown(bina.numero), rota, tarifa, None)
    reserve(session, conta.id, perna, tarifa.price(1), now)
    session.add(Evento(chamada_id=chamada.id, momento=now, tipo="criada", perna=None, dados={"bina": bina.id}))
    codigo = str(100_000 + secrets.randbelow(900_000))  # no 0 in front: a client may send it as a number
    bina.codigo, bina.tentativas, bina.expira_em = _hash(bina, codigo), 0, now + VALID
    shown = bina_of(session, conta.id, rota, "", so_confirmada=limits.so_bina_confirmada)
    leg = PernaPedido(chamada.id, "a", rota, shown)
    pedido = Pedido(chamada.id, conta.id, origem=leg, destino=leg, toque=limits.toque, limite=limite)
    return Ligacao(bina.id, pedido, codigo)


def _check_pace(session: Session, bina: Bina, now: datetime) -> None:
    """429/100 when a number would be called for codes too often: it may be a stranger's."""
    query = (
        select(Chamada.data_criacao)
        .join(Perna, Perna.chamada_id == Chamada.id)
        .where(
            Perna.e164 == bina.numero,
            Chamada.conta_id == bina.conta_id,
            Chamada.tags == CONFIRMACAO,
            Chamada.data_criacao > now - timedelta(days=1),
        )
        .order_by(Chamada.data_criacao.desc())
    )
    calls = session.scalars(query).all()
    if len(calls) >= A_DAY:
        free = calls[A_DAY - 1] + timedelta(days=1)
    elif calls:
        free = calls[0] + EVERY
    else:
        return
    if free > now:
        seconds = ceil((free - now).total_seconds())
        texto = f"este número acabou de ser chamado, ou foi muitas vezes hoje: peça outro código em {seconds} s"
        raise DialectError(429, Motivo.TAXA, texto, {"Retry-After": str(seconds)})


def _hash(bina: Bina, codigo: str) -> str:
    return hashlib.sha256(f"{bina.id}:{codigo.strip()}".encode()).hexdigest()
