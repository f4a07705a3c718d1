"""After a start of ours: every open chamada is taken up again, or closed with the truth the engine kept."""

from datetime import UTC, datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling import records
from telefonista.calling.journal import Journal
from telefonista.calling.legs import Desk
from telefonista.calling.pedido import Pedido, PernaPedido, Rota, ponte
from telefonista.calling.records import Fact, pernas_of
from telefonista.calling.run import Runner
from telefonista.calling.talk import talk
from telefonista.engine.port import Ending, Engine, Leg
from telefonista.storage.session import Storage
from telefonista.storage.tables import Chamada, Perna

log = structlog.get_logger()


def open_chamadas(session: Session) -> list[tuple[Chamada, list[Perna]]]:
    """What was under way, or about to be, when we went. Scheduled ones are not."""
    chamadas = session.scalars(
        select(Chamada)
        .where(Chamada.status_geral.in_(("criada", "curso")), Chamada.agendada_para.is_(None))
        .order_by(Chamada.id)
    ).all()
    return [(chamada, pernas_of(session, chamada.id)) for chamada in chamadas]


async def recover(engine: Engine, storage: Storage, runner: Runner) -> None:
    """Take up conversations whose two legs live; close every other open chamada; hang up legs without a chamada."""
    survivors = await engine.survivors()
    open_rows = await storage.read(open_chamadas)
    open_rows = [(chamada, pernas) for chamada, pernas in open_rows if not runner.runs(chamada.id)]
    wanted = [perna.leg for _, pernas in open_rows for perna in pernas if perna.leg and perna.leg not in survivors]
    endings = await engine.endings(wanted)
    kept: set[str] = set()
    bridges: set[str] = set()
    for chamada, pernas in open_rows:
        legs = [survivors.get(perna.leg or "") for perna in pernas]
        if chamada.estagio == "conversa" and len(legs) == 2 and all(legs):
            a, b = legs
            assert a is not None
            assert b is not None
            kept |= {a.id, b.id}
            bridges.add(ponte(chamada.id))
            _resume(storage, runner, chamada, pernas, a, b)
        else:
            await _close(storage, runner, chamada, pernas, endings)
    await engine.close_bridges(bridges)
    for id, leg in survivors.items():
        if id not in kept and not runner.owns(id):
            log.info("hanging up a leg without a call", leg=id)
            leg.hang_up()


def _resume(storage: Storage, runner: Runner, chamada: Chamada, pernas: list[Perna], a: Leg, b: Leg) -> None:
    journal = Journal(storage, chamada.id)
    for perna, leg in zip(pernas, (a, b), strict=True):
        journal.watch(perna.letra, leg)
    assert chamada.conversa_em is not None
    talked = max(0.0, (datetime.now(UTC) - chamada.conversa_em).total_seconds())

    async def flow(desk: Desk, pedido: Pedido) -> str:
        try:
            return await talk(desk, pedido, a, b, talked=talked)
        finally:
            a.hang_up()
            b.hang_up()

    log.info("taking up a conversation again", chamada_id=chamada.id, talked=round(talked))
    runner.start(_pedido(chamada, pernas), flow, journal=journal)


async def _close(
    storage: Storage, runner: Runner, chamada: Chamada, pernas: list[Perna], endings: dict[str, Ending]
) -> None:
    """Write what the engine's record says of each leg, then the ending."""
    first: tuple[datetime, str] | None = None
    for perna in pernas:
        ending = endings.get(perna.leg or "")
        if ending is None or perna.encerrada_em is not None:
            continue
        dados = {"causa": ending.cause, "sip": None, "por": ending.by.value, "testemunha": "cel"}
        await storage.write(records.note, chamada.id, Fact("desligada", ending.at, perna.letra, dados))
        if first is None or ending.at < first[0]:
            first = (ending.at, f"{perna.papel} desligou")
    outcome = first[1] if first is not None and chamada.estagio == "conversa" else "falha"
    log.info("closing a call that ended unwatched", chamada_id=chamada.id, desfecho=outcome)
    await storage.write(records.finish, chamada.id, outcome, datetime.now(UTC))
    runner.on_finished(chamada.id)


def _pedido(chamada: Chamada, pernas: list[Perna]) -> Pedido:
    a, b = (
        PernaPedido(chamada.id, perna.letra, Rota(perna.tipo, perna.classe, perna.e164, endpoint=""))
        for perna in pernas
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
