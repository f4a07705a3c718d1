"""What was awaited is there after kill -9; and a PostgreSQL that goes away fails its callers and heals by itself."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from telefonista.storage.session import Storage
from telefonista.storage.tables import Conta

if TYPE_CHECKING:
    from tests.databases import Postgres

pytest_plugins = ["tests.databases"]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
on_postgresql = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)

PROGRAM = """
    import asyncio, os, signal, sys
    from datetime import UTC, datetime
    from telefonista.storage.session import Storage
    from telefonista.storage.tables import Conta

    def add(session, nome, die=False):
        session.add(Conta(nome=nome, token_hash=nome, criada_em=datetime.now(UTC)))
        session.flush()
        if die:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        storage = Storage(sys.argv[1])
        for number in range(20):
            storage.queue(add, f"antes {number}")
        await storage.write(add, "esperada")
        if sys.argv[2] == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        await storage.write(add, "no meio", True)

    asyncio.run(main())
"""


def add_conta(session: Session, nome: str) -> None:
    session.add(Conta(nome=nome, token_hash=f"hash of {nome}", criada_em=NOW))
    session.flush()


def nomes(session: Session) -> list[str]:
    return list(session.scalars(select(Conta.nome).order_by(Conta.id)))


@pytest.mark.parametrize("when", ["after", "inside"])
async def test_kill_9_keeps_what_was_awaited_and_nothing_half_done(migrated_url: str, when: str) -> None:
    """`after`: killed at once when the awaited write returned; `inside`: in the middle of the next one."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), migrated_url, when]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    storage = Storage(migrated_url)
    try:
        assert await storage.read(nomes) == [*(f"antes {number}" for number in range(20)), "esperada"]
        await storage.write(add_conta, "depois")
        assert await storage.read(lambda session: session.scalar(select(func.count(Conta.id)))) == 22
    finally:
        await storage.close()


@on_postgresql
async def test_a_restarted_server_is_not_noticed_by_the_next_write_and_read(
    storage: Storage, postgres: "Postgres"
) -> None:
    await asyncio.gather(storage.write(add_conta, "ana"), *(storage.read(nomes) for _ in range(8)))
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)
    await storage.write(add_conta, "bia")
    assert await asyncio.gather(*(storage.read(nomes) for _ in range(8))) == [["ana", "bia"]] * 8


@on_postgresql
async def test_an_absent_server_fails_each_caller_at_once_and_is_used_again_when_back(
    storage: Storage, postgres: "Postgres"
) -> None:
    await storage.write(add_conta, "ana")
    await asyncio.to_thread(postgres.stop)
    try:
        async with asyncio.timeout(10):
            failures = await asyncio.gather(
                *(storage.write(add_conta, f"perdida {number}") for number in range(5)),
                *(storage.read(nomes) for _ in range(5)),
                return_exceptions=True,
            )
    finally:
        await asyncio.to_thread(postgres.start)
    assert all(isinstance(failure, DBAPIError) for failure in failures), failures
    await storage.write(add_conta, "bia")
    assert await storage.read(nomes) == ["ana", "bia"]


@on_postgresql
async def test_a_connection_lost_in_a_batch_fails_every_unit_of_it(storage: Storage) -> None:
    """Nobody is told that a write is kept which the lost transaction took with it."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(session: Session) -> None:
        entered.set()
        assert go_on.wait(20)

    def cut(session: Session) -> None:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    holding = asyncio.create_task(storage.write(hold))
    assert await asyncio.to_thread(entered.wait, 20)
    units = (lambda s: add_conta(s, "antes"), cut, lambda s: add_conta(s, "depois"))
    batch = [asyncio.ensure_future(storage.write(unit)) for unit in units]
    asyncio.get_running_loop().call_soon(go_on.set)  # after each of them put its unit into the queue
    outcomes = await asyncio.gather(*batch, return_exceptions=True)
    await holding
    assert all(isinstance(outcome, SQLAlchemyError) for outcome in outcomes), outcomes
    assert isinstance(outcomes[1], DBAPIError)
    await storage.write(add_conta, "bia")
    assert await storage.read(nomes) == ["bia"]
