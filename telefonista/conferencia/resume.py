"""Takes up the calls in a room after a restart of ours; the wiring hands it to recovery."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.orm import Session

from telefonista.calling.journal import Journal
from telefonista.calling.recorder import Take
from telefonista.calling.recovery import Open
from telefonista.calling.run import Runner
from telefonista.conferencia import queries
from telefonista.conferencia.calls import restored
from telefonista.conferencia.flow import Doorman
from telefonista.conferencia.rooms import ponte
from telefonista.engine.port import Leg

log = structlog.get_logger()


@dataclass(frozen=True)
class Resumer:
    """See calling.recovery.Resumer."""

    doorman: Doorman
    runner: Runner

    async def __call__(self, row: Open, leg: Leg) -> str | None:
        """Back in the room, unless that was ended meanwhile."""
        storage, chamada, perna = self.doorman.storage, row.chamada, row.pernas[0]
        conferencia_id = await storage.read(_open_room_of, chamada.id)
        if conferencia_id is None or chamada.conversa_em is None:
            return None
        journal = Journal(storage, chamada.id, self.runner.tellers)
        journal.watch(perna.letra, leg)
        talked = max(0.0, (datetime.now(UTC) - chamada.conversa_em).total_seconds())
        log.info("taking up a call in a room again", chamada_id=chamada.id, conferencia_id=conferencia_id)
        flow = self.doorman.resumed(conferencia_id, leg, talked, _take(row))
        self.runner.start(restored(chamada, perna), flow, journal=journal)
        return ponte(conferencia_id)


def _open_room_of(session: Session, chamada_id: int) -> int | None:
    conferencia, _ = queries.room_of(session, chamada_id)
    return conferencia.id if conferencia.encerrada_em is None else None


def _take(row: Open) -> tuple[Take, bool] | None:
    """The recording of the call, and whether it runs; a room has no partial ones."""
    if not row.takes:
        return None
    gravacao, part = row.takes[0]
    take = Take(gravacao.id, gravacao.tipo, part.nome.rpartition(".")[0], part.ordem, "origem")
    return take, gravacao.estado == "gravando"
