"""From the bytes clients send as a body to a dict; used by the lenient middleware, by models and by idempotency."""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

MAX_FIELDS = 1000
_NESTED = re.compile(r"(\w+)\[(\w+)\]")
_FORM = re.compile(r"[\w%.\-+]+(\[[\w%]*\])?=")


class NotAnObject(ValueError):
    """The body is neither a JSON object nor a form."""


def fold(key: str) -> str:
    """The comparable form of a key: `GravarAudio`, `gravar_audio` and `gravaraudio` are one."""
    return key.replace("_", "").replace("-", "").lower()


def absent(value: object) -> bool:
    """Missing on the wire: null or an empty text."""
    return value is None or (isinstance(value, str) and not value.strip())


def regular(dados: Mapping[Any, Any]) -> dict[str, Any]:
    """Keys folded and `opcoes` flattened; an outer key wins over one in `opcoes`, a given value over an absent one."""
    flat: dict[str, Any] = {}
    opcoes: Any = None
    for key, value in dados.items():
        folded = fold(str(key))
        if folded == "opcoes" and isinstance(value, Mapping):
            opcoes = value
        elif folded not in flat or not absent(value):
            flat[folded] = value
    if opcoes is not None:
        for folded, value in regular(opcoes).items():
            if absent(flat.get(folded)):
                flat[folded] = value
    return flat


async def parse(body: bytes, content_type: str) -> dict[str, Any]:
    """The object in a body: JSON whatever the type says, else a form if it is one. NotAnObject otherwise."""
    if not body.strip():
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        try:
            return await _multipart(body, content_type)
        except NotAnObject:
            pass  # JSON under a wrong type
    text = _text(body)
    try:
        value = json.loads(text, parse_constant=_no_constant, strict=False)
    except (ValueError, RecursionError):
        if kind in ("", "application/x-www-form-urlencoded") and _FORM.match(text):
            return _urlencoded(text)
        raise NotAnObject from None
    if not isinstance(value, dict):
        raise NotAnObject
    return value


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return body.decode("iso-8859-1").strip()


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _urlencoded(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="iso-8859-1", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise NotAnObject from None
    return _object(pairs)


async def _multipart(body: bytes, content_type: str) -> dict[str, Any]:
    """The text fields of a multipart form; files in it are ignored."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(Headers({"content-type": content_type}), stream(), max_fields=MAX_FIELDS, max_files=10)
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, LookupError, ValueError):
        raise NotAnObject from None
    pairs = [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
    await form.close()
    return _object(pairs)


def _object(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Form pairs as an object; `opcoes[tags]=x`, as PHP writes it, becomes a nested one; the last of a name wins."""
    dados: dict[str, Any] = {}
    for key, value in pairs:
        nested = _NESTED.fullmatch(key)
        outer = dados.setdefault(nested[1], {}) if nested else None
        if nested and isinstance(outer, dict):
            outer[nested[2]] = value
        else:
            dados[key] = value
    return dados
