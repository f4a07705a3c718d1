"""Storage's promise to writers, on both databases: kept when awaited, alone in failing, in order, many to a commit."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from telefonista.storage.session import Storage
from telefonista.storage.tables import Bloqueio, Conta, Ramal

pytest_plugins = ["tests.databases"]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE = 20.0


class Busy:
    """Holds the writer thread inside a unit, so that what comes meanwhile waits for it and makes one batch."""

    def __init__(self) -> None:
        self.entered, self._open = threading.Event(), threading.Event()

    def hold(self, session: Session) -> None:
        self.entered.set()
        assert self._open.wait(PATIENCE)

    def release(self) -> None:
        self._open.set()


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    yield busy
    busy.release()


@pytest.fixture
def commits() -> Iterator[list[Any]]:
    """Every commit of any connection."""
    seen: list[Any] = []

    def count(connection: Any) -> None:
        seen.append(connection)

    event.listen(Engine, "commit", count)
    yield seen
    event.remove(Engine, "commit", count)


def add_conta(session: Session, nome: str, *, token: str = "") -> int:
    conta = Conta(nome=nome, token_hash=token or f"hash of {nome}", criada_em=NOW)
    session.add(conta)
    session.flush()
    return conta.id


def add_then_fail(session: Session, nome: str) -> None:
    add_conta(session, nome)
    raise LookupError(nome)


def nomes(session: Session) -> list[str]:
    return list(session.scalars(select(Conta.nome).order_by(Conta.id)))


async def blocked(storage: Storage, busy: Busy) -> "asyncio.Task[None]":
    task = asyncio.create_task(storage.write(busy.hold))
    assert await asyncio.to_thread(busy.entered.wait, PATIENCE)
    return task


async def one_turn() -> None:
    """Let every task that is ready run once."""
    turn = asyncio.Event()
    asyncio.get_running_loop().call_soon(turn.set)
    await turn.wait()


async def test_a_write_returns_the_units_result_and_is_there_for_readers(storage: Storage) -> None:
    conta_id = await storage.write(add_conta, "ana", token="t")
    conta = await storage.read(lambda session: session.get_one(Conta, conta_id))
    assert (conta.nome, conta.token_hash, conta.criada_em) == ("ana", "t", NOW)  # detached and complete


async def test_concurrent_writes_share_a_commit_and_keep_their_order(
    storage: Storage, busy: Busy, commits: list[Any]
) -> None:
    holding = await blocked(storage, busy)
    names = [f"conta {number}" for number in range(150)]
    writes = [asyncio.ensure_future(storage.write(add_conta, name)) for name in names]
    await one_turn()  # each task puts its unit into the queue
    busy.release()
    ids = await asyncio.gather(*writes)
    await holding
    assert ids == sorted(ids) and len(set(ids)) == 150
    assert await storage.read(nomes) == names
    assert len(commits) == 2


async def test_a_failing_unit_undoes_itself_alone(storage: Storage, busy: Busy) -> None:
    holding = await blocked(storage, busy)
    units = [
        asyncio.ensure_future(storage.write(add_then_fail if number % 3 == 0 else add_conta, f"conta {number}"))
        for number in range(60)
    ]
    await one_turn()
    busy.release()
    outcomes = await asyncio.gather(*units, return_exceptions=True)
    await holding
    assert [isinstance(outcome, LookupError) for outcome in outcomes] == [number % 3 == 0 for number in range(60)]
    assert await storage.read(nomes) == [f"conta {number}" for number in range(60) if number % 3]


async def test_a_constraint_undoes_its_own_unit_alone(storage: Storage, busy: Busy) -> None:
    holding = await blocked(storage, busy)
    writes = [asyncio.ensure_future(storage.write(add_conta, nome, token=t)) for nome, t in ["ax", "bx", "cy"]]
    await one_turn()
    busy.release()
    first, second, third = await asyncio.gather(*writes, return_exceptions=True)
    await holding
    assert isinstance(second, IntegrityError)
    assert await storage.read(nomes) == ["a", "c"]
    assert isinstance(first, int) and isinstance(third, int)


async def test_a_reference_to_nothing_is_refused(storage: Storage) -> None:
    """Foreign keys hold on both databases."""

    def orphan(session: Session) -> None:
        session.add(Bloqueio(endereco="192.0.2.1", desde=NOW, ate=NOW, tentativas=1))
        session.add(Ramal(conta_id=999, ramal="4000", login="x", senha="x", webphone_key="x", criado_em=NOW))

    with pytest.raises(IntegrityError):
        await storage.write(orphan)
    assert await storage.read(lambda session: session.scalar(select(func.count(Bloqueio.endereco)))) == 0


async def test_units_run_in_the_order_given_queued_or_written(storage: Storage) -> None:
    for number in range(0, 50, 2):
        storage.queue(add_conta, f"conta {number:02}")
        await storage.write(add_conta, f"conta {number + 1:02}")
    assert await storage.read(nomes) == [f"conta {number:02}" for number in range(50)]


async def test_a_write_sees_what_was_queued_before_it(storage: Storage) -> None:
    for number in range(20):
        storage.queue(add_conta, f"conta {number}")
    assert await storage.write(lambda session: session.scalar(select(func.count(Conta.id)))) == 20


async def test_more_than_a_batch_at_once(storage: Storage, busy: Busy) -> None:
    holding = await blocked(storage, busy)
    for number in range(450):
        storage.queue(add_conta, f"conta {number:03}")
    busy.release()
    await storage.write(lambda session: None)
    await holding
    assert await storage.read(nomes) == [f"conta {number:03}" for number in range(450)]


async def test_a_queued_failure_is_logged_and_stops_nothing(storage: Storage) -> None:
    with capture_logs() as logs:
        storage.queue(add_then_fail, "ana")
        await storage.write(add_conta, "bia")
    assert [(entry["log_level"], type(entry["exc_info"])) for entry in logs] == [("error", LookupError)]
    assert await storage.read(nomes) == ["bia"]


async def test_a_cancelled_writer_undoes_nothing(storage: Storage, busy: Busy) -> None:
    holding = await blocked(storage, busy)
    write = asyncio.create_task(storage.write(add_conta, "ana"))
    await one_turn()
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    busy.release()
    await holding
    assert await storage.write(nomes) == ["ana"]


async def test_closing_finishes_what_was_accepted_and_refuses_more(migrated_url: str, busy: Busy) -> None:
    storage = Storage(migrated_url)
    holding = await blocked(storage, busy)
    for number in range(300):
        storage.queue(add_conta, f"conta {number}")
    last = asyncio.create_task(storage.write(add_conta, "a última"))
    await one_turn()
    closing = asyncio.create_task(storage.close())
    await one_turn()
    with pytest.raises(RuntimeError, match="closed"):
        await storage.write(add_conta, "tarde demais")
    with pytest.raises(RuntimeError, match="closed"):
        storage.queue(add_conta, "tarde demais")
    busy.release()
    await closing
    await holding
    assert isinstance(await last, int)
    with pytest.raises(RuntimeError):
        await storage.read(nomes)
    await storage.close()
    again = Storage(migrated_url)
    try:
        assert await again.read(lambda session: session.scalar(select(func.count(Conta.id)))) == 301
    finally:
        await again.close()


@pytest.mark.parametrize("stop", [StopIteration, SystemExit, asyncio.CancelledError, KeyboardInterrupt])
async def test_no_exception_of_a_unit_silences_the_writer(
    storage: Storage, busy: Busy, stop: type[BaseException]
) -> None:
    """A unit may raise what no future takes: its caller is told, its neighbours are served, the writer goes on."""

    def leave(session: Session) -> None:
        add_conta(session, "ninguém")
        raise stop("from a unit")

    holding = await blocked(storage, busy)
    units = [asyncio.ensure_future(storage.write(unit)) for unit in (leave, lambda session: add_conta(session, "ana"))]
    await one_turn()
    busy.release()
    async with asyncio.timeout(PATIENCE):
        await holding
        with pytest.raises(RuntimeError, match="from a unit"):
            await units[0]
        await units[1]
        await storage.write(add_conta, "bia")
    assert await storage.read(nomes) == ["ana", "bia"]
