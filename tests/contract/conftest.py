"""A house without telephones for HTTP tests: the fake engine, a database of its own, two contas and their clients."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from telefonista.app import Product, make_app
from telefonista.audio.fila import Casa as CasaDaFila
from telefonista.audio.fila import Fila
from telefonista.audio.http import Audios
from telefonista.calling.capacity import Gates
from telefonista.calling.creating import limits_of
from telefonista.calling.house import House, hash_of
from telefonista.calling.records import by_recurso
from telefonista.calling.run import Runner
from telefonista.calling.sounds import Sounds
from telefonista.conferencia.flow import Doorman
from telefonista.conferencia.http import Conferencias
from telefonista.conferencia.rooms import Rooms
from telefonista.conferencia.tell import Herald
from telefonista.engine.fake import FakeEngine
from telefonista.net.guarded import Guarded
from telefonista.settings import Settings
from telefonista.storage.session import Storage
from telefonista.storage.tables import Base, Conta, Rate
from telefonista.tronco.carriers import Carriers
from telefonista.tronco.http import Operador

PRICES = {"ramal": "0", "fixo": "0.12", "movel": "0.35"}


@dataclass(frozen=True)
class ContaDeTeste:
    id: int
    token: str


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        home=tmp_path / "casa",
        ring_seconds=2,
        sip_host="127.0.0.1",
        sip_port=5060,
        requests_per_second=0,
        calls_per_second=0,
    )


@pytest.fixture
def contas(settings: Settings) -> tuple[ContaDeTeste, ContaDeTeste]:
    """The tables, made anew, with two contas of R$ 100.00 each."""
    settings.home.mkdir()
    database = create_engine(settings.database)
    Base.metadata.create_all(database)
    made = []
    with Session(database) as session:
        session.add_all(Rate(classe=classe, preco_minuto=Decimal(price)) for classe, price in PRICES.items())
        for number in (1, 2):
            token = f"token-da-conta-{number}"
            conta = Conta(
                nome=f"conta {number}", token_hash=hash_of(token), saldo=Decimal(100), criada_em=datetime.now(UTC)
            )
            session.add(conta)
            session.flush()
            made.append(ContaDeTeste(conta.id, token))
        session.commit()
    database.dispose()
    first, second = made
    return first, second


@pytest.fixture
def conta(contas: tuple[ContaDeTeste, ContaDeTeste]) -> ContaDeTeste:
    return contas[0]


@pytest.fixture
async def house(settings: Settings, contas: tuple[ContaDeTeste, ContaDeTeste]) -> AsyncIterator[House]:
    """A running house; afterwards no call, leg, bridge or recording is left in it."""
    storage, engine = Storage(settings.database), FakeEngine(latency=0.001)
    runner = Runner(engine, storage, Gates(1.0))
    try:
        yield House(settings, storage, engine, runner)
        await runner.end_all()
        await engine.settle()
        assert engine.leftovers() == []
    finally:
        await storage.close()


@pytest.fixture
def fake(house: House) -> FakeEngine:
    """The house's engine, as the world around it sees it."""
    assert isinstance(house.engine, FakeEngine)
    return house.engine


@pytest.fixture
async def audios(house: House) -> AsyncIterator[Audios]:
    """The house's voice messages, their queue at work."""
    http, gates = Guarded(internal=house.settings.internal_urls), Gates(1.0)
    sounds = Sounds(http, house.settings.home / "audios")
    limits = limits_of(house.settings)
    fila = Fila(CasaDaFila(house.storage, house.engine, house.runner, gates, sounds, limits, per_second=0))
    working = asyncio.create_task(fila.run(), name="audios")
    yield Audios(sounds, fila)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await http.close()


@pytest.fixture
def conferencias(house: House, audios: Audios) -> Conferencias:
    """The house's rooms, without tones. Their webhooks are written; nobody delivers them."""
    rooms = Rooms(house.engine)
    herald = Herald(house.storage, house.settings.base_url, lambda conta_id: None, rooms.talking)
    rooms.told = herald.talks
    house.runner.tellers = by_recurso({"conferencia": herald.tellers()}, house.runner.tellers)
    return Conferencias(Doorman(rooms, house.storage, house.sounds / "avisos"), herald, audios.sounds)


@pytest.fixture
def app(house: House, audios: Audios, conferencias: Conferencias) -> FastAPI:
    """The product's own wiring: every route and middleware is the real one."""

    async def stop_engine() -> None:
        raise AssertionError("not called")

    carriers = Carriers(house.storage, house.engine, Gates(1.0))
    operador = Operador("chave-do-operador", carriers)
    return make_app(Product(house, operador, stop_engine, audios=audios, conferencias=conferencias))


@pytest.fixture
async def client(app: FastAPI, conta: ContaDeTeste) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks for the first conta."""
    async with _client(app, conta.token) as client:
        yield client


@pytest.fixture
async def stranger(app: FastAPI, contas: tuple[ContaDeTeste, ContaDeTeste]) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks for the second conta."""
    async with _client(app, contas[1].token) as client:
        yield client


def _client(app: FastAPI, token: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://api", headers={"Access-Token": token})


@pytest.fixture
def done() -> Callable[..., Any]:
    """Checks the envelope of a success and gives its dados."""

    def check(response: httpx2.Response, mensagem: str | None = None) -> Any:
        assert response.status_code == 200, response.text
        body = response.json()
        assert list(body) == ["status", "sucesso", "motivo", "mensagem", "dados"]
        assert (body["status"], body["sucesso"], body["motivo"]) == (200, True, 0)
        assert mensagem is None or body["mensagem"] == mensagem
        return body["dados"]

    return check


@pytest.fixture
def refused() -> Callable[..., None]:
    """Checks the envelope of a refusal and that its mensagem has these words."""

    def check(response: httpx2.Response, status: int, motivo: int, *words: str) -> None:
        body = response.json()
        assert list(body) == ["status", "sucesso", "motivo", "mensagem", "dados"]
        assert (response.status_code, body["status"], body["motivo"]) == (status, status, motivo), body
        assert body["sucesso"] is False and body["dados"] is None
        assert response.headers["access-control-allow-origin"] == "*"
        assert all(word in body["mensagem"] for word in words), body["mensagem"]

    return check
