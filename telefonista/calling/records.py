"""The rows of a call as they change: what happened goes into the journal and onto the rows in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.billing.ledger import NotEnough, reserve, settle
from telefonista.billing.rates import Tariff, whole_seconds
from telefonista.calling import recordings
from telefonista.calling.causes import Status, status_of
from telefonista.engine.port import By
from telefonista.storage.tables import Chamada, Evento, Perna


@dataclass(frozen=True)
class Fact:
    """One line of the journal."""

    tipo: str
    at: datetime
    perna: str | None = None
    dados: dict[str, Any] | None = None


@dataclass(frozen=True)
class Tellers:
    """Called in the transaction that changed a chamada, when its rows are up to date: to tell the customer of it."""

    changed: Callable[[Session, int, Fact], None] = lambda session, chamada_id, fact: None
    ended: Callable[[Session, int, datetime], None] = lambda session, chamada_id, now: None


SILENT = Tellers()


def by_recurso(own: Mapping[str, Tellers], others: Tellers) -> Tellers:
    """Each resource's chamadas are told of in its own way."""

    def of(session: Session, chamada_id: int) -> Tellers:
        return own.get(session.get_one(Chamada, chamada_id).recurso, others)

    return Tellers(
        changed=lambda session, chamada_id, fact: of(session, chamada_id).changed(session, chamada_id, fact),
        ended=lambda session, chamada_id, now: of(session, chamada_id).ended(session, chamada_id, now),
    )


def note(
    session: Session,
    chamada_id: int,
    fact: Fact,
    tellers: Tellers = SILENT,
    midia: dict[str, Any] | None = None,
) -> None:
    """Append a fact and bring the rows up to date. A finished chamada takes no more.

    `midia`: what the sound of the leg that ends came to; it is told by nobody and changes no row.
    """
    chamada = session.get_one(Chamada, chamada_id)
    if chamada.status_geral == "finalizada":
        return
    if midia is not None:
        session.add(Evento(chamada_id=chamada_id, momento=fact.at, tipo="midia", perna=fact.perna, dados=midia))
    dados = fact.dados or {}
    session.add(Evento(chamada_id=chamada_id, momento=fact.at, tipo=fact.tipo, perna=fact.perna, dados=dados))
    if fact.perna is not None:
        perna = session.scalars(select(Perna).where(Perna.chamada_id == chamada_id, Perna.letra == fact.perna)).one()
        _on_perna(chamada, perna, fact, dados)
    elif fact.tipo == "conversa":
        chamada.estagio, chamada.conversa_em = "conversa", chamada.conversa_em or fact.at
    elif fact.tipo == "transferencia":
        chamada.estagio = "transferencia"
    tellers.changed(session, chamada_id, fact)


def _on_perna(chamada: Chamada, perna: Perna, fact: Fact, dados: dict[str, Any]) -> None:
    match fact.tipo:
        case "discada":
            chamada.status_geral = "curso"
            if perna.papel in ("origem", "destino"):
                chamada.estagio = perna.papel
            perna.data_inicio = perna.data_inicio or fact.at
            perna.leg = dados.get("leg")
        case "chamando":
            perna.tocou_em = perna.tocou_em or fact.at
            if perna.atendida_em is None:
                perna.status = Status.CHAMANDO
        case "atendida":
            perna.atendida_em, perna.leg = fact.at, dados["leg"]
            perna.status = Status.ATENDIDA
        case "desligada":
            perna.data_inicio = perna.data_inicio or fact.at
            perna.encerrada_em, perna.causa, perna.sip = fact.at, dados["causa"], dados.get("sip")
            by = By(dados["por"])
            perna.desligou = by is By.FAR
            if perna.atendida_em is None:
                perna.status = status_of(dados["causa"], dados.get("sip"), by)


