"""What customers are told of their voice messages by webhook: `audio_fim`, the object that GET gives."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.orm import Session

from telefonista.audio.queries import audio_by_id
from telefonista.audio.view import audio_object
from telefonista.calling.records import Tellers
from telefonista.outbox.rows import enqueue
from telefonista.storage.tables import Chamada, Conta

log = structlog.get_logger()


def tellers(base_url: str, nudge: Callable[[int], None]) -> Tellers:
    """`base_url` begins the links in the objects; `nudge` is told which conta has something to deliver."""

    def ended(session: Session, chamada_id: int, now: datetime) -> None:
        conta_id = session.get_one(Chamada, chamada_id).conta_id
        try:
            with session.begin_nested():
                zone = ZoneInfo(session.get_one(Conta, conta_id).fuso)
                corpo = audio_object(audio_by_id(session, conta_id, chamada_id), zone, base_url, e164=True)
                told = enqueue(session, conta_id, "audio_fim", f"audio-{chamada_id}", corpo, now)
        except Exception:  # what happened to the message is written, whatever becomes of telling it
            log.exception("a webhook could not be written", audio_id=chamada_id)
            return
        if told:
            nudge(conta_id)

    return Tellers(ended=ended)
