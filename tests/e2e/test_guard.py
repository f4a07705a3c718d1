"""Unknown callers at the SIP door: everybody gets the same answer, and who guesses on is shut out."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.e2e.conftest import Api
from tests.e2e.ramais import ramal
from tests.e2e.server import ROOT, Server
from tests.phone import Phone, Refused
from tests.phone.dialog import Dialog
from tests.phone.message import Message

TONE = "1030000021"
NOBODY, WRONG = "99999c9", "Errada-123456"
VARIES = ("via", "from", "to", "call-id", "cseq", "www-authenticate")
"""Headers that repeat the request, or hold the nonce."""


@asynccontextmanager
async def stranger(api: Api, host: str) -> AsyncIterator[Phone]:
    """A telephone that nobody knows, before the shared server; each of its address may fail 9 times a minute."""
    async with Phone(host, user=NOBODY, server=f"127.0.0.1:{api.server.sip_port}") as phone:
        yield phone


async def answer(phone: Phone, method: str, to: str, user: str, password: str = "") -> Message:
    """The final response to one request outside any call, after at most one challenge."""
    assert phone.server is not None
    host, port = phone.server
    uri = f"sip:{to}{'@' if to else ''}{host}:{port}"
    me = f"<sip:{user}@{host}:{port}>"
    dialog = Dialog(secrets.token_hex(12), me, me if method == "REGISTER" else f"<{uri}>", uri, phone.contact)
    phone.user, phone.password = user, password
    async with asyncio.timeout(5):
        return await phone.transact(lambda: dialog.request(method, Expires=300), phone.server)


def shape(response: Message) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    """What an attacker can tell answers apart by."""
    headers = []
    for name, value in response.headers:
        if name.lower() == "www-authenticate":
            value = re.sub(r'(nonce|opaque)="[^"]*"', r'\\1=""', value).replace(", stale=true", "")
        if name.lower() not in VARIES or name.lower() == "www-authenticate":
            headers.append((name.lower(), value))
    return response.status, response.reason, tuple(headers)


def doctor(server: Server) -> str:
    """What the operator reads; its exit code is about the whole machine."""
    command = [sys.executable, "-m", "telefonista", "doctor"]
    return subprocess.run(
        command, cwd=ROOT, env=server.settings(), capture_output=True, text=True, timeout=30, check=False
    ).stdout


async def test_all_strangers_get_the_same_answer(api: Api) -> None:
    async with ramal(api) as r:
        usuario = r.dados["sip"]["usuario"]
        tries = [
            ("REGISTER", "", NOBODY, ""),
            ("REGISTER", "", NOBODY, WRONG),
            ("REGISTER", "", usuario, ""),
            ("REGISTER", "", usuario, WRONG),
            ("INVITE", TONE, NOBODY, ""),
            ("INVITE", TONE, NOBODY, WRONG),
            ("INVITE", "nada", usuario, WRONG),
            ("OPTIONS", TONE, NOBODY, ""),
            ("OPTIONS", "", usuario, ""),
        ]
        shapes = {}
        for number, each in enumerate(tries):
            async with stranger(api, f"127.0.0.{180 + number}") as phone:
                shapes[each] = shape(await answer(phone, *each))
    assert len(set(shapes.values())) == 1, shapes
    status, reason, _ = shapes[tries[0]]
    assert (status, reason) == (401, "Unauthorized")


async def test_a_trunk_of_ours_is_no_key_for_others(api: Api, trunks: object) -> None:
    """The names of the engine's own accounts open nothing from another address."""
    async with stranger(api, "127.0.0.190") as phone:
        for name in ("tronco-1", "rede", "rede-entrada"):
            final = await answer(phone, "INVITE", TONE, name)
            assert final.status == 401, name


async def test_who_guesses_is_shut_out_and_others_go_on(own_server: Server, own_api: Api) -> None:
    own_server.start()
    sip = f"127.0.0.1:{own_server.sip_port}"
    async with (
        ramal(own_api) as r,
        r.registered("127.0.0.72", tone=700) as friend,
        Phone("127.0.0.73", user=r.dados["sip"]["usuario"], password=WRONG, server=sip, t1=0.1) as guesser,
    ):
        for attempt in range(9):
            with pytest.raises(Refused) as refused:
                await guesser.register(password=f"{WRONG}{attempt}")
            assert refused.value.status == 401
        assert "127.0.0.73" not in doctor(own_server)
        with suppress(Refused, TimeoutError):
            await guesser.register(password=WRONG)  # the tenth

        async def shut_out() -> bool:
            return await right_senha(guesser, r.dados["senha"]) != 200

        await own_api.until(shut_out, bool, 2)
        assert await right_senha(guesser, r.dados["senha"]) in (0, 403)
        with pytest.raises((Refused, TimeoutError)):
            await guesser.call(TONE, within=1)

        await friend.register()
        call = await friend.call(TONE)
        await call.hears(440)
        await call.hangup()
        assert re.search(r"127\.0\.0\.73\b", doctor(own_server))

        died = time.monotonic()
        os.kill(own_server.motor()["pid"], signal.SIGKILL)
        await own_api.until(lambda: own_api.http.get("/readyz"), lambda a: a.status_code == 503, 3)
        await own_api.until(lambda: own_api.http.get("/readyz"), lambda a: a.status_code == 200, 8)
        assert time.monotonic() - died < 5
        assert await right_senha(guesser, r.dados["senha"]) in (0, 403)
        assert own_server.stop() == 0
        own_server.start()
        assert await right_senha(guesser, r.dados["senha"]) in (0, 403)
        await friend.register()


async def right_senha(phone: Phone, senha: str) -> int:
    """What a REGISTER with the right senha gets; 0 when nobody answers."""
    try:
        await phone.register(password=senha, within=0.5)
    except TimeoutError:
        return 0
    except Refused as refused:
        return refused.status
    return 200


async def test_a_telephone_with_the_right_senha_is_no_suspect(own_server: Server, own_api: Api) -> None:
    """Each REGISTER meets a challenge first; 30 in a row bar nobody."""
    own_server.start()
    async with ramal(own_api) as r, r.registered("127.0.0.74") as phone:
        for _ in range(30):
            await phone.register()
        assert own_server.log().count("address blocked") == 0
