"""What customers are told of their rooms by webhook, `conferencia_tempo_real`: who came, who went, who talks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling.records import Fact, Tellers
from telefonista.conferencia.queries import conferencia_by_id
from telefonista.conferencia.view import conferencia_object
from telefonista.outbox.rows import enqueue
from telefonista.storage.session import Storage
from telefonista.storage.tables import Chamada, Conferencia, Conta, Participante, Webhook

log = structlog.get_logger()

NOME = "conferencia_tempo_real"
ENTROU, SAIU, NAO_ENTROU, FALANDO, SILENCIO, ENCERRADA = (
    "entrou", "saiu", "nao_entrou", "falando", "silencio", "encerrada",
)  # fmt: skip


@dataclass(frozen=True)
class Herald:
    """Writes the webhooks of rooms in the transaction of what they tell.

    `talking(room)` gives the chamadas whose party talks now, from any thread; `nudge` is told which conta has something
    to deliver.
    """

    storage: Storage
    base_url: str
    nudge: Callable[[int], None]
    talking: Callable[[int], frozenset[int]]

    def tellers(self) -> Tellers:
        """For the runner: of calls with recurso `conferencia`."""
        return Tellers(self._changed, self._ended)

    def talks(self, conferencia_id: int, chamada_id: int, talking: bool) -> None:
        """For Rooms.told: somebody begins or stops to talk."""
        self.storage.queue(self.talk, conferencia_id, chamada_id, talking)

    def talk(self, session: Session, conferencia_id: int, chamada_id: int, talking: bool) -> None:
        """As `talks`, in a transaction. Who is muted talks to nobody."""
        if not session.get_one(Participante, chamada_id).mudo:
            self.tell(session, conferencia_id, FALANDO if talking else SILENCIO, chamada_id)

    def _changed(self, session: Session, chamada_id: int, fact: Fact) -> None:
        if fact.tipo == "conversa":
            self.tell(session, session.get_one(Participante, chamada_id).conferencia_id, ENTROU, chamada_id)

    def _ended(self, session: Session, chamada_id: int, now: datetime) -> None:
        been = session.get_one(Chamada, chamada_id).conversa_em is not None
        conferencia_id = session.get_one(Participante, chamada_id).conferencia_id
        self.tell(session, conferencia_id, SAIU if been else NAO_ENTROU, chamada_id)

    def tell(self, session: Session, conferencia_id: int, evento: str, chamada_id: int | None = None) -> None:
        """What happened in a room, with the room as it is now."""
        conta_id = session.get_one(Conferencia, conferencia_id).conta_id
        wanted = select(Webhook.nome).where(Webhook.conta_id == conta_id, Webhook.nome == NOME)
        if session.scalar(wanted) is None:
            return
        try:
            with session.begin_nested():
                corpo = self._body(session, conta_id, conferencia_id, evento, chamada_id)
                told = enqueue(session, conta_id, NOME, f"conferencia-{conferencia_id}", corpo, datetime.now(UTC))
        except Exception:  # what happened is written, whatever becomes of telling it
            log.exception("a webhook could not be written", conferencia_id=conferencia_id)
            return
        if told:
            self.nudge(conta_id)

    def _body(
        self, session: Session, conta_id: int, conferencia_id: int, evento: str, chamada_id: int | None
    ) -> dict[str, Any]:
        zone = ZoneInfo(session.get_one(Conta, conta_id).fuso)
        session.flush()
        vista = conferencia_by_id(session, conta_id, conferencia_id)
        talking = self.talking(conferencia_id)
        return {
            "conferencia": conferencia_object(vista, zone, self.base_url, talking, e164=True),
            "evento": evento,
            "chamada_id": chamada_id,
        }
