"""The outermost middleware: CORS on every answer, OPTIONS, the envelope for errors raised anywhere inside."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, Content-Range, Accept-Ranges",
}
_PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Access-Token, Content-Type, Idempotency-Key",
    "Access-Control-Max-Age": "86400",
}


class Guard:
    """`answer` makes the envelope of any exception; one raised after the answer began goes on to the server."""

    def __init__(self, app: ASGIApp, answer: Callable[[HTTPConnection, Exception], Response]) -> None:
        self.app = app
        self.answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return
        started = False

        async def send_with_cors(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).update(CORS)
            await send(message)

        try:
            await self.app(scope, receive, send_with_cors)
        except Exception as error:
            if started:
                raise
            response = self.answer(HTTPConnection(scope), error)
            await response(scope, receive, send_with_cors)
