"""The guarded client against real servers on loopback: nothing internal is reached, nothing followed or waited for."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from telefonista import __version__
from telefonista.net.guarded import BadUrl, Guarded, Lookup, Unreachable, check_url, parse
from tests.receiver import Receiver


@asynccontextmanager
async def client(*, internal: bool = True, lookup: Lookup | None = None) -> AsyncIterator[Guarded]:
    guarded = Guarded(internal=internal, lookup=lookup)
    try:
        yield guarded
    finally:
        await guarded.close()


GOOD = [
    "http://exemplo.com.br",
    "https://exemplo.com.br:8443/a?b=c#d",
    "HTTP://EXEMPLO.com/",
    "http://8.8.8.8/",
    "https://ação.com.br/x",
]
BAD = [
    *("", "exemplo.com.br", "//exemplo.com.br/a", "ftp://exemplo.com.br", "file:///etc/passwd", "javascript:alert(1)"),
    *("http://", "http:///a", "http://:80/", "http://exemplo.com.br:0/", "http://exemplo.com.br:99999/", "http://[::1"),
    *(
        "http://ana@exemplo.com.br/",
        "http://ana:senha@exemplo.com.br/",
        "http://a b.com/",
        "http://a.com/\n",
        "http://./",
    ),
    *("http://exemplo.com\\@127.0.0.1/", "http://a..b/", "http://%31%32%37.0.0.1/", "http://" + "a" * 2000),
]


@pytest.mark.parametrize("text", GOOD)
def test_good_urls(text: str) -> None:
    assert parse(text).raw_host


@pytest.mark.parametrize("text", BAD)
def test_bad_urls(text: str) -> None:
    with pytest.raises(BadUrl, match="informe"):
        parse(text)


HOSTS = {
    "publico.test": ["8.8.8.8", "2606:4700::1"],
    "interno.test": ["10.0.0.5"],
    "misto.test": ["8.8.8.8", "127.0.0.1"],
    "metadados.test": ["169.254.169.254"],
}


def lookup(host: str, port: int) -> list[str]:
    if host not in HOSTS:
        raise OSError("no such name")
    return HOSTS[host]


@pytest.mark.parametrize("url", ["http://publico.test/", "https://ainda-nao-existe.test/", "http://8.8.8.8/"])
async def test_what_may_be_stored(url: str) -> None:
    await check_url(url, lookup=lookup)


@pytest.mark.parametrize(
    "url",
    [
        *("http://interno.test/", "http://misto.test/", "http://metadados.test/", "http://localhost/"),
        *("http://LOCALHOST./", "http://a.localhost/", "http://127.0.0.1/", "http://[::1]/", "http://2130706433/"),
        *("http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/", "http://127.0.0.1.:80/", "http://①27.0.0.1/"),
    ],
)
async def test_what_may_not_be_stored(url: str) -> None:
    with pytest.raises(BadUrl, match="informe um endereço público"):
        await check_url(url, lookup=lambda host, port: ["127.0.0.1"] if host[0] == "1" else lookup(host, port))


async def test_metadata_stays_closed_in_development() -> None:
    for url in ("http://169.254.169.254/", "http://metadados.test/"):
        with pytest.raises(BadUrl):
            await check_url(url, internal=True, lookup=lookup)


async def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telefonista.net.guarded._CHECK_SECONDS", 0.05)
    answered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def silent(host: str, port: int) -> list[str]:
        asyncio.run_coroutine_threadsafe(answered.wait(), loop).result(5)
        return ["127.0.0.1"]

    await check_url("http://lento.test/", lookup=silent)
    answered.set()


async def test_an_answer() -> None:
    async with (
        Receiver(answers=[web.Response(status=404, body=b"nada", headers={"X-A": "b"})]) as receiver,
        client() as http,
    ):
        answer = await http.request("POST", receiver.url, headers={"X-B": "c"}, body=b"{}")
    assert (answer.status, answer.body, answer.whole, answer.headers["x-a"]) == (404, b"nada", True, "b")
    (received,) = receiver.received
    assert (received.path, received.body, received.headers["X-B"]) == ("/aqui", b"{}", "c")
    assert received.headers["User-Agent"] == f"telefonista/{__version__}"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "misto.test", "interno.test", "localhost", "[::ffff:127.0.0.1]", "2130706433"]
)
async def test_nothing_internal_is_reached(host: str) -> None:
    async with Receiver() as receiver, client(internal=False, lookup=lambda *_: ["8.8.8.8", "127.0.0.1"]) as http:
        with pytest.raises(Unreachable, match="endereço interno recusado"):
            await http.request("GET", f"http://{host}:{receiver.port}/")
    assert receiver.received == []


async def test_a_name_that_changes_its_mind() -> None:
    """DNS rebinding: the address that is connected to is one that was checked, not what the name says later."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async with Receiver() as receiver, client(lookup=rebinding) as http:
        answer = await http.request("GET", f"http://troca.test:{receiver.port}/")
        assert answer.status == 200 and asked == ["troca.test"]
        assert receiver.received[0].headers["Host"] == f"troca.test:{receiver.port}"
        async with client(lookup=rebinding) as other:
            with pytest.raises(Unreachable, match="endereço interno recusado"):
                await other.request("GET", f"http://troca.test:{receiver.port}/")
    assert len(receiver.received) == 1


