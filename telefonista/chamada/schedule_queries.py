"""The SQL of scheduled chamadas: which are due, and what becomes of one when its time has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from telefonista.calling import routing
from telefonista.calling.pacing import Due
from telefonista.calling.pedido import Pedido
from telefonista.calling.records import Fact, Tellers, finish, note, pernas_of
from telefonista.chamada.queries import Limits, place, plan
from telefonista.dialect.errors import DialectError
from telefonista.engine.port import By
from telefonista.engine.rede import canonico
from telefonista.storage.tables import Chamada, Conta, Perna, Tronco

CONGESTED, NO_ROUTE, REFUSED, FAILED = 42, 3, 21, 41  # Q.850


@dataclass(frozen=True)
class Found:
    """Those whose time has come, in order of time, and when the next one comes."""

    due: list[Due]
    next_at: datetime | None


def look(session: Session, since: datetime, now: datetime, *, test_network: bool) -> Found:
    """What waits for an instant from `since` to `now`."""
    a, b = aliased(Perna), aliased(Perna)
    ours = Chamada.recurso == "chamada"  # a voice message that waits is its own queue's
    waiting = (Chamada.status_geral == "criada") & Chamada.agendada_para.is_not(None) & ours
    rows = session.execute(
        select(Chamada.agendada_para, Chamada.id, Chamada.conta_id, a.tipo, a.classe, a.e164, b.tipo, b.classe, b.e164)
        .join(a, (a.chamada_id == Chamada.id) & (a.letra == "a"))
        .join(b, (b.chamada_id == Chamada.id) & (b.letra == "b"))
        .where(waiting, Chamada.agendada_para >= since, Chamada.agendada_para <= now)
        .order_by(Chamada.agendada_para, Chamada.id)
    ).all()
    troncos = routing.troncos_of(session) if rows else ()
    trunks: dict[tuple[str, str], int | None] = {}

    def trunk(tipo: str, classe: str, e164: str) -> int | None:
        if test_network and canonico(e164) is not None:
            return None
        if (tipo, classe) not in trunks:
            trunks[tipo, classe] = _trunk(troncos, tipo, classe)
        return trunks[tipo, classe]

    due = [Due(at, id, conta_id, trunk(*row[:3]), trunk(*row[3:])) for at, id, conta_id, *row in rows if at]
    next_at = session.scalar(select(func.min(Chamada.agendada_para)).where(waiting, Chamada.agendada_para > now))
    return Found(due, next_at)


def _trunk(troncos: Sequence[Tronco], tipo: str, classe: str) -> int | None:
    tronco = None if tipo == "ramal" else routing.serving(troncos, classe)
    return None if tronco is None else tronco.id


def place_scheduled(
    session: Session, chamada_id: int, limits: Limits, now: datetime, tellers: Tellers
) -> Pedido | None:
    """Route and price it as the world is now, and set its money aside. None: it is cancelled, or has ended here
    because it can not be called any more."""
    conta_id = session.scalar(select(Chamada.conta_id).where(Chamada.id == chamada_id))
    conta = session.get_one(Conta, conta_id, with_for_update=True)
    chamada = session.get_one(Chamada, chamada_id, with_for_update=True)
    if not _waits(chamada):
        return None
    a, b = pernas_of(session, chamada_id)
    try:
        plano = plan(session, conta, a.numero, b.numero, limits, (a.bina, b.bina))
    except DialectError as error:
        causa = REFUSED if error.status in (402, 403) else NO_ROUTE
        end_scheduled(session, chamada_id, causa, error.mensagem, now, tellers)
        return None
    for perna, rota, tarifa in zip((a, b), plano.rotas, plano.tarifas, strict=True):
        perna.tipo, perna.classe, perna.e164, perna.tarifa = rota.tipo, rota.classe, rota.e164, tarifa.snapshot()
    chamada.agendada_para = None
    chamada.ramal_id_origem = plano.rotas[0].ramal_id
    chamada.limite_segundos, chamada.toque_segundos = plano.limite, limits.toque
    pedido = place(session, chamada, (a, b), plano, now)
    session.flush()
    note(session, chamada_id, Fact("colocada", now), tellers)
    return pedido


def end_scheduled(session: Session, chamada_id: int, causa: int, motivo: str, now: datetime, tellers: Tellers) -> bool:
    """End it without a call: origem gets the cause, the journal says why. False when it does not wait any more."""
    chamada = session.get_one(Chamada, chamada_id, with_for_update=True)
    if not _waits(chamada):
        return False
    note(session, chamada_id, Fact("nao_colocada", now, None, {"motivo": motivo}), tellers)
    note(session, chamada_id, Fact("desligada", now, "a", {"causa": causa, "sip": None, "por": By.US.value}), tellers)
    return finish(session, chamada_id, "congestionado" if causa == CONGESTED else "falha", now, tellers)


def cancel_scheduled(session: Session, chamada_id: int, now: datetime, tellers: Tellers) -> bool:
    """End a chamada that waits for its time and was never dialled; False when it is not such a one."""
    chamada = session.get_one(Chamada, chamada_id, with_for_update=True)
    return _waits(chamada) and finish(session, chamada_id, "cancelada", now, tellers)


def _waits(chamada: Chamada) -> bool:
    return chamada.agendada_para is not None and chamada.status_geral == "criada"
