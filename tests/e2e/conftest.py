"""One server a worker, telephones on 127.0.0.x, and after each test nothing left in the engine."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.server import TOKEN, Server, free_port
from tests.phone import Phone


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> int:
    """The number of this test worker, from 0."""
    return int(getattr(request.config, "workerinput", {}).get("workerid", "gw0")[2:])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, worker: int) -> Iterator[Server]:
    """The server that most tests share."""
    first = 30000 + 2000 * worker
    server = Server(
        tmp_path_factory.mktemp("casa") / "h",
        f"{first}-{first + 1199}",
        environment={
            "TELEFONISTA_RING_SECONDS": "5",
            "TELEFONISTA_TRUNK_WAIT_SECONDS": "2",
            "TELEFONISTA_CONFIRMED_BINA": "off",
        },
    )
    server.start()
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.log()
    assert server.complaints() == []


@pytest.fixture
def own_server(tmp_path: Path, worker: int) -> Iterator[Server]:
    """A server that a test may kill; started by the test."""
    first = 31200 + 2000 * worker
    server = Server(tmp_path / "h", f"{first}-{first + 399}", environment={"TELEFONISTA_RING_SECONDS": "5"})
    yield server
    if server.process is None and (server.home / "motor" / "motor.json").exists():
        server.start()  # so that the engine it left is ended as well
    if server.process is not None:
        server.stop()


class Api:
    """The product as its customer sees it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx2.AsyncClient(base_url=server.url, headers={"Access-Token": TOKEN}, timeout=10)

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """The `dados` of an answer that must be a success."""
        answer = await self.http.request(method, path, **options)
        body = answer.json()
        assert answer.status_code == 200, body
        return body["dados"]

    async def call(self, origem: str, destino: str, **options: Any) -> int:
        """Place a chamada; its id."""
        corpo = {"numero_origem": origem, "numero_destino": destino, **options}
        return int((await self.ask("POST", "/chamada", json=corpo))["id"])

    async def chamada(self, id: int) -> dict[str, Any]:
        dados: dict[str, Any] = await self.ask("GET", f"/chamada/{id}")
        return dados

    async def ended(self, id: int, within: float = 10) -> dict[str, Any]:
        """The chamada once it is finalizada."""
        return await self.until(lambda: self.chamada(id), lambda dados: dados["status_geral"] == "finalizada", within)

    async def talking(self, id: int, within: float = 10) -> dict[str, Any]:
        """The chamada once both sides have answered."""
        return await self.until(
            lambda: self.chamada(id),
            lambda dados: dados["origem"]["status"] == dados["destino"]["status"] == "atendida",
            within,
        )

    async def recorded(self, id: int, within: float = 15) -> dict[str, Any]:
        """The chamada once its recording can be heard."""
        return await self.until(lambda: self.chamada(id), lambda dados: dados["url_gravacao"], within)

    async def until(self, look: Callable[[], Awaitable[Any]], enough: Callable[[Any], Any], within: float) -> Any:
        """Look until it is enough, with a deadline: a customer without webhooks can do no better."""
        deadline = time.monotonic() + within
        while not enough(seen := await look()):
            assert time.monotonic() < deadline, f"not in {within} s: {seen}\n{self.server.log()[-3000:]}"
            await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.03)
        return seen


@pytest.fixture
async def api(server: Server) -> AsyncIterator[Api]:
    """The shared server's API; afterwards the engine must be empty."""
    api = Api(server)
    yield api
    await nothing_left(api)
    await api.http.aclose()


@pytest.fixture
async def own_api(own_server: Server) -> AsyncIterator[Api]:
    """The API of `own_server`."""
    api = Api(own_server)
    yield api
    await api.http.aclose()


async def nothing_left(api: Api, within: float = 6) -> None:
    """No channel, bridge or recording may outlive its test (the far ends of the test network included)."""

    async def look() -> tuple[list[str], list[str]]:
        channels = await asyncio.to_thread(api.server.ask_engine, "/channels")
        bridges = await asyncio.to_thread(api.server.ask_engine, "/bridges")
        return [channel["name"] for channel in channels], [bridge["id"] for bridge in bridges]

    await api.until(look, lambda left: left == ([], []), within)


FIXO, MOVEL = "4832830151", "48999990001"


@pytest.fixture(scope="session")
def trunks(server: Server) -> tuple[int, int]:
    """Two carriers: fixo numbers ring at 127.0.0.2, movel numbers at 127.0.0.3; their ports."""
    ports = free_port(), free_port()
    for nome, host, port, classe in (
        ("fixos", "127.0.0.2", ports[0], "fixo"),
        ("moveis", "127.0.0.3", ports[1], "movel"),
    ):
        server.run(
            "tronco", "add", nome, "--host", host, "--porta", str(port), "--classes", classe,
            "--canais", "200", "--cps", "100",
        )  # fmt: skip
    return ports


@pytest.fixture
async def ana(trunks: tuple[int, int]) -> AsyncIterator[Phone]:
    """The telephone of every fixo number; it says 700 Hz."""
    async with Phone("127.0.0.2", trunks[0], tone=700) as phone:
        yield phone


@pytest.fixture
async def bia(trunks: tuple[int, int]) -> AsyncIterator[Phone]:
    """The telephone of every movel number; it says 1300 Hz."""
    async with Phone("127.0.0.3", trunks[1], tone=1300) as phone:
        yield phone
