"""How SIP bytes travel: one UDP socket, or a TCP listener and its connections; used by the phone's stack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Where = tuple[str, int]
Receive = Callable[[bytes, Where], None]


class Udp(asyncio.DatagramProtocol):
    """One datagram socket."""

    name, reliable = "UDP", False

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: Any = None
        self.address: Where = ("", 0)

    async def open(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        self.address = self._transport.get_extra_info("sockname")[:2]

    async def reach(self, to: Where) -> None:
        """Nothing to do before sending a datagram."""

    def send(self, data: bytes, to: Where) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, to)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._receive(data, addr[:2])

    def error_received(self, exc: Exception) -> None:
        """An unreachable far end shows as a missing answer."""

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_result(None)

    async def close(self) -> None:
        if self._transport:
            self._transport.abort()
            await self._lost


class Tcp:
    """A listener plus one connection for each far address; requests may come on any of them."""

    name, reliable = "TCP", True

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.connections: dict[Where, Connection] = {}
        self._server: asyncio.Server | None = None
        self.address: Where = ("", 0)

    async def open(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def reach(self, to: Where) -> None:
        """Open the connection to `to` unless there is one."""
        if to not in self.connections:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: Connection(self), *to, local_addr=(self.address[0], 0))

    def send(self, data: bytes, to: Where) -> None:
        """Write to an open connection; without one the bytes are lost as on a dead network."""
        if connection := self.connections.get(to):
            connection.write(data)

    async def close(self) -> None:
        if self._server:
            self._server.close()
        for connection in list(self.connections.values()):
            await connection.close()
        if self._server:
            await self._server.wait_closed()


class Connection(asyncio.Protocol):
    """Frames a byte stream into messages by Content-Length (RFC 3261 18.3); answers CRLF pings (RFC 5626 3.5.1)."""

    def __init__(self, owner: Tcp) -> None:
        self._owner = owner
        self._buffer = b""
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: Any = None
        self._peer: Where = ("", 0)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._peer = transport.get_extra_info("peername")[:2]
        self._owner.connections[self._peer] = self

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            if self._buffer.startswith(b"\r\n\r\n"):
                self.write(b"\r\n")
            self._buffer = self._buffer.lstrip(b"\r\n")
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            length = 0
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b":")
                if name.strip().lower() in (b"content-length", b"l"):
                    length = int(value)
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._owner.receive(head + end + rest[:length], self._peer)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._owner.connections.get(self._peer) is self:
            del self._owner.connections[self._peer]
        if not self._lost.done():
            self._lost.set_result(None)

    async def close(self) -> None:
        self._transport.abort()
        await self._lost