async def test_the_socket_is_refused_whatever_the_resolver_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telefonista.net.guarded._Resolver.resolve", _lets_everything_pass)
    async with Receiver() as receiver, client(internal=False) as http:
        with pytest.raises(Unreachable, match="endereço interno recusado"):
            await http.request("GET", f"http://qualquer.test:{receiver.port}/")
    assert receiver.received == []


async def _lets_everything_pass(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
    return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]


async def test_redirects_are_not_followed() -> None:
    async with Receiver() as inner, Receiver() as outer, client() as http:
        outer.answers.append(web.Response(status=302, headers={"Location": inner.url}))
        assert (await http.request("POST", outer.url, body=b"{}")).status == 302
    assert inner.received == []


async def test_only_so_much_of_a_body_is_read() -> None:
    async with Receiver() as receiver, client() as http:
        receiver.answers += [web.Response(body=b"x" * size) for size in (1000, 1001, 3_000_000, 5)]
        sizes = [await http.request("GET", receiver.url, most=1000) for _ in range(4)]
    assert [(len(one.body), one.whole) for one in sizes] == [(1000, True), (1000, False), (1000, False), (5, True)]


async def test_a_compressed_body_is_not_blown_up() -> None:
    bomb = gzip.compress(b"0" * 5_000_000)
    async with Receiver() as receiver, client() as http:
        receiver.answers.append(web.Response(body=bomb, headers={"Content-Encoding": "gzip"}))
        answer = await http.request("GET", receiver.url)
    assert answer.body == bomb and receiver.received[0].headers["Accept-Encoding"] == "identity"


async def test_a_slow_answer() -> None:
    async with Receiver(delay=5) as receiver, client() as http:
        with pytest.raises(Unreachable, match=r"sem resposta em 0\.1 s"):
            await http.request("GET", receiver.url, seconds=0.1)


async def test_an_answer_that_trickles() -> None:
    """The deadline is for the whole answer, not for each piece of it."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await reader.read()
        writer.close()

    async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server, client() as http:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable, match="sem resposta"):
            await http.request("GET", f"http://127.0.0.1:{port}/", seconds=0.2)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "encerrada"),
        (b"SSH-2.0-OpenSSH\r\n", "HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "encerrada|HTTP"),
    ],
)
async def test_answers_that_are_none(said: bytes, words: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server, client() as http:
        with pytest.raises(Unreachable, match=words):
            await http.request("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_nobody_there() -> None:
    async with Receiver() as gone:
        pass
    async with client(lookup=lookup) as http:
        with pytest.raises(Unreachable, match="conexão recusada"):
            await http.request("GET", gone.url)
        with pytest.raises(Unreachable, match="DNS"):
            await http.request("GET", "http://nao-existe.test/")
        with pytest.raises(Unreachable, match="TLS"):
            async with Receiver() as plain:
                await http.request("GET", f"https://127.0.0.1:{plain.port}/")
