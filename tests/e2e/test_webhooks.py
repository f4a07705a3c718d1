"""Webhooks of real calls: what arrives is what GET says, signed, in order, and after every kind of death."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import Api, nothing_left
from tests.e2e.server import TOKEN, Server
from tests.receiver import Received, Receiver

SPEAKS, HANGS_UP, BUSY = "1030000021", "1030000011", "1030000003"
LIVE = ("chamada_tempo_real", "status_tempo_real")
INTERNAL = {"TELEFONISTA_INTERNAL_URLS": "1", "TELEFONISTA_RING_SECONDS": "5"}


def as_told(dados: dict[str, Any]) -> dict[str, Any]:
    """The object of GET as a webhook tells it: its numbers in E.164."""

    def perna(leg: dict[str, Any]) -> dict[str, Any]:
        return leg | {"numero": f"+55{leg['numero']}"}

    return dados | {
        "origem": perna(dados["origem"]),
        "destino": perna(dados["destino"]),
        "pernas": [perna(leg) for leg in dados["pernas"]],
    }


def make_server(folder: Path, worker: int) -> Server:
    first = 31600 + 2000 * worker
    return Server(folder / "h", f"{first}-{first + 399}", environment=dict(INTERNAL))


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory, worker: int) -> Iterator[Server]:
    """A server that may tell receivers on loopback."""
    server = make_server(tmp_path_factory.mktemp("avisos"), worker)
    server.start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log()


@pytest.fixture
async def api(telling: Server) -> AsyncIterator[Api]:
    """Its API; afterwards nothing is left in the engine, and no webhook set."""
    api = Api(telling)
    async with api.http:
        yield api
        for webhook in await api.ask("GET", "/webhook"):
            await api.ask("DELETE", f"/webhook/{webhook['nome']}")
        await nothing_left(api)


async def hook(api: Api, url: str, *nomes: str) -> dict[str, str]:
    """Set webhooks; their secrets by name."""
    return {nome: (await api.ask("PUT", f"/webhook/{nome}", json={"url": url}))["segredo"] for nome in nomes}


async def entregas(api: Api, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.ask("GET", "/webhook/entregas", params=query))["relatorio"]
    return found


async def delivered(api: Api, id: str, within: float = 5) -> dict[str, Any]:
    """The delivery with this webhook-id, once it is `entregue`."""

    async def look() -> dict[str, Any]:
        return next(one for one in await entregas(api, nome="chamada_fim", limite=200) if one["webhook_id"] == id)

    found: dict[str, Any] = await api.until(look, lambda one: one["estado"] == "entregue", within)
    return found


async def test_the_end_of_a_call(api: Api) -> None:
    async with Receiver() as receiver:
        secrets = await hook(api, receiver.url, "chamada_fim")
        id = await api.call(SPEAKS, HANGS_UP)
        (one,) = await receiver.got(1)
        assert one.signed_with(secrets["chamada_fim"])
        dados = await api.chamada(id)
        assert one.json() == as_told(dados)
        assert dados["status_geral"] == "finalizada" and dados["destino"]["preco"] == 0.12
        assert one.headers["content-type"] == "application/json; charset=utf-8"
        assert re.fullmatch(r"telefonista/\d+\.\d+\.\d+", one.headers["user-agent"])
        report = await delivered(api, one.id)
        assert report["corpo"] == as_told(dados)
        assert [(each["status"], each["url"]) for each in report["tentativas"]] == [(200, receiver.url)]


def of_call(received: list[Received], id: int) -> list[dict[str, Any]]:
    return [body for one in received if (body := one.json())["chamada"]["id"] == id]


async def test_many_calls_as_they_go(api: Api) -> None:
    """The order of each call is kept while a receiver refuses at times."""
    async with Receiver() as live, Receiver() as end:
        await hook(api, live.url, "chamada_tempo_real")
        await hook(api, end.url, "chamada_fim")
        live.refuse_next()
        ids = [await api.call(SPEAKS, destino) for destino in (HANGS_UP, BUSY, HANGS_UP, BUSY, HANGS_UP)]
        await end.got(len(ids))
        while len([one for one in live.bodies() if one["evento"] == "fim"]) < len(ids):
            await live.got(len(live.received) + 1, within=15)
        assert len({one.id for one in live.received}) == len(live.received) - 1  # one was refused and came again
        for id, ending in zip(ids, ("conversa", "ocupado") * 3, strict=False):
            story = of_call(live.received, id)
            events = [(one["evento"], one["perna"]) for one in story]
            events = [event for n, event in enumerate(events) if event not in events[:n]]
            assert [event for event in events if event[1] == "origem"][:3] == [
                ("discada", "origem"),
                ("chamando", "origem"),
                ("atendida", "origem"),
            ]
            assert events[0] == ("discada", "origem") and events[-1] == ("fim", None)
            assert (("conversa", None) in events) is (ending == "conversa")
            assert story[-1]["chamada"] == as_told(await api.chamada(id))
            assert [one["chamada"]["status_geral"] for one in story][-1] == "finalizada"


async def test_a_receiver_that_is_down_at_first(api: Api) -> None:
    async with Receiver() as probe:
        pass
    await hook(api, probe.url, "chamada_fim", *LIVE)
    id = await api.call(SPEAKS, BUSY)
    await api.ended(id)
    pending = await api.until(
        lambda: entregas(api, estado="pendente"), lambda seen: any(one["tentativas"] for one in seen), 5
    )
    assert [one["tentativas"][0]["erro"] for one in pending if one["tentativas"]] == ["conexão recusada"]
    expected = sorted(one["webhook_id"] for one in pending)
    async with Receiver(port=probe.port) as receiver:
        await receiver.got(len(expected), within=15)  # the second attempt comes after 5 s
        assert [one.id for one in receiver.received] == sorted(expected, key=lambda id: int(id[4:]))
        assert receiver.bodies()[-1] == as_told(await api.chamada(id))


@asynccontextmanager
async def second_conta(api: Api) -> AsyncIterator[Api]:
    said = api.server.run("conta", "create", "outra", "--credito", "50")
    other = Api(api.server)
    token = re.search(r"Access-Token: (\S+)", said)
    assert token is not None
    other.http.headers["Access-Token"] = token[1]
    async with other.http:
        yield other


async def test_a_slow_receiver_delays_only_itself(api: Api) -> None:
    async with Receiver(delay=8.0) as slow, Receiver() as quick, second_conta(api) as other:
        await hook(api, slow.url, "chamada_fim", *LIVE)
        await hook(other, quick.url, "chamada_fim")
        slow_ids = [await api.call(SPEAKS, BUSY) for _ in range(4)]
        for id in slow_ids:
            await api.ended(id)
        await slow.got(4)
        id = await other.call(SPEAKS, BUSY)
        await other.ended(id)
        seen = time.monotonic()
        (one,) = await quick.got(1)
        assert one.at - seen < 1.0
        assert one.json() == as_told(await other.chamada(id))
        assert len(slow.received) == 4  # each call's first; the rest of each waits for it


async def test_sent_again(api: Api) -> None:
    async with Receiver(status=410) as receiver:
        secrets = await hook(api, receiver.url, "chamada_fim")
        id = await api.call(SPEAKS, BUSY)
        (first,) = await receiver.got(1)
        (given_up,) = await api.until(lambda: entregas(api, estado="desistiu"), bool, 5)
        assert [each["status"] for each in given_up["tentativas"]] == [410]
        receiver.status = 200
        for times in (2, 3):  # also when it was delivered
            await api.ask("POST", f"/webhook/entregas/{given_up['id']}/reenviar")
            again = (await receiver.got(times))[-1]
            report = await delivered(api, again.id)
            assert len(report["tentativas"]) == times
        assert again.id == first.id and again.body == first.body
        assert again.signed_with(secrets["chamada_fim"]) and again.json() == as_told(await api.chamada(id))


async def test_killed_before_the_delivery(tmp_path: Path, worker: int) -> None:
    """kill -9 between the end of the call and the delivery loses nothing."""
    server = make_server(tmp_path, worker)
    server.start()
    api = Api(server)
    try:
        async with Receiver() as probe:
            pass
        secrets = await hook(api, probe.url, "chamada_fim", "chamada_tempo_real")
        id = await api.call(SPEAKS, BUSY)
        dados = await api.ended(id)
        server.kill()
        async with Receiver(port=probe.port) as receiver:
            server.start()
            while "evento" in receiver.bodies()[-1] if receiver.received else True:
                await receiver.got(len(receiver.received) + 1, within=15)
            assert receiver.received[-1].signed_with(secrets["chamada_fim"])
            assert receiver.bodies()[-1] == as_told(dados)
            live = receiver.received[:-1]
            assert all(one.signed_with(secrets["chamada_tempo_real"]) for one in live)
            assert [one.json()["evento"] for one in live][-1] == "fim"
            assert len({one.id for one in live}) == len(live)
        await nothing_left(api)
    finally:
        await api.http.aclose()
        server.stop()


async def test_loopback_is_closed_by_default(server: Server) -> None:
    """The server that everybody else tests with, as a stranger's would be."""
    async with (
        Receiver() as receiver,
        httpx2.AsyncClient(base_url=server.url, headers={"Access-Token": TOKEN}) as http,
    ):
        answer = await http.put("/webhook/chamada_fim", json={"url": receiver.url})
    body = answer.json()
    assert (body["status"], body["motivo"]) == (405, 11) and "endereço público" in body["mensagem"]
