"""Finds the Access-Token of a request; whose token it is, the conta feature looks up."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader
from starlette.requests import HTTPConnection

from telefonista.dialect.errors import token_invalido

_scheme = APIKeyHeader(
    name="Access-Token",
    scheme_name="Access-Token",
    description="O token da conta. Também é aceito como `?access_token=`.",
    auto_error=False,
)


def access_token(request: HTTPConnection) -> str:
    """The token, trimmed; the lenient middleware has moved one given as `?access_token=` here. Missing: 403/40."""
    token = request.headers.get("access-token", "").strip()
    if not token:
        raise token_invalido()
    return token


async def _token(request: Request, _documented: Annotated[str | None, Security(_scheme)]) -> str:
    return access_token(request)


Token = Annotated[str, Depends(_token)]
"""For a route's or dependency's parameter: the token, and the scheme in OpenAPI."""
