"""Recordings over HTTP: by the chamada with a token, by a signed link without one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from telefonista.calling.house import House
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import add_chamada, add_gravacao

Done = Callable[..., Any]
Refused = Callable[..., None]

AUDIO = bytes(range(256)) * 40


@pytest.fixture
async def chamada(house: House, conta: ContaDeTeste) -> int:
    return await add_chamada(house, conta.id, datetime.now(UTC), gravar_audio=True)


@pytest.fixture
async def anyone(app: FastAPI) -> Any:
    """Has no token."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as client:
        yield client


async def test_the_audio(client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, chamada: int) -> None:
    await add_gravacao(house, conta.id, chamada, AUDIO)
    for path in (f"/chamada/{chamada}/gravacao", f"//chamada/{chamada}//gravacao/"):
        answer = await client.get(f"http://api{path}")
        assert (answer.status_code, answer.content) == (200, AUDIO)
        assert answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["content-length"] == str(len(AUDIO))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_part_of_it(client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, chamada: int) -> None:
    await add_gravacao(house, conta.id, chamada, AUDIO)
    path = f"/chamada/{chamada}/gravacao"
    for wanted, part in (("bytes=0-99", AUDIO[:100]), ("bytes=100-", AUDIO[100:]), ("bytes=-50", AUDIO[-50:])):
        answer = await client.get(path, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["content-range"].endswith(f"/{len(AUDIO)}")
        assert "Content-Range" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("wanted", ["bytes=99999-", "bytes=5-2", "bytes=", "linhas=1-2", "x"])
async def test_a_part_that_is_not_there(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, chamada: int, refused: Refused, wanted: str
) -> None:
    await add_gravacao(house, conta.id, chamada, AUDIO)
    refused(await client.get(f"/chamada/{chamada}/gravacao", headers={"Range": wanted}), 416, 11, "Range")


async def test_no_recording(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, chamada: int, refused: Refused, done: Done
) -> None:
    refused(await client.get(f"/chamada/{chamada}/gravacao"), 404, 70, "gravação")
    assert done(await client.get(f"/chamada/{chamada}"))["url_gravacao"] is None


@pytest.mark.parametrize("estado", ["gravando", "convertendo", "falhou"])
async def test_not_yet(
    client: httpx2.AsyncClient,
    house: House,
    conta: ContaDeTeste,
    chamada: int,
    refused: Refused,
    done: Done,
    estado: str,
) -> None:
    id = await add_gravacao(house, conta.id, chamada, AUDIO, estado=estado)
    refused(await client.get(f"/chamada/{chamada}/gravacao"), 404, 70)
    refused(await client.get(f"/rec/?id={id}&x=segredo-do-link&cid={conta.id}"), 404, 60)
    assert done(await client.get(f"/chamada/{chamada}"))["url_gravacao"] is None


async def test_a_file_that_is_gone(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, chamada: int, refused: Refused
) -> None:
    await add_gravacao(house, conta.id, chamada, None)
    refused(await client.get(f"/chamada/{chamada}/gravacao"), 404, 70)


async def test_the_link_needs_no_token(
    client: httpx2.AsyncClient, anyone: httpx2.AsyncClient, house: House, conta: ContaDeTeste, chamada: int, done: Done
) -> None:
    id = await add_gravacao(house, conta.id, chamada, AUDIO, segredo="abc-_123")
    url = done(await client.get(f"/chamada/{chamada}"))["url_gravacao"]
    assert url == f"http://127.0.0.1:8080/rec/?id={id}&x=abc-_123&cid={conta.id}"
    for path in (url.removeprefix("http://127.0.0.1:8080"), f"/rec?cid={conta.id}&id={id}&x=abc-_123&utm=1"):
        answer = await anyone.get(path)
        assert (answer.status_code, answer.content) == (200, AUDIO)
    assert (await anyone.get(path, headers={"Range": "bytes=0-0"})).status_code == 206
    assert (await anyone.get(path, headers={"Access-Token": "errado"})).status_code == 200


async def test_a_link_that_is_not_ours(
    anyone: httpx2.AsyncClient,
    house: House,
    contas: tuple[ContaDeTeste, ContaDeTeste],
    chamada: int,
    refused: Refused,
) -> None:
    ours, other = contas
    id = await add_gravacao(house, ours.id, chamada, AUDIO, segredo="abc")
    for query in (
        f"id={id}&x=abd&cid={ours.id}",
        f"id={id}&x=%C3%A9&cid={ours.id}",
        f"id={id}&x=ABC&cid={ours.id}",
        f"id={id}&x=abc&cid={other.id}",
        f"id={id + 1}&x=abc&cid={ours.id}",
    ):
        refused(await anyone.get(f"/rec/?{query}"), 404, 60)
    refused(await anyone.get(f"/rec/?id={id}&cid={ours.id}"), 405, 10, "x")
    refused(await anyone.get("/rec/"), 405, 10, "id", "cid")
    refused(await anyone.get(f"/rec/?id=abc&x=abc&cid={ours.id}"), 405, 11, "id")
    refused(await anyone.get(f"/rec/?id={'9' * 30}&x=abc&cid={ours.id}"), 405, 11, "id")
    refused(await anyone.post("/rec/"), 405, 90)
