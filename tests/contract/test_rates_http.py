"""How many requests, and how many calls, a conta may make, over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.engine.fake import FakeEngine
from telefonista.settings import Settings
from telefonista.storage.tables import Chamada

Done = Callable[..., Any]
Refused = Callable[..., None]

A, B = "1030000021", "1030000011"
PEDIDO = {"numero_origem": A, "numero_destino": B}


@pytest.fixture
def rates() -> dict[str, int]:
    """The rates that a conta has by default; a test may have others."""
    return {}


@pytest.fixture
def settings(tmp_path: Path, rates: dict[str, int]) -> Settings:
    return Settings(_env_file=None, home=tmp_path / "casa", ring_seconds=2, **rates)


@pytest.fixture
def hands(house: House, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which rates are kept, as a list of one: it stands still unless moved."""
    hands = [1000.0]
    for rate in (house.request_rate, house.call_rate):
        monkeypatch.setattr(rate, "_clock", lambda: hands[0])
    return hands


async def chamadas(house: House) -> int:
    def count(session: Session) -> int:
        return session.scalar(select(func.count()).select_from(Chamada)) or 0

    return await house.storage.read(count)


async def test_forty_requests_at_once_then_twenty_a_second(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, hands: list[float], done: Done, refused: Refused
) -> None:
    answers = [await client.get("/chamada/1") for _ in range(45)]
    assert [answer.status_code for answer in answers] == [404] * 40 + [429] * 5
    over = answers[-1]
    refused(over, 429, 100, "limite de requisições")
    assert over.headers["retry-after"] == "1"
    assert "Retry-After" in over.headers["access-control-expose-headers"]
    done(await stranger.get("/chamada/relatorio"))  # another conta's are its own
    refused(await client.get("/chamada/1", headers={"Access-Token": "errado"}), 403, 40)
    hands[0] += int(over.headers["retry-after"])
    answers = [await client.get("/chamada/1") for _ in range(22)]
    assert [answer.status_code for answer in answers] == [404] * 20 + [429] * 2


@pytest.mark.parametrize("rates", [{"calls_per_second": 1, "calls_burst": 2}])
async def test_calls_over_the_rate_are_refused_before_anything_is_written(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, hands: list[float], done: Done, refused: Refused
) -> None:
    fake.behaviour(A, refuse=486, refuse_at=0.0)
    key = {"Idempotency-Key": "k"}
    first = await client.post("/chamada", json=PEDIDO, headers=key)
    done(await client.post("/chamada", json=PEDIDO))
    over = await client.post("/chamada", json=PEDIDO, headers={"Idempotency-Key": "k2"})
    refused(over, 429, 100)
    assert await chamadas(house) == 2
    again = await client.post("/chamada", json=PEDIDO, headers=key)
    assert again.content == first.content, "an answer given again is no call"
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for _ in range(5):
        done(await client.post("/chamada", json=PEDIDO | {"data_criacao": later}))  # nor is one for later
    hands[0] += int(over.headers["retry-after"])
    done(await client.post("/chamada", json=PEDIDO, headers={"Idempotency-Key": "k2"}))
    assert await chamadas(house) == 8


@pytest.mark.parametrize("rates", [{"requests_per_second": 0, "calls_per_second": 0}])
async def test_zero_is_no_limit(
    client: httpx2.AsyncClient, fake: FakeEngine, done: Done, rates: dict[str, int]
) -> None:
    fake.behaviour(A, refuse=486, refuse_at=0.0)
    for _ in range(60):
        done(await client.post("/chamada", json=PEDIDO))
