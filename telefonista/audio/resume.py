"""Takes up a voice message after a restart of ours: the engine has played on; the wiring hands it to recovery."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.orm import Session

from telefonista.audio.flow import PLAYED, TAIL_SECONDS, collect, ending_of
from telefonista.audio.queries import note_answer
from telefonista.calling.journal import Journal
from telefonista.calling.legs import Desk, while_up
from telefonista.calling.pedido import Pedido, PernaPedido, Rota
from telefonista.calling.recorder import Take
from telefonista.calling.recovery import Open
from telefonista.calling.run import Flow, Runner
from telefonista.engine.port import HungUp, Leg
from telefonista.storage.session import Storage
from telefonista.storage.tables import Audio

log = structlog.get_logger()


@dataclass(frozen=True)
class Resumer:
    """See calling.recovery.Resumer. Keys are taken as before, but no longer interrupt what plays."""

    storage: Storage
    runner: Runner

    async def __call__(self, row: Open, leg: Leg) -> str:
        """Stay until the message has been played and the keys have come; it is in no bridge."""
        chamada, perna = row.chamada, row.pernas[0]
        audio = await self.storage.read(_audio, chamada.id)
        journal = Journal(self.storage, chamada.id, self.runner.tellers)
        journal.watch(perna.letra, leg)
        since = (datetime.now(UTC) - (chamada.conversa_em or chamada.data_criacao)).total_seconds()
        log.info("taking up a voice message again", audio_id=chamada.id, since=round(since))
        origem = PernaPedido(chamada.id, perna.letra, Rota(perna.tipo, perna.classe, perna.e164, endpoint=""))
        pedido = Pedido(
            id=chamada.id,
            conta_id=chamada.conta_id,
            origem=origem,
            destino=origem,
            toque=chamada.toque_segundos,
            limite=chamada.limite_segundos,
            gravar=chamada.gravar_audio,
        )
        self.runner.start(pedido, self._rest(row, leg, audio, audio.duracao_ms / 1000 - since), journal=journal)
        return ""

    def _rest(self, row: Open, leg: Leg, audio: Audio, seconds: float) -> Flow:
        async def flow(desk: Desk, pedido: Pedido) -> str:
            try:
                async with while_up(leg):
                    for gravacao, part in row.takes:
                        take = Take(gravacao.id, gravacao.tipo, part.nome.rpartition(".")[0], part.ordem, "origem")
                        await desk.recorder.adopt(take, leg if gravacao.estado == "gravando" else None)
                    await asyncio.wait({leg.gone}, timeout=max(0.0, seconds) + TAIL_SECONDS)
                    if audio.resposta_usuario:
                        await collect(leg, lambda keys: self._pressed(pedido.id, keys), audio.resposta or "")
            except HungUp as hangup:
                return ending_of(hangup)
            finally:
                await desk.recorder.let_go()
                leg.hang_up()
            return PLAYED

        return flow

    def _pressed(self, id: int, keys: str) -> None:
        self.storage.queue(note_answer, id, keys)


def _audio(session: Session, id: int) -> Audio:
    return session.get_one(Audio, id)
