"""The guard against guessed passwords: counting, blocking, releasing, and what outlives a restart."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select
from structlog.testing import capture_logs

from telefonista.engine.port import EngineDown
from telefonista.ramal import guard as guard_module
from telefonista.ramal.guard import Guard, list_blocks
from telefonista.storage.session import Storage
from telefonista.storage.tables import Base, Bloqueio

BAD = "127.0.0.66"


class Doorman:
    """What the engine is told to refuse."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.down = 0  # so many times it cannot be told
        self._news = asyncio.Event()

    async def block(self, addresses: Sequence[str]) -> None:
        if self.down:
            self.down -= 1
            raise EngineDown("down")
        self.told.append(tuple(addresses))
        self._news.set()

    async def refuses(self, *addresses: str) -> None:
        """Wait until just these are refused."""
        async with asyncio.timeout(5):
            while not self.told or self.told[-1] != addresses:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    database = create_engine(url)
    Base.metadata.create_all(database)
    database.dispose()
    storage = Storage(url)
    yield storage
    await storage.close()


@asynccontextmanager
async def running(storage: Storage, doorman: Doorman, **limits: Any) -> AsyncIterator[Guard]:
    guard = Guard(storage, doorman.block, **limits)
    await guard.restore()
    task = asyncio.create_task(guard.run())
    try:
        yield guard
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), "the guard's task died"


def fail(guard: Guard, times: int, *, address: str = BAD, every: float = 0.1, last: datetime | None = None) -> None:
    last = last or datetime.now(UTC)
    for number in reversed(range(times)):
        guard.suspect(address, last - timedelta(seconds=number * every))


async def rows(storage: Storage) -> list[Bloqueio]:
    await storage.write(lambda session: None)  # everything queued before is done
    return await storage.read(lambda session: list(session.scalars(select(Bloqueio).order_by(Bloqueio.endereco))))


async def test_ten_failures_in_a_minute_are_blocked_for_ten_minutes(storage: Storage) -> None:
    doorman = Doorman()
    async with running(storage, doorman) as guard:
        now = datetime.now(UTC)
        with capture_logs() as logs:
            fail(guard, 9, last=now, every=6)
            fail(guard, 30, address="127.0.0.67", every=60)
            assert guard.blocked() == [] and logs == []
            guard.suspect(BAD, now)
        assert guard.blocked() == [BAD]
        assert [(line["event"], line["address"], line["log_level"]) for line in logs] == [
            ("address blocked", BAD, "warning")
        ]
        await doorman.refuses(BAD)
        (row,) = await rows(storage)
        assert (row.endereco, row.desde, row.tentativas) == (BAD, now, 10)
        assert row.ate - row.desde == timedelta(minutes=10)
        assert [block.endereco for block in await storage.read(list_blocks, now)] == [BAD]


async def test_ten_failures_in_more_than_a_minute_are_not(storage: Storage) -> None:
    doorman = Doorman()
    async with running(storage, doorman) as guard:
        fail(guard, 10, every=6.7)
        assert guard.blocked() == [] and await rows(storage) == []
    assert doorman.told == []


async def test_the_whole_list_is_told_each_time(storage: Storage) -> None:
    doorman = Doorman()
    async with running(storage, doorman) as guard:
        fail(guard, 10)
        await doorman.refuses(BAD)
        fail(guard, 25, address="10.0.0.1")
        await doorman.refuses("10.0.0.1", BAD)
        fail(guard, 50)  # what still arrives from a blocked address changes nothing
    assert len(doorman.told) == 2 and len(await rows(storage)) == 2


async def test_released_when_its_time_is_over(storage: Storage) -> None:
    doorman = Doorman()
    async with running(storage, doorman, term=timedelta(milliseconds=150)) as guard:
        start = datetime.now(UTC)
        fail(guard, 10)
        await doorman.refuses(BAD)
        await doorman.refuses()
        assert datetime.now(UTC) - start >= timedelta(milliseconds=150)
        assert guard.blocked() == []
        assert await rows(storage) == []
        fail(guard, 9)
        assert guard.blocked() == [], "counting starts anew"
        fail(guard, 1)
        await doorman.refuses(BAD)


async def test_blocks_outlive_a_restart(storage: Storage) -> None:
    async with running(storage, Doorman()) as guard:
        fail(guard, 10)
    old = datetime.now(UTC) - timedelta(hours=1)
    await storage.write(lambda session: session.add(Bloqueio(endereco="10.0.0.9", desde=old, ate=old, tentativas=10)))
    doorman = Doorman()
    async with running(storage, doorman) as guard:
        assert guard.blocked() == [BAD]
        await doorman.refuses(BAD)
        await guard.engine_up()
        assert doorman.told[-1] == (BAD,)


async def test_an_engine_that_comes_up_hears_an_empty_list_too(storage: Storage) -> None:
    doorman = Doorman()
    async with running(storage, doorman) as guard:
        await guard.engine_up()
        assert doorman.told == [()]


async def test_an_engine_that_could_not_be_told_is_told_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "_RETRY_SECONDS", 0.05)
    doorman = Doorman()
    doorman.down = 2
    async with running(storage, doorman) as guard:
        fail(guard, 10)
        await doorman.refuses(BAD)
    assert doorman.down == 0


async def test_many_addresses_cost_a_bounded_amount_of_memory(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "_MANY", 100)
    now = datetime.now(UTC)
    guard = Guard(storage, Doorman().block)
    for number in range(5000):
        guard.suspect(f"10.1.{number // 250}.{number % 250}", now + timedelta(seconds=number))
    assert len(guard._failures) <= 101
    fail(guard, 10, address="10.2.0.1", last=now + timedelta(seconds=5000))
    assert guard.blocked() == ["10.2.0.1"]
