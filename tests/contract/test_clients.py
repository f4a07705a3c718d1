"""What published clients in seven languages put on the wire, against the product's own routes.

Each request is as its client writes it: headers, encodings and slips included.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from structlog.testing import capture_logs

from telefonista.calling.house import House
from telefonista.dialect.server import HttpProtocol
from telefonista.engine.fake import FakeEngine
from telefonista.storage.tables import Chamada
from tests.contract.conftest import ContaDeTeste
from tests.contract.rows import add_chamada

Done = Callable[..., Any]
Refused = Callable[..., None]

A, B = "1030000021", "1030000004"
JSON = "application/json"
NEVER = "0001-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def quiet(fake: FakeEngine) -> None:
    """Nobody answers: what is sent is under test, not the call."""
    fake.behaviour(A, ring=0.0)


async def made(house: House, id: int) -> Chamada:
    return await house.storage.read(lambda session: session.get_one(Chamada, id))


def go(**given: Any) -> dict[str, Any]:
    """A Go struct is sent whole: what was not set is its zero value. One tag is malformed and leaves DetectaCaixa."""
    return {
        "numero_origem": A,
        "numero_destino": B,
        "data_criacao": NEVER,
        "gravar_audio": False,
        "bina_origem": "",
        "bina_destino": "",
        "tags": "",
        "DetectaCaixa": False,
    } | given


def csharp(**given: Any) -> dict[str, Any]:
    """Serialized properties keep their PascalCase."""
    return {
        "NumeroOrigem": A,
        "NumeroDestino": B,
        "DataCriacao": "0001-01-01T00:00:00",
        "GravarAudio": True,
        "BinaOrigem": None,
        "BinaDestino": None,
        "Tags": "clienteX",
        "DetectaCaixaOrigem": True,
    } | given


def python(**given: Any) -> dict[str, Any]:
    """Every keyword of the method, absent ones as null."""
    return {
        "numero_origem": A,
        "numero_destino": B,
        "data_criacao": None,
        "gravar_audio": False,
        "bina_origem": None,
        "bina_destino": None,
        "tags": None,
        "detecta_caixa": False,
    } | given


BARE = {"numero_origem": A, "numero_destino": B}
WITH_OPTIONS = {"gravar_audio": True, "tags": "clienteUm", "detecta_caixa": True}

CREATES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "curl": (
        "/chamada",
        json.dumps(
            BARE | {"gravar_audio": "true", "detecta_caixa_origem": "true", "bina_origem": "4832830151"}
        ).encode(),
        {"Content-Type": JSON, "Accept": JSON},
    ),
    "curl without a header": (
        "/chamada",
        json.dumps(BARE).encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "php": ("/chamada/", json.dumps(BARE | WITH_OPTIONS).encode(), {"Content-type": JSON}),
    "php with a form": (
        "/chamada/",
        f"numero_origem={A}&numero_destino={B}&opcoes%5Bgravar_audio%5D=1&opcoes%5Btags%5D=Jo%E3o".encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "node": (
        "/chamada",
        json.dumps(BARE | WITH_OPTIONS).encode(),
        {"Content-Type": JSON, "Accept": "application/json, text/plain, */*", "User-Agent": "lib-node/1.8.1"},
    ),
    "node with nested options": (
        "/chamada",
        json.dumps(BARE | {"opcoes": WITH_OPTIONS}).encode(),
        {"Content-Type": "application/json;charset=utf-8"},
    ),
    "go": ("/chamada", json.dumps(go()).encode(), {"Content-Type": JSON, "User-Agent": "Go-http-client/1.1"}),
    "go with options": (
        "/chamada",
        json.dumps(go(gravar_audio=True, tags="x", DetectaCaixa=True)).encode() + b"\n",
        {"Content-Type": JSON},
    ),
    "python": ("/chamada", json.dumps(python()).encode(), {"Content-Type": JSON, "Accept": JSON}),
    "python with ints": (
        "/chamada",
        json.dumps(python(numero_origem=int(A), numero_destino=int(B), gravar_audio=1)).encode(),
        {"Content-Type": JSON},
    ),
    "java": (
        "/chamada",
        json.dumps(BARE | {"tags": "São João"}, ensure_ascii=False).encode("iso-8859-1"),
        {"Content-Type": JSON},
    ),
    "java as text": (
        "/chamada",
        json.dumps(BARE | {"tags": "São João"}, ensure_ascii=False).encode("iso-8859-1"),
        {"Content-Type": "text/plain; charset=ISO-8859-1"},
    ),
    "ruby": (
        "/chamada",
        f"numero_origem={A}&numero_destino={B}&gravar_audio=true&tags=clienteUm".encode(),
        {"Content-Type": "application/x-www-form-urlencoded", "Accept": JSON},
    ),
    "c#": ("/chamada", json.dumps(csharp()).encode(), {"Content-Type": JSON, "Expect": "100-continue"}),
    "c# with a mark": ("/chamada", b"\xef\xbb\xbf" + json.dumps(csharp()).encode(), {"Content-Type": JSON}),
}


@pytest.mark.parametrize("name", CREATES)
async def test_ligar(client: httpx2.AsyncClient, house: House, done: Done, name: str) -> None:
    path, content, headers = CREATES[name]
    id = done(await client.post(path, content=content, headers=headers), "chamada criada com sucesso")["id"]
    row, dados = await made(house, id), done(await client.get(f"/chamada/{id}"))
    assert (dados["origem"]["numero"], dados["destino"]["numero"]) == (A, B)
    assert row.agendada_para is None and house.runner.active() == 1
    recorded = ("curl", "php", "php with a form", "node", "node with nested options", "go with options", "ruby")
    assert row.gravar_audio is (name in (*recorded, "python with ints") or name.startswith("c#"))
    assert row.detecta_caixa is (name in ("php", "node", "node with nested options", "go with options"))
    assert row.detecta_caixa_origem is (name == "curl" or name.startswith("c#"))
    assert row.tags == {
        "php": "clienteUm",
        "php with a form": "João",
        "node": "clienteUm",
        "node with nested options": "clienteUm",
        "go with options": "x",
        "java": "São João",
        "java as text": "São João",
        "ruby": "clienteUm",
        "c#": "clienteX",
        "c# with a mark": "clienteX",
    }.get(name)


LEFTOVER = f"numero_origem={A}&numero_destino={B}".encode()

REQUESTS: dict[str, tuple[str, str, bytes, str]] = {
    "curl, with a content type and nothing": ("GET", "/chamada/{id}", b"", JSON),
    "php": ("GET", "/chamada/{id}", b"", JSON),
    "go, with the empty struct": ("GET", "/chamada/{id}", json.dumps(go(numero_origem="")).encode(), JSON),
    "ruby, with the form of the post before": ("GET", "/chamada/{id}", LEFTOVER, "application/x-www-form-urlencoded"),
    "doubled slashes": ("GET", "//chamada//{id}/", b"", JSON),
    "not even json": ("GET", "/chamada/{id}", b"{ nada", JSON),
}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_buscar_and_encerrar(client: httpx2.AsyncClient, done: Done, name: str, method: str) -> None:
    id = done(await client.post("/chamada", json=BARE))["id"]
    _, path, content, kind = REQUESTS[name]
    answer = await client.request(
        method, "http://api" + path.format(id=id), content=content, headers={"Content-Type": kind}
    )
    dados = done(answer, "encerrando chamada" if method == "DELETE" else "dados retornados com sucesso")
    assert dados is None if method == "DELETE" else dados["id"] == id


async def test_the_old_document_hangs_up_by_post(client: httpx2.AsyncClient, done: Done, house: House) -> None:
    """Its sample is copied from /audio, body and all."""
    id = done(await client.post("/chamada", json=BARE))["id"]
    body = {"numero_destino": "4811111111", "url_audio": "http://foo.bar/audio.mp3"}
    assert done(await client.post(f"/chamada/{id}/", json=body), "encerrando chamada") is None
    await house.runner.drain(5)
    assert (await made(house, id)).status_geral == "finalizada"


REPORTS = {
    "php": "data_inicio=2018-08-02+03%3A00%3A00+UTC&data_fim=2018-08-03+02%3A59%3A59+UTC",
    "node": "data_inicio=2018-08-02T03:00:00.000Z&data_fim=2018-08-03T02:59:59.000Z",
    "go": "data_fim=2018-08-02&data_inicio=2018-08-02&limite=200&posicao=0",
    "python": "data_inicio=2018-08-02T00%3A00%3A00-03%3A00&data_fim=2018-08-02T23%3A59%3A59-03%3A00",
    "java": "data_inicio=2018-08-02T03%3A00%3A00Z&data_fim=2018-08-03T02%3A59%3A59Z",
    "ruby": "data_inicio=2018-08-02 03:00:00 UTC&data_fim=2018-08-03 02:59:59 UTC",
    "c#": "data_inicio=02%2F08%2F2018+00%3A00%3A00&data_fim=02%2F08%2F2018+23%3A59%3A59",
    "c#, all pairs encoded": "data_inicio%3d02%2f08%2f2018+00%3a00%3a00%26data_fim%3d02%2f08%2f2018+23%3a59%3a59",
}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("path", ["/chamada/relatorio", "/chamada/relatorio/"])
async def test_relatorio(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done, name: str, path: str
) -> None:
    id = await add_chamada(house, conta.id, datetime(2018, 8, 2, 13, 49, 30, tzinfo=UTC))
    await add_chamada(house, conta.id, datetime.now(UTC))
    dados = done(await client.get(f"{path}?{REPORTS[name]}"))
    assert [item["id"] for item in dados["relatorio"]] == [id] and dados["total"] == 1


@pytest.mark.parametrize("query", ["", "?", "?data_inicio=&data_fim=", "?posicao=0&limite=0"])
async def test_relatorio_without_bounds(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done, query: str
) -> None:
    id = await add_chamada(house, conta.id, datetime.now(UTC))
    assert [item["id"] for item in done(await client.get(f"/chamada/relatorio{query}"))["relatorio"]] == [id]


async def test_what_a_typed_client_reads(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste, done: Done
) -> None:
    """Go and C# decode into structs: a text where a number is declared, or `""` for a date, ends them."""
    id = await add_chamada(house, conta.id, datetime.now(UTC))
    dados = done(await client.get(f"/chamada/{id}"))
    kinds = {
        bool: ("ativa", "gravar_audio"),
        int: ("id", "cliente_id", "conta_id"),
        str: ("status_geral", "data_criacao"),
    }
    for kind, keys in kinds.items():
        assert {type(dados[key]) for key in keys} == {kind}
    for leg in (dados["origem"], dados["destino"]):
        assert all(type(leg[f"{key}_segundos"]) is int for key in ("duracao", "duracao_cobrada", "duracao_falada"))
        assert all(type(leg[key]) is str for key in ("numero", "tipo", "status", "duracao", "motivo_desconexao"))
        assert type(leg["preco"]) in (int, float) and leg["data_inicio"] is None


