"""After a start of ours: every open chamada is taken up again, or closed with the truth the engine kept."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling import records
from telefonista.calling.journal import Journal
from telefonista.calling.legs import Desk
from telefonista.calling.live import Papel
from telefonista.calling.pedido import Pedido, PernaPedido, Rota, ponte
from telefonista.calling.recorder import Take
from telefonista.calling.recordings import open_of, parts_of
from telefonista.calling.records import Fact, pernas_of
from telefonista.calling.run import Runner
from telefonista.calling.talk import conversation
from telefonista.engine.port import Ending, Engine, Leg
from telefonista.storage.session import Storage
from telefonista.storage.tables import Chamada, Gravacao, GravacaoParte, Perna

log = structlog.get_logger()


@dataclass(frozen=True)
class Open:
    """A chamada that was under way, or about to be, when we went; `takes`: its open recordings with their last part."""

    chamada: Chamada
    pernas: list[Perna]
    takes: list[tuple[Gravacao, GravacaoParte]]


def open_chamadas(session: Session) -> list[Open]:
    """Every chamada without an ending. Those that wait for their time are not among them."""
    chamadas = session.scalars(
        select(Chamada)
        .where(
            (Chamada.status_geral == "curso") | ((Chamada.status_geral == "criada") & Chamada.agendada_para.is_(None))
        )
        .order_by(Chamada.id)
    ).all()
    return [
        Open(
            chamada,
            pernas_of(session, chamada.id),
            [(gravacao, parts_of(session, gravacao.id)[-1]) for gravacao in open_of(session, chamada.id)],
        )
        for chamada in chamadas
    ]


Resumer = Callable[[Open, Leg], Awaitable[str | None]]
"""Takes up a call that was in conversation with one party alone, whose leg lives; the engine's id of the bridge it is
in, or None: it can not go on."""


async def recover(
    engine: Engine, storage: Storage, runner: Runner, resumers: Mapping[str, Resumer] = MappingProxyType({})
) -> None:
    """Take up conversations whose parties live; close every other open chamada; hang up legs without a chamada.

    `resumers` by recurso: of calls that are not between two parties.
    """
    survivors = await engine.survivors()
    open_rows = [row for row in await storage.read(open_chamadas) if not runner.runs(row.chamada.id)]
    wanted = [perna.leg for row in open_rows for perna in row.pernas if perna.leg and perna.leg not in survivors]
    endings = await engine.endings(wanted)
    kept: set[str] = set()
    bridges: set[str] = set()
    for row in open_rows:
        parties = [perna for perna in row.pernas if perna.papel != "escuta" and perna.encerrada_em is None]
        legs = [survivors[perna.leg] for perna in parties if perna.leg in survivors]
        if row.chamada.estagio == "conversa" and len(parties) == len(legs) == 2:
            kept |= {leg.id for leg in legs}
            bridges.add(ponte(row.chamada.id))
            _resume(storage, runner, row, parties, legs)
            continue
        resumer = resumers.get(row.chamada.recurso)
        if resumer is not None and row.chamada.estagio == "conversa" and len(parties) == len(legs) == 1:
            bridge = await resumer(row, legs[0])
            if bridge is not None:
                kept.add(legs[0].id)
                bridges.add(bridge)
                continue
        await _close(storage, runner, row, endings)
    await engine.close_bridges(bridges)
    for id, leg in survivors.items():
        if id not in kept and not runner.owns(id):
            log.info("hanging up a leg without a call", leg=id)
            leg.hang_up()


def _resume(storage: Storage, runner: Runner, row: Open, parties: list[Perna], legs: list[Leg]) -> None:
    journal = Journal(storage, row.chamada.id, runner.tellers)
    for perna, leg in zip(parties, legs, strict=True):
        journal.watch(perna.letra, leg)
    a, b = legs if _side(parties[0], row.pernas) == "origem" else reversed(legs)
    assert row.chamada.conversa_em is not None
    talked = max(0.0, (datetime.now(UTC) - row.chamada.conversa_em).total_seconds())

    async def flow(desk: Desk, pedido: Pedido) -> str:
        try:
            desk.live.lado = _side(next(p for p in reversed(row.pernas) if p.papel != "escuta"), row.pernas)
            for gravacao, part in row.takes:
                leg = (a if part.lado == "origem" else b) if gravacao.estado == "gravando" else None
                base = part.nome.rpartition(".")[0]
                await desk.recorder.adopt(Take(gravacao.id, gravacao.tipo, base, part.ordem, _papel(part)), leg)
            return await conversation(desk, pedido, a, b, talked=talked)
        finally:
            a.hang_up()
            b.hang_up()

    log.info("taking up a conversation again", chamada_id=row.chamada.id, talked=round(talked))
    runner.start(_pedido(row.chamada, row.pernas), flow, journal=journal)


def _papel(part: GravacaoParte) -> Papel:
    return "origem" if part.lado == "origem" else "destino"


def _side(perna: Perna, pernas: list[Perna]) -> Papel:
    """Whose place a party has: a newcomer has that of whoever it replaced."""
    while perna.substitui is not None:
        perna = next(other for other in pernas if other.letra == perna.substitui)
    return "origem" if perna.papel == "origem" else "destino"


async def _close(storage: Storage, runner: Runner, row: Open, endings: dict[str, Ending]) -> None:
    """Write what the engine's record says of each leg, then the ending."""
    first: tuple[datetime, str] | None = None
    for perna in row.pernas:
        ending = endings.get(perna.leg or "")
        if ending is None or perna.encerrada_em is not None:
            continue
        dados = {"causa": ending.cause, "sip": None, "por": ending.by.value, "testemunha": "cel"}
        fact = Fact("desligada", ending.at, perna.letra, dados)
        await storage.write(records.note, row.chamada.id, fact, runner.tellers)
        if perna.papel != "escuta" and (first is None or ending.at < first[0]):
            first = (ending.at, f"{_side(perna, row.pernas)} desligou")
    outcome = first[1] if first is not None and row.chamada.estagio == "conversa" else "falha"
    log.info("closing a call that ended unwatched", chamada_id=row.chamada.id, desfecho=outcome)
    await storage.write(records.finish, row.chamada.id, outcome, datetime.now(UTC), runner.tellers, unwatched=True)
    runner.on_finished(row.chamada.id)


def _pedido(chamada: Chamada, pernas: list[Perna]) -> Pedido:
    a, b = (
        PernaPedido(chamada.id, perna.letra, Rota(perna.tipo, perna.classe, perna.e164, endpoint=""))
        for perna in pernas[:2]
    )
    return Pedido(
        id=chamada.id,
        conta_id=chamada.conta_id,
        origem=a,
        destino=b,
        toque=chamada.toque_segundos,
        limite=chamada.limite_segundos,
        gravar=chamada.gravar_audio,
    )
