"""The one shape of every answer: status, sucesso, motivo, mensagem, dados; used by routes and by the error handler."""

import json
import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field
from starlette.responses import Response

T = TypeVar("T")

# json cannot write a Decimal as a number: it is written as a string with a mark no input can contain, then unquoted.
_MARK = secrets.token_hex(16)
_MARKED = re.compile(rf'"{_MARK}([^"]*)"')


def _default(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        text = format(value, "f")
        return _MARK + (text.rstrip("0").rstrip(".") if "." in text else text)
    raise TypeError(f"{type(value).__name__} does not belong in an answer")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default).encode


def encode(content: object) -> bytes:
    """JSON in UTF-8; a Decimal becomes exactly its number. TypeError for other types, ValueError for NaN."""
    text = _encode(content)
    if _MARK in text:
        text = _MARKED.sub(r"\1", text)
    return text.encode("utf-8", "replace")


def envelope(
    status: int, motivo: int, mensagem: str, dados: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Any answer; `sucesso` is true below HTTP 400."""
    content = {
        "status": status,
        "sucesso": status < 400,
        "motivo": int(motivo),
        "mensagem": mensagem,
        "dados": dados,
    }
    return Response(
        encode(content),
        status,
        headers=None if headers is None else dict(headers),
        media_type="application/json; charset=utf-8",
    )


def ok(dados: object = None, mensagem: str = "dados retornados com sucesso") -> Response:
    """The answer to a request that was done; dates in `dados` are already strings."""
    return envelope(200, 0, mensagem, dados)


class Envelope(BaseModel, Generic[T]):
    """Resposta da API, sempre nesta forma."""

    # For OpenAPI only, by `documented`: answers are made by `envelope`.

    status: int = Field(description="O mesmo que o status HTTP.", examples=[200])
    sucesso: bool = Field(description="true quando a requisição foi atendida.")
    motivo: int = Field(description="0 quando atendida; senão, o código do motivo.", examples=[0])
    mensagem: str = Field(description="O que aconteceu ou o que fazer, em português.")
    dados: T | None = Field(description="Objeto, lista ou null.")


def documented(dados: Any, description: str = "Requisição atendida.") -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: what OpenAPI says of its success. `dados` is the model in the envelope, or None."""
    return {200: {"model": Envelope[dados], "description": description}}


RESPOSTAS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Envelope[None], "description": "A requisição foi recusada; `mensagem` diz o que fazer."},
    "5XX": {"model": Envelope[None], "description": "Falha nossa; `mensagem` traz o código que está no log."},
}
"""For `FastAPI(responses=RESPOSTAS)`: documents the refusals once and removes FastAPI's own 422."""
