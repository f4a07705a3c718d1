"""Storage's promise to readers, on both databases: committed data only, one snapshot, and nobody waits for another."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.storage.session import Storage
from telefonista.storage.tables import Conta

pytest_plugins = ["tests.databases"]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE = 20.0


def add_conta(session: Session, nome: str) -> None:
    session.add(Conta(nome=nome, token_hash=f"hash of {nome}", criada_em=NOW))
    session.flush()


def count(session: Session) -> int | None:
    return session.scalar(select(func.count(Conta.id)))


async def test_reads_do_not_wait_for_a_write_nor_see_it_before_its_commit(storage: Storage) -> None:
    wrote, finish = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        add_conta(session, "ana")
        wrote.set()
        assert finish.wait(PATIENCE)

    write = asyncio.create_task(storage.write(slow))
    try:
        assert await asyncio.to_thread(wrote.wait, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.gather(*(storage.read(count) for _ in range(20))) == [0] * 20
    finally:
        finish.set()
    await write
    assert await storage.read(count) == 1


async def test_a_reader_does_not_hold_up_the_writer_and_keeps_its_snapshot(storage: Storage) -> None:
    looked, go_on = threading.Event(), threading.Event()

    def look_twice(session: Session) -> tuple[int | None, int | None]:
        before = count(session)
        looked.set()
        assert go_on.wait(PATIENCE)
        return before, count(session)

    reading = asyncio.create_task(storage.read(look_twice))
    try:
        assert await asyncio.to_thread(looked.wait, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await storage.write(add_conta, "ana")
    finally:
        go_on.set()
    assert await reading == (0, 0)
    assert await storage.read(count) == 1


async def test_what_a_reader_writes_is_thrown_away(storage: Storage) -> None:
    def meddle(session: Session) -> int | None:
        add_conta(session, "ana")
        return count(session)

    await asyncio.gather(storage.read(meddle), return_exceptions=True)
    assert await storage.read(count) == 0
    await storage.write(add_conta, "ana")


async def test_a_failing_query_reaches_its_caller_and_leaves_its_connection_fit(storage: Storage) -> None:
    def fail(session: Session) -> None:
        count(session)
        raise LookupError("nobody")

    failures = await asyncio.gather(*(storage.read(fail) for _ in range(8)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {LookupError}
    assert await asyncio.gather(*(storage.read(count) for _ in range(8))) == [0] * 8


async def test_a_query_that_runs_out_of_rows_does_not_leave_its_caller_waiting(storage: Storage) -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await storage.read(lambda session: next(iter(session.scalars(select(Conta)))))
