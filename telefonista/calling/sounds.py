"""Sounds that customers name by URL, as files the engine can play: fetched, decoded and kept by content."""

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from telefonista.media.decode import BadSound, decode
from telefonista.media.wav import BadAudio, open_pcm, write_wav
from telefonista.net.fetch import NotFetched, fetch
from telefonista.net.guarded import Guarded

MOST_BYTES = 5 << 20
FETCH_SECONDS = 10.0
"""For fetching and decoding together."""

FRESH_SECONDS = 60.0
"""For so long a URL is not asked again: a campaign posts the same one a thousand times."""

KEPT_SECONDS = 30 * 86400.0
KEPT_BYTES = 1 << 30

_AT_WORK_SECONDS = 3600.0  # what was used so lately may be played now
_KNOWN_URLS = 2000
_DECODERS = 2
_MADE_AS = "1"  # goes up when the same file is to be decoded differently


class NoSound(Exception):
    """The URL gives nothing that can be played; the text says why and what to send, in Portuguese."""


@dataclass(frozen=True)
class Sound:
    """Something to play: its name among the sounds, the file, and how long it plays."""

    name: str
    path: Path
    milliseconds: int


@dataclass
class _Known:
    name: str
    validators: Mapping[str, str]
    asked_at: float  # loop time


class Sounds:
    """The sounds in one folder, which the engine can read. Made in the loop that uses it."""

    def __init__(self, http: Guarded, folder: Path) -> None:
        self._http, self._folder = http, folder
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._coming: dict[str, asyncio.Task[Sound]] = {}
        self._decoders = asyncio.Semaphore(_DECODERS)
        self.on_new: Callable[[], None] = lambda: None  # a file was added

    async def obtain(self, url: str) -> Sound:
        """What `url` gives, at hand, within 10 s. Those who ask for the same at the same time share one fetch.

        Raises NoSound; OSError when it cannot be kept.
        """
        coming = self._coming.get(url)
        if coming is None:
            coming = self._coming[url] = asyncio.create_task(self._obtain(url), name="som")
            coming.add_done_callback(lambda done: self._came(url, done))
        return await asyncio.shield(coming)

    def path(self, name: str) -> Path:
        return self._folder / f"{name}.wav"

    def purge(self, needed: Collection[str], now: float) -> int:
        """Remove what nobody needs and nobody used for 30 days, and the least used beyond 1 GB; how many. Blocking.

        `now` is time.time().
        """
        found = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.append((entry.stat().st_mtime, entry.stat().st_size, Path(entry.path)))
        total, removed = sum(size for _, size, _ in found), 0
        for used, size, path in sorted(found):
            if now - used < _AT_WORK_SECONDS or path.stem in needed:
                continue
            if now - used > KEPT_SECONDS or total > KEPT_BYTES:
                path.unlink(missing_ok=True)
                total -= size
                removed += 1
        return removed

    def _came(self, url: str, done: "asyncio.Task[Sound]") -> None:
        del self._coming[url]
        if not done.cancelled():
            done.exception()  # who asked may be gone: it is no news to the loop

    async def _obtain(self, url: str) -> Sound:
        known = self._known.get(url)
        now = asyncio.get_running_loop().time()
        kept = None if known is None else await asyncio.to_thread(self._at_hand, known.name)
        if known is not None and kept is not None and now - known.asked_at < FRESH_SECONDS:
            return kept
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                validators = known.validators if known is not None and kept is not None else {}
                fetched = await fetch(self._http, url, most=MOST_BYTES, seconds=FETCH_SECONDS, validators=validators)
                if fetched.content is None and kept is not None:
                    sound = kept
                else:
                    sound = await self._decoded(fetched.content or b"")
        except TimeoutError:
            raise NoSound(f"o áudio não ficou pronto em {FETCH_SECONDS:g} s: tente de novo") from None
        except (NotFetched, BadSound) as problem:
            raise NoSound(str(problem)) from None
        self._known[url] = _Known(sound.name, fetched.validators, now)
        self._known.move_to_end(url)
        while len(self._known) > _KNOWN_URLS:
            self._known.popitem(last=False)
        return sound

    async def _decoded(self, content: bytes) -> Sound:
        name = f"{_MADE_AS}-{hashlib.sha256(content).hexdigest()[:48]}"
        if (kept := await asyncio.to_thread(self._at_hand, name)) is not None:
            return kept
        async with self._decoders:
            pcm = await decode(content, FETCH_SECONDS)
        await asyncio.to_thread(self._keep, name, pcm)
        self.on_new()
        return Sound(name, self.path(name), len(pcm) // 16)

    def _at_hand(self, name: str) -> Sound | None:
        """The sound of that name, from now on not to be purged for a while; None when there is none."""
        path = self.path(name)
        try:
            os.utime(path)
            with open_pcm(path) as pcm:
                return Sound(name, path, round(pcm.seconds * 1000))
        except (FileNotFoundError, BadAudio):
            return None

    def _keep(self, name: str, pcm: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self.path(name)
        write_wav(path, pcm)
        path.chmod(0o644)  # the engine may run as another user
