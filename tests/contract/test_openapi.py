"""OpenAPI and /docs: complete, in Portuguese, and readable on a machine without the internet."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

ENGLISH = re.compile(
    r"\b(the|and|of|with|is|are|for|this|that|when|which|get|create|delete|update|show|list|report|end by"
    r"|successful|validation|response|item|error)\b",
    re.IGNORECASE,
)

WITHOUT_TOKEN = ("GET /rec", "GET /healthz", "GET /readyz")


@pytest.fixture
def api(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(api: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def texts(node: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every summary and description of a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("summary", "description") and isinstance(value, str):
                yield where, value
            else:
                yield from texts(value, f"{where}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from texts(value, f"{where}/{index}")


async def test_every_public_route_is_there(api: dict[str, Any]) -> None:
    routes = {name for name, _ in operations(api)}
    assert {
        *("POST /chamada", "GET /chamada/relatorio", "GET /chamada/{id}", "DELETE /chamada/{id}", "POST /chamada/{id}"),
        *("GET /chamada/{id}/gravacao", "GET /rec"),
        *(
            "POST /ramal",
            "GET /ramal/relatorio",
            "GET /ramal/{id}",
            "PUT /ramal/{id}",
            "DELETE /ramal/{id}",
            "PUT /ramal",
        ),
        *("GET /healthz", "GET /readyz"),
    } <= routes
    assert not any("_operador" in name for name in routes), "the operator's door is nobody else's business"


async def test_every_route_says_what_it_does(api: dict[str, Any]) -> None:
    for name, operation in operations(api):
        assert operation["summary"] and operation["tags"], name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


async def test_every_field_is_described(api: dict[str, Any]) -> None:
    for name, schema in api["components"]["schemas"].items():
        for field, of in schema.get("properties", {}).items():
            assert of.get("description"), f"{name}.{field}"


async def test_it_is_in_portuguese(api: dict[str, Any]) -> None:
    for where, text in texts(api):
        assert not ENGLISH.search(re.sub(r"`[^`]*`", "", text)), (where, text)


async def test_answers_are_documented(api: dict[str, Any]) -> None:
    for name, operation in operations(api):
        responses = operation["responses"]
        assert {"200", "4XX", "5XX"} <= set(responses) and "422" not in responses, name
        content = responses["200"]["content"]
        if "audio/mpeg" in content:
            continue
        schema = content["application/json"]["schema"]
        assert schema.get("$ref", "").rpartition("/")[2].startswith("Envelope_"), name


@pytest.mark.parametrize(
    ("route", "model"),
    [
        ("GET /chamada/{id}", "ChamadaObjeto"),
        ("GET /chamada/relatorio", "Relatorio_ChamadaObjeto_"),
        ("POST /chamada", "ChamadaCriada"),
        ("GET /ramal/{id}", "RamalObjeto"),
        ("POST /ramal", "RamalObjeto"),
        ("GET /ramal/relatorio", "Relatorio_RamalObjeto_"),
    ],
)
async def test_what_dados_is(api: dict[str, Any], route: str, model: str) -> None:
    operation = dict(operations(api))[route]
    envelope = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert f"/{model}" in json.dumps(api["components"]["schemas"][envelope]["properties"]["dados"])
    assert list(api["components"]["schemas"][envelope]["properties"]) == [
        *("status", "sucesso", "motivo", "mensagem", "dados")
    ]


async def test_the_ramal_is_documented_as_it_is_answered(client: httpx2.AsyncClient, api: dict[str, Any]) -> None:
    ramal = (await client.post("/ramal")).json()["dados"]
    schemas = api["components"]["schemas"]
    assert list(schemas["RamalObjeto"]["properties"]) == list(ramal)
    assert list(schemas["SipObjeto"]["properties"]) == list(ramal["sip"])


async def test_the_token_and_the_key_are_documented(api: dict[str, Any]) -> None:
    by_name = dict(operations(api))
    for name, operation in by_name.items():
        assert ("security" in operation) is (name not in WITHOUT_TOKEN), name
    scheme = api["components"]["securitySchemes"]["Access-Token"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "Access-Token")
    headers = [one["name"] for one in by_name["POST /chamada"]["parameters"] if one["in"] == "header"]
    assert headers == ["Idempotency-Key"]


async def test_the_page_needs_nobody_else(client: httpx2.AsyncClient) -> None:
    for path in ("/docs", "/docs/"):
        answer = await client.get(path)
        assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.text
    assert '<html lang="pt-BR">' in page
    assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", page), "nothing is loaded from outside"
    assert not re.search(r"@import|\burl\(", page.partition("</style>")[0])
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "connect-src 'self'" in policy
    assert "'unsafe-eval'" not in policy and "innerHTML" not in page
    assert 'fetch(RAIZ + "/openapi.json")' in page, "also from /docs/, which is answered in place"
    assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.")
    assert (await client.get("/redoc")).status_code == 404
