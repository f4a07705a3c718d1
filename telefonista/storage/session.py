"""The database as the product uses it: `write` groups commits in one thread, `read` runs in a small pool.

A unit of work is a plain function taking a Session. It is run to its end in one transaction; when the awaited call
returns, the work is durable. Concurrent units share one commit, which is what keeps thousands a second affordable.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.orm import Session

log = structlog.get_logger()

P = ParamSpec("P")
R = TypeVar("R")
Unit = Callable[[Session], Any]

_BATCH = 200
_READERS = 4


class Storage:
    """One database. Made in the loop that uses it; `close` waits for what was accepted."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer_engine = _engine(url, writes=True)
        self._reader_engine = _engine(url, writes=False)
        self._inbox: queue.SimpleQueue[tuple[Unit, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._run_writer, name="storage-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="storage-reader")
        self._closed = False
        self._writer.start()

    async def write(self, unit: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `unit(session, ...)` in a transaction and return its result once it is durable.

        An exception from the unit undoes that unit alone and is raised here. The work is done even when the caller
        is cancelled while waiting: what was accepted is never half done.
        """
        return await self._put(unit, *args, **kwargs)

    def queue(self, unit: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> None:
        """Like `write`, without waiting: units are done in the order they were given. A failure is logged."""
        self._put(unit, *args, **kwargs).add_done_callback(_log_failure)

    def _put(
        self, unit: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> "asyncio.Future[R]":
        if self._closed:
            raise RuntimeError("storage is closed")
        future: asyncio.Future[R] = self._loop.create_future()
        self._inbox.put((lambda session: unit(session, *args, **kwargs), future))
        return future

    async def read(self, query: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `query(session, ...)` against a consistent snapshot. Objects returned are detached and complete."""

        def work() -> R:
            try:
                with Session(self._reader_engine, expire_on_commit=False) as session:
                    return query(session, *args, **kwargs)
            except StopIteration as error:
                raise _fit(error) from error

        return await self._loop.run_in_executor(self._readers, work)

    async def close(self) -> None:
        """Finish what was accepted and let go of threads and files."""
        if not self._closed:
            self._closed = True
            self._inbox.put(None)
            await asyncio.to_thread(self._writer.join)
            await asyncio.to_thread(self._readers.shutdown)
            self._writer_engine.dispose()
            self._reader_engine.dispose()

    def _run_writer(self) -> None:
        while (first := self._inbox.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < _BATCH:
                try:
                    item = self._inbox.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    last = True
                    break
                batch.append(item)
            outcomes = self._commit([unit for unit, _ in batch])
            self._loop.call_soon_threadsafe(_settle, [future for _, future in batch], outcomes)
            if last:
                return

    def _commit(self, units: list[Unit]) -> list[tuple[Any, Exception | None]]:
        """Run the units in one transaction, each in its own savepoint. A failed commit fails them all."""
        outcomes: list[tuple[Any, Exception | None]] = []
        try:
            with self._writer_engine.connect() as connection, connection.begin():
                for unit in units:
                    outcomes.append(_run(connection, unit))
            return outcomes
        except Exception as error:
            outcomes += [(None, error)] * (len(units) - len(outcomes))
            return [(None, own or error) for _, own in outcomes]


def _run(connection: Connection, unit: Unit) -> tuple[Any, Exception | None]:
    try:
        with (
            Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session,
            session.begin(),
        ):
            return unit(session), None
    except BaseException as error:  # the writer outlives whatever a unit raises
        return None, _fit(error)


def _fit(error: BaseException) -> Exception:
    """What a future takes and the loop survives: StopIteration would leave its caller waiting, SystemExit end us."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    fit = RuntimeError(f"a unit of work raised {error!r}")
    fit.__cause__ = error
    return fit


def _log_failure(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("a queued write failed", exc_info=error)


def _settle(futures: list[asyncio.Future[Any]], outcomes: list[tuple[Any, Exception | None]]) -> None:
    for future, (result, error) in zip(futures, outcomes, strict=True):
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _engine(url: str, *, writes: bool) -> Engine:
    if not url.startswith("sqlite"):
        # Readers see one snapshot, as SQLite's do. The ping heals what a restart of the server broke.
        isolation = "READ COMMITTED" if writes else "REPEATABLE READ"
        return create_engine(url, isolation_level=isolation, pool_pre_ping=True, pool_size=1 if writes else _READERS)
    options: dict[str, Any] = {"poolclass": StaticPool} if writes else {"pool_size": _READERS}
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 30}, **options)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A read that turns into a write fails at once in SQLite, busy_timeout or not: writers lock from the start.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
