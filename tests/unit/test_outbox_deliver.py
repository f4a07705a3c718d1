"""The delivery loop in virtual time, with receivers that answer as told: order, patience, and who waits for whom."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Engine, StaticPool, create_engine, select
from sqlalchemy.orm import Session

from telefonista.net.guarded import Answer, Guarded, Unreachable
from telefonista.outbox.deliver import Deliverer
from telefonista.outbox.rows import enqueue
from telefonista.outbox.schedule import Schedule
from telefonista.storage.session import Storage
from telefonista.storage.tables import Base, Conta, Entrega, Tentativa, Webhook
from telefonista.webhook.queries import delete_webhook, save_webhook, send_again
from tests.calls import until
from tests.virtual_time import VIRTUAL

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = 3600.0


@pytest.fixture
def anyio_backend():
    return VIRTUAL


@pytest.fixture(autouse=True)
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks around once a minute, which makes days long."""
    monkeypatch.setattr("telefonista.outbox.deliver._LONGEST_SLEEP", timedelta(hours=6))


class InlineStorage:
    """As storage.session.Storage, in the loop's own thread: threads know no virtual time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.broken = False

    async def write(self, unit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.broken:
            raise OSError("the disk is full")
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            return unit(session, *args, **kwargs)

    read = write


@dataclass
class World:
    """Receivers by host, what each got and when, and the deliverer between."""

    storage: InlineStorage
    behaviour: dict[str, Callable[[], Awaitable[Answer]]] = field(default_factory=dict)
    got: list[tuple[float, str, Any]] = field(default_factory=list)  # seconds, host, body
    running: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.time())

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        host = url.split("/")[2]
        self.got.append((self.loop.time(), host, json.loads(options["body"])))
        self.running[host] = self.running.get(host, 0) + 1
        self.most[host] = max(self.most.get(host, 0), self.running[host])
        try:
            async with asyncio.timeout(options["seconds"]):
                return await self.behaviour.get(host, ok)()
        except TimeoutError:
            raise Unreachable("sem resposta em 10 s") from None
        finally:
            self.running[host] -= 1

    async def webhook(self, conta_id: int, nome: str, host: str) -> None:
        await self.storage.write(save_webhook, conta_id, nome, f"http://{host}/{nome}", self.now())

    async def put(self, conta_id: int, nome: str, ordem: str, n: int) -> None:
        """Enqueue one, as a transaction of the product's would."""
        await self.storage.write(self._put, conta_id, nome, ordem, n)

    def _put(self, session: Session, conta_id: int, nome: str, ordem: str, n: int) -> None:
        if enqueue(session, conta_id, nome, ordem, {"n": n}, self.now()):
            self.deliverer.nudge(conta_id)

    @asynccontextmanager
    async def delivering(self, schedule: Schedule | None = None) -> AsyncIterator[Deliverer]:
        self.deliverer = Deliverer(cast(Storage, self.storage), cast(Guarded, self), schedule=schedule, clock=self.now)
        task = asyncio.create_task(self.deliverer.run())
        try:
            yield self.deliverer
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def bodies(self, host: str) -> list[int]:
        return [body["n"] for _, where, body in self.got if where == host]

    def times(self, host: str) -> list[float]:
        return [when for when, where, _ in self.got if where == host]

    async def entregas(self) -> list[Entrega]:
        return list(
            await self.storage.read(lambda session: session.scalars(select(Entrega).order_by(Entrega.id)).all())
        )

    async def tentativas(self) -> list[Tentativa]:
        query = select(Tentativa).order_by(Tentativa.id)
        return list(await self.storage.read(lambda session: session.scalars(query).all()))


def answering(
    status: int, headers: dict[str, str] | None = None, after: float = 0.01
) -> Callable[[], Awaitable[Answer]]:
    async def answer() -> Answer:
        await until(asyncio.get_running_loop().time() + after)
        return Answer(status, headers or {}, b"", True)

    return answer


ok = answering(200)


async def silent() -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


def up_from(when: float, otherwise: Callable[[], Awaitable[Answer]]) -> Callable[[], Awaitable[Answer]]:
    async def answer() -> Answer:
        return await (ok if asyncio.get_running_loop().time() >= when else otherwise)()

    return answer


