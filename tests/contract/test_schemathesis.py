"""Schemathesis over our own OpenAPI: whatever is sent, no 500 and no answer outside the envelope."""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.python import asgi
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from telefonista.app import Product, make_app
from telefonista.audio.fila import Casa as CasaDaFila
from telefonista.audio.fila import Fila
from telefonista.audio.http import Audios
from telefonista.calling.capacity import Gates
from telefonista.calling.creating import limits_of
from telefonista.calling.house import House, hash_of
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
from tests.contract.rows import add_chamada, add_gravacao

TOKEN = "token-da-conta-1"
EXAMPLES = 40
KEYS = ["status", "sucesso", "motivo", "mensagem", "dados"]
PORTUGUESE = re.compile(r"[a-záéíóúâêôãõç]{2,}", re.IGNORECASE)
ENGLISH = re.compile(
    r"\b(the|not found|method|allowed|field|required|input|should|invalid|valid|error)\b", re.IGNORECASE
)


class LivingApp:
    """The product with its lifespan: the house is made and ended in the loop that Schemathesis runs the app in."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(_env_file=None, home=home, ring_seconds=1)
        self._app: FastAPI | None = None

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            async with AsyncExitStack() as stack:
                await receive()
                self._app = await self._open(stack)
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert self._app is not None
        await self._app(scope, receive, send)

    async def _open(self, stack: AsyncExitStack) -> FastAPI:
        storage, engine, gates = Storage(self.settings.database), FakeEngine(latency=0.0), Gates(1.0)
        stack.push_async_callback(storage.close)
        runner = Runner(engine, storage, gates)
        house = House(self.settings, storage, engine, runner)
        id = await add_chamada(house, 1, datetime.now(UTC), gravar_audio=True)
        await add_gravacao(house, 1, id, b"mp3" * 100, segredo="x")

        async def end() -> None:
            await runner.end_all()
            await engine.settle()
            assert engine.leftovers() == []

        stack.push_async_callback(end)
        http = Guarded(internal=False)
        stack.push_async_callback(http.close)
        sounds, rooms = Sounds(http, self.settings.home / "audios"), Rooms(engine)
        limits = limits_of(self.settings)
        audios = Audios(sounds, Fila(CasaDaFila(storage, engine, runner, gates, sounds, limits, per_second=0)))
        herald = Herald(storage, self.settings.base_url, lambda conta_id: None, rooms.talking)
        conferencias = Conferencias(Doorman(rooms, storage, Path()), herald, sounds)
        operador = Operador("chave", Carriers(storage, engine, gates))
        return make_app(Product(house, operador, engine.settle, audios=audios, conferencias=conferencias))


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = LivingApp(tmp_path_factory.mktemp("casa"))
    database = create_engine(app.settings.database)
    Base.metadata.create_all(database)
    with Session(database) as session:
        now = datetime.now(UTC)
        session.add_all(Rate(classe=classe, preco_minuto=Decimal("0.01")) for classe in ("ramal", "fixo", "movel"))
        session.add(Conta(nome="conta", token_hash=hash_of(TOKEN), saldo=Decimal(100000), criada_em=now))
        session.commit()
    database.dispose()
    config = schemathesis.Config()
    yield schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    asgi.shutdown_lifespans()


def check(response: schemathesis.Response, case: schemathesis.Case) -> None:
    """The envelope, keys in order; or a recording, a table, a page."""
    asked = case.as_curl_command()
    assert response.status_code != 500 and response.headers["access-control-allow-origin"] == ["*"], asked
    kind = response.headers["content-type"][0]
    if kind.partition(";")[0] in ("audio/mpeg", "text/csv", "text/html"):
        assert response.status_code in (200, 206), asked
        return
    assert kind == "application/json; charset=utf-8", (asked, kind)
    body = response.json()
    assert list(body) == KEYS, asked
    assert (type(body["status"]), body["status"]) == (int, response.status_code), asked
    assert body["sucesso"] is (response.status_code < 400) is (body["motivo"] == 0), asked
    assert type(body["motivo"]) is int and (body["dados"] is None or body["sucesso"]), asked
    assert PORTUGUESE.search(body["mensagem"]) and not ENGLISH.search(body["mensagem"]), (asked, body["mensagem"])


def run(schema: Any, mode: schemathesis.GenerationMode, headers: dict[str, str], *, examples: int) -> set[int]:
    """Every operation with so many generated requests; the statuses that were answered."""
    met: set[int] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        described = operation.definition.raw
        if mode is schemathesis.GenerationMode.NEGATIVE and not {"parameters", "requestBody"} & described.keys():
            continue  # nothing is described that could be contradicted

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def attempt(case: schemathesis.Case) -> None:
            response = case.call(headers=headers)
            met.add(response.status_code)
            check(response, case)

        attempt()
    return met


def test_what_the_document_allows(schema: Any) -> None:
    met = run(schema, schemathesis.GenerationMode.POSITIVE, {"Access-Token": TOKEN}, examples=EXAMPLES)
    assert 200 in met and 405 in met


def test_what_the_document_forbids(schema: Any) -> None:
    met = run(schema, schemathesis.GenerationMode.NEGATIVE, {"Access-Token": TOKEN}, examples=EXAMPLES)
    assert 405 in met


def test_without_a_token(schema: Any) -> None:
    assert 403 in run(schema, schemathesis.GenerationMode.POSITIVE, {"Access-Token": "errado"}, examples=3)
