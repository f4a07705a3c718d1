"""One task a call, and the only place where an ending becomes a record."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from prometheus_client import Counter, Gauge, Histogram

from telefonista.calling.capacity import Gates
from telefonista.calling.causes import Status, status_of
from telefonista.calling.journal import Journal
from telefonista.calling.legs import Desk, NotReached
from telefonista.calling.live import Live, Papel
from telefonista.calling.pedido import Pedido
from telefonista.calling.recorder import Recorder
from telefonista.calling.records import SILENT, Tellers
from telefonista.engine.port import By, Engine, EngineError, HungUp
from telefonista.storage.session import Storage

log = structlog.get_logger()

ACTIVE = Gauge("telefonista_chamadas_ativas", "Calls in progress")
ENDED = Counter("telefonista_chamadas_total", "Calls by outcome", ["desfecho"])
TALK_SECONDS = Histogram("telefonista_chamada_segundos", "Life of a call", buckets=(1, 5, 15, 30, 60, 180, 600, 3600))

Flow = Callable[[Desk, Pedido], Awaitable[str]]


class Runner:
    """Starts calls, cancels them by id, and waits for them at shutdown."""

    def __init__(self, engine: Engine, storage: Storage, gates: Gates, tellers: Tellers = SILENT) -> None:
        self._engine, self._storage, self._gates, self.tellers = engine, storage, gates, tellers
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._desks: dict[int, Desk] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.on_finished: Callable[[int], None] = lambda chamada_id: None

    def start(self, pedido: Pedido, flow: Flow, *, journal: Journal | None = None) -> None:
        """Run a flow for a chamada whose row is committed. A chamada runs at most once."""
        if pedido.id in self._tasks:
            return
        journal = journal or Journal(self._storage, pedido.id, self.tellers)
        desk = Desk(self._engine, self._gates, journal, Live(pedido), Recorder(self._engine, journal))
        task = asyncio.create_task(self._run(desk, pedido, flow), name=f"chamada-{pedido.id}")
        self._tasks[pedido.id], self._desks[pedido.id] = task, desk
        self._idle.clear()
        task.add_done_callback(lambda _: self._forget(pedido.id))

    def cancel(self, chamada_id: int) -> bool:
        """End a running call; False when it is not running here."""
        task = self._tasks.get(chamada_id)
        if task is None:
            return False
        # One turn later: a task that is cancelled before its first step leaves no record.
        asyncio.get_running_loop().call_soon(task.cancel)
        return True

    def desk(self, chamada_id: int) -> Desk | None:
        """What can be commanded of a running call; None when it is not running here."""
        return self._desks.get(chamada_id)

    def active(self) -> int:
        return len(self._tasks)

    def runs(self, chamada_id: int) -> bool:
        return chamada_id in self._tasks

    def owns(self, leg_id: str) -> bool:
        """Whether a leg belongs to a call that runs here: its id starts with the call's, or it came in from outside."""
        chamada_id, _, _ = leg_id.partition("-")
        return (chamada_id.isdecimal() and int(chamada_id) in self._tasks) or any(
            desk.journal.watches(leg_id) for desk in self._desks.values()
        )

    def talking(self, leg_id: str) -> "tuple[Desk, Papel] | None":
        """The call in whose conversation a leg is now, and in which role; a leg may come from another call."""
        for desk in self._desks.values():
            for papel, leg in zip(("origem", "destino"), desk.live.parties or (), strict=False):
                if leg.id == leg_id:
                    return desk, "origem" if papel == "origem" else "destino"
        return None

    async def drain(self, within: float) -> None:
        """Wait until no call runs, at most `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            return

    async def end_all(self) -> None:
        """End every call and wait until each has its record."""
        for chamada_id in list(self._tasks):
            self.cancel(chamada_id)
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    def _forget(self, chamada_id: int) -> None:
        del self._tasks[chamada_id], self._desks[chamada_id]
        if not self._tasks:
            self._idle.set()

    async def _run(self, desk: Desk, pedido: Pedido, flow: Flow) -> None:
        outcome = "falha"  # what an unforeseen bug leaves behind
        began = asyncio.get_running_loop().time()
        with structlog.contextvars.bound_contextvars(chamada_id=pedido.id), ACTIVE.track_inprogress():
            try:
                outcome = await flow(desk, pedido)
            except HungUp as hangup:
                outcome = _outcome(hangup)
            except NotReached as reason:
                outcome = Status.CONGESTIONADO if reason.cause == 42 else Status.SEM_RESPOSTA
            except EngineError as error:
                log.warning("the engine failed a call", reason=str(error))
            except asyncio.CancelledError:
                outcome = "encerrada"
                raise
            except Exception:
                log.exception("a call failed by our fault")
            finally:
                finish = asyncio.create_task(self._finish(desk, pedido.id, outcome), name=f"fim-{pedido.id}")
                while not finish.done():  # no cancel cuts the record short, nor lets the call look ended before it
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait({finish})
                if not finish.cancelled() and (problem := finish.exception()) is not None:
                    log.error("a call ended without a record", exc_info=problem)
                ENDED.labels(outcome).inc()
                TALK_SECONDS.observe(asyncio.get_running_loop().time() - began)

    async def _finish(self, desk: Desk, chamada_id: int, outcome: str) -> None:
        await desk.live.dismiss_guests()
        await desk.journal.finish(outcome)
        self.on_finished(chamada_id)


def _outcome(hangup: HungUp) -> str:
    """The ending in a word, of a call that never came to a conversation."""
    if hangup.leg.up.done():
        return "falha" if hangup.by is By.ENGINE else "origem desligou"
    return status_of(hangup.cause, hangup.sip, hangup.by)