@pytest.fixture
async def world() -> AsyncIterator[World]:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(Conta(nome=str(n), token_hash=str(n), criada_em=START) for n in range(1, 60))
    yield World(InlineStorage(engine))
    engine.dispose()


async def test_delivered_once(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(30 * HOUR)
    assert world.bodies("a") == [1]
    (entrega,), (tentativa,) = await world.entregas(), await world.tentativas()
    assert (entrega.estado, entrega.tentativas, entrega.entregue_em) == ("entregue", 1, tentativa.momento)
    assert (tentativa.status, tentativa.erro, tentativa.url) == (200, None, "http://a/chamada_fim")
    assert tentativa.milissegundos == 10


async def test_nothing_is_written_for_who_did_not_ask(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    async with world.delivering():
        await world.put(2, "chamada_fim", "chamada-1", 1)
        await world.put(1, "audio_fim", "chamada-1", 2)
        await until(HOUR)
    assert await world.entregas() == [] and world.got == []


async def test_tried_for_a_day_and_given_up(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = answering(500)
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(60 * HOUR)
    times = world.times("a")
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    expected = [5, 15, 60, 300, 900, 3600, 10800, *[18000] * 9]
    assert all(0.79 * delay <= gap <= 1.21 * delay for gap, delay in zip(gaps[:-1], expected, strict=False)), gaps
    assert times[-1] == pytest.approx(24 * HOUR, abs=1)
    (entrega,) = await world.entregas()
    assert (entrega.estado, entrega.tentativas, entrega.entregue_em) == ("desistiu", len(times), None)
    assert [tentativa.status for tentativa in await world.tentativas()] == [500] * len(times)


async def test_in_order_whatever_fails(world: World) -> None:
    """The oldest of a call holds back the younger ones of that call and nobody else's."""
    await world.webhook(1, "chamada_tempo_real", "a")
    refused = iter([503, 503, 503])
    seen: list[int] = []

    async def picky() -> Answer:
        n = world.got[-1][2]["n"]
        if n == 10 and (status := next(refused, None)):
            return Answer(status, {}, b"", True)
        seen.append(n)
        return Answer(200, {}, b"", True)

    world.behaviour["a"] = picky
    async with world.delivering():
        for n in (10, 11, 12):
            await world.put(1, "chamada_tempo_real", "chamada-1", n)
        for n in (20, 21, 22):
            await world.put(1, "chamada_tempo_real", "chamada-2", n)
        await until(3)
        assert seen == [20, 21, 22]
        await world.put(1, "chamada_tempo_real", "chamada-1", 13)
        await until(200)
    assert seen == [20, 21, 22, 10, 11, 12, 13]
    assert len(world.got) == 10


async def test_order_over_several_webhooks_of_one_url(world: World) -> None:
    """Two webhooks at one address are one receiver: it is told of a call in order. Another address is not held back."""
    await world.storage.write(save_webhook, 1, "chamada_tempo_real", "http://a/x", START)
    await world.storage.write(save_webhook, 1, "chamada_fim", "http://a/x", START)
    await world.storage.write(save_webhook, 1, "status_tempo_real", "http://a/y", START)
    world.behaviour["a"] = up_from(2.0, answering(500))
    async with world.delivering(Schedule((3.0,), 100.0)):
        await world.put(1, "chamada_tempo_real", "chamada-1", 1)
        await world.put(1, "chamada_tempo_real", "chamada-1", 2)
        await world.put(1, "chamada_fim", "chamada-1", 3)
        await until(2)
        assert world.bodies("a") == [1]
        await world.put(1, "status_tempo_real", "chamada-1", 4)
        await until(10)
    assert world.bodies("a") == [1, 4, 1, 2, 3]


async def test_what_a_dead_one_held_back_is_given_up_with_it(world: World) -> None:
    await world.webhook(1, "chamada_tempo_real", "a")
    world.behaviour["a"] = silent
    async with world.delivering():
        for n in range(6):
            await world.put(1, "chamada_tempo_real", "chamada-1", n)
        await until(26 * HOUR)
    assert {entrega.estado for entrega in await world.entregas()} == {"desistiu"}
    assert world.times("a")[-1] < 24.1 * HOUR


async def test_gone_means_gone(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = answering(410)
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(HOUR)
    (entrega,) = await world.entregas()
    assert entrega.estado == "desistiu" and world.bodies("a") == [1]


@pytest.mark.parametrize(("asked", "waited"), [("100", 100), ("86400", 3600), ("1", 5)])
async def test_the_receiver_may_ask_for_time(world: World, asked: str, waited: float) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = up_from(1, answering(429, {"Retry-After": asked}))
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(2 * HOUR)
    first, second = world.times("a")
    assert 0.79 * waited <= second - first <= 1.21 * waited


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 500, 502])
async def test_only_2xx_is_delivered(world: World, status: int) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = up_from(1, answering(status))
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(60)
    assert [tentativa.status for tentativa in await world.tentativas()] == [status, 200]


async def test_down_for_ten_minutes_loses_nothing(world: World) -> None:
    await world.webhook(1, "chamada_tempo_real", "a")
    world.behaviour["a"] = up_from(600, silent)
    async with world.delivering():
        for n in range(40):
            for fact in range(5):
                await world.put(1, "chamada_tempo_real", f"chamada-{n}", 10 * n + fact)
        await until(2 * HOUR)
    entregas = await world.entregas()
    assert {entrega.estado for entrega in entregas} == {"entregue"}
    arrived = [body["n"] for when, _, body in world.got if when >= 600]
    assert sorted(arrived) == [10 * n + fact for n in range(40) for fact in range(5)]
    for n in range(40):
        assert [one for one in arrived if one // 10 == n] == [10 * n + fact for fact in range(5)]
    assert max(entrega.entregue_em for entrega in entregas if entrega.entregue_em) < START + timedelta(seconds=1600)


async def test_a_slow_receiver_delays_only_itself(world: World) -> None:
    """Also with far more for it than there are places in all."""
    for conta in range(1, 11):
        await world.webhook(conta, "chamada_fim", f"slow{conta}")
        world.behaviour[f"slow{conta}"] = answering(200, after=9.0)
    await world.webhook(50, "chamada_fim", "quick")
    async with world.delivering():
        for conta in range(1, 11):
            for n in range(60):
                await world.put(conta, "chamada_fim", f"chamada-{conta}-{n}", n)
        await until(1)
        for n in range(20):
            await world.put(50, "chamada_fim", f"chamada-{n}", n)
        await until(1.2)
        assert sorted(world.bodies("quick")) == list(range(20))
        assert {host: most for host, most in world.most.items() if host != "quick"} == {
            f"slow{conta}": 10 for conta in range(1, 11)
        }
        await until(70)
    assert {entrega.estado for entrega in await world.entregas()} == {"entregue"}


async def test_dead_receivers_leave_places_to_others(world: World) -> None:
    """40 receivers that never answer would fill every place for 10 s at a time; each is tried one thing at a time."""
    for conta in range(1, 41):
        await world.webhook(conta, "chamada_fim", f"dead{conta}")
        world.behaviour[f"dead{conta}"] = silent
    await world.webhook(50, "chamada_fim", "quick")
    async with world.delivering():
        for conta in range(1, 41):
            for n in range(8):
                await world.put(conta, "chamada_fim", f"chamada-{conta}-{n}", n)
        await until(25)
        began = world.loop.time()
        await world.put(50, "chamada_fim", "chamada-0", 1)
        await until(27)
        assert world.times("quick")[0] - began < 0.1
        world.most.clear()
        await until(60)
        assert set(world.most.values()) == {1}


async def test_two_contas_at_one_host_do_not_share_places(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    await world.webhook(2, "chamada_fim", "a")
    world.behaviour["a"] = answering(200, after=9.0)
    async with world.delivering():
        for conta in (1, 2):
            for n in range(20):
                await world.put(conta, "chamada_fim", f"chamada-{conta}-{n}", n)
        await until(5)
        assert world.most["a"] == 20
        await until(20)


async def test_one_call_does_not_hide_others(world: World) -> None:
    """A long queue behind one call's failing head is stepped over."""
    await world.webhook(1, "chamada_tempo_real", "a")

    async def picky() -> Answer:
        return Answer(500 if world.got[-1][2]["n"] < 1000 else 200, {}, b"", True)

    world.behaviour["a"] = picky
    async with world.delivering():
        for n in range(100):
            await world.put(1, "chamada_tempo_real", "chamada-1", n)
        await world.put(1, "chamada_tempo_real", "chamada-2", 1000)
        await until(1)
    assert world.bodies("a") == [0, 1000]


async def test_pending_at_the_start(world: World) -> None:
    """What was written and not delivered when the process died; and what it was doing at that moment is done again."""
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = silent
    async with world.delivering():
        for n in range(3):
            await world.put(1, "chamada_fim", f"chamada-{n}", n)
        await until(1)
    assert sorted(world.bodies("a")) == [0, 1, 2] and await world.tentativas() == []
    world.got.clear()
    del world.behaviour["a"]
    async with world.delivering():
        await until(10)
    assert sorted(world.bodies("a")) == [0, 1, 2]
    assert {entrega.estado for entrega in await world.entregas()} == {"entregue"}


async def test_stopping_lets_attempts_end(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = answering(200, after=1.0)
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(0.5)
    (entrega,) = await world.entregas()
    assert entrega.estado == "entregue" and len(await world.tentativas()) == 1


async def test_sent_again(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = answering(410)
    async with world.delivering() as deliverer:
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(100 * HOUR)
        world.behaviour["a"] = up_from(100 * HOUR + 10, answering(500))
        await world.storage.write(send_again, 1, 1, world.now())
        deliverer.webhook_changed(1)
        await until(102 * HOUR)
    (entrega,) = await world.entregas()
    assert (entrega.estado, entrega.tentativas) == ("entregue", 3)
    assert [tentativa.status for tentativa in await world.tentativas()] == [410, 500, 500, 200]


async def test_sent_again_and_given_up_a_day_later(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = answering(500)
    async with world.delivering() as deliverer:
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(50 * HOUR)
        first = len(world.got)
        await world.storage.write(send_again, 1, 1, world.now())
        deliverer.webhook_changed(1)
        await until(100 * HOUR)
    (entrega,) = await world.entregas()
    assert entrega.estado == "desistiu" and len(world.got) == first + entrega.tentativas >= first + 10
    assert world.times("a")[-1] == pytest.approx(74 * HOUR, abs=2)


async def test_a_new_url_gets_what_waited_for_the_old(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = silent
    async with world.delivering() as deliverer:
        for n in range(60):
            await world.put(1, "chamada_fim", f"chamada-{n}", n)
        await until(100)
        await world.webhook(1, "chamada_fim", "b")
        deliverer.webhook_changed(1)
        await until(111)
        assert len(set(world.bodies("b"))) >= 59  # one was just being tried at the old place
        await until(200)
    assert set(world.bodies("b")) == set(range(60)) and len(world.bodies("b")) == 60


async def test_removed_means_nothing_more_is_sent(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    world.behaviour["a"] = silent
    async with world.delivering() as deliverer:
        for n in range(60):
            await world.put(1, "chamada_fim", f"chamada-{n}", n)
        await until(15)
        await world.storage.write(delete_webhook, 1, "chamada_fim")
        deliverer.webhook_changed(1)
        sent = len(world.got)
        await until(HOUR)
    assert len(world.got) == sent
    assert {entrega.estado for entrega in await world.entregas()} == {"cancelada"}
    hooks = await world.storage.read(lambda session: session.scalars(select(Webhook)).all())
    assert hooks == []


async def test_a_database_that_fails_for_a_while(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(0.005)  # the attempt is under way
        world.storage.broken = True
        await until(60)
        world.storage.broken = False
        await until(70)
    assert world.bodies("a") == [1]
    (entrega,) = await world.entregas()
    assert entrega.estado == "entregue" and len(await world.tentativas()) == 1


async def test_our_own_fault_is_an_attempt_that_failed(world: World) -> None:
    await world.webhook(1, "chamada_fim", "a")

    async def broken() -> Answer:
        raise ZeroDivisionError

    world.behaviour["a"] = up_from(1, broken)
    async with world.delivering():
        await world.put(1, "chamada_fim", "chamada-1", 1)
        await until(30)
    assert [(one.status, one.erro) for one in await world.tentativas()] == [(None, "falha nossa"), (200, None)]


async def test_it_sleeps_when_there_is_nothing_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telefonista.outbox.deliver._LONGEST_SLEEP", timedelta(seconds=60))
    looks = 0
    read = world.storage.read

    async def counting(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return await read(*args)

    world.storage.read = counting  # type: ignore[method-assign]
    async with world.delivering():
        await until(10 * 60 + 1)
    assert looks <= 11
