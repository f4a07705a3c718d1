"""Turns pydantic's errors into 405/10 and 405/11 in Portuguese, naming the field as on the wire; for handlers only."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from telefonista.dialect.errors import DialectError, corpo_invalido, invalido, obrigatorio

_PLACES = frozenset({"body", "query", "path", "header", "cookie"})
_GENERIC = "informe um valor como descrito em /docs"

_ACCEPTED: dict[str, str] = {
    "bool": "informe true ou false",
    "date": "informe uma data como 2018-08-02",
    "datetime": "informe uma data como 2018-08-02T10:49:30-03:00",
    "decimal": "informe um número",
    "dict": "informe um objeto",
    "enum": "informe um destes valores: {expected}",
    "finite": "informe um número",
    "float": "informe um número",
    "greater_than": "informe um valor maior que {gt}",
    "greater_than_equal": "informe um valor a partir de {ge}",
    "int": "informe um número inteiro",
    "less_than": "informe um valor menor que {lt}",
    "less_than_equal": "informe um valor até {le}",
    "list": "informe uma lista",
    "literal": "informe um destes valores: {expected}",
    "model": "informe um objeto",
    "string": "informe um texto",
    "string_pattern_mismatch": "informe um texto no formato {pattern}",
    "string_too_long": "informe no máximo {max_length} caracteres",
    "string_too_short": "informe pelo menos {min_length} caracteres",
    "too_long": "informe no máximo {max_length} itens",
    "too_short": "informe pelo menos {min_length} itens",
    "url": "informe uma URL como https://exemplo.com.br/audio.mp3",
}
"""By pydantic 2.14's error type, or the part of it before the first underscore."""


def refusal(error: RequestValidationError | ValidationError) -> DialectError:
    """A missing field is told before a wrong one; a body that is no object at all is 400/100."""
    errors: Sequence[Mapping[str, Any]] = error.errors()
    in_request = isinstance(error, RequestValidationError)
    if in_request and any(tuple(one["loc"]) == ("body",) or one["type"] == "json_invalid" for one in errors):
        return corpo_invalido()
    missing = [_field(one["loc"], in_request) for one in errors if one["type"] == "missing"]
    if missing:
        return obrigatorio(*missing)
    first = errors[0]
    return invalido(_field(first["loc"], in_request), _accepted(first))


def _field(loc: Sequence[str | int], in_request: bool) -> str:
    """`dados[0].acao` from ("body", "dados", 0, "acao")."""
    parts = loc[1:] if in_request and loc and loc[0] in _PLACES else loc
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or "corpo"


def _accepted(error: Mapping[str, Any]) -> str:
    ctx: Mapping[str, Any] = error.get("ctx", {})
    kind: str = error["type"]
    if kind == "dialect":
        return str(ctx["aceito"])
    if kind == "value_error":
        return str(ctx.get("error") or _GENERIC)
    text = _ACCEPTED.get(kind) or _ACCEPTED.get(kind.partition("_")[0], _GENERIC)
    values = {key: _portuguese(value) for key, value in ctx.items()}
    try:
        return text.format_map(values)
    except KeyError:
        return _GENERIC


def _portuguese(value: object) -> str:
    """pydantic writes the values of a Literal as `'a', 'b' or 'c'`."""
    return str(value).replace(" or ", " ou ").replace("'", "")
