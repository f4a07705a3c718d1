"""Makes the MP3 of each recording once its call has ended, one after the other, outside the event loop."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import structlog

from telefonista.engine.port import Engine
from telefonista.gravacao import queries
from telefonista.media.convert import ConversionError, convert
from telefonista.media.wav import BadAudio, repair_wav
from telefonista.storage.session import Storage
from telefonista.storage.tables import Gravacao

log = structlog.get_logger()

CLOSING_SECONDS = 5.0


class Converter:
    """Works off the rows in state `convertendo`: a crash in between costs nothing but the same work again."""

    def __init__(self, storage: Storage, engine: Engine, folder: Path) -> None:
        self._storage, self._engine, self._folder = storage, engine, folder
        self._work = asyncio.Event()

    def nudge(self) -> None:
        """There may be something to do."""
        self._work.set()

    async def run(self) -> None:
        """Convert until cancelled."""
        self._work.set()
        while True:
            await self._work.wait()
            self._work.clear()
            for gravacao in await self._storage.read(queries.waiting):
                await self._convert(gravacao)

    async def _convert(self, gravacao: Gravacao) -> None:
        files = self._engine.recording(gravacao.arquivo)
        await files.closed(CLOSING_SECONDS)
        target = self._folder / str(gravacao.conta_id) / f"{gravacao.chamada_id}.mp3"
        try:
            await asyncio.to_thread(_prepare, files.heard, files.said, target)
            made = await convert(files.heard, files.said, target)
        except (ConversionError, BadAudio, OSError) as error:
            log.error("recording lost", chamada_id=gravacao.chamada_id, reason=str(error))
            await self._storage.write(queries.set_failed, gravacao.id, str(error))
            return
        medido = round(max(made.left_seconds, made.right_seconds) * 1000)
        aviso = _difference(medido, gravacao.esperado_ms)
        sidecar = {
            "chamada_id": gravacao.chamada_id,
            "duracao_ms": medido,
            "conversa_ms": gravacao.esperado_ms,
            "aviso": aviso,
            "canais": {"esquerdo": "origem", "direito": "destino"},
            "bytes": made.size,
        }
        await asyncio.to_thread(
            target.with_suffix(".json").write_text, json.dumps(sidecar, ensure_ascii=False, indent=1)
        )
        await self._storage.write(queries.set_ready, gravacao.id, medido, aviso)
        for path in (files.heard, files.said):
            with suppress(FileNotFoundError):
                path.unlink()


def _prepare(heard: Path, said: Path, target: Path) -> None:
    """Mend what a dead engine left and see that there is a folder."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (heard, said):
        repair_wav(path)


def _difference(medido: int, esperado: int | None) -> str | None:
    if esperado is None or abs(medido - esperado) <= queries.TOLERANCE_MS:
        return None
    return f"a gravação tem {medido / 1000:.1f} s e a conversa durou {esperado / 1000:.1f} s"
