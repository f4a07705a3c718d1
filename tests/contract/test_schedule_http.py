"""POST /chamada for later, over HTTP: what it needs, what it costs, how it is cancelled, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.app import Product, make_app
from telefonista.calling.capacity import Gates
from telefonista.calling.house import House
from telefonista.chamada.queries import limits_of
from telefonista.chamada.schedule import Agenda
from telefonista.engine.fake import FakeEngine
from telefonista.storage.tables import Chamada, Conta, Evento, LedgerEntry
from telefonista.tronco.carriers import Carriers
from telefonista.tronco.http import Operador
from tests.calls import clock, until
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import set_conta

Done = Callable[..., Any]
Refused = Callable[..., None]

A, B = "1030000021", "1030000011"
PEDIDO = {"numero_origem": A, "numero_destino": B}


def in_(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def counted(house: House, table: type) -> int:
    def count(session: Session) -> int:
        return session.scalar(select(func.count()).select_from(table)) or 0

    return await house.storage.read(count)


@pytest.fixture
async def app(house: House) -> AsyncIterator[FastAPI]:
    """The routes with the schedule at work behind them."""

    async def stop_engine() -> None:
        raise AssertionError("not called")

    gates = Gates(1.0)
    agenda = Agenda(house.storage, house.engine, house.runner, gates, limits_of(house.settings), per_second=0)
    working = asyncio.create_task(agenda.run(), name="agenda")
    operador = Operador("chave-do-operador", Carriers(house.storage, house.engine, gates))
    yield make_app(Product(replace(house, scheduled=agenda.changed), operador, stop_engine))
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def test_one_for_later_needs_the_saldo_and_sets_nothing_aside(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done, refused: Refused
) -> None:
    id = done(await client.post("/chamada", json=PEDIDO | {"data_criacao": in_(3600)}), "chamada criada com sucesso")
    row = await house.storage.read(lambda session: session.get_one(Conta, conta.id))
    assert row.reservado == 0 and await counted(house, LedgerEntry) == 0
    dados = done(await client.get(f"/chamada/{id['id']}"))
    assert (dados["status_geral"], dados["ativa"]) == ("criada", False)
    assert (dados["origem"]["status"], dados["destino"]["status"]) == ("preparando", "preparando")
    assert (dados["origem"]["preco"], dados["origem"]["motivo_desconexao"]) == (0, "indefinido")
    created = datetime.fromisoformat(dados["data_criacao"])
    assert abs(created - datetime.now(UTC)) < timedelta(seconds=5), "the record's, not the call's"
    await set_conta(house, conta.id, saldo=Decimal("0.23"))
    refused(await client.post("/chamada", json=PEDIDO | {"data_criacao": in_(3600)}), 402, 9)
    assert await counted(house, Chamada) == 1


async def test_one_for_later_needs_no_engine_yet(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done, refused: Refused
) -> None:
    fake.crash()
    refused(await client.post("/chamada", json=PEDIDO), 503, 50)
    done(await client.post("/chamada", json=PEDIDO | {"data_criacao": in_(3600)}))
    refused(await client.post("/chamada", json=PEDIDO | {"data_criacao": in_(3600), "numero_destino": "190"}), 405, 11)


async def test_it_is_called_at_its_time(client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done) -> None:
    began = clock()
    id = done(await client.post("/chamada", json=PEDIDO | {"data_criacao": in_(0.6), "numero_origem": "1030000003"}))[
        "id"
    ]
    assert fake.dialled == []
    while not fake.dialled:
        assert clock() < began + 1.6, "not within a second of its time"
        await until(clock() + 0.01)
    assert clock() >= began + 0.6
    await house.runner.drain(5)
    dados = done(await client.get(f"/chamada/{id}"))
    assert (dados["status_geral"], dados["origem"]["status"]) == ("finalizada", "ocupado")


async def test_many_cancelled_while_they_fall_due(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done
) -> None:
    """Whichever way it goes, DELETE is right: either it never rings, or the call under way ends."""
    when = datetime.now(UTC) + timedelta(seconds=0.5)
    body = PEDIDO | {"data_criacao": when.isoformat(), "numero_destino": A}
    ids = [done(await client.post("/chamada", json=body))["id"] for _ in range(20)]
    async with asyncio.TaskGroup() as group:
        for index, id in enumerate(ids):
            await until(clock() + max(0.0, (when - datetime.now(UTC)).total_seconds() - 0.02 + index * 0.001))
            group.create_task(client.request("DELETE", f"/chamada/{id}")).add_done_callback(
                lambda task: done(task.result(), "encerrando chamada")
            )
    await house.runner.drain(5)
    for id in ids:
        dados = done(await client.get(f"/chamada/{id}"))
        assert dados["status_geral"] == "finalizada"
        assert dados["destino"]["status"] in ("cancelada", "atendida")


async def test_what_fails_at_its_time_says_why(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, fake: FakeEngine, done: Done
) -> None:
    id = done(await client.post("/chamada", json=PEDIDO | {"data_criacao": in_(1.0)}))["id"]
    await set_conta(house, conta.id, saldo=Decimal("0.10"))
    deadline = clock() + 8
    while (dados := done(await client.get(f"/chamada/{id}")))["status_geral"] != "finalizada":
        assert clock() < deadline
        await until(clock() + 0.02)
    assert (dados["origem"]["status"], dados["destino"]["status"]) == ("falha", "cancelada")
    assert dados["origem"]["motivo_desconexao"] == "21. chamada rejeitada"
    query = select(Evento.dados).where(Evento.chamada_id == id, Evento.tipo == "nao_colocada")
    (why,) = await house.storage.read(lambda session: session.scalars(query).all())
    assert "saldo insuficiente" in why["motivo"] and fake.dialled == []


async def test_a_repeated_key_schedules_once(client: httpx2.AsyncClient, house: House) -> None:
    body, key = PEDIDO | {"data_criacao": in_(3600)}, {"Idempotency-Key": "k"}
    first, again = [await client.post("/chamada", json=body, headers=key) for _ in range(2)]
    assert first.status_code == 200 and first.content == again.content
    assert await counted(house, Chamada) == 1
