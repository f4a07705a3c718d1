"""The engines that the contract tests are run over, and what only each kind can tell or do; for tests/engine only."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from telefonista.engine.asterisk.engine import AsteriskEngine
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.process import EngineProcess
from telefonista.engine.asterisk.rede import render_sounds
from telefonista.engine.asterisk.spawn import free_port
from telefonista.engine.asterisk.tree import EngineTree
from telefonista.engine.fake import Behaviour, FakeEngine, FakeLeg
from telefonista.engine.port import CallerId, Destination, Engine
from tests.calls import clock, until
from tests.phone import Outgoing, Phone, Refused, answering

PASSWORD = "s3nha-de-teste"


class Telephone(Protocol):
    """One telephone of a ramal, registered while it is open; it answers every call."""

    async def call(self, numero: str) -> "Line":
        """Dial; returns while the engine decides."""


class Line(Protocol):
    """Its end of a call."""

    async def hang_up(self) -> None: ...

    async def refused(self) -> int:
        """Wait for the refusal; its SIP code (the fake: as the engine would make it of the cause)."""


@dataclass
class Motor:
    """An engine under test, and what only its kind can tell or do."""

    engine: Engine
    folder: Path
    leftovers: Callable[[], Awaitable[list[str]]]
    crash: Callable[[], Awaitable[None]]
    telephone: Callable[[str], AbstractAsyncContextManager["Telephone"]]
    calls: int = 0

    def dial(self, numero: str, *, ring: int = 10, limit: int = 60, **more: Any) -> Any:
        self.calls += 1
        return self.engine.dial(
            Destination("rede", numero=numero),
            id=more.pop("id", f"t{self.calls}-a"),
            bina=CallerId("4832830151", "Telefonista"),
            ring_seconds=ring,
            limit_seconds=limit,
            **more,
        )

    async def clean(self) -> None:
        """Nothing is left, ours or the test network's, within 3 s.

        Asked again every 50 ms: no engine tells when the far end of a call is gone.
        """
        deadline = clock() + 3.0
        while (left := await self.leftovers()) and clock() < deadline:
            await until(clock() + 0.05)
        assert left == []


@asynccontextmanager
async def fake_motor(folder: Path) -> AsyncIterator[Motor]:
    engine = FakeEngine(folder=folder)

    async def leftovers() -> list[str]:
        return engine.leftovers()

    async def crash() -> None:
        engine.crash()
        asyncio.get_running_loop().call_later(1.0, lambda: tasks.append(asyncio.create_task(engine.restart())))

    tasks: list[asyncio.Task[None]] = []
    yield Motor(engine, folder, leftovers, crash, lambda usuario: _fake_telephone(engine, usuario))
    assert engine.leftovers() == []


@asynccontextmanager
async def real_motor(folder: Path, tree: EngineTree) -> AsyncIterator[Motor]:
    instance = Instance(folder / "motor", "127.0.0.1", free_port(), (28_000, 28_999))
    instance.prepare()
    await render_sounds(tree.espeak, instance.sounds)
    process = EngineProcess(instance, tree)
    engine = AsteriskEngine(process)

    async def leftovers() -> list[str]:
        found: list[str] = []
        for what, label in (("channels", "name"), ("bridges", "id")):
            found += [f"{what} {item[label]}" for item in await engine._switch.call("GET", f"/{what}")]
        return found + [task.get_name() for task in engine._switch._tasks]

    async def crash() -> None:
        os.kill(process.running.pid, signal.SIGKILL)

    await engine.start()
    try:
        yield Motor(engine, folder, leftovers, crash, partial(_real_telephone, instance.sip_port))
    finally:
        await engine.stop()


@asynccontextmanager
async def _real_telephone(sip_port: int, usuario: str) -> AsyncIterator[Telephone]:
    async with Phone("127.0.0.5", on_call=answering()) as phone:
        await phone.register(f"127.0.0.1:{sip_port}", usuario, PASSWORD)
        yield _RealTelephone(phone)


@dataclass
class _RealTelephone:
    phone: Phone

    async def call(self, numero: str) -> Line:
        return _RealLine(await self.phone.dial(numero))


@dataclass
class _RealLine:
    line: Outgoing

    async def hang_up(self) -> None:
        await (self.line.hangup() if self.line.up else self.line.cancel())

    async def refused(self) -> int:
        with pytest.raises(Refused) as refused:
            await self.line.answered()
        return int(refused.value.status)


@asynccontextmanager
async def _fake_telephone(engine: FakeEngine, usuario: str) -> AsyncIterator[Telephone]:
    engine.register(usuario, "d1", Behaviour(ring=0.02, answer=0.04))
    yield _FakeTelephone(engine, usuario)
    engine.unregister(usuario, "d1")


@dataclass
class _FakeTelephone:
    engine: FakeEngine
    usuario: str

    async def call(self, numero: str) -> Line:
        return _FakeLine(await self.engine.call_in(door="ramal", endpoint=self.usuario, dialled=numero))


@dataclass
class _FakeLine:
    leg: FakeLeg

    async def hang_up(self) -> None:
        self.leg.far_hangs_up()

    async def refused(self) -> int:
        await asyncio.wait({self.leg.gone})
        return {34: 503, 38: 500, 17: 486}[self.leg.gone.result().cause]