def grow_reserve(session: Session, chamada_id: int, seconds: int, now: datetime) -> bool:
    """Set aside what the legs cost once the parties have talked `seconds`; False when the saldo does not reach.

    A finished chamada has nothing set aside any more, nor does a leg that has left need more: it may be asked too late.
    """
    chamada = session.get_one(Chamada, chamada_id)
    if chamada.status_geral == "finalizada":
        return False
    for perna in pernas_of(session, chamada_id):
        if perna.encerrada_em is not None:
            continue
        before = whole_seconds(perna.atendida_em, chamada.conversa_em)  # origem waits for destino on the clock
        missing = Tariff.restore(perna.tarifa).price(before + seconds) - perna.reserva
        try:
            reserve(session, chamada.conta_id, perna, missing, now)
        except NotEnough:
            return False
    return True


def finish(
    session: Session,
    chamada_id: int,
    desfecho: str,
    now: datetime,
    tellers: Tellers = SILENT,
    *,
    unwatched: bool = False,
) -> bool:
    """Write the ending: rows, prices, ledger and journal, once. True when this call wrote it.

    `unwatched`: legs may have stayed up alone because we were away; nobody pays for that time.
    """
    chamada = session.get_one(Chamada, chamada_id)
    if chamada.status_geral == "finalizada":
        return False
    pernas = pernas_of(session, chamada_id)
    if chamada.conversa_em is not None:
        _end_conversation(session, chamada, pernas, now, unwatched=unwatched)
    for perna in pernas:
        _end_perna(session, chamada, perna, now, failed=desfecho == "falha")
    chamada.status_geral, chamada.estagio = "finalizada", "fim"
    chamada.encerrada_em = max((perna.encerrada_em for perna in pernas if perna.encerrada_em), default=now)
    chamada.desfecho = desfecho
    session.add(Evento(chamada_id=chamada_id, momento=now, tipo="fim", perna=None, dados={"desfecho": desfecho}))
    tellers.ended(session, chamada_id, now)
    return True


def _end_conversation(
    session: Session, chamada: Chamada, pernas: list[Perna], now: datetime, *, unwatched: bool
) -> None:
    """The conversation is over, and its recordings with it: when the last party left, or was left alone."""
    parties = [perna for perna in pernas if perna.papel != "escuta" and perna.atendida_em is not None]
    ends = sorted((perna.encerrada_em or now for perna in parties), reverse=True)
    end = (ends[1] if unwatched and len(ends) > 1 else ends[0]) if ends else now
    for perna in parties:
        assert perna.atendida_em is not None
        perna.encerrada_em = max(perna.atendida_em, min(perna.encerrada_em or now, end))
        perna.causa = perna.causa or 16
    recordings.finish_all(session, chamada.id, end)


def _end_perna(session: Session, chamada: Chamada, perna: Perna, now: datetime, *, failed: bool) -> None:
    if perna.data_inicio is None:
        perna.status = Status.CANCELADA
    elif perna.encerrada_em is None:
        perna.encerrada_em = now
        perna.causa = perna.causa or (41 if failed else 16)
        if perna.atendida_em is None:
            perna.status = Status.FALHA if failed else Status.CANCELADA
    perna.duracao_segundos = whole_seconds(perna.data_inicio, perna.encerrada_em)
    perna.duracao_falada_segundos = whole_seconds(perna.atendida_em, perna.encerrada_em)
    tariff = Tariff.restore(perna.tarifa)
    perna.duracao_cobrada_segundos = tariff.billed_seconds(perna.duracao_falada_segundos)
    if perna.atendida_em is not None and perna.duracao_falada_segundos == 0:
        perna.duracao_cobrada_segundos = tariff.billed_seconds(1)
    perna.preco = tariff.of_block(perna.duracao_cobrada_segundos)
    settle(session, chamada.conta_id, perna, perna.preco, now)


def pernas_of(session: Session, chamada_id: int) -> list[Perna]:
    """The legs of a chamada in their order."""
    return list(session.scalars(select(Perna).where(Perna.chamada_id == chamada_id).order_by(Perna.id)))
