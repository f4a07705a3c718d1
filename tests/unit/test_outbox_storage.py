"""The outbox on both databases, with its threads and real HTTP: what was committed is delivered, in order, signed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.net.guarded import Guarded
from telefonista.outbox.deliver import Deliverer
from telefonista.outbox.rows import enqueue
from telefonista.outbox.schedule import Schedule
from telefonista.storage.session import Storage
from telefonista.storage.tables import Conta, Entrega, Tentativa
from telefonista.webhook.queries import list_webhooks, save_webhook
from tests.receiver import Receiver

pytest_plugins = ["tests.databases"]

NOME = "chamada_tempo_real"


@pytest.fixture
async def contas(storage: Storage) -> list[int]:
    def unit(session: Session) -> list[int]:
        contas = [Conta(nome=str(n), token_hash=str(n), criada_em=datetime.now(UTC)) for n in range(3)]
        session.add_all(contas)
        session.flush()
        return [conta.id for conta in contas]

    return await storage.write(unit)


@asynccontextmanager
async def delivering(storage: Storage, *, delay: float = 0.05) -> AsyncIterator[Deliverer]:
    http = Guarded(internal=True)
    deliverer = Deliverer(storage, http, schedule=Schedule((delay,), 60.0))
    task = asyncio.create_task(deliverer.run())
    try:
        yield deliverer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await http.close()


async def hook(storage: Storage, conta_id: int, receiver: Receiver) -> str:
    """Sets the webhook; its secret."""
    webhook = await storage.write(save_webhook, conta_id, NOME, receiver.url, datetime.now(UTC))
    return webhook.segredo


def put(session: Session, deliverer: Deliverer | None, conta_id: int, ordem: str, corpo: dict[str, Any]) -> None:
    assert enqueue(session, conta_id, NOME, ordem, corpo, datetime.now(UTC))
    if deliverer is not None:
        deliverer.nudge(conta_id)  # before the commit, as calls do it


async def states(storage: Storage) -> dict[str, int]:
    def query(session: Session) -> dict[str, int]:
        rows = session.execute(select(Entrega.estado, func.count()).group_by(Entrega.estado))
        return {estado: count for estado, count in rows}

    return await storage.read(query)


async def come_to(storage: Storage, wanted: dict[str, int], within: float = 5.0) -> None:
    """The rows follow the deliveries by one commit: look until they are as wanted."""
    async with asyncio.timeout(within):
        while await states(storage) != wanted:
            await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.01)


async def test_what_arrives(storage: Storage, contas: list[int]) -> None:
    corpo = {"preco": Decimal("0.35"), "motivo": "não existe", "z": None, "a": [1, True]}
    async with Receiver() as receiver, delivering(storage) as deliverer:
        secret = await hook(storage, contas[0], receiver)
        await storage.write(put, deliverer, contas[0], "chamada-1", corpo)
        (one,) = await receiver.got(1)
    assert one.body == '{"preco":0.35,"motivo":"não existe","z":null,"a":[1,true]}'.encode()
    assert one.headers["Content-Type"] == "application/json; charset=utf-8"
    assert one.headers["User-Agent"].startswith("telefonista/")
    assert one.signed_with(secret) and not one.signed_with("whsec_" + "A" * 43 + "=")
    await come_to(storage, {"entregue": 1})
    (attempt,) = await storage.read(lambda session: session.scalars(select(Tentativa)).all())
    assert (attempt.status, attempt.url, attempt.erro) == (200, receiver.url, None)


async def test_an_undone_transaction_tells_nothing(storage: Storage, contas: list[int]) -> None:
    def fails(session: Session) -> None:
        put(session, deliverer, contas[0], "chamada-1", {"n": 1})
        raise ZeroDivisionError

    async with Receiver() as receiver, delivering(storage) as deliverer:
        await hook(storage, contas[0], receiver)
        with pytest.raises(ZeroDivisionError):
            await storage.write(fails)
        await storage.write(put, deliverer, contas[0], "chamada-1", {"n": 2})
        await receiver.got(1)
    assert receiver.bodies() == [{"n": 2}]


async def test_in_order_at_full_speed(storage: Storage, contas: list[int]) -> None:
    """Many calls at once to a receiver that refuses at times."""
    calls, facts = 30, 6
    async with Receiver() as receiver, delivering(storage) as deliverer:
        await hook(storage, contas[0], receiver)
        for fact in range(facts):
            for call in range(calls):
                if (fact + call) % 7 == 0:
                    storage.queue(_and_one_refusal, deliverer, contas[0], call, fact, receiver)
                else:
                    storage.queue(put, deliverer, contas[0], f"chamada-{call}", {"call": call, "fact": fact})
        everything = {(call, fact) for call in range(calls) for fact in range(facts)}
        while {(body["call"], body["fact"]) for body in receiver.bodies()} != everything:
            await receiver.got(len(receiver.received) + 1)
    for call in range(calls):
        told = [body["fact"] for body in receiver.bodies() if body["call"] == call]
        assert told == sorted(told) and set(told) == set(range(facts))
    assert receiver.most_at_once <= 10


def _and_one_refusal(
    session: Session, deliverer: Deliverer, conta_id: int, call: int, fact: int, receiver: Receiver
) -> None:
    receiver.refuse_next()
    put(session, deliverer, conta_id, f"chamada-{call}", {"call": call, "fact": fact})


async def test_down_at_first(storage: Storage, contas: list[int]) -> None:
    async with Receiver() as probe:
        pass
    secret = await hook(storage, contas[0], probe)
    async with delivering(storage) as deliverer:
        for n in range(20):
            await storage.write(put, deliverer, contas[0], f"chamada-{n}", {"n": n})
        async with Receiver(port=probe.port) as receiver:
            await receiver.got(20)
            assert sorted(body["n"] for body in receiver.bodies()) == list(range(20))
            assert all(one.signed_with(secret) for one in receiver.received)
    await come_to(storage, {"entregue": 20})
    errors = await storage.read(
        lambda session: set(session.scalars(select(Tentativa.erro).where(Tentativa.erro.is_not(None))))
    )
    assert errors == {"conexão recusada"}


async def test_a_slow_receiver_of_another_conta(storage: Storage, contas: list[int]) -> None:
    async with Receiver(delay=3.0) as slow, Receiver() as quick, delivering(storage) as deliverer:
        await hook(storage, contas[0], slow)
        await hook(storage, contas[1], quick)
        for n in range(40):
            storage.queue(put, deliverer, contas[0], f"chamada-{n}", {"n": n})
        await slow.got(10)
        began = asyncio.get_running_loop().time()
        for n in range(40):
            storage.queue(put, deliverer, contas[1], f"chamada-{n}", {"n": n})
        await quick.got(40)
        assert asyncio.get_running_loop().time() - began < 1.5
        assert slow.most_at_once == len(slow.received) == 10


async def test_a_webhook_keeps_its_secret(storage: Storage, contas: list[int]) -> None:
    async with Receiver() as one, Receiver() as other:
        secret = await hook(storage, contas[0], one)
        assert await hook(storage, contas[0], other) == secret
        assert await hook(storage, contas[1], other) != secret
    (webhook,) = await storage.read(list_webhooks, contas[0])
    assert (webhook.url, webhook.segredo) == (other.url, secret)
