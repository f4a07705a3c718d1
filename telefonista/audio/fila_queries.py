"""The SQL of the queue of voice messages: who waits, and what becomes of one whose turn has come."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from telefonista.audio.queries import perna_of, plan, set_aside, write_plan
from telefonista.calling.creating import Limits
from telefonista.calling.pacing import Due
from telefonista.calling.pedido import Pedido, PernaPedido
from telefonista.calling.records import Fact, Tellers, finish, note
from telefonista.dialect.errors import DialectError
from telefonista.engine.port import By
from telefonista.storage.tables import Audio, Chamada, Conta

NO_ROUTE, REFUSED = 3, 21  # Q.850

_WAITING = Audio.na_fila.is_(True)


@dataclass(frozen=True)
class Found:
    """Those whose turn may come, by line in order of time; `more`: a line has others behind them."""

    due: list[Due]
    next_at: datetime | None  # when another falls due
    more: bool


@dataclass(frozen=True)
class Partida:
    """A message to be called now."""

    pedido: Pedido
    url: str
    arquivo: str
    resposta_usuario: bool


def look(session: Session, now: datetime, most: int) -> Found:
    """Up to `most` that are due in each line, which is a conta's messages by one trunk."""
    due: list[Due] = []
    next_at: list[datetime] = []
    more = False
    conta_id, tronco_id = -1, -1
    while (line := _line_after(session, conta_id, tronco_id)) is not None:
        conta_id, tronco_id = line
        here = and_(_WAITING, Audio.conta_id == conta_id, Audio.tronco_id == tronco_id)
        rows = session.execute(
            select(Audio.quando, Audio.chamada_id)
            .where(here, Audio.quando <= now)
            .order_by(Audio.quando, Audio.chamada_id)
            .limit(most)
        ).all()
        due += [Due(quando, id, conta_id, tronco_id or None, None) for quando, id in rows]
        more = more or len(rows) == most
        later = session.scalar(select(func.min(Audio.quando)).where(here, Audio.quando > now))
        if later is not None:
            next_at.append(later)
    return Found(due, min(next_at, default=None), more)


def _line_after(session: Session, conta_id: int, tronco_id: int) -> tuple[int, int] | None:
    """The next line with somebody in it: a leap in the index, however many wait in the line before."""
    beyond = or_(Audio.conta_id > conta_id, and_(Audio.conta_id == conta_id, Audio.tronco_id > tronco_id))
    found = session.execute(
        select(Audio.conta_id, Audio.tronco_id)
        .where(_WAITING, Audio.conta_id >= conta_id, beyond)
        .order_by(Audio.conta_id, Audio.tronco_id)
        .limit(1)
    ).first()
    return None if found is None else (found[0], found[1])


def place(session: Session, id: int, limits: Limits, now: datetime, tellers: Tellers) -> Partida | None:
    """Take one out of the queue, routed, priced and paid ahead as the world is now.

    None: it is cancelled, put off, or has ended here because it can not be called any more.
    """
    audio = session.get_one(Audio, id)
    conta = session.get_one(Conta, audio.conta_id, with_for_update=True)
    if not audio.na_fila or audio.quando > now:
        return None
    chamada, perna = session.get_one(Chamada, id), perna_of(session, id)
    audio.na_fila = False
    try:
        plano = plan(session, conta, perna.numero, perna.bina, audio, limits)
        set_aside(session, conta, perna, plano, now)
    except DialectError as error:
        causa = REFUSED if error.status in (402, 403) else NO_ROUTE
        dados = {"causa": causa, "sip": None, "por": By.US.value}
        note(session, id, Fact("nao_colocada", now, None, {"motivo": error.mensagem}), tellers)
        note(session, id, Fact("desligada", now, perna.letra, dados), tellers)
        finish(session, id, "falha", now, tellers)
        return None
    write_plan(audio, chamada, perna, plano, limits)
    leg = PernaPedido(id, perna.letra, plano.rota, plano.bina)
    pedido = Pedido(
        id=id,
        conta_id=audio.conta_id,
        origem=leg,
        destino=leg,  # there is no other side
        toque=limits.toque,
        limite=plano.limite,
        gravar=chamada.gravar_audio,
    )
    return Partida(pedido, audio.url_audio, audio.arquivo, audio.resposta_usuario)


def take_back(session: Session) -> int:
    """At a start of ours: what was taken out of the queue and not dialled before we went waits again; how many."""
    undialled = select(Chamada.id).where(Chamada.recurso == "audio", Chamada.status_geral == "criada")
    query = select(Audio.chamada_id).where(Audio.na_fila.is_(False), Audio.chamada_id.in_(undialled))
    ids = session.scalars(query).all()
    for id in ids:
        session.execute(update(Audio).where(Audio.chamada_id == id).values(na_fila=True))
    return len(ids)


def needed(session: Session) -> set[str]:
    """The sounds of all messages that are not over."""
    query = select(Audio.arquivo).join(Chamada).where(Chamada.status_geral.in_(("criada", "curso")))
    return set(session.scalars(query.distinct()))
