"""Pure ASGI middleware that makes clients' habits regular before routing; installed by handlers.install only.

It repairs the path (in place, never by a redirect), header values and `?access_token=`, and turns whatever body a
client sends into a JSON object for FastAPI. The body is read only when a route asks for it, so that an unknown path
or a wrong token is told before a wrong body.
"""

import json
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telefonista.dialect.bodies import NotAnObject, fold, parse
from telefonista.dialect.errors import corpo_grande

MAX_BODY = 1024 * 1024
"""Largest accepted body, in bytes."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_DADOS = "telefonista.dados"


def dados(request: HTTPConnection) -> dict[str, Any]:
    """The body as the client named its keys; empty when the route declares no body or none was sent."""
    found: dict[str, Any] = request.scope.get(_DADOS, {})
    return found


class Lenient:
    """The scope is changed in place: uvicorn 0.54 logs from the same dict, so a token in the query is not logged."""

    def __init__(self, app: ASGIApp, max_body: int = MAX_BODY) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if "//" in path or (path.endswith("/") and path != "/"):
            scope["path"] = "/" + "/".join(part for part in path.split("/") if part)
        headers = [(name.lower(), value.strip()) for name, value in scope["headers"]]
        scope["headers"] = headers
        _repair_query(scope)
        _take_token(scope)
        if scope["type"] == "http":
            receive = _Body(scope, receive, self.max_body) if scope["method"] in _WITH_BODY else _no_body(receive)
        await self.app(scope, receive, send)


def _repair_query(scope: Scope) -> None:
    """A query encoded as a whole is decoded once (the published C# client joins its pairs and then encodes them all).

    Bytes a client did not percent-encode are, from UTF-8 or ISO-8859-1: Starlette 1.10's Request.url needs it.
    """
    query: bytes = scope["query_string"]
    if b"=" not in query and b"%3d" in query.lower():
        scope["query_string"] = query = unquote_to_bytes(query.replace(b"+", b"%20")).replace(b" ", b"+")
    if not query.isascii():
        try:
            text = query.decode()
        except UnicodeDecodeError:
            text = query.decode("iso-8859-1")
        scope["query_string"] = "".join(c if c.isascii() else quote(c) for c in text).encode("ascii")


def _take_token(scope: Scope) -> None:
    """Moves `?access_token=` into the header; the header wins when both are there."""
    query: bytes = scope["query_string"]
    if b"token" not in query.lower():
        return
    pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True)
    others = [pair for pair in pairs if fold(pair[0]) != "accesstoken"]
    tokens = [value.strip() for key, value in pairs if fold(key) == "accesstoken"]
    if not tokens:
        return
    scope["query_string"] = urlencode(others).encode("ascii")
    if not any(name == b"access-token" and value for name, value in scope["headers"]):
        scope["headers"].append((b"access-token", tokens[-1].encode("latin-1", "replace")))


class _Body:
    """A `receive` whose single body message is the client's body as a JSON object."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self.scope, self.receive, self.limit = scope, receive, limit
        self.done = False
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.content_type = next((value for name, value in headers if name == b"content-type"), b"").decode("latin-1")
        self.length = next((value for name, value in headers if name == b"content-length"), b"")
        scope["headers"] = [header for header in headers if header[0] != b"content-type"]
        scope["headers"].append((b"content-type", b"application/json"))

    async def __call__(self) -> Message:
        if self.done:
            return await self.receive()
        if self.length.isdigit() and int(self.length) > self.limit:
            raise corpo_grande(self.limit)
        body = bytearray()
        more = True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                return message
            body += message.get("body", b"")
            if len(body) > self.limit:
                raise corpo_grande(self.limit)
            more = message.get("more_body", False)
        self.done = True
        try:
            found = await parse(bytes(body), self.content_type)
        except NotAnObject:
            # Not an object for FastAPI either: refused there as 400/100, after the token was checked.
            return {"type": "http.request", "body": b"[]", "more_body": False}
        self.scope[_DADOS] = found
        return {"type": "http.request", "body": json.dumps(found).encode("ascii"), "more_body": False}


def _no_body(receive: Receive) -> Receive:
    """A `receive` that says "empty", then only what is not a body: a leftover one on GET and DELETE is ignored."""
    first = True

    async def wrapped() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": b"", "more_body": False}
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message

    return wrapped
