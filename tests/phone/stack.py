"""SIP transactions over one transport (RFC 3261 17): retransmission, idempotent answers, ACK; used by the phone."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .message import Message
from .transport import Tcp, Udp, Where

T2 = 4.0


class Retransmission:
    """Sends something again at T1, 2 T1, 4 T1 ... until stopped; gives up after 64 T1."""

    def __init__(self, again: Callable[[], None], t1: float, cap: float, give_up: Callable[[], None], silent: bool):
        self._loop = asyncio.get_running_loop()
        self._again, self._wait, self._cap, self._give_up = again, t1, cap, give_up
        self._end = self._loop.call_later(64 * t1, self._expire)
        self._timer = None if silent else self._loop.call_later(t1, self._tick)

    def _tick(self) -> None:
        self._again()
        self._wait = min(self._wait * 2, self._cap)
        self._timer = self._loop.call_later(self._wait, self._tick)

    def _expire(self) -> None:
        self.stop()
        self._give_up()

    def quiet(self) -> None:
        """Stop sending, keep the final deadline off too (a provisional answer came)."""
        self.stop()

    def stop(self) -> None:
        self._end.cancel()
        if self._timer:
            self._timer.cancel()


class Client:
    """One request of ours; `final` resolves to the final response, or TimeoutError when nobody answers."""

    def __init__(self, stack: Stack, request: Message, to: Where, heard: Callable[[Message], None] | None) -> None:
        self.stack, self.request, self.to, self._heard = stack, request, to, heard
        self.final: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.final.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.provisional = asyncio.Event()
        self.born = asyncio.get_running_loop().time()
        self._invite = request.method == "INVITE"
        self._ack: Message | None = None
        self._send()
        cap = 64 * stack.t1 if self._invite else T2
        self._timer = Retransmission(self._send, stack.t1, cap, self._expired, stack.transport.reliable)

    def _send(self) -> None:
        self.stack.send(self.request, self.to)

    def _expired(self) -> None:
        if not self.final.done():
            method, (host, port) = self.request.method, self.to
            self.final.set_exception(TimeoutError(f"no answer to {method} from {host}:{port}"))

    def receive(self, response: Message) -> None:
        if response.status < 200:
            if self._invite:
                self._timer.quiet()
            self.provisional.set()
        else:
            self._timer.stop()
            if self._invite and response.status >= 300:
                self._acknowledge(response)
            if not self.final.done():
                self.final.set_result(response)
        if self._heard:
            self._heard(response)

    def _acknowledge(self, response: Message) -> None:
        if not self._ack:
            kept = ("from", "call-id", "max-forwards", "route")
            self._ack = Message(method="ACK", uri=self.request.uri)
            self._ack.headers = [("Via", self.request.all("Via")[0])]
            self._ack.headers += [pair for pair in self.request.headers if pair[0].lower() in kept]
            self._ack.add(To=response.get("To"), CSeq=f"{self.request.cseq[0]} ACK")
        self.stack.send(self._ack, self.to)

    def cancel_request(self, reason: str | None) -> Message:
        """The CANCEL of this INVITE (RFC 3261 9.1)."""
        cancel = Message(method="CANCEL", uri=self.request.uri)
        cancel.headers = [("Via", self.request.all("Via")[0])]
        kept = ("from", "to", "call-id", "max-forwards", "route")
        cancel.headers += [pair for pair in self.request.headers if pair[0].lower() in kept]
        cancel.add(CSeq=f"{self.request.cseq[0]} CANCEL", Reason=reason)
        return cancel

    def stop(self) -> None:
        self._timer.stop()
        if not self.final.done():
            self.final.set_exception(ConnectionError("the phone was closed"))


class Server:
    """One request of theirs; a retransmitted request gets our last response again."""

    def __init__(self, stack: Stack, request: Message, source: Where) -> None:
        self.stack, self.request = stack, request
        self.born = asyncio.get_running_loop().time()
        self.acked = asyncio.Event()
        self.ack: Message | None = None
        self.lost = False
        self._last: Message | None = None
        self._timer: Retransmission | None = None
        via = request.via
        self._to = source
        if not stack.transport.reliable and "rport" not in via.params:
            self._to = (source[0], int((via.sent_by.rpartition(":")[2] if ":" in via.sent_by else "") or 5060))
        if "rport" in via.params:
            via.params.update(received=source[0], rport=str(source[1]))
            request.set("Via", str(via), *request.all("Via")[1:])

    @property
    def answered(self) -> bool:
        return self._last is not None and self._last.status >= 200

    def respond(self, response: Message) -> None:
        """Send a response; a final one to an INVITE is repeated until its ACK (17.2.1, 13.3.1.4)."""
        self._last = response
        self.repeat()
        if self.request.method == "INVITE" and response.status >= 200:
            reliable = self.stack.transport.reliable and response.status >= 300
            self._timer = Retransmission(self.repeat, self.stack.t1, T2, self._unacked, reliable)

    def repeat(self) -> None:
        if self._last:
            self.stack.send(self._last, self._to)

    def acknowledged(self, ack: Message) -> None:
        if self._timer:
            self._timer.stop()
        if not self.acked.is_set():
            self.ack = ack
            self.acked.set()

    def _unacked(self) -> None:
        self.lost = True
        self.acked.set()

    def stop(self) -> None:
        if self._timer:
            self._timer.stop()


class Stack:
    """Matches messages to transactions and hands new requests to `on_request`, ACKs of 2xx to `on_ack`."""

    def __init__(
        self, kind: str, on_request: Callable[[Server], None], on_ack: Callable[[Message], None], t1: float
    ) -> None:
        self.t1 = t1
        self.transport: Udp | Tcp = Tcp(self._receive) if kind == "tcp" else Udp(self._receive)
        self.malformed = 0
        self.retransmitted = 0
        self.trace: list[tuple[str, Message]] | None = None
        self._on_request, self._on_ack = on_request, on_ack
        self._clients: OrderedDict[tuple[str, str], Client] = OrderedDict()
        self._servers: OrderedDict[tuple[str, str, str], Server] = OrderedDict()

    @property
    def via(self) -> str:
        host, port = self.transport.address
        return f"SIP/2.0/{self.transport.name} {host}:{port};rport;branch=z9hG4bK{secrets.token_hex(8)}"

    def send(self, message: Message, to: Where) -> None:
        if self.trace is not None:
            self.trace.append((">", message))
        self.transport.send(message.serialize(), to)

    async def request(
        self, message: Message, to: Where, heard: Callable[[Message], None] | None = None, *, via: bool = True
    ) -> Client:
        """Start a client transaction; `heard` gets every response, also repeated ones."""
        if via:
            message.headers.insert(0, ("Via", self.via))
        await self.transport.reach(to)
        client = Client(self, message, to, heard)
        self._forget()
        self._clients[message.via.branch, message.method] = client
        return client

    def find_invite(self, cancel: Message) -> Server | None:
        return self._servers.get((cancel.via.branch, cancel.via.sent_by, "INVITE"))

    def _receive(self, data: bytes, source: Where) -> None:
        if not data.strip(b"\r\n\0 \t"):
            return
        try:
            message = Message.parse(data)
            via, (_, method) = message.via, message.cseq
        except (ValueError, IndexError):
            self.malformed += 1
            return
        if self.trace is not None:
            self.trace.append(("<", message))
        if message.status:
            if client := self._clients.get((via.branch, method)):
                client.receive(message)
            return
        if message.method == "ACK":
            invite = self._servers.get((via.branch, via.sent_by, "INVITE"))
            if invite:
                invite.acknowledged(message)
            else:
                self._on_ack(message)
            return
        key = (via.branch, via.sent_by, message.method)
        if known := self._servers.get(key):
            self.retransmitted += 1
            known.repeat()
            return
        self._forget()
        server = self._servers[key] = Server(self, message, source)
        self._on_request(server)

    def _forget(self) -> None:
        """Drop transactions older than 64 T1; called when a new one comes, so no timer is needed."""
        old = asyncio.get_running_loop().time() - max(64 * self.t1, 32.0)
        tables: tuple[OrderedDict[Any, Any], ...] = (self._clients, self._servers)
        for known in tables:
            while known and next(iter(known.values())).born < old:
                key, transaction = next(iter(known.items()))
                if isinstance(transaction, Client) and not transaction.final.done():
                    known.move_to_end(key)
                    break
                del known[key]

    async def close(self) -> None:
        for client in self._clients.values():
            client.stop()
        for server in self._servers.values():
            server.stop()
        self._clients.clear()
        self._servers.clear()
        await self.transport.close()
