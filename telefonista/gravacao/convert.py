"""Makes the MP3 of each recording once it has ended, one after the other, outside the event loop."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from telefonista.engine.port import Engine
from telefonista.gravacao import queries
from telefonista.gravacao.parts import Piece, join
from telefonista.media.convert import ConversionError, Converted, convert
from telefonista.media.wav import BadAudio
from telefonista.storage.session import Storage
from telefonista.storage.tables import Gravacao, GravacaoParte

log = structlog.get_logger()

CLOSING_SECONDS = 5.0


@dataclass(frozen=True)
class Pending:
    """A recording to convert, with its parts in order."""

    gravacao: Gravacao
    parts: Sequence[GravacaoParte]


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
            for gravacao, parts in await self._storage.read(queries.waiting):
                await self._convert(Pending(gravacao, parts))

    async def _convert(self, pending: Pending) -> None:
        gravacao = pending.gravacao
        target = self._folder / str(gravacao.conta_id) / f"{gravacao.arquivo}.mp3"
        pieces = [await self._piece(part) for part in pending.parts]
        try:
            left, right = await asyncio.to_thread(join, pieces, target)
            made = await convert(left, right, target)
        except (ConversionError, BadAudio, OSError) as error:
            log.error("recording lost", chamada_id=gravacao.chamada_id, reason=str(error))
            await self._storage.write(queries.set_failed, gravacao.id, str(error))
            return
        medido, aviso = await asyncio.to_thread(_write_sidecar, target, gravacao, made)
        await self._storage.write(queries.set_ready, gravacao.id, medido, aviso)
        for path in {left, right, *(path for piece in pieces for path in (piece.left, piece.right))}:
            with suppress(FileNotFoundError):
                path.unlink()

    async def _piece(self, part: GravacaoParte) -> Piece:
        files = self._engine.recording(part.nome)
        await files.closed(CLOSING_SECONDS)
        seconds = None if part.encerrada_em is None else (part.encerrada_em - part.iniciada_em).total_seconds()
        # What origem's own leg says is origem; what destino's leg hears is origem too.
        sides = (files.said, files.heard) if part.lado == "origem" else (files.heard, files.said)
        return Piece(*sides, seconds)


def _write_sidecar(target: Path, gravacao: Gravacao, made: Converted) -> tuple[int, str | None]:
    """The small JSON beside the MP3; its measured length in ms and what is to be said of it."""
    medido = round(max(made.left_seconds, made.right_seconds) * 1000)
    aviso = _difference(medido, gravacao.esperado_ms)
    sidecar = {
        "chamada_id": gravacao.chamada_id,
        "tipo": gravacao.tipo,
        "duracao_ms": medido,
        "conversa_ms": gravacao.esperado_ms,
        "aviso": aviso,
        "canais": {"esquerdo": "origem", "direito": "destino"},
        "bytes": made.size,
    }
    target.with_suffix(".json").write_text(json.dumps(sidecar, ensure_ascii=False, indent=1) + "\n")
    return medido, aviso


def _difference(medido: int, esperado: int | None) -> str | None:
    if esperado is None or abs(medido - esperado) <= queries.TOLERANCE_MS:
        return None
    return f"a gravação tem {medido / 1000:.1f} s e a conversa durou {esperado / 1000:.1f} s"
