"""A customer's server for webhooks: real HTTP on loopback, answers as told, remembers what came."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """A request as it came, and when (time.monotonic, seconds)."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def json(self) -> Any:
        return json.loads(self.body)

    def signed_with(self, secret: str) -> bool:
        """As the Standard Webhooks specification says it, and recent."""
        timestamp = self.headers["webhook-timestamp"]
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.id}.{timestamp}.".encode() + self.body
        expected = "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
        return expected in self.headers["webhook-signature"].split() and abs(time.time() - int(timestamp)) < 300


@dataclass
class Receiver:
    """`async with Receiver() as receiver`. `answers` are given one after the other, then `status` for ever."""

    status: int = 200
    answers: list[web.Response] = field(default_factory=list)
    delay: float = 0.0  # seconds before each answer
    host: str = "127.0.0.1"
    port: int = 0
    received: list[Received] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __aenter__(self) -> Self:
        self._arrived = asyncio.Condition()
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/aqui"

    async def got(self, count: int, within: float = 10.0) -> list[Received]:
        """What came, once that is `count` requests or more."""
        try:
            async with asyncio.timeout(within), self._arrived:
                await self._arrived.wait_for(lambda: len(self.received) >= count)
        except TimeoutError:
            raise AssertionError(f"{len(self.received)} of {count} requests came in {within} s") from None
        return self.received

    def refuse_next(self) -> None:
        """Answer 503 once. From any thread."""
        self.answers.append(web.Response(status=503))

    def bodies(self) -> list[Any]:
        return [one.json() for one in self.received]

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            body = await request.read()
            one = Received(request.path_qs, request.headers.copy(), body, time.monotonic())
            async with self._arrived:
                self.received.append(one)
                self._arrived.notify_all()
            if self.delay:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.delay):
                        await asyncio.Event().wait()
            return self.answers.pop(0) if self.answers else web.Response(status=self.status)
        finally:
            self.at_once -= 1