# -- ramal ----------------------------------------------------------------------------------------------------------


async def test_ramal_by_each_client(client: httpx2.AsyncClient, done: Done) -> None:
    zero = {"id": 0, "ramal": "", "login": "", "senha": "", "bina": "", "ligacao_externa": False, "ura_id": 0}
    go_made = done(await client.post("/ramal", json=zero | {"ligacao_celular": False, "voicemail": False}))
    assert go_made["ramal"] == "4000" and go_made["ura_id"] is None
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    ruby = done(await client.post("/ramal", content="ramal=4500&ligacao_externa=true", headers=form))
    assert (ruby["ramal"], ruby["ligacao_externa"]) == ("4500", True)
    php = done(await client.post("/ramal/", json={"ramal": 4600, "gravar_audio": "1"}))
    assert (php["ramal"], php["gravar_audio"]) == ("4600", True)
    csharp_made = done(await client.post("/ramal", json={"Ramal": "4700", "LigacaoExterna": "True"}))
    assert csharp_made["ligacao_externa"] is True
    assert (
        done(await client.put("/ramal", json={"id": php["id"], "nome": "Ana"}), "dados atualizados com sucesso") is None
    )
    done(await client.put(f"/ramal/{go_made['id']}", json=zero | {"id": go_made["id"], "bina": "4832830151"}))
    after = done(await client.get(f"/ramal/{go_made['id']}"))
    assert after == go_made | {"bina": "4832830151"}, "zero values of texts and ids change nothing"
    assert [item["ramal"] for item in done(await client.get("/ramal/relatorio/"))["relatorio"]] == [
        "4000",
        "4500",
        "4600",
        "4700",
    ]


