"""process and ctl against the real engine: start, adoption, crash, stop, console, real SIP over the test network."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from telefonista.engine.asterisk import ctl, process
from telefonista.engine.asterisk.conf import bloqueios
from telefonista.engine.asterisk.install import EngineTree
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.pid import start_ticks
from telefonista.engine.asterisk.process import EngineProcess, EngineStartError, Running, status, stop_engine

REDE = "[rede-de-teste]\nexten => 1,1,Answer()\n same => n,Echo()\nexten => _X.,1,Hangup(17)\n"

FUNCTIONS = ["CALLERID", "CHANNEL", "TIMEOUT", "CUT", "URIENCODE", "GROUP", "IF", "TALK_DETECT", "SET", "ISNULL"] * 5

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def engine(instance: Instance, engine_tree: EngineTree) -> AsyncIterator[EngineProcess]:
    """A started engine, ended afterwards."""
    engine = EngineProcess(instance, engine_tree, rede_dialplan=REDE)
    await engine.start()
    yield engine
    await engine.stop()


@asynccontextmanager
async def ari(running: Running) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": aiohttp.encode_basic_auth(running.user, running.password)}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=10)) as http:
        yield http


async def until(events: aiohttp.ClientWebSocketResponse, kind: str, channel: str) -> dict[str, object]:
    """The next event of this kind about this channel."""
    async with asyncio.timeout(10):
        async for message in events:
            event = json.loads(message.data)
            if event["type"] == kind and event["channel"]["id"] == channel:
                return event  # type: ignore[no-any-return]
    raise AssertionError("the event stream ended")


@asynccontextmanager
async def calling(running: Running, endpoint: str = "PJSIP/1@rede") -> AsyncIterator[aiohttp.ClientSession]:
    """Hold an answered call to `endpoint` while the block runs."""
    async with ari(running) as http, http.ws_connect(f"{running.ari_url}/events?app=teste") as events:
        query = {"endpoint": endpoint, "app": "teste", "channelId": "t-1", "callerId": '"Ana" <1130001000>'}
        async with http.post(f"{running.ari_url}/channels", params=query) as answer:
            assert answer.status == 200, await answer.text()
        await until(events, "StasisStart", "t-1")
        yield http
        async with http.delete(f"{running.ari_url}/channels/t-1") as answer:
            assert answer.status == 204
        await until(events, "ChannelDestroyed", "t-1")


async def test_start_is_quick_quiet_and_complete(instance: Instance, engine_tree: EngineTree) -> None:
    engine = EngineProcess(instance, engine_tree)  # with the product's own test network
    began = time.monotonic()
    await engine.start()
    assert time.monotonic() - began < 3
    assert not engine.running.adopted
    log = instance.motor_log.read_text()
    assert not re.findall(r"(?:WARNING|ERROR).*", log)
    wanted = set(re.findall(r"^load=(\S+)", (instance.etc / "modules.conf").read_text(), re.MULTILINE))
    shown = await ctl.command(instance.ctl, "module show")
    loaded = set(re.findall(r"^(\S+\.so) .* Running ", shown, re.MULTILINE))
    assert wanted <= loaded
    assert len(loaded) == len(wanted)
    assert "108 modules loaded" in shown
    await engine.stop()
    assert not re.findall(r"(?:WARNING|ERROR).*", instance.motor_log.read_text())


async def test_secrets_stay_in_private_files(engine: EngineProcess, instance: Instance) -> None:
    password = engine.running.password
    assert password not in repr(engine.running) + repr(engine.instance)
    proc = Path(f"/proc/{engine.running.pid}")
    assert password.encode() not in (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    holders = [
        path for path in instance.directory.rglob("*") if path.is_file() and password in path.read_text("latin1")
    ]
    assert {path.name for path in holders} == {"ari.conf", "motor.json"}
    for path in holders:
        assert path.stat().st_mode & 0o007 == 0
    limits = (proc / "limits").read_text()
    assert re.search(r"Max core file size +0 ", limits)
    assert os.getsid(engine.running.pid) == engine.running.pid


async def test_a_call_by_real_sip_to_the_test_network(engine: EngineProcess, instance: Instance) -> None:
    async with calling(engine.running) as http:
        async with http.get(f"{engine.running.ari_url}/channels") as answer:
            names = sorted(channel["name"].rpartition("-")[0] for channel in await answer.json())
        assert names == ["PJSIP/rede", "PJSIP/rede-entrada"]
        channel = await ctl.command(instance.ctl, "pjsip show channelstats")
        assert "alaw" in channel
    events = [json.loads(line) for line in instance.cel.read_text().splitlines()]
    assert {"CHAN_START", "ANSWER", "HANGUP"} <= {event["eventtype"] for event in events}


async def test_a_second_object_adopts(engine: EngineProcess, instance: Instance, engine_tree: EngineTree) -> None:
    second = EngineProcess(instance, engine_tree, rede_dialplan=REDE)
    running = await second.start()
    assert running == replace(engine.running, adopted=True)
    assert second.instance == engine.instance
    second.leave()
    assert status(instance.directory) is not None


async def test_an_engine_outlives_the_process_that_started_it(instance: Instance, engine_tree: EngineTree) -> None:
    script = """
