"""Removes recordings that are older than their conta keeps them, and files that no recording wants; daily."""

import asyncio
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import structlog

from telefonista.engine.port import Engine
from telefonista.gravacao import queries
from telefonista.storage.session import Storage
from telefonista.storage.tables import Gravacao

log = structlog.get_logger()

EVERY = timedelta(days=1)
BATCH = 100
FRESH = timedelta(days=1)
"""A file younger than this may be at work: only older ones are swept."""

_CHAMADA = re.compile(r"([0-9]{1,18})(?![0-9])")


class Purger:
    """Files go before their row is marked: a crash in between leaves a row to be done again, never a file alone."""

    def __init__(self, storage: Storage, engine: Engine, recordings: Path, spool: Path) -> None:
        """`recordings` holds the MP3s by conta, `spool` what the engine writes."""
        self._storage, self._engine = storage, engine
        self._recordings, self._spool = recordings, spool

    async def run(self) -> None:
        """Purge now and every day, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self.purge(datetime.now(UTC))
            except Exception:
                log.exception("recordings were not purged")
            tomorrow = asyncio.Event()
            timer = loop.call_later(EVERY.total_seconds(), tomorrow.set)
            try:
                await tomorrow.wait()
            finally:
                timer.cancel()

    async def purge(self, now: datetime) -> None:
        """One round."""
        removed = 0
        while expired := await self._storage.read(queries.expired, now, BATCH):
            gone = await asyncio.to_thread(self._remove_files, expired)
            if not gone:
                break  # each has its line in the log; tomorrow again
            await self._storage.write(queries.set_removed, gone)
            removed += len(gone)
        before = (now - FRESH).timestamp()
        swept = await self._sweep(self._recordings, before, self._is_kept_mp3)
        swept += await self._sweep(self._spool, before, await self._is_kept_part())
        if removed or swept:
            log.info("recordings purged", removed=removed, stray_files=swept)

    def _remove_files(self, gravacoes: Sequence[Gravacao]) -> list[int]:
        """The ids of those whose files are gone now."""
        gone = []
        for gravacao in gravacoes:
            target = self._recordings / str(gravacao.conta_id) / f"{gravacao.arquivo}.mp3"
            try:
                target.unlink(missing_ok=True)
                target.with_suffix(".json").unlink(missing_ok=True)
            except OSError as problem:
                log.error("a recording cannot be removed", gravacao_id=gravacao.id, reason=str(problem))
            else:
                gone.append(gravacao.id)
        return gone

    async def _sweep(self, folder: Path, before: float, wanted: "Wanted") -> int:
        """Remove the old files of known chamadas that nobody wants; what this database knows nothing of stays."""
        files, count = _old_files(folder, before), 0
        while batch := await asyncio.to_thread(lambda: list(islice(files, BATCH))):
            by_chamada = [(chamada_id, path) for path in batch if (chamada_id := _chamada_of(path)) is not None]
            known, kept = await self._storage.read(queries.kept_files, {id for id, _ in by_chamada})
            strays = [path for id, path in by_chamada if id in known and not wanted(path, kept)]
            for path in strays:
                with suppress(FileNotFoundError):
                    path.unlink()
            count += len(strays)
        return count

    def _is_kept_mp3(self, path: Path, kept: Collection[tuple[int, str]]) -> bool:
        if not path.parent.name.isdecimal():
            return True
        return (int(path.parent.name), path.name.partition(".")[0]) in kept

    async def _is_kept_part(self) -> "Wanted":
        parts = [self._engine.recording(nome) for nome in await self._storage.read(queries.unfinished_parts)]
        names = {path.name for part in parts for path in (part.heard, part.said)}
        return lambda path, kept: path.name in names


Wanted = Callable[[Path, Collection[tuple[int, str]]], bool]
"""Whether a file is wanted, given the (conta, arquivo) of the recordings whose MP3s are."""


def _chamada_of(path: Path) -> int | None:
    """Whose file it is: recordings, their parts and what is half made of them begin with the chamada's id."""
    match = _CHAMADA.match(path.name.removeprefix("."))
    return int(match[1]) if match else None


def _old_files(folder: Path, before: float) -> Iterator[Path]:
    """Files not written to since `before`, in any depth, one after the other: there may be very many."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _old_files(Path(entry.path), before)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        yield Path(entry.path)
