"""The journal of one call while it runs: intents are durable before the act, facts follow in order without waiting."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from telefonista.calling import recordings, records
from telefonista.calling.pedido import PernaPedido
from telefonista.calling.records import SILENT, Fact, Tellers
from telefonista.engine.port import By, HungUp, Leg, Media
from telefonista.storage.session import Storage

_LAST_WORDS_SECONDS = 6.0
_TELLING_PACKETS = 100  # some two seconds of sound: less says nothing about a line


class Journal:
    """Writes what happens to one chamada. Facts are queued in the order they happened; `finish` comes last."""

    def __init__(self, storage: Storage, chamada_id: int, tellers: Tellers = SILENT) -> None:
        self._storage, self._tellers = storage, tellers
        self.chamada_id = chamada_id
        self._legs: dict[Leg, str] = {}  # whose end this journal tells, with the letra of its perna

    # -- intents: committed before the act ---------------------------------------------------------------------------

    async def dialling(self, perna: PernaPedido) -> None:
        await self._write("discada", perna.letra, leg=perna.leg_id())

    async def talking(self, since: datetime) -> None:
        """The parties are joined; from here on a restart of ours takes the call up again."""
        await self._storage.write(records.note, self.chamada_id, Fact("conversa", since), self._tellers)

    async def transferring(self, sai: str, perna: PernaPedido) -> None:
        """One party is about to be released and another called in its place."""
        fact = Fact("transferencia", datetime.now(UTC), None, {"sai": sai, "entra": perna.letra})
        await self._storage.write(records.note, self.chamada_id, fact, self._tellers)

    async def recording(self, tipo: str, lado: str, since: datetime) -> tuple[int, str]:
        """A recording begins with its first part; its id and the engine's name of its parts."""
        return await self._storage.write(recordings.create, self.chamada_id, tipo, lado, since)

    async def recorded(self, gravacao_id: int, at: datetime) -> None:
        """A recording that the customer ended before the call."""
        await self._storage.write(recordings.finish_one, gravacao_id, at)

    async def part(self, gravacao_id: int, ordem: int, nome: str, lado: str, since: datetime) -> None:
        """A part begins; the one before it ends."""
        await self._storage.write(recordings.begin_part, gravacao_id, ordem, nome, lado, since)

    async def part_ended(self, gravacao_id: int, at: datetime) -> None:
        await self._storage.write(recordings.end_part, gravacao_id, at)

    async def pay_until(self, seconds: int) -> bool:
        """Set money aside for a conversation of `seconds`; False when the saldo does not reach."""
        return await self._storage.write(records.grow_reserve, self.chamada_id, seconds, datetime.now(UTC))

    # -- facts -------------------------------------------------------------------------------------------------------

    def ringing(self, perna: PernaPedido, at: datetime) -> None:
        self._fact("chamando", perna.letra, at)

    def answered(self, perna: PernaPedido, leg: Leg) -> None:
        self._fact("atendida", perna.letra, leg.up.result(), leg=leg.id)
        self.watch(perna.letra, leg)

    def watch(self, letra: str, leg: Leg) -> None:
        """Write down this leg's end when it comes, whoever causes it. Once is enough."""
        if leg in self._legs:
            return
        self._legs[leg] = letra
        leg.gone.add_done_callback(lambda gone: self._gone(leg, gone.result()))

    def watches(self, leg_id: str) -> bool:
        """Whether a leg, wherever it came from, belongs to this chamada now."""
        return any(leg.id == leg_id for leg in self._legs)

    def gave_away(self, leg: Leg) -> None:
        """A leg goes on in another call: here it ends now."""
        letra = self._legs.pop(leg)
        self._fact("desligada", letra, datetime.now(UTC), causa=16, por=By.US.value, transferida=True)

    def took_over(self, perna: PernaPedido, leg: Leg) -> None:
        """A leg comes from another call."""
        self._fact("discada", perna.letra, datetime.now(UTC), leg=leg.id)
        self._fact("atendida", perna.letra, datetime.now(UTC), leg=leg.id)
        self.watch(perna.letra, leg)

    def ended(self, perna: PernaPedido, hangup: HungUp) -> None:
        self._hung_up(perna.letra, hangup)

    def not_reached(self, perna: PernaPedido, cause: int) -> None:
        self._fact("desligada", perna.letra, datetime.now(UTC), causa=cause, por=By.US.value)

    async def finish(self, desfecho: str) -> bool:
        """Write the ending once every leg has told its own, or some seconds later. True when it was written here."""
        gone = {leg.gone for leg in self._legs if not leg.gone.done()}
        if gone:
            await asyncio.wait(gone, timeout=_LAST_WORDS_SECONDS)
        return await self._storage.write(records.finish, self.chamada_id, desfecho, datetime.now(UTC), self._tellers)

    def _gone(self, leg: Leg, hangup: HungUp) -> None:
        if leg in self._legs:
            self._hung_up(self._legs[leg], hangup)

    def _hung_up(self, letra: str, hangup: HungUp) -> None:
        dados = {"causa": hangup.cause, "sip": hangup.sip, "por": hangup.by.value}
        fact, midia = Fact("desligada", hangup.at, letra, dados), _midia(hangup.media)
        self._storage.queue(records.note, self.chamada_id, fact, self._tellers, midia)

    async def _write(self, tipo: str, letra: str, **dados: Any) -> None:
        fact = Fact(tipo, datetime.now(UTC), letra, dados)
        await self._storage.write(records.note, self.chamada_id, fact, self._tellers)

    def _fact(self, tipo: str, letra: str, at: datetime, **dados: Any) -> None:
        self._storage.queue(records.note, self.chamada_id, Fact(tipo, at, letra, dados), self._tellers)


def _midia(media: Media | None) -> dict[str, Any] | None:
    """What the journal keeps of a leg's sound; None when there was too little."""
    if media is None or max(media.sent, media.received) < _TELLING_PACKETS:
        return None
    expected = media.received + media.lost
    return {
        "pacotes_enviados": media.sent,
        "pacotes_recebidos": media.received,
        "perdidos": media.lost,
        "perda_percentual": round(100 * media.lost / expected, 1) if expected else 0.0,
        "jitter_ms": round(media.jitter_ms, 1),
        "rtt_ms": None if media.rtt_ms is None else round(media.rtt_ms, 1),
    }
