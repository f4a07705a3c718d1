"""The telephone registers and calls through a small registrar that asks for digest."""

import asyncio
import secrets

import pytest

from tests.phone import Phone, Refused, digest
from tests.phone.message import Message
from tests.phone.stack import Server, Stack


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"  # real sockets need real time


class Registrar:
    """Knows user 4001 with password 's3nha'; keeps contacts; challenges INVITE by 407 and then refuses it by 404."""

    def __init__(self, kind: str, algorithms: tuple[str, ...]) -> None:
        self.stack = Stack(kind, self.request, lambda ack: None, 0.5)
        self.algorithms = algorithms
        self.contacts: dict[str, int] = {}
        self.used: list[str] = []
        self.renewed = asyncio.Event()
        self.nonces: dict[str, str] = {}
        self.stale_once = False

    async def __aenter__(self) -> "Registrar":
        await self.stack.transport.open("127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stack.close()

    @property
    def address(self) -> str:
        host, port = self.stack.transport.address
        return f"{host}:{port}"

    def request(self, server: Server) -> None:
        request = server.request
        invite = request.method == "INVITE"
        given = request.get("Proxy-Authorization" if invite else "Authorization")
        if given and self.right(request, given):
            if self.stale_once:
                self.stale_once = False
                self.challenge(server, invite, ", stale=true")
            elif invite:
                server.respond(request.reply(404, tag="r"))
            else:
                self.register(server)
        else:
            self.challenge(server, invite, "")

    def challenge(self, server: Server, invite: bool, more: str) -> None:
        values = []
        for algorithm in self.algorithms:
            nonce = secrets.token_hex(8)
            self.nonces[nonce] = algorithm
            values.append(f'Digest realm="test", nonce="{nonce}", algorithm={algorithm}, qop="auth", opaque="o"{more}')
        name = "Proxy_Authenticate" if invite else "WWW_Authenticate"
        server.respond(server.request.reply(407 if invite else 401, tag="r", **{name: values}))

    def right(self, request: Message, given: str) -> bool:
        fields = digest.parse(given)
        algorithm = self.nonces.pop(fields["nonce"], "")
        asked = {"realm": "test", "nonce": fields["nonce"], "algorithm": algorithm}
        if not algorithm or fields["username"] != "4001" or fields["uri"] != request.uri or fields["opaque"] != "o":
            return False
        self.used.append(algorithm)
        expected = digest.response(asked, request.method, request.uri, "4001", "s3nha", fields["nc"], fields["cnonce"])
        return fields["response"] == expected

    def register(self, server: Server) -> None:
        request = server.request
        contact, expires = request.contact.text, min(int(request.get("Expires")), 60)
        if contact in self.contacts and expires:
            self.renewed.set()
        self.contacts[contact] = expires
        if not expires:
            del self.contacts[contact]
        given = [f"<{one}>;expires={left}" for one, left in self.contacts.items()]
        server.respond(request.reply(200, tag="r", Contact=given))


@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize("algorithms", [("MD5",), ("MD5", "SHA-256")])
async def test_register_and_unregister(kind, algorithms):
    async with Registrar(kind, algorithms) as registrar, Phone("127.0.0.2", transport=kind) as phone:
        assert await phone.register(registrar.address, "4001", "s3nha", expires=300) == 60
        assert list(registrar.contacts) == [phone.contact.strip("<>")]
        assert registrar.used == [algorithms[-1]]
        await phone.unregister()
        assert registrar.contacts == {}


async def test_wrong_password_is_refused():
    async with Registrar("udp", ("MD5",)) as registrar, Phone("127.0.0.2") as phone:
        with pytest.raises(Refused) as refused:
            await phone.register(registrar.address, "4001", "other")
        assert refused.value.status == 401 and registrar.contacts == {}


async def test_stale_nonce_is_tried_again():
    async with Registrar("udp", ("MD5",)) as registrar, Phone("127.0.0.2") as phone:
        registrar.stale_once = True
        assert await phone.register(registrar.address, "4001", "s3nha") == 60


async def test_registration_is_renewed_and_ends_with_the_phone():
    async with Registrar("udp", ("MD5",)) as registrar:
        async with Phone("127.0.0.2") as phone:
            await phone.register(registrar.address, "4001", "s3nha", expires=1)
            async with asyncio.timeout(3):
                await registrar.renewed.wait()
        assert registrar.contacts == {}


async def test_nobody_there():
    async with Phone("127.0.0.2", t1=0.005) as phone:
        with pytest.raises(TimeoutError, match="no answer to REGISTER"):
            await phone.register("127.0.0.99:9", "4001", "s3nha")


async def test_invite_answers_the_proxy_challenge():
    async with Registrar("udp", ("SHA-256",)) as registrar, Phone("127.0.0.2") as phone:
        await phone.register(registrar.address, "4001", "s3nha")
        call = await phone.dial("1030000001")
        with pytest.raises(Refused) as refused:
            await call.answered()
        assert refused.value.status == 404
        assert call.statuses() == [407, 404]
        assert registrar.used == ["SHA-256", "SHA-256"]