import asyncio, os, sys
from pathlib import Path
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.process import EngineProcess
from telefonista.engine.asterisk.tree import private_tree
async def main():
    inst = Instance(Path(sys.argv[1]), "127.0.0.1", int(sys.argv[2]), (28000, 28499))
    await EngineProcess(inst, private_tree(Path(sys.argv[3])), rede_dialplan=sys.argv[4]).start()
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    args = (str(instance.directory), str(instance.sip_port), str(engine_tree.root), REDE)
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", script, *args)
    assert await other.wait() == -signal.SIGKILL
    engine = EngineProcess(instance, engine_tree, rede_dialplan=REDE)
    assert (await engine.start()).adopted
    dying = asyncio.create_task(engine.wait_dead())
    assert await stop_engine(instance.directory)
    async with asyncio.timeout(5):
        await dying
    assert status(instance.directory) is None
    engine.leave()


async def test_a_new_configuration_replaces_only_an_idle_engine(
    engine: EngineProcess, instance: Instance, engine_tree: EngineTree
) -> None:
    changed = replace(instance, rtp_ports=(28_000, 28_299))
    async with calling(engine.running):
        busy = EngineProcess(changed, engine_tree, rede_dialplan=REDE)
        assert (await busy.start()).pid == engine.running.pid
        busy.leave()
    idle = EngineProcess(changed, engine_tree, rede_dialplan=REDE)
    running = await idle.start()
    assert not running.adopted
    assert running.pid != engine.running.pid
    assert "rtpend=28299" in (instance.etc / "rtp.conf").read_text()
    async with asyncio.timeout(5):
        await engine.wait_dead()
    await idle.stop()


