"""The test telephone: takes and makes calls, registers. One event loop, any number of phones, no thread."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from . import digest
from .call import ALLOW, TCP, Call
from .dialog import Dialog, Refused, new_tag
from .incoming import Incoming
from .message import Message, Uri
from .outgoing import Outgoing
from .sources import Law, Silence, Source, Tone
from .stack import Client, Server, Stack
from .transport import Where
from .wait import Signal

Handler = Callable[[Incoming], Awaitable[object]]


def where(address: str | Where) -> Where:
    """'127.0.0.1:5060' or a pair, as a pair."""
    if isinstance(address, tuple):
        return address
    host, _, port = address.partition(":")
    return host, int(port or 5060)


class Phone:
    """A telephone on one loopback address, as a trunk's far end or as a registered extension.

    `tone` (Hz or a source) is what it says in calls; `on_call` serves each incoming call, else `incoming` hands them
    out. `loss` is the share of RTP packets it loses on purpose; `remember` the seconds of received audio kept per call.
    """

    def __init__(
        self,
        host: str = "127.0.0.2",
        port: int = 0,
        *,
        tone: int | Source | None = None,
        user: str = "phone",
        password: str = "",
        server: str | Where | None = None,
        transport: str = "udp",
        laws: tuple[Law, ...] = ("alaw", "ulaw"),
        loss: float = 0.0,
        remember: float = 300.0,
        t1: float = 0.5,
        on_call: Handler | None = None,
        trace: bool = False,
    ) -> None:
        self.host, self.port, self.user, self.password = host, port, user, password
        self.server: Where | None = where(server) if server else None
        self.source: Source = Silence() if tone is None else Tone(tone) if isinstance(tone, int) else tone
        self.kind, self.laws, self.loss, self.remember, self.on_call = transport, laws, loss, remember, on_call
        self.rng = random.Random(secrets.randbits(64))
        self.total = self.active = self.peak = 0
        self.errors: list[Exception] = []
        self.expires = 0
        self._t1, self._trace = t1, trace
        self._waiting: deque[Incoming] = deque()
        self._signal = Signal()
        self._calls: dict[tuple[str, str], Call] = {}
        self._ended: deque[tuple[str, str]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._registrar: Dialog | None = None
        self._renewal: asyncio.TimerHandle | None = None

    # ---- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.stack = Stack(self.kind, self._request, self._ack, self._t1)
        if self._trace:
            self.stack.trace = []
        await self.stack.transport.open(self.host, self.port)
        self.port = self.stack.transport.address[1]

    async def close(self) -> None:
        """End every call and the registration (at most about 2 s), then every task and socket."""
        if self._renewal:
            self._renewal.cancel()
        self.on_call = None
        await asyncio.gather(*(call.finish() for call in self.calls), return_exceptions=True)
        if self.expires:
            with suppress(TimeoutError, ConnectionError, Refused, OSError):
                await self.unregister(within=1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for call in self.calls:
            call.end("us")
        await self.stack.close()

    async def __aenter__(self) -> Phone:
        await self.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self.close()
        if self.errors and error is None:
            raise ExceptionGroup(f"call handlers of {self.name} failed", self.errors)

    @property
    def name(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@{self.address}"

    @property
    def contact(self) -> str:
        return f"<{self.uri}{TCP if self.kind == 'tcp' else ''}>"

    @property
    def calls(self) -> list[Call]:
        """Calls that are not over."""
        return [call for call in self._calls.values() if not call.over]

    def _spawn(self, work: Awaitable[object]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception as error:
                self.errors.append(error)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- calls -----------------------------------------------------------------------------------------------------

    async def incoming(self, within: float = 5.0) -> Incoming:
        """The next incoming call (when no `on_call` handler takes them)."""
        await self._signal.until(lambda: self._waiting, within, f"a call to {self.name}")
        return self._waiting.popleft()

    def target(self, to: str) -> tuple[str, Where]:
        """Request URI and next hop for a number at our server, or for a SIP URI."""
        if to.startswith("sip:"):
            uri = to
            hop = Uri.parse(to).address
        else:
            if not self.server:
                raise ValueError(f"{self.name} has no server to call {to!r} by; give a SIP URI")
            hop = self.server
            uri = f"sip:{to}@{hop[0]}:{hop[1]}"
        return uri + (TCP if self.kind == "tcp" and "transport=" not in uri else ""), hop

    async def dial(self, to: str, *, caller: str = "", name: str = "", **headers: Any) -> Outgoing:
        """Send an INVITE and return at once; keyword X_Id='7' adds header X-Id. `caller` is the From number."""
        uri, hop = self.target(to)
        host = f"{hop[0]}:{hop[1]}" if self.server else self.address
        local = f"{name and chr(34) + name + chr(34) + ' '}<sip:{caller or self.user}@{host}>"
        dialog = Dialog(f"{secrets.token_hex(12)}@{self.host}", local, f"<{uri}>", uri, self.contact)
        call = Outgoing(self, dialog, hop, headers)
        self._enter(call)
        self._spawn(call.run())
        return call

    async def call(self, to: str, within: float = 5.0, **options: Any) -> Outgoing:
        """Dial and wait for the answer; Refused, or TimeoutError after cancelling."""
        call = await self.dial(to, **options)
        try:
            await call.answered(within)
        except BaseException:
            await call.cancel()
            raise
        return call

    def _enter(self, call: Call) -> None:
        self._calls[call.dialog.call_id, call.dialog.local_tag] = call
        self.total += 1
        self.active += 1
        self.peak = max(self.peak, self.active)

    def forget(self, call: Call) -> None:
        """A call is over; the newest 64 are kept to answer late requests."""
        self.active -= 1
        self._ended.append((call.dialog.call_id, call.dialog.local_tag))
        if len(self._ended) > 64:
            self._calls.pop(self._ended.popleft(), None)
        self._signal.fire()

    async def idle(self, within: float = 5.0) -> None:
        """Wait until no call is active."""
        await self._signal.until(lambda: not self.active, within, f"end of the {self.active} calls of {self.name}")

    # ---- what comes in ---------------------------------------------------------------------------------------------

    def _request(self, server: Server) -> None:
        request = server.request
        call = self._calls.get((request.get("Call-ID"), request.recipient.tag))
        if request.method == "CANCEL":
            self._cancel(server)
        elif call:
            call.handle(server)
        elif request.method == "INVITE" and not request.recipient.tag:
            self._invite(server)
        elif request.method in ("OPTIONS", "NOTIFY", "MESSAGE"):
            server.respond(request.reply(200, tag=new_tag(), Allow=ALLOW, Accept="application/sdp"))
        else:
            server.respond(request.reply(481 if request.recipient.tag else 405, tag=new_tag(), Allow=ALLOW))

    def _invite(self, server: Server) -> None:
        replaced = None
        if replaces := server.request.get("Replaces"):
            call_id, _, rest = replaces.partition(";")
            tags = dict(item.split("=", 1) for item in rest.split(";") if "=" in item)
            replaced = self._calls.get((call_id.strip(), tags.get("to-tag", "")))
            if not replaced or replaced.over:
                server.respond(server.request.reply(481, tag=new_tag()))
                return
        call = Incoming(self, server, replaced)
        self._enter(call)
        if self.on_call:
            self._spawn(self.on_call(call))
        else:
            self._waiting.append(call)
            self._signal.fire()

    def _cancel(self, server: Server) -> None:
        invite = self.stack.find_invite(server.request)
        server.respond(server.request.reply(200 if invite else 481, tag=new_tag()))
        for call in self.calls:
            if isinstance(call, Incoming) and call.serves(invite):
                call.cancel_came(server.request)

    def _ack(self, ack: Message) -> None:
        if call := self._calls.get((ack.get("Call-ID"), ack.recipient.tag)):
            call.acked(ack)

    # ---- what goes out ---------------------------------------------------------------------------------------------

    async def transact(
        self,
        make: Callable[[], Message],
        to: Where,
        heard: Callable[[Message], None] | None = None,
        started: Callable[[Client], None] | None = None,
    ) -> Message:
        """Send what `make` builds and return the final response, answering digest challenges on the way."""
        message, tries = make(), 0
        while True:
            client = await self.stack.request(message, to, heard)
            if started:
                started(client)
            final = await client.final
            if final.status not in (401, 407) or not self.password or tries == 2:
                return final
            ask, give = (
                ("WWW-Authenticate", "Authorization")
                if final.status == 401
                else ("Proxy-Authenticate", "Proxy-Authorization")
            )
            fields = digest.choose(final.all(ask))
            if not fields or (tries and fields.get("stale", "").lower() != "true"):
                return final
            tries += 1
            message = make()
            uri = message.uri
            message.set(give, digest.credentials(fields, message.method, uri, self.user, self.password))

    async def options(self, to: str, within: float = 3.0) -> Message:
        """Send OPTIONS outside any call and return the final response."""
        uri, hop = self.target(to)
        dialog = Dialog(secrets.token_hex(12), f"<{self.uri}>", f"<{uri}>", uri, self.contact)
        async with asyncio.timeout(within):
            return await self.transact(lambda: dialog.request("OPTIONS", Accept="application/sdp"), hop)

    async def register(
        self,
        server: str | Where | None = None,
        user: str | None = None,
        password: str | None = None,
        *,
        expires: int = 300,
        within: float = 5.0,
    ) -> int:
        """REGISTER, renewed by itself at 80 % of its time; returns the seconds granted, Refused if refused.

        Afterwards `server` is where numbers are called.
        """
        self.server = where(server) if server else self.server
        self.user, self.password = user or self.user, password if password is not None else self.password
        if not self.server:
            raise ValueError("no server to register at")
        host, port = self.server
        target = f"sip:{host}:{port}{TCP if self.kind == 'tcp' else ''}"
        me = f"<sip:{self.user}@{host}:{port}>"
        if not self._registrar or self._registrar.local != me:
            self._registrar = Dialog(secrets.token_hex(12), me, me, target, self.contact)
        dialog = self._registrar
        async with asyncio.timeout(within):
            final = await self.transact(lambda: dialog.request("REGISTER", Expires=expires), self.server)
        if final.status >= 300:
            raise Refused(final)
        self.expires = self._granted(final, expires)
        if self._renewal:
            self._renewal.cancel()
            self._renewal = None
        if self.expires:
            loop = asyncio.get_running_loop()
            self._renewal = loop.call_later(self.expires * 0.8, lambda: self._spawn(self.register(expires=expires)))
        return self.expires

    def _granted(self, final: Message, asked: int) -> int:
        for contact in final.all("Contact"):
            if self.address in contact and "expires=" in contact.lower():
                return int(contact.lower().rpartition("expires=")[2].partition(";")[0])
        return int(final.get("Expires") or asked)

    async def unregister(self, within: float = 3.0) -> None:
        await self.register(expires=0, within=within)
        self.expires = 0
