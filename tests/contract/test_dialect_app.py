"""Contract section 1 over HTTP, against a tiny app that only speaks the dialect."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import parse_qs

import httpx2
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Query, Request, Response
from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from telefonista.dialect import errors, idempotency
from telefonista.dialect.auth import Token
from telefonista.dialect.envelope import RESPOSTAS, ok
from telefonista.dialect.handlers import install
from telefonista.dialect.lenient import MAX_BODY, Lenient, dados
from telefonista.dialect.models import (
    Booleano,
    Corpo,
    IdCaminho,
    Identificador,
    Instante,
    Tambem,
    Telefone,
    Texto,
)
from telefonista.dialect.paging import ConsultaRelatorio, relatorio
from telefonista.dialect.server import HttpProtocol


class Nova(Corpo):
    numero_origem: Annotated[Telefone, Field(description="Número que toca primeiro.")]
    numero_destino: Telefone
    gravar_audio: Booleano = False
    data_criacao: Instante | None = None
    ramal_id: Identificador | None = None
    nota: Annotated[Texto | None, Tambem("avaliacao")] = None
    tags: Texto | None = None


class Vazia(Corpo):
    nome: Texto | None = None


class Consulta(ConsultaRelatorio):
    origem: Telefone | None = None


class Broken:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/quebrada":
            raise RuntimeError("middleware bug")
        await self.app(scope, receive, send)


async def conta(token: Token) -> str:
    if token != "certo":
        raise errors.token_invalido()
    return token


def make_app() -> FastAPI:
    app = FastAPI(responses=RESPOSTAS)
    autenticado = [Depends(conta)]

    @app.post("/nova", dependencies=autenticado)
    async def nova(request: Request, corpo: Nova) -> Response:
        return ok({"corpo": corpo.model_dump(mode="json"), "dados": dados(request), "path": request.url.path})

    @app.put("/vazia/{id}", dependencies=autenticado)
    async def vazia(id: IdCaminho, corpo: Vazia) -> Response:
        return ok({"id": id, "informados": corpo.informados()})

    @app.post("/vazia/{id}", dependencies=autenticado)
    async def encerra(id: IdCaminho) -> Response:
        return ok(mensagem="encerrando chamada")

    @app.get("/vazia/{id}", dependencies=autenticado)
    async def le(id: IdCaminho) -> Response:
        return ok({"id": id, "preco": Decimal("0.350000")})

    @app.delete("/vazia/{id}", dependencies=autenticado)
    async def apaga(id: IdCaminho) -> Response:
        return ok()

    @app.get("/relatorio", dependencies=autenticado)
    async def lista(consulta: Annotated[Consulta, Query()]) -> Response:
        posicao, limite = consulta.pagina()
        return ok(relatorio(0, posicao, limite, [consulta.data_inicio, consulta.origem]))

    @app.post("/chave")
    async def chave(request: Request) -> Response:
        return ok(idempotency.chave(request))

    @app.get("/erro/{qual}")
    async def erro(qual: str) -> Response:
        raise {"taxa": errors.limite_de_taxa(1.2), "motor": errors.sem_motor(), "bug": KeyError("segredo")}[qual]

    app.add_middleware(Broken)
    install(app)
    return app


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=make_app())
    headers = {"Access-Token": "certo"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        yield client


def refused(response: httpx2.Response, status: int, motivo: int, *words: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert list(body) == ["status", "sucesso", "motivo", "mensagem", "dados"]
    assert (response.status_code, body["status"], body["motivo"]) == (status, status, motivo), body
    assert body["sucesso"] is False and body["dados"] is None and body["mensagem"]
    assert response.headers["access-control-allow-origin"] == "*"
    assert all(word in body["mensagem"] for word in words), body["mensagem"]
    return body


def done(response: httpx2.Response) -> Any:
    assert response.status_code == 200, response.text
    body = response.json()
    assert list(body) == ["status", "sucesso", "motivo", "mensagem", "dados"]
    assert (body["status"], body["sucesso"], body["motivo"]) == (200, True, 0)
    return body["dados"]


PEDIDO = {"numero_origem": "4811111111", "numero_destino": "4811111112"}
TEXT = json.dumps(PEDIDO)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (TEXT, "application/json"),
        (TEXT, "application/json; charset=utf-8"),
        (TEXT, "text/plain"),
        (TEXT, "application/x-www-form-urlencoded"),
        (TEXT, "multipart/form-data"),
        (TEXT, "application/xml"),
        (TEXT, ""),
        ("\ufeff" + TEXT, "application/json"),
        ("\r\n" + TEXT + "\r\n\r\n", "application/json"),
        ("numero_origem=4811111111&numero_destino=4811111112", "application/x-www-form-urlencoded"),
        ("NumeroOrigem=4811111111&numeroDestino=4811111112", ""),
        ("opcoes[tags]=&numero_origem=4811111111&numero_destino=4811111112", "application/x-www-form-urlencoded"),
        (
            '--x\r\nContent-Disposition: form-data; name="numero_origem"\r\n\r\n4811111111\r\n'
            '--x\r\nContent-Disposition: form-data; name="numero_destino"\r\n\r\n4811111112\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
)
async def test_a_body_is_read_whatever_its_type(http: httpx2.AsyncClient, content: str, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    corpo = done(await http.post("/nova", content=content.encode(), headers=headers))["corpo"]
    assert corpo["numero_origem"] == "4811111111" and corpo["numero_destino"] == "4811111112"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
@pytest.mark.parametrize("form", [False, True])
async def test_both_encodings_are_read(http: httpx2.AsyncClient, charset: str, form: bool) -> None:
    text = "nome=João Ávila" if form else '{"nome": "João Ávila"}'
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    answer = done(await http.put("/vazia/1", content=text.encode(charset), headers=headers))
    assert answer["informados"] == {"nome": "João Ávila"}


async def test_percent_encoded_forms_are_read_in_both_encodings(http: httpx2.AsyncClient) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for text in ("nome=Jo%C3%A3o+x", "nome=Jo%E3o+x"):
        assert done(await http.put("/vazia/1", content=text, headers=headers))["informados"] == {"nome": "João x"}


async def test_an_empty_body_is_an_empty_object(http: httpx2.AsyncClient) -> None:
    for content in (b"", b"\r\n", b"{}"):
        assert done(await http.put("/vazia/7", content=content)) == {"id": 7, "informados": {}}
    refused(await http.post("/nova"), 405, 10, "numero_origem", "numero_destino")


@pytest.mark.parametrize(
    "content",
    ["{", "abc", "[]", "[1]", "1", "null", "true", '"a"', "{'a': 1}", '{"a": NaN}', "[" * 100_000, '{"a"=1', "\x00"],
)
async def test_what_is_no_object_is_refused(http: httpx2.AsyncClient, content: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(await http.post("/nova", content=content), 400, 100)
    refused(await http.post("/nova", content=content, headers=headers), 400, 100)
    refused(await http.put("/vazia/1", content=content), 400, 100)


async def test_token_and_path_are_told_before_the_body(http: httpx2.AsyncClient) -> None:
    refused(await http.post("/nova", content="{", headers={"Access-Token": "x"}), 403, 40, "Access-Token")
    refused(await http.post("/nova", content="{}", headers={"Access-Token": ""}), 403, 40)
    refused(await http.post("/outra", content="{"), 404, 90)


async def test_a_body_where_none_is_meant_is_ignored(http: httpx2.AsyncClient) -> None:
    done(await http.post("/vazia/1", content="{"))
    for method in ("GET", "DELETE"):
        done(await http.request(method, "/vazia/1", content="{ not json", headers={"Content-Type": "application/json"}))


async def test_a_large_body_is_refused(http: httpx2.AsyncClient) -> None:
    filler = json.dumps({**PEDIDO, "x": "a" * MAX_BODY}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(filler), 65536):
            yield filler[start : start + 65536]

    refused(await http.post("/nova", content=filler), 413, 100, str(MAX_BODY))
    refused(await http.post("/nova", content=chunks()), 413, 100)


@pytest.mark.parametrize(
    "extra",
    [
        {"gravar_audio": True},
        {"gravar_audio": "true"},
        {"gravar_audio": "True"},
        {"gravar_audio": 1},
        {"gravar_audio": "1"},
        {"gravar_audio": "sim"},
        {"GravarAudio": True},
        {"gravarAudio": "Sim"},
        {"opcoes": {"gravar_audio": 1}},
        {"Opcoes": {"GravarAudio": "1"}},
        {"gravar_audio": None, "opcoes": {"gravar_audio": True}},
        {"gravar_audio": True, "opcoes": {"gravar_audio": False}},
    ],
)
async def test_keys_and_booleans_in_every_spelling(http: httpx2.AsyncClient, extra: dict[str, Any]) -> None:
    assert done(await http.post("/nova", json={**PEDIDO, **extra}))["corpo"]["gravar_audio"] is True


async def test_absent_values_are_as_if_not_sent(http: httpx2.AsyncClient) -> None:
    absent = {
        "gravar_audio": None,
        "data_criacao": "0001-01-01T00:00:00Z",
        "ramal_id": 0,
        "tags": "",
        "campo_desconhecido": {"a": [1]},
    }
    corpo = done(await http.post("/nova?desconhecido=1", json={**PEDIDO, **absent}))["corpo"]
    assert corpo["gravar_audio"] is False
    assert corpo["data_criacao"] is corpo["ramal_id"] is corpo["tags"] is None
    for nothing in (None, "", 0, "0", "  "):
        refused(await http.post("/nova", json={**PEDIDO, "numero_destino": nothing}), 405, 10, "numero_destino")


async def test_numbers_come_as_text_and_text_as_numbers(http: httpx2.AsyncClient) -> None:
    body = {"numero_origem": 4000, "NumeroDestino": " 4001 ", "ramalId": "12", "avaliacao": 5}
    corpo = done(await http.post("/nova", json=body))["corpo"]
    assert (corpo["numero_origem"], corpo["numero_destino"], corpo["ramal_id"], corpo["nota"]) == (
        "4000",
        "4001",
        12,
        "5",
    )


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("gravar_audio", "talvez", "true ou false"),
        ("gravar_audio", 2, "true ou false"),
        ("gravar_audio", [True], "true ou false"),
        ("ramal_id", "abc", "número inteiro"),
        ("ramal_id", -1, "número inteiro"),
        ("ramal_id", 2**31, "número inteiro"),
        ("ramal_id", 1.5, "número inteiro"),
        ("ramal_id", True, "número inteiro"),
        ("data_criacao", "amanhã", "AAAA-MM-DD"),
        ("data_criacao", 5, "AAAA-MM-DD"),
        ("tags", "x" * 256, "255"),
        ("tags", "a\x00b", "controle"),
        ("tags", {"a": 1}, "texto"),
        ("numero_origem", ["4000"], "texto"),
    ],
)
async def test_a_wrong_value_is_named(http: httpx2.AsyncClient, field: str, value: object, words: str) -> None:
    refused(await http.post("/nova", json={**PEDIDO, field: value}), 405, 11, field, words)


async def test_numbers_no_machine_can_hold(http: httpx2.AsyncClient) -> None:
    for number in ("1e400", "1" + "0" * 5000, "-1e400"):
        answer = await http.post(
            "/nova", content=f'{{"ramal_id": {number}, "numero_origem": "1", "numero_destino": "2"}}'
        )
        assert answer.status_code in (400, 405)
        refused(answer, answer.status_code, 100 if answer.status_code == 400 else 11)
    refused(
        await http.post("/nova", content=b'{"tags": "\\ud800", "numero_origem": "1", "numero_destino": "2"}'), 405, 11
    )


async def test_slashes_are_repaired_in_place(http: httpx2.AsyncClient) -> None:
    for path in ("/nova/", "//nova", "/nova//", "///nova///"):
        answer = await http.post(f"http://api{path}", json=PEDIDO)
        assert done(answer)["path"] == "/nova"
    for method in ("GET", "PUT", "DELETE", "POST"):
        done(await http.request(method, "http://api//vazia//5/"))


async def test_the_token_in_its_other_places(http: httpx2.AsyncClient) -> None:
    del http.headers["Access-Token"]
    refused(await http.get("/vazia/1"), 403, 40)
    done(await http.get("/vazia/1?access_token=certo"))
    done(await http.get("/vazia/1", headers={"access-token": "  certo  "}))
    done(await http.get("/relatorio?access_token=certo&limite=5"))
    refused(await http.get("/vazia/1?access_token=errado"), 403, 40)
    refused(await http.get("/vazia/1?access_token=certo", headers={"access-token": "errado"}), 403, 40)


async def test_paths_and_methods_unknown(http: httpx2.AsyncClient) -> None:
    for path in ("/", "/nada", "/vazia", "/vazia/1/x"):
        refused(await http.get(path), 404, 90)
    answer = await http.patch("/vazia/1", json={})
    refused(answer, 405, 90, "PATCH", "GET")
    assert answer.headers["allow"] == "DELETE, GET, POST, PUT"
    assert (await http.get("/nova")).headers["allow"] == "POST"


async def test_ids_in_the_path(http: httpx2.AsyncClient) -> None:
    assert done(await http.get("/vazia/3")) == {"id": 3, "preco": 0.35}
    for number in ("0", "-1", str(2**31), "9" * 18):
        refused(await http.get(f"/vazia/{number}"), 404, 60)
    for text in ("abc", "1.5", "%00", "9" * 40, "%C3%A9"):
        refused(await http.get(f"/vazia/{text}"), 405, 11, "id")


async def test_queries_are_as_lenient_as_bodies(http: httpx2.AsyncClient) -> None:
    answer = done(await http.get("/relatorio?dataInicio=2018-03-14&posicao=3&limite=999&x=1&x=2&origem=0"))
    assert answer == {"total": 0, "posicao": 3, "limite": 200, "relatorio": ["2018-03-14", None]}
    assert done(await http.get("/relatorio?posicao=&limite=&data_fim="))["limite"] == 100
    refused(await http.get("/relatorio?posicao=-1"), 405, 11, "posicao")
    refused(await http.get("/relatorio?limite=dez"), 405, 11, "limite")


@pytest.mark.parametrize("raw", [b"\xc3\xa3", b"\xe3"])
async def test_a_query_that_is_not_percent_encoded(raw: bytes) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: object) -> Any:
        raise AssertionError("not called")

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"a=" + raw + b"&b=%C3%A3+c"}
    await Lenient(app)(scope, nothing, nothing)
    assert parse_qs(seen[0]["query_string"].decode("ascii")) == {"a": ["ã"], "b": ["ã c"]}


async def test_cors_and_preflight(http: httpx2.AsyncClient) -> None:
    answer = await http.options("/nova", headers={"Origin": "https://a.b", "Access-Control-Request-Method": "POST"})
    assert answer.status_code == 204 and answer.content == b""
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("access-token", "content-type", "idempotency-key"))
    answer = await http.get("/vazia/1", headers={"Origin": "https://a.b"})
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_retry_after_and_no_engine(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/erro/taxa")
    refused(answer, 429, 100)
    assert answer.headers["retry-after"] == "2" and "Retry-After" in answer.headers["access-control-expose-headers"]
    refused(await http.get("/erro/motor"), 503, 50)


@pytest.mark.parametrize("path", ["/erro/bug", "/quebrada"])
async def test_our_fault_carries_the_id_of_the_log(http: httpx2.AsyncClient, path: str) -> None:
    with capture_logs() as logs:
        body = refused(await http.get(path), 500, 50)
    (line,) = logs
    assert line["id"] in body["mensagem"] and line["log_level"] == "error" and line["exc_info"]
    assert "segredo" not in json.dumps(body)


async def test_the_idempotency_key_is_bounded(http: httpx2.AsyncClient) -> None:
    assert done(await http.post("/chave", headers={"Idempotency-Key": " a b "})) == "a b"
    assert done(await http.post("/chave")) is None
    assert done(await http.post("/chave", headers={"Idempotency-Key": "k" * 255})) == "k" * 255
    refused(await http.post("/chave", headers={"Idempotency-Key": "k" * 256}), 405, 11, "Idempotency-Key")


async def test_openapi_documents_the_models(http: httpx2.AsyncClient) -> None:
    api = (await http.get("/openapi.json")).json()
    post = api["paths"]["/nova"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Nova")
    nova = api["components"]["schemas"]["Nova"]
    assert nova["required"] == ["numero_origem", "numero_destino"]
    assert nova["properties"]["numero_origem"]["description"] == "Número que toca primeiro."
    assert nova["properties"]["gravar_audio"]["type"] == "boolean"
    assert post["security"] == [{"Access-Token": []}]
    assert "422" not in post["responses"] and "4XX" in post["responses"]
    names = {parameter["name"] for parameter in api["paths"]["/relatorio"]["get"]["parameters"]}
    assert {"data_inicio", "data_fim", "posicao", "limite", "origem"} <= names


async def exchange(port: int, *pieces: bytes) -> bytes:
    """What a server on loopback answers to raw bytes; the last request says Connection: close."""
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


async def test_a_real_server_meets_odd_clients(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.access")
    config = uvicorn.Config(make_app(), log_config=None, lifespan="off", http=HttpProtocol)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(20):
                head = b"Host: x\r\nAccess-Token:   certo  \r\n"
                body = TEXT.encode()
                length = b"Content-Length: %d\r\n" % len(body)
                got = await exchange(
                    port,
                    b"POST /nova/ HTTP/1.1\r\n" + head + length + b"Expect: 100-continue\r\nConnection: close\r\n\r\n",
                    body,
                )
                assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
                got = await exchange(port, b"PUT /vazia/1 HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n")
                assert got.startswith(b"HTTP/1.1 200 OK")
                leftover = b"GET /vazia/1 HTTP/1.1\r\n" + head + length + b"\r\n" + body + b"\r\n"
                last = b"DELETE /vazia/1 HTTP/1.1\r\n" + head + length + b"Connection: close\r\n\r\n" + body + b"\r\n"
                got = await exchange(port, leftover + last)
                assert got.count(b"HTTP/1.1 200 OK") == 2
                asked = b"GET /vazia/1?a=1&access_token=certo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                assert (await exchange(port, asked)).startswith(b"HTTP/1.1 200 OK")
                assert "/vazia/1?a=1" in caplog.text and "certo" not in caplog.text
                for broken in (b"GET /relatorio?data_inicio=\xe3 HTTP/1.1\r\n\r\n", b"junk\r\n\r\n"):
                    got = await exchange(port, broken)
                    start, _, sent = got.partition(b"\r\n\r\n")
                    assert start.startswith(b"HTTP/1.1 400") and b"access-control-allow-origin: *" in start.lower()
                    assert list(json.loads(sent)) == ["status", "sucesso", "motivo", "mensagem", "dados"]
                got = await exchange(port, b"HEAD /nada HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n")
                assert got.startswith(b"HTTP/1.1 404") and got.endswith(b"\r\n\r\n")
        finally:
            server.should_exit = True
            await serving
