"""The one place an exception becomes the envelope; `install` is for app only, after it has added its own middleware."""

import re
import secrets

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from telefonista.dialect.envelope import envelope
from telefonista.dialect.errors import (
    DialectError,
    Motivo,
    corpo_grande,
    corpo_invalido,
    erro_interno,
    metodo_inexistente,
    rota_inexistente,
)
from telefonista.dialect.guard import Guard
from telefonista.dialect.lenient import MAX_BODY, Lenient
from telefonista.dialect.refusals import refusal

log = structlog.get_logger()


def install(app: FastAPI) -> None:
    """Makes `app` speak the dialect. Middleware added later stays outside the guard, without CORS on its errors."""
    app.router.redirect_slashes = False
    for kind in (HTTPException, RequestValidationError, ValidationError, Exception):
        app.add_exception_handler(kind, _handle)
    app.add_middleware(Lenient)
    app.add_middleware(Guard, answer=answer)


async def _handle(request: Request, error: Exception) -> Response:
    return answer(request, error)


def answer(request: HTTPConnection, error: Exception) -> Response:
    """The envelope of any exception; an unforeseen one is logged under the id its answer carries."""
    known = _known(request, error)
    if known is None:
        id = secrets.token_hex(6)
        log.error("request failed", id=id, method=request.scope.get("method"), exc_info=error)
        known = erro_interno(id)
    return envelope(known.status, known.motivo, known.mensagem, headers=known.headers)


def _known(request: HTTPConnection, error: Exception) -> DialectError | None:
    if isinstance(error, DialectError):
        return error
    if isinstance(error, RequestValidationError | ValidationError):
        return refusal(error)
    if isinstance(error, HTTPException):
        return _framework(request, error)
    return None


def _framework(request: HTTPConnection, error: HTTPException) -> DialectError | None:
    """What FastAPI, Starlette or a static file route refuses by itself; their English text is not passed on."""
    match error.status_code:
        case 404:
            return rota_inexistente()
        case 405:
            allow = (error.headers or {}).get("Allow", "")
            return metodo_inexistente(request.scope["method"], _allowed(request, allow))
        case 413:
            return corpo_grande(MAX_BODY)
        case 400:
            return corpo_invalido()
        case status if status < 500:
            texto = "requisição recusada: confira a documentação em /docs"
            return DialectError(status, Motivo.INVALIDO, texto, error.headers)
    return None


def _allowed(request: HTTPConnection, allow: str) -> str:
    """All methods of the path. Starlette 1.10 knows those of the first route only; OpenAPI lists every route."""
    methods = {method.strip() for method in allow.split(",") if method.strip()}
    path: str = request.scope["path"]
    for template, operations in request.app.openapi()["paths"].items():
        pattern = "".join(
            "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", template)
        )
        if re.fullmatch(pattern, path):
            methods.update(method.upper() for method in operations)
    return ", ".join(sorted(methods))