# -- headers, tokens, CORS ------------------------------------------------------------------------------------------


async def test_the_token_in_every_place(client: httpx2.AsyncClient, conta: ContaDeTeste, refused: Refused) -> None:
    del client.headers["Access-Token"]
    for headers in (
        {"Access-Token": f"  {conta.token}\t"},
        {"access-token": conta.token},
        {"ACCESS-TOKEN": conta.token},
    ):
        assert (await client.get("/chamada/relatorio", headers=headers)).status_code == 200
    for query in (
        f"access_token={conta.token}",
        f"limite=1&Access_Token={conta.token}&x",
        f"accesstoken=%20{conta.token}",
    ):
        assert (await client.get(f"/chamada/relatorio?{query}")).status_code == 200
        assert (await client.post(f"/ramal?{query}")).status_code == 200
    refused(await client.get("/chamada/relatorio", headers={"Authorization": f"Bearer {conta.token}"}), 403, 40)


async def test_a_browser(client: httpx2.AsyncClient, house: House, refused: Refused) -> None:
    origin = {"Origin": "https://painel.exemplo.com.br"}
    asks = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "access-token,content-type,idempotency-key",
    }
    for path in ("/chamada", "/chamada/1", "/ramal", "/nada"):
        answer = await client.options(path, headers=asks)
        assert answer.status_code == 204 and answer.content == b""
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
        assert {"access-token", "content-type", "idempotency-key"} <= allowed
        assert "DELETE" in answer.headers["access-control-allow-methods"]
    answers = [
        await client.get("/chamada/relatorio", headers=origin),
        await client.get("/nada", headers=origin),
        await client.get("/chamada/9", headers=origin),
        await client.post("/chamada", content="{", headers=origin),
        await client.get("/chamada/9", headers=origin | {"Access-Token": "errado"}),
        await client.put("/chamada/9", headers=origin),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 404, 400, 403, 405]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"*"}


