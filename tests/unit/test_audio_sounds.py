"""Sounds by URL: fetched once, asked again for free, redirects checked one by one, and thrown away in their time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from telefonista.calling import sounds as module
from telefonista.calling.sounds import NoSound, Sound, Sounds
from telefonista.net.fetch import NotFetched, fetch
from telefonista.net.guarded import Guarded
from tests.files import FileServer, Page, encoded, tone
from tests.receiver import Receiver

FALA = encoded(tone(700, 0.5), "wav")


@pytest.fixture
async def files() -> AsyncIterator[FileServer]:
    async with FileServer() as files:
        yield files


@asynccontextmanager
async def guarded(
    *, internal: bool = True, lookup: Callable[[str, int], list[str]] | None = None
) -> AsyncIterator[Guarded]:
    http = Guarded(internal=internal, lookup=lookup)
    try:
        yield http
    finally:
        await http.close()


@pytest.fixture
async def sounds(tmp_path: Path) -> AsyncIterator[Sounds]:
    async with guarded() as http:
        yield Sounds(http, tmp_path / "audios")


async def test_one_fetch_for_many(sounds: Sounds, files: FileServer) -> None:
    url = files.put("/a.wav", FALA)
    found: list[Sound] = await asyncio.gather(*(sounds.obtain(url) for _ in range(100)))
    assert len(set(found)) == 1
    assert await sounds.obtain(url) == found[0]
    assert dict(files.hits) == {("/a.wav", 200): 1}
    assert found[0].milliseconds == 500
    assert found[0].path.stat().st_mode & 0o777 == 0o644
    assert found[0].path.parent.stat().st_mode & 0o005 == 0o005


async def test_asked_again_after_a_while(sounds: Sounds, files: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    url = files.put("/a.wav", FALA, ETag='"1"')
    first = await sounds.obtain(url)
    assert await sounds.obtain(url) == first
    assert dict(files.hits) == {("/a.wav", 200): 1, ("/a.wav", 304): 1}
    files.put("/a.wav", encoded(tone(700, 1), "wav"), ETag='"2"')
    assert (await sounds.obtain(url)).milliseconds == 1000
    files.put("/a.wav", FALA, ETag='"3"')
    assert await sounds.obtain(url) == first  # by its content
    first.path.unlink()
    assert await sounds.obtain(url) == first  # not asked with the validators of what is lost
    assert first.path.exists()


async def test_a_failure_is_not_remembered(sounds: Sounds, files: FileServer) -> None:
    with pytest.raises(NoSound, match="HTTP 404"):
        await sounds.obtain(files.url("/a.wav"))
    assert (await sounds.obtain(files.put("/a.wav", FALA))).milliseconds == 500


async def test_who_asked_first_may_leave(sounds: Sounds, files: FileServer) -> None:
    url = files.put("/a.wav", FALA)
    first = asyncio.create_task(sounds.obtain(url))
    second = asyncio.create_task(sounds.obtain(url))
    await asyncio.wait({asyncio.create_task(asyncio.wait({second}, timeout=0.01))})
    first.cancel()
    assert (await second).milliseconds == 500
    assert files.hits["/a.wav", 200] == 1


async def test_too_slow(sounds: Sounds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FETCH_SECONDS", 0.2)
    async with Receiver(delay=1.0) as receiver:
        with pytest.raises(NoSound, match=r"0\.2 s"):
            await sounds.obtain(receiver.url)


async def test_redirects(files: FileServer) -> None:
    async with guarded() as http:
        files.put("/fim", FALA)
        for n in range(5):
            files.redirect(f"/{n}", f"/{n - 1}" if n else "/fim")
        assert (await fetch(http, files.url("/2"), most=1 << 20, seconds=5)).content == FALA
        with pytest.raises(NotFetched, match="mais de 3 vezes"):
            await fetch(http, files.url("/3"), most=1 << 20, seconds=5)
        files.pages["/sem"] = Page(status=302)
        with pytest.raises(NotFetched):
            await fetch(http, files.url("/sem"), most=1 << 20, seconds=5)


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "ftp://a.b/",
        "file:///etc/passwd",
        "http://u:p@a.b/",
    ],
)
async def test_a_redirect_into_the_forbidden(files: FileServer, to: str) -> None:
    async with guarded() as http:
        with pytest.raises(NotFetched):
            await fetch(http, files.redirect("/de", to), most=1 << 20, seconds=5)


async def test_a_redirect_from_outside_to_inside(files: FileServer) -> None:
    """The first name is public by its lookup and still may not lead here: nothing is sent to this machine."""
    async with guarded(internal=False, lookup=lambda host, port: ["127.0.0.1"]) as http:
        with pytest.raises(NotFetched, match="interno"):
            await fetch(http, f"http://publico.test:{files.port}/", most=1 << 20, seconds=5)
        with pytest.raises(NotFetched, match="interno"):
            await fetch(http, files.url("/"), most=1 << 20, seconds=5)
    assert not files.hits


async def test_five_megabytes_are_the_most(files: FileServer) -> None:
    async with guarded() as http:
        assert (await fetch(http, files.put("/a", bytes(5 << 20)), most=5 << 20, seconds=5)).content == bytes(5 << 20)
        with pytest.raises(NotFetched, match="5 MB"):
            await fetch(http, files.put("/b", bytes((5 << 20) + 1)), most=5 << 20, seconds=5)


def test_purge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds, now = Sounds.__new__(Sounds), time.time()
    sounds._folder = tmp_path
    days = 86400.0
    for name, age, size in (
        ("old", 31 * days, 10),
        ("old-needed", 40 * days, 10),
        ("lately", 10.0, 600),
        ("day", 1 * days, 300),
        ("week", 7 * days, 300),
    ):
        (tmp_path / f"{name}.wav").write_bytes(bytes(size))
        os.utime(tmp_path / f"{name}.wav", (now - age, now - age))

    def left() -> set[str]:
        return {path.stem for path in tmp_path.iterdir()}

    assert sounds.purge({"old-needed"}, now) == 1
    assert left() == {"old-needed", "lately", "day", "week"}
    monkeypatch.setattr(module, "KEPT_BYTES", 1000)
    assert sounds.purge({"old-needed"}, now) == 1
    assert left() == {"old-needed", "lately", "day"}
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    sounds.purge({"old-needed"}, now)
    assert left() == {"old-needed", "lately"}
