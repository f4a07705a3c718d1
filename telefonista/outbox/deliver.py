"""Delivers what the outbox holds: made and run by the wiring, nudged by whoever enqueues."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import Counter

from telefonista.dialect.envelope import encode
from telefonista.net.guarded import Answer, BadUrl, Guarded, Unreachable
from telefonista.outbox import rows
from telefonista.outbox.rows import DESISTIU, ENTREGUE, PENDENTE, Outcome, Pending, Receiver
from telefonista.outbox.schedule import Schedule, retry_after
from telefonista.outbox.sign import message_id, signed_headers
from telefonista.storage.session import Storage

log = structlog.get_logger()

ATTEMPTS = Counter("telefonista_webhooks_total", "Webhook attempts by what became of the delivery", ["estado"])

OVERALL = 200
PER_RECEIVER = 10
ATTEMPT_SECONDS = 10.0
ANSWER_BYTES = 65536

_IN_MEMORY = 3 * PER_RECEIVER  # of one receiver, so that an attempt that ends finds the next one ready
_GRACE_SECONDS = 2.0
_PAUSE = timedelta(seconds=5)  # after a failure of our own database
_LONGEST_SLEEP = timedelta(seconds=60)  # the clock on the wall may be set
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Lane:
    """One receiver: what waits for it in memory, and how many attempts it may have at once.

    A receiver that does not answer is asked one thing at a time until it does: it takes the places of nobody else.
    """

    held: set[int] = field(default_factory=set)  # queued, running, or done and not yet written down
    queue: deque[Pending] = field(default_factory=deque)
    running: int = 0
    limit: int = PER_RECEIVER
    in_line: bool = False

    def ready(self) -> bool:
        return bool(self.queue) and self.running < self.limit


class Deliverer:
    """One loop, woken by `nudge` and by the next attempt's time. At least once: what it had begun when the process
    died is pending still, and begun again."""

    def __init__(
        self,
        storage: Storage,
        http: Guarded,
        *,
        schedule: Schedule | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._storage, self._http, self._schedule, self._clock = storage, http, schedule or Schedule(), clock
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._since = _EPOCH
        self._contas: set[int] = set()  # with something new to look at
        self._changed: set[int] = set()  # whose webhooks changed while we looked
        self._lanes: dict[Receiver, _Lane] = {}
        self._line: deque[_Lane] = deque()  # with something to start, served in turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._closing = False

    def nudge(self, conta_id: int) -> None:
        """There is something for this conta. From any thread, also inside the transaction that enqueues: the loop
        writes through the same writer before it looks, and so sees what was committed before."""
        self._loop.call_soon_threadsafe(self._nudged, conta_id)

    def webhook_changed(self, conta_id: int) -> None:
        """After the commit: what waits in memory for the old URL is looked up again. In the loop only."""
        self._changed.add(conta_id)
        for receiver, lane in self._lanes.items():
            if receiver[0] == conta_id:
                lane.held -= {row.id for row in lane.queue}
                lane.queue.clear()
        self._nudged(conta_id)

    async def run(self) -> None:
        """Deliver until cancelled; then attempts under way have 2 s, and their outcomes are written."""
        try:
            while True:
                wake = self._clock() + _LONGEST_SLEEP
                try:
                    next_at = await self._turn()
                except Exception:
                    log.exception("the outbox cannot be read or written")
                    next_at = self._clock() + _PAUSE
                    self._work.clear()
                await self._sleep(min(wake, next_at or wake))
        finally:
            await self._stop()

    def _nudged(self, conta_id: int) -> None:
        self._contas.add(conta_id)
        self._work.set()

    async def _sleep(self, until: datetime) -> None:
        """Until there is work, or it is `until`."""
        seconds = max(0.0, (until - self._clock()).total_seconds())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._work.wait()

    async def _turn(self) -> datetime | None:
        """Write down what was done, look for what is to do, start it. When the next one becomes due."""
        self._work.clear()
        await self._write_down()
        contas, self._contas = self._contas, set()
        self._changed.clear()
        now = self._clock()
        held = {receiver: frozenset(lane.held) for receiver, lane in self._lanes.items() if lane.held}
        life = timedelta(seconds=self._schedule.life)
        try:
            found = await self._storage.read(rows.look, now, self._since, contas, held, _IN_MEMORY, life)
        except Exception:
            self._contas |= contas
            raise
        self._since = now
        for row in found.rows:
            if row.conta_id not in self._changed:
                lane = self._lanes.setdefault(row.receiver, _Lane())
                lane.held.add(row.id)
                lane.queue.append(row)
                self._put_in_line(lane)
        self._pump()
        return found.next_at

    async def _write_down(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        try:
            await self._storage.write(rows.record, outcomes)  # also when empty: see nudge
        except Exception:
            self._outcomes = outcomes + self._outcomes
            raise
        for outcome in outcomes:
            receiver = outcome.row.receiver
            lane = self._lanes[receiver]
            lane.held.discard(outcome.row.id)
            if not lane.held and lane.limit == PER_RECEIVER:
                del self._lanes[receiver]
            if len(lane.held) <= _IN_MEMORY // 2:
                self._contas.add(outcome.row.conta_id)  # what it held back may go now

    def _put_in_line(self, lane: _Lane) -> None:
        if lane.ready() and not lane.in_line:
            lane.in_line = True
            self._line.append(lane)

    def _pump(self) -> None:
        """Start what may start, one of each receiver in turn."""
        while self._line and len(self._tasks) < OVERALL and not self._closing:
            lane = self._line.popleft()
            lane.in_line = False
            if lane.ready():
                lane.running += 1
                task = asyncio.create_task(self._attempt(lane, lane.queue.popleft()), name="webhook")
                self._tasks.add(task)
                task.add_done_callback(self._ended)
                self._put_in_line(lane)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._pump()

    async def _attempt(self, lane: _Lane, row: Pending) -> None:
        at, began = self._clock(), self._loop.time()
        answer, erro = None, None
        try:
            answer = await self._post(row, at)
        except (BadUrl, Unreachable) as error:
            erro = str(error)
        except Exception:
            log.exception("a webhook failed by our fault", entrega_id=row.id)
            erro = "falha nossa"
        finally:
            lane.running -= 1
            self._put_in_line(lane)
        lane.limit = 1 if answer is None else min(PER_RECEIVER, 2 * lane.limit)
        self._outcomes.append(self._judge(row, at, round(1000 * (self._loop.time() - began)), answer, erro))
        self._put_in_line(lane)
        self._work.set()

    async def _post(self, row: Pending, at: datetime) -> Answer:
        body = encode(row.corpo)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            **signed_headers(row.segredo, message_id(row.id), at, body),
        }
        return await self._http.request(
            "POST", row.url, headers=headers, body=body, most=ANSWER_BYTES, seconds=ATTEMPT_SECONDS
        )

    def _judge(self, row: Pending, at: datetime, took: int, answer: Answer | None, erro: str | None) -> Outcome:
        status = None if answer is None else answer.status
        estado, next_at = PENDENTE, None
        if status is not None and 200 <= status < 300:
            estado = ENTREGUE
        elif status == 410:
            estado, erro = DESISTIU, "o receptor não quer mais este webhook"
        else:
            if status is not None and 300 <= status < 400:
                erro = "redirecionamentos não são seguidos"
            now = self._clock()
            asked = None if answer is None else retry_after(answer.headers, now)
            next_at = self._schedule.next_attempt(row.tentativas + 1, row.began, now, asked)
            if next_at is None:
                estado = DESISTIU
        if estado == DESISTIU:
            log.warning("a webhook is given up", entrega_id=row.id, conta_id=row.conta_id, nome=row.nome, status=status)
        ATTEMPTS.labels(estado).inc()
        return Outcome(row, at, took, status, erro, estado, next_at)

    async def _stop(self) -> None:
        self._closing = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            await self._storage.write(rows.record, outcomes)
