"""/healthz, /readyz and /metrics: what a machine that looks after us is told."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from telefonista.calling.house import House
from telefonista.engine.fake import Behaviour, FakeEngine
from telefonista.settings import Settings

Done = Callable[..., Any]
Refused = Callable[..., None]

A, B = "1030000021", "1030000001"


@pytest.fixture
async def machine(app: FastAPI) -> Any:
    """Has no token."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as client:
        yield client


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def scraped(machine: httpx2.AsyncClient) -> dict[str, float]:
    """Every sample of /metrics, by its name and labels."""
    answer = await machine.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_by_default_only_this_machine_reaches_them(settings: Settings) -> None:
    assert settings.host == "127.0.0.1"


async def test_healthz(machine: httpx2.AsyncClient, fake: FakeEngine, done: Done) -> None:
    fake.crash()
    assert done(await machine.get("/healthz"), "telefonista está de pé") is None


async def test_readyz_follows_the_engine(
    machine: httpx2.AsyncClient, fake: FakeEngine, done: Done, refused: Refused
) -> None:
    done(await machine.get("/readyz"), "pronto para chamadas")
    fake.crash()
    refused(await machine.get("/readyz"), 503, 50, "motor")
    await fake.restart()
    done(await machine.get("/readyz"))


async def test_readyz_follows_the_database(
    machine: httpx2.AsyncClient, house: House, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr(house.storage, "read", gone)
    refused(await machine.get("/readyz"), 503, 50, "banco de dados")


async def test_readyz_while_ending(machine: httpx2.AsyncClient, house: House, refused: Refused) -> None:
    house.runner.draining = True
    refused(await machine.get("/readyz"), 503, 50, "encerrando")


async def test_calls_are_measured(
    machine: httpx2.AsyncClient, client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done
) -> None:
    names = {
        "busy": ("telefonista_chamadas_total", {"desfecho": "ocupado"}),
        "rang a": ("telefonista_toque_segundos_count", {"perna": "origem"}),
        "rang b": ("telefonista_toque_segundos_count", {"perna": "destino"}),
        "answered a": ("telefonista_atendimento_segundos_count", {"perna": "origem"}),
        "answered b": ("telefonista_atendimento_segundos_count", {"perna": "destino"}),
        "rang within 10 s": ("telefonista_toque_segundos_bucket", {"perna": "origem", "le": "10.0"}),
    }

    def now() -> dict[str, float]:
        return {key: value(name, **labels) for key, (name, labels) in names.items()}

    before = now()
    fake.behaviour(A, ring=0.01, answer=0.03)
    fake.behaviour(B, ring=0.01, refuse=486, refuse_at=0.03)
    id = done(await client.post("/chamada", json={"numero_origem": A, "numero_destino": B}))["id"]
    done(await client.get(f"/chamada/{id}"))
    assert (await scraped(machine))["telefonista_chamadas_ativas[]"] >= 1
    await house.runner.drain(5)
    assert {key: count - before[key] for key, count in now().items()} == {
        "busy": 1,
        "rang a": 1,
        "rang b": 1,
        "answered a": 1,
        "answered b": 0,
        "rang within 10 s": 1,
    }
    waited = value("telefonista_atendimento_segundos_sum", perna="origem")
    assert waited >= value("telefonista_toque_segundos_sum", perna="origem") > 0


async def test_a_ramal_of_several_telephones_rings_once(
    client: httpx2.AsyncClient, house: House, fake: FakeEngine, done: Done
) -> None:
    ramal = done(await client.post("/ramal"))
    for device in ("d1", "d2", "d3"):
        fake.register(ramal["sip"]["usuario"], device, Behaviour(ring=0.01, refuse=486, refuse_at=0.05))
    before = value("telefonista_toque_segundos_count", perna="origem")
    done(await client.post("/chamada", json={"numero_origem": ramal["ramal"], "numero_destino": B}))
    await house.runner.drain(5)
    assert value("telefonista_toque_segundos_count", perna="origem") - before == 1


async def test_the_engine_is_measured(machine: httpx2.AsyncClient, fake: FakeEngine) -> None:
    samples = await scraped(machine)
    assert (samples["telefonista_motor_pronto[]"], samples["telefonista_motor_reconexoes[]"]) == (1, 0)
    fake.crash()
    samples = await scraped(machine)
    assert (samples["telefonista_motor_pronto[]"], samples["telefonista_motor_reconexoes[]"]) == (0, 1)
    await fake.restart()
    samples = await scraped(machine)
    assert (samples["telefonista_motor_pronto[]"], samples["telefonista_motor_reconexoes[]"]) == (1, 1)


async def test_http_is_measured(machine: httpx2.AsyncClient) -> None:
    def seen(status: str, method: str = "GET") -> float:
        return value("telefonista_http_total", method=method, status=status)

    before = seen("200"), seen("403"), seen("404"), seen("405", "OTHER")
    for path in ("/healthz", "/chamada/1", "/nada"):
        await machine.get(path)
    await machine.request("BREW", "/healthz")
    after = seen("200"), seen("403"), seen("404"), seen("405", "OTHER")
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1, 1]
    assert (await scraped(machine))["telefonista_http_segundos_count[('method', 'GET')]"] > 0
