"""What customers are told of their calls by webhook: handed to the runner by the wiring, runs where facts are written.

Everything about one chamada keeps its order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from telefonista.calling.causes import Status
from telefonista.calling.records import Fact, Tellers
from telefonista.chamada.queries import Vista, chamada_by_id
from telefonista.chamada.view import chamada_object
from telefonista.dialect.dates import iso_local
from telefonista.outbox.rows import enqueue
from telefonista.storage.tables import Chamada, Conta, Evento, Perna, Ramal, Webhook

log = structlog.get_logger()

# Made once: it runs for every fact of every call.
_NOMES = select(Webhook.nome).where(Webhook.conta_id == bindparam("conta"))

_OF_A_LEG = frozenset({"discada", "chamando", "atendida", "desligada"})


def tellers(base_url: str, nudge: Callable[[int], None]) -> Tellers:
    """`base_url` begins the links in the objects; `nudge` is told which conta has something to deliver."""

    def changed(session: Session, chamada_id: int, fact: Fact) -> None:
        tell(session, chamada_id, lambda telling: telling.fact(fact))

    def ended(session: Session, chamada_id: int, now: datetime) -> None:
        tell(session, chamada_id, lambda telling: telling.ending(now))

    def tell(session: Session, chamada_id: int, what: Callable[[_Telling], None]) -> None:
        telling = _Telling.begin(session, chamada_id, base_url)
        if telling.nomes:
            try:
                with session.begin_nested():
                    what(telling)
            except Exception:  # what happened to the call is written, whatever becomes of telling it
                log.exception("a webhook could not be written", chamada_id=chamada_id)
                return
            if telling.told:
                nudge(telling.chamada.conta_id)

    return Tellers(changed, ended)


@dataclass
class _Telling:
    """What there is to tell of one change of one chamada."""

    session: Session
    chamada: Chamada
    nomes: frozenset[str]  # of the conta's webhooks
    base_url: str
    told: bool = False

    @classmethod
    def begin(cls, session: Session, chamada_id: int, base_url: str) -> "_Telling":
        chamada = session.get_one(Chamada, chamada_id)
        nomes = session.connection().scalars(_NOMES, {"conta": chamada.conta_id})
        return cls(session, chamada, frozenset(nomes), base_url)

    def fact(self, fact: Fact) -> None:
        """A fact that is on the rows already."""
        vista = self._vista()
        perna = next((perna for perna in vista.pernas if perna.letra == fact.perna), None)
        if perna is not None and fact.tipo in _OF_A_LEG and not _repeated(perna, fact):
            self._leg(perna, fact.at)
        self._object("chamada_tempo_real", vista, fact.tipo, perna)

    def ending(self, now: datetime) -> None:
        """The chamada is over: the legs whose end nobody told, then the chamada itself."""
        vista = self._vista()
        query = select(Evento.perna).where(Evento.chamada_id == self.chamada.id, Evento.tipo == "desligada")
        known = set(self.session.scalars(query))
        for perna in vista.pernas:
            if perna.letra not in known:
                self._leg(perna, now)
        self._object("chamada_tempo_real", vista, "fim", None)
        self._enqueue("chamada_fim", lambda: self._chamada(vista))

    def _vista(self) -> Vista:
        vista = chamada_by_id(self.session, self.chamada.conta_id, self.chamada.id)
        assert vista is not None
        return vista

    def _leg(self, perna: Perna, at: datetime) -> None:
        self._enqueue(
            "status_tempo_real",
            lambda: {
                "id": self.chamada.id,
                "perna": perna.papel,
                "status": perna.status,
                "encerrada": perna.encerrada_em is not None,
                "data": iso_local(at, self._zone()),
            },
        )
        if perna.tipo == "ramal" and "ramal_tempo_real" in self.nomes:
            of_the_conta = Ramal.conta_id == self.chamada.conta_id
            ramal_id = self.session.scalar(select(Ramal.id).where(of_the_conta, Ramal.ramal == perna.e164))
            self._enqueue(
                "ramal_tempo_real",
                lambda: {
                    "ramal_id": ramal_id,
                    "ramal": perna.e164,
                    "status": perna.status,
                    "encerrada": perna.encerrada_em is not None,
                    "chamada_id": self.chamada.id,
                    "perna": perna.papel,
                    "data": iso_local(at, self._zone()),
                },
            )

    def _object(self, nome: str, vista: Vista, evento: str, perna: Perna | None) -> None:
        self._enqueue(
            nome,
            lambda: {
                "chamada": self._chamada(vista),
                "evento": evento,
                "perna": None if perna is None else perna.papel,
            },
        )

    def _chamada(self, vista: Vista) -> dict[str, Any]:
        return chamada_object(vista, self._zone(), self.base_url, e164=True)

    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.session.get_one(Conta, self.chamada.conta_id).fuso)

    def _enqueue(self, nome: str, corpo: Callable[[], dict[str, Any]]) -> None:
        if nome in self.nomes:
            ordem, now = f"chamada-{self.chamada.id}", datetime.now(UTC)
            self.told |= enqueue(self.session, self.chamada.conta_id, nome, ordem, corpo(), now)


def _repeated(perna: Perna, fact: Fact) -> bool:
    """Another device of the same perna rings, or one rings after the answer: nothing new."""
    return fact.tipo == "chamando" and (perna.tocou_em != fact.at or perna.status != Status.CHAMANDO)