async def test_a_hung_engine_is_replaced(
    engine: EngineProcess, instance: Instance, engine_tree: EngineTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ADOPT_WITHIN", 0.5)
    os.kill(engine.running.pid, signal.SIGSTOP)
    second = EngineProcess(instance, engine_tree, rede_dialplan=REDE)
    running = await second.start()
    assert running.pid != engine.running.pid
    await second.stop()


async def test_kill_9_brings_a_new_one_with_a_new_password(engine: EngineProcess) -> None:
    first, told, up = engine.running, [], asyncio.Event()

    async def on_down() -> None:
        told.append("down")
        raise RuntimeError("a hook that fails does not end the supervisor")

    async def on_up() -> None:
        told.append("up")
        up.set()

    supervisor = asyncio.create_task(engine.supervise(on_down, on_up))
    for number in (1, 2):
        before, changed = engine.running, engine.changed()
        up.clear()
        killed = time.monotonic()
        os.kill(before.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await up.wait()
        assert time.monotonic() - killed < 3
        assert changed.done()
        assert told == ["down", "up"] * number
        assert engine.running.pid != before.pid
        assert engine.running.password != before.password
        assert start_ticks(before.pid) is None
        async with (
            ari(engine.running) as http,
            http.get(f"{engine.running.ari_url}/asterisk/ping") as answer,
        ):
            assert answer.status == 200
    assert first.pid != engine.running.pid
    await engine.stop()
    async with asyncio.timeout(5):
        await supervisor
    assert told == ["down", "up"] * 2


async def test_stop_leaves_no_process(engine: EngineProcess, instance: Instance) -> None:
    pid = engine.running.pid
    assert status(instance.directory) == replace(engine.running, adopted=True)
    began = time.monotonic()
    await engine.stop()
    assert time.monotonic() - began < 3
    assert not os.path.isdir(f"/proc/{pid}")  # noqa: ASYNC240
    assert status(instance.directory) is None
    assert not instance.state.exists()
    await engine.stop()


async def test_a_taken_port_is_named(instance: Instance, engine_tree: EngineTree) -> None:
    engine = EngineProcess(instance, engine_tree, rede_dialplan=REDE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((instance.sip_host, instance.sip_port))
        with pytest.raises(EngineStartError, match=rf"{instance.sip_port} \(UDP\) já está em uso"):
            await engine.start()
    strange = EngineProcess(replace(instance, sip_host="203.0.113.9"), engine_tree, rede_dialplan=REDE)
    with pytest.raises(EngineStartError, match="não é desta máquina"):
        await strange.start()
    assert status(instance.directory) is None


async def test_an_engine_that_cannot_start_says_why(
    instance: Instance, engine_tree: EngineTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(engine_tree, command=(*engine_tree.command[:2], "/nada", engine_tree.command[3]))
    with pytest.raises(EngineStartError, match="error while loading shared libraries"):
        await EngineProcess(instance, broken, rede_dialplan=REDE).start()
    monkeypatch.setattr(process, "READY_WITHIN", 2.0)
    crooked = replace(engine_tree, modules=engine_tree.data)
    monkeypatch.setattr(EngineTree, "has_module", lambda tree, name: True)
    with pytest.raises(EngineStartError, match=r"Fim do registro do motor:\n(.*\n)*.*loader\.c"):
        await EngineProcess(instance, crooked, rede_dialplan=REDE).start()
    assert status(instance.directory) is None


async def test_blocked_addresses_are_refused(engine: EngineProcess, instance: Instance) -> None:
    async def ask() -> str:
        """What the engine answers to an OPTIONS from 127.0.0.9."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind(("127.0.0.9", 0))
            phone.setblocking(False)
            host, port = phone.getsockname()
            text = (
                f"OPTIONS sip:{instance.sip_host} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{uuid4()};rport\r\n"
                f"From: <sip:x@{host}>;tag=1\r\nTo: <sip:{instance.sip_host}>\r\n"
                f"Call-ID: {uuid4()}\r\nCSeq: 1 OPTIONS\r\n"
                "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
            await loop.sock_sendto(phone, text.encode(), (instance.sip_host, instance.sip_port))
            async with asyncio.timeout(5):
                return (await loop.sock_recv(phone, 4096)).decode().splitlines()[0]

    async def reload(text: str, code: str) -> None:
        """The engine takes the new list some milliseconds after the reload, on a bus of its own, and tells nobody."""
        (instance.etc / "acl.conf").write_text(text)
        await ctl.command(instance.ctl, "module reload acl")
        async with asyncio.timeout(1):
            while code not in await ask():
                pass

    assert "401" in await ask()
    await reload(bloqueios(["127.0.0.9", "2001:db8::1"]), "403")
    await reload(bloqueios([]), "401")


async def test_logs_rotate(engine: EngineProcess, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await engine.rotate() == []
    monkeypatch.setattr(process, "ROTATE_OVER", 100)
    for _ in range(7):
        with instance.motor_log.open("a") as log:
            log.write("x" * 200 + "\n")
        assert instance.motor_log in await engine.rotate()
        assert instance.motor_log.exists()
    names = sorted(path.name for path in instance.log.glob("motor.log*"))
    assert names == ["motor.log", *(f"motor.log.{number}" for number in range(1, 6))]


async def test_console_commands_at_the_same_time(engine: EngineProcess, instance: Instance) -> None:
    many = await asyncio.gather(*(ctl.command(instance.ctl, f"core show function {name}") for name in FUNCTIONS))
    assert [name in text for name, text in zip(FUNCTIONS, many, strict=True)] == [True] * len(FUNCTIONS)
    version, modules, unknown, acl = await asyncio.gather(
        ctl.command(instance.ctl, "core show version"),
        ctl.command(instance.ctl, "module show"),
        ctl.command(instance.ctl, "coisa nenhuma"),
        ctl.command(instance.ctl, "acl show bloqueados"),
    )
    assert version.startswith("Asterisk ") and "\n" not in version
    assert modules.splitlines()[0].startswith("Module") and modules.endswith("modules loaded")
    assert unknown.startswith("No such command 'coisa nenhuma'")
    assert "allow - 0.0.0.0" in acl
    long = f"database put familia chave {'x' * 440}"
    assert "Updated" in await ctl.command(instance.ctl, long)
    assert "x" * 440 in await ctl.command(instance.ctl, "database get familia chave")
    took = []
    for _ in range(50):
        began = time.perf_counter()
        await ctl.command(instance.ctl, "core show version")
        took.append(time.perf_counter() - began)
    assert sorted(took)[25] < 0.02


async def test_console_refusals(instance: Instance) -> None:
    for line in ("", "  ", "core show version\nx", "x" * 481):
        with pytest.raises(ValueError, match="one line"):
            await ctl.command(instance.ctl, line)
    with pytest.raises(ctl.CtlError, match="does not answer"):
        await ctl.command(instance.ctl, "core show version")
    instance.prepare()
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(instance.ctl))
        mute.listen()
        with pytest.raises(ctl.CtlError, match="did not finish 'core'"):
            await ctl.command(instance.ctl, "core show version", within=0.1)
