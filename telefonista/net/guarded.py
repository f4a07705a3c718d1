"""HTTP to addresses that customers give us, kept away from our own network; for the outbox and whoever fetches audio.

Every address of a name is checked, and the connection goes to the very addresses that were checked: a name that
resolves differently a moment later (DNS rebinding) gains nothing. No redirect is followed, no proxy is used.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from telefonista import __version__
from telefonista.net.addresses import allowed

MAX_URL = 2000

_CHECK_SECONDS = 3.0
_KEEPALIVE_SECONDS = 4.0  # below the 5 s after which many servers (Node) close, so that we close first
# Threads of our own: a name server that does not answer delays nobody who uses the loop's executor.
_LOOKUPS = ThreadPoolExecutor(16, thread_name_prefix="dns")

Lookup = Callable[[str, int], list[str]]
"""The addresses of a name, as literals; blocking. OSError when it has none."""

_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_UNCLEAN = re.compile(r"[\s\x00-\x1f\x7f\\]")
_INTERNAL_TEXT = "informe um endereço público: este leva a uma rede interna"


class BadUrl(ValueError):
    """The URL cannot be used; the text says, in Portuguese, what to send instead."""


class Unreachable(Exception):
    """No complete answer came; the text says why, in Portuguese."""


class Forbidden(OSError):
    """The address is internal: nothing was sent."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. `whole` is false when the body was longer than asked for and the rest was left."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


def parse(text: str) -> URL:
    """The URL in `text`. BadUrl unless it is http or https with a host, without userinfo, of up to 2000 characters."""
    if len(text) > MAX_URL:
        raise BadUrl(f"informe um endereço de até {MAX_URL} caracteres")
    try:
        url = URL(text)
        host, _ = url.raw_host, url.port
    except ValueError:
        raise BadUrl("informe um endereço como https://exemplo.com.br/caminho") from None
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(host or "") or url.port == 0 or _UNCLEAN.search(text):
        raise BadUrl("informe um endereço http:// ou https:// como https://exemplo.com.br/caminho")
    if url.raw_user is not None or url.raw_password is not None:
        raise BadUrl("informe o endereço sem usuário e senha antes do host")
    return url


async def check_url(text: str, *, internal: bool = False, lookup: Lookup | None = None) -> None:
    """BadUrl when `text` is no usable URL or leads to an internal address. Takes 3 s at the most.

    A name that cannot be found now may be found later: it passes, and is checked again by every request.
    """
    url = parse(text)
    host = url.raw_host or ""
    if _is_literal(host):
        if not allowed(host, internal=internal):
            raise BadUrl(_INTERNAL_TEXT)
        return
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await _Resolver(internal, lookup).resolve(host, url.port or 0)
    except Forbidden:
        raise BadUrl(_INTERNAL_TEXT) from None
    except (OSError, TimeoutError):
        return


class Guarded:
    """A client for customers' URLs. Made in the loop that uses it; `internal` opens loopback and private networks."""

    def __init__(self, *, internal: bool = False, lookup: Lookup | None = None) -> None:
        self._internal = internal
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                resolver=_Resolver(internal, lookup),
                socket_factory=self._socket,
                keepalive_timeout=_KEEPALIVE_SECONDS,
            ),
            headers={"User-Agent": f"telefonista/{__version__}", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def request(
        self,
        method: str,
        text: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = 65536,
        seconds: float = 10.0,
    ) -> Answer:
        """One request, whole within `seconds`; of the answer's body `most` bytes are read. BadUrl, Unreachable."""
        url = parse(text)
        host = url.raw_host or ""
        if _is_literal(host) and not allowed(host, internal=self._internal):
            raise Unreachable("endereço interno recusado")
        try:
            async with (
                asyncio.timeout(seconds),
                self._http.request(method, url, headers=headers, data=body, allow_redirects=False) as response,
            ):
                content = bytearray()
                while len(content) <= most and (chunk := await response.content.read(most + 1 - len(content))):
                    content += chunk
                return Answer(response.status, response.headers, bytes(content[:most]), len(content) <= most)
        except TimeoutError:
            raise Unreachable(f"sem resposta em {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(_why(error)) from error

    async def close(self) -> None:
        await self._http.close()

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """The last door: whatever way an address came, no socket is made for a forbidden one."""
        family, kind, proto, _, sockaddr = info
        if not allowed(sockaddr[0], internal=self._internal):
            raise Forbidden("forbidden address")
        return socket.socket(family, kind, proto)


class _Resolver(AbstractResolver):
    """Refuses a name as soon as one of its addresses is internal."""

    def __init__(self, internal: bool, lookup: Lookup | None) -> None:
        self._internal, self._lookup = internal, lookup or _system_lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        name = host.rstrip(".").lower()
        if not self._internal and (name == "localhost" or name.endswith(".localhost")):
            raise Forbidden("forbidden name")
        found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, self._lookup, host, port)
        addresses = list(dict.fromkeys(found))
        if not all(allowed(address, internal=self._internal) for address in addresses):
            raise Forbidden("forbidden address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        return


def _system_lookup(host: str, port: int) -> list[str]:
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # a label of more than 63 characters
        raise OSError(str(error)) from error
    return [str(info[4][0]) for info in infos]


def _is_literal(host: str) -> bool:
    """As aiohttp 3.14 decides which hosts it does not resolve; 2130706433 is one, and no address that may be used."""
    return ":" in host or host.replace(".", "").isdigit()


def _why(error: Exception) -> str:
    """What to tell the customer: no detail of our network."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, Forbidden):
        return "endereço interno recusado"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "nome não encontrado no DNS"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "certificado TLS recusado"
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return "falha de TLS"
    if isinstance(cause, ConnectionRefusedError):
        return "conexão recusada"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "não foi possível conectar"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | OSError):
        return "conexão encerrada antes da resposta"
    return "a resposta não é HTTP válido"
