"""Reads the Idempotency-Key and digests a request; keeping the first answer is the storage's and the route's part."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from starlette.requests import HTTPConnection

from telefonista.dialect.bodies import regular
from telefonista.dialect.errors import invalido

MAX_KEY = 255
"""Longest key, in characters."""

DOCUMENTED: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Chave sua, guardada por 24 h: a mesma chave com o mesmo corpo recebe a primeira resposta"
            " de novo e não liga outra vez.",
            "schema": {"type": "string", "maxLength": MAX_KEY},
        }
    ]
}
"""For the `openapi_extra` of a route that places a call."""


def chave(request: HTTPConnection) -> str | None:
    """The key, trimmed, or None; over 255 characters: 405/11."""
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > MAX_KEY:
        raise invalido("Idempotency-Key", f"informe no máximo {MAX_KEY} caracteres")
    return key or None


def digest(method: str, path: str, dados: Mapping[str, Any]) -> str:
    """SHA-256 in hex of what was asked; neither the order nor the spelling of the keys changes it."""
    canonical = json.dumps([method.upper(), path, regular(dados)], sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode("ascii")).hexdigest()