async def test_our_fault_is_an_envelope_with_cors(
    client: httpx2.AsyncClient, house: House, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such table: chamada")

    monkeypatch.setattr(house.storage, "read", broken)
    with capture_logs() as logs:
        answer = await client.get("/chamada/1")
    refused(answer, 500, 50, "informe o código", logs[0]["id"])
    assert "table" not in answer.text


# -- on a real socket -----------------------------------------------------------------------------------------------


@pytest.fixture
async def port(app: FastAPI) -> AsyncIterator[int]:
    """The product behind the server that `serve` runs."""
    server = uvicorn.Server(uvicorn.Config(app, http=HttpProtocol, lifespan="off", log_config=None, access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await serving


async def exchange(port: int, *pieces: bytes) -> bytes:
    """What is answered to raw bytes; a further piece is sent when a head has come back."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(pieces[0])
            received = b""
            for piece in pieces[1:]:
                received += await reader.readuntil(b"\r\n\r\n")
                writer.write(piece)
            return received + await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


async def test_on_a_real_socket(port: int, house: House, conta: ContaDeTeste) -> None:
    head = f"Host: api\r\nAccess-Token:   {conta.token}  \r\n".encode()
    last = head + b"Connection: close\r\n"
    body = json.dumps(csharp()).encode()
    length = b"Content-Length: %d\r\n" % len(body)

    got = await exchange(port, b"POST /chamada HTTP/1.1\r\n" + last + length + b"Expect: 100-continue\r\n\r\n", body)
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "C# waits to be told"

    got = await exchange(port, b"POST /ramal HTTP/1.1\r\n" + last + b"\r\n")
    assert got.startswith(b"HTTP/1.1 200 OK") and b"ramal criado" in got, "no body and no Content-Length"

    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    got = await exchange(port, b"POST /chamada/ HTTP/1.1\r\n" + last + chunked)
    assert got.startswith(b"HTTP/1.1 200 OK")

    leftover = b"GET /chamada/1 HTTP/1.1\r\n" + head + length + b"\r\n" + body + b"\r\n"
    ended = b"DELETE //chamada/1/ HTTP/1.1\r\n" + last + length + b"\r\n" + body + b"\r\n"
    got = await exchange(port, leftover + ended)
    assert got.count(b"HTTP/1.1 200 OK") == 2 and b"encerrando chamada" in got, (
        "bodies and stray CR LF on one connection"
    )

    got = await exchange(port, b"GET /chamada/relatorio?data_inicio=2018-08-02 HTTP/1.0\r\n" + head + b"\r\n")
    assert b"200 OK" in got.splitlines()[0]
    ids = await house.storage.read(lambda session: session.scalars(select(Chamada.id)).all())
    assert len(ids) == 2


@pytest.mark.parametrize(
    "broken",
    [
        b"junk\r\n\r\n",
        b"GET /chamada/relatorio?data_inicio=2018-08-02 03:00:00 UTC HTTP/1.1\r\n\r\n",
        b"GET /chamada/1 HTTP/1.1\r\nAccess-Token: a\r\n b\r\nX\r\n\r\n",
        b"POST /chamada HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_in_the_envelope(port: int, broken: bytes) -> None:
    start, _, sent = (await exchange(port, broken)).partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 400") and b"access-control-allow-origin: *" in start.lower()
    answer = json.loads(sent)
    assert list(answer) == ["status", "sucesso", "motivo", "mensagem", "dados"]
    assert (answer["status"], answer["motivo"], answer["sucesso"], answer["dados"]) == (400, 100, False, None)


async def test_a_php_client_rates_and_transfers_by_the_bare_id(
    client: httpx2.AsyncClient, house: House, conta: ContaDeTeste
) -> None:
    chamada_id = await add_chamada(house, conta.id, datetime.now(UTC))
    rated = await client.post(f"/chamada/{chamada_id}", data={"nota": "4", "comentario": "boa"})
    assert rated.json()["mensagem"] == "chamada avaliada com sucesso"
    again = await client.post(f"/chamada/{chamada_id}/transfer", json={"nota": 2})
    assert again.json()["mensagem"] == "chamada avaliada com sucesso"
    dados = (await client.get(f"/chamada/{chamada_id}")).json()["dados"]
    assert dados["avaliacao"]["nota"] == 2
    transfer = await client.post(f"/chamada/{chamada_id}", json={"numero": "4811111111", "perna": "origem"})
    assert (transfer.status_code, transfer.json()["motivo"]) == (405, 80)
