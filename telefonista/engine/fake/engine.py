"""FakeEngine: the port's Engine in memory; used by tests, and by whoever tries a flow without an engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from telefonista.engine.fake.behaviour import Behaviour, of_numero
from telefonista.engine.fake.bridges import FakeBridge, FakeRecording, hearing
from telefonista.engine.fake.legs import FakeLeg
from telefonista.engine.port import (
    Bridge,
    By,
    CallerId,
    Destination,
    Ending,
    EngineDown,
    EngineError,
    HungUp,
    Incoming,
    Leg,
    RamalAccount,
    Recording,
    Referral,
    TrunkAccount,
)

log = structlog.get_logger()

REDE = "rede"
"""The endpoint of the test network, there without `put_trunk`."""


class FakeEngine:
    """The engine in memory, for tests and for trying flows without an engine: no network, no sound, no process.

    Made inside a running loop and ready at once. Its far ends behave by the number dialled, like the test network, or
    as `behaviour` and `register` tell. Every command takes `latency` seconds; the clock is the loop's, so that in
    virtual time nothing waits. With a `folder`, recordings become files there that hold each leg's tone.
    """

    def __init__(self, *, latency: float = 0.002, folder: Path | None = None) -> None:
        self.latency = latency
        self.legs: dict[str, FakeLeg] = {}
        self.bridges: dict[str, FakeBridge] = {}
        self.recordings: dict[str, FakeRecording] = {}
        self.ramais: dict[str, RamalAccount] = {}
        self.trunks: dict[str, TrunkAccount] = {}
        self.blocked: tuple[str, ...] = ()
        self.dialled: list[tuple[str, Destination, CallerId]] = []  # leg id, where to, who it shows
        self._folder = folder
        self.reconnects = 0
        self._down, self._admits = False, True
        self._numbers: dict[str, Behaviour] = {}
        self._devices: dict[str, dict[str, Behaviour]] = {}
        self._taken: dict[str, FakeLeg] = {}  # running recordings' legs, by name
        self._endings: dict[str, Ending] = {}
        self._incoming: Callable[[Incoming], Awaitable[None]] | None = None
        self._referral: Callable[[Referral], Awaitable[None]] | None = None
        self._replaced: set[str] = set()
        self._up: Callable[[], Awaitable[None]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._came_in = 0
        self._epoch = datetime.now(UTC)
        self._born = asyncio.get_running_loop().time()

    # -- the world around it (tests) --------------------------------------------------------------------------------

    def behaviour(self, numero: str, **what: Any) -> None:
        """Script a number on every trunk; `what` are Behaviour's fields."""
        self._numbers[numero] = Behaviour(**what)

    def register(self, usuario: str, device: str, far: Behaviour) -> None:
        """A telephone of a ramal registers."""
        self._devices.setdefault(usuario, {})[device] = far

    def unregister(self, usuario: str, device: str) -> None:
        self._devices.get(usuario, {}).pop(device, None)

    async def call_in(self, *, door: str, endpoint: str, dialled: str, caller: CallerId | None = None) -> FakeLeg:
        """Somebody calls us; returns when the call has arrived at the handler. Its far end waits for ever."""
        self._came_in += 1
        leg = self.legs[f"in-{self._came_in}"] = FakeLeg(self, f"in-{self._came_in}", incoming=True)
        await self.trip()
        if self._incoming is None:
            leg.end(34, None, By.US)
        else:
            call = Incoming(leg, door, endpoint, dialled, caller or CallerId(endpoint), self.now())
            self._spawn(self._serve(self._incoming, call))
        return leg

    def survivor(self, id: str, far: Behaviour, *, limit_seconds: float = 3600.0) -> FakeLeg:
        """A leg of an earlier life of ours, answered and alone: what `survivors` finds after a restart."""
        leg = self.legs[id] = FakeLeg(self, id)
        leg.end_in(limit_seconds)
        leg.far_answers()
        leg.behave(far, ring_seconds=limit_seconds)
        return leg

    def crash(self) -> None:
        """The engine dies: every leg is gone, commands raise EngineDown until `restart`."""
        self._down, self._admits = True, False
        self.reconnects += 1
        for leg in list(self.legs.values()):
            leg.end(41, None, By.ENGINE)
        self.bridges.clear()

    async def restart(self) -> None:
        """The engine is up again, empty; as ever, calls are admitted once the handler of `on_up` is through."""
        self._down = False
        if self._up is not None:
            await self._up()
        self._admits = True

    def hears(self, listener: Leg, speaker: Leg) -> bool:
        """Whether one leg hears another right now."""
        return speaker.id in self.hearing(listener)

    def hearing(self, listener: Leg) -> frozenset[str]:
        """All that a leg hears right now: ids of legs, and "ringback"."""
        assert isinstance(listener, FakeLeg)
        return hearing(listener)

    def leftovers(self) -> list[str]:
        """What is still there: nothing, after every call has ended and `settle`."""
        return [
            *(f"leg {id}" for id in self.legs),
            *(f"bridge {id}" for id in self.bridges),
            *(f"recording {name}" for name in self._taken),
            *(f"task {task.get_name()}" for task in self._tasks),
        ]

    async def settle(self, within: float = 1.0) -> None:
        """Let the hang-ups under way arrive: returns when nothing is left, or after `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.legs:
                    await asyncio.wait({leg.gone for leg in self.legs.values()}, return_when=asyncio.FIRST_COMPLETED)

    # -- what its legs and bridges need -----------------------------------------------------------------------------

    def now(self) -> datetime:
        """The loop's clock as a date."""
        return self._epoch + timedelta(seconds=asyncio.get_running_loop().time() - self._born)

    async def trip(self) -> None:
        """A command on its way and back."""
        self._check()
        arrived = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(self.latency, arrived.set)
        try:
            await arrived.wait()
        finally:
            timer.cancel()
        self._check()

    def _check(self) -> None:
        if self._down:
            raise EngineDown("the fake engine is down")

    def heard_anew(self) -> None:
        """Somebody may hear something else from now on: recordings note it."""
        now = asyncio.get_running_loop().time()
        for name, leg in self._taken.items():
            self.recordings[name].mark(leg, self.legs, now)

    def forget(self, leg: FakeLeg, hangup: HungUp) -> None:
        """A leg is gone."""
        if self.legs.get(leg.id) is leg:
            del self.legs[leg.id]
        self._endings[leg.id] = Ending(leg.id, hangup.at, hangup.cause, hangup.by)
        if leg.bridge is not None:
            leg.bridge.drop(leg)
        for name in [name for name, taken in self._taken.items() if taken is leg]:
            self._stop_recording(name)
        self.heard_anew()

    def _stop_recording(self, name: str) -> None:
        if self._taken.pop(name, None) is not None:
            self.recordings[name].close(asyncio.get_running_loop().time())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="incoming")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, handler: Callable[[Incoming], Awaitable[None]], call: Incoming) -> None:
        try:
            await handler(call)
        except Exception:
            log.exception("incoming call was not handled", leg=call.leg.id)
            call.leg.hang_up(cause=38)

    # -- the port: calls --------------------------------------------------------------------------------------------

    def alive(self) -> bool:
        return self._admits

    def dial(
        self,
        to: Destination,
        *,
        id: str,
        bina: CallerId,
        ring_seconds: int,
        limit_seconds: int,
        heard_in: Bridge | None = None,
        labels: dict[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Leg]:
        if not self._admits:
            raise EngineDown("the fake engine is not ready")
        return self._dial(to, id, bina, ring_seconds, limit_seconds, heard_in)

    @asynccontextmanager
    async def _dial(
        self, to: Destination, id: str, bina: CallerId, ring_seconds: int, limit_seconds: int, heard_in: Bridge | None
    ) -> AsyncIterator[Leg]:
        if id in self.legs:
            raise EngineError(f"leg {id} exists")
        leg = self.legs[id] = FakeLeg(self, id)
        self.dialled.append((id, to, bina))
        try:
            far = self._far_end(to)
            if far is None:
                leg.end(20, None, By.US)
            else:
                leg.end_in(limit_seconds)
            await leg.command()
            assert far is not None
            if heard_in is not None:
                await heard_in.add(leg)
            await leg.command()
            leg.behave(far, ring_seconds)
            yield leg
        finally:
            leg.hang_up()

    def _far_end(self, to: Destination) -> Behaviour | None:
        if not to.numero:
            return self._devices.get(to.endpoint, {}).get(to.device)
        if to.endpoint != REDE and to.endpoint not in self.trunks:
            return None
        return self._numbers.get(to.numero) or of_numero(to.numero)

    def bridge(self, *legs: Leg, id: str) -> AbstractAsyncContextManager[Bridge]:
        return self._bridge(legs, id)

    @asynccontextmanager
    async def _bridge(self, legs: Sequence[Leg], id: str) -> AsyncIterator[Bridge]:
        bridge, opened = self.bridges.get(id), False
        if bridge is None:
            self._check()
            bridge, opened = FakeBridge(self, id), True
            self.bridges[id] = bridge
        try:
            if opened:
                await self.trip()
            for leg in legs:
                await bridge.add(leg)
            yield bridge
        finally:
            if opened:
                for member in list(bridge.members.values()):
                    bridge.drop(member)
                self.bridges.pop(id, None)
                self.heard_anew()

    @asynccontextmanager
    async def spy(self, on: Leg, *, to: Leg, id: str, whisper: bool) -> AsyncIterator[None]:
        assert isinstance(on, FakeLeg)
        assert isinstance(to, FakeLeg)
        await on.command()
        await to.command()
        on.spies[to] = whisper
        self.heard_anew()
        try:
            yield
        finally:
            on.spies.pop(to, None)
            self.heard_anew()

    def record(self, leg: Leg, name: str, *, running: bool = False) -> AbstractAsyncContextManager[Recording]:
        return self._record(leg, name)

    @asynccontextmanager
    async def _record(self, leg: Leg, name: str) -> AsyncIterator[Recording]:
        assert isinstance(leg, FakeLeg)
        await leg.command()
        files = self.recording(name)
        self._taken[name] = leg
        files.mark(leg, self.legs, asyncio.get_running_loop().time())
        try:
            yield files
        finally:
            self._stop_recording(name)

    def recording(self, name: str) -> FakeRecording:
        return self.recordings.setdefault(name, FakeRecording(self._folder, name))

    def devices(self, usuario: str) -> Sequence[Destination]:
        return tuple(Destination(usuario, device=device) for device in self._devices.get(usuario, ()))

    async def survivors(self) -> dict[str, Leg]:
        await self.trip()
        return dict(self.legs)

    async def close_bridges(self, keep: Collection[str]) -> None:
        await self.trip()
        for id in [id for id in self.bridges if id not in keep]:
            for member in list(self.bridges[id].members.values()):
                self.bridges[id].drop(member)
            del self.bridges[id]

    async def endings(self, leg_ids: Sequence[str]) -> dict[str, Ending]:
        return {id: self._endings[id] for id in leg_ids if id in self._endings}

    # -- the port: events and accounts ------------------------------------------------------------------------------

    def on_incoming(self, handler: Callable[[Incoming], Awaitable[None]]) -> None:
        self._incoming = handler

    def on_referral(self, handler: Callable[[Referral], Awaitable[None]]) -> None:
        self._referral = handler

    async def refer(self, leg: FakeLeg, numero: str, other_leg_id: str = "") -> None:
        """The telephone on a leg presses its transfer key."""
        assert self._referral is not None
        await self._referral(Referral(leg, numero, other_leg_id))

    def on_up(self, handler: Callable[[], Awaitable[None]]) -> None:
        self._up = handler

    async def replace_ramais(self, accounts: Sequence[RamalAccount]) -> None:
        await self.trip()
        for usuario in self._replaced:
            self.ramais.pop(usuario, None)
        self._replaced = {account.usuario for account in accounts}
        self.ramais |= {account.usuario: account for account in accounts}

    async def put_ramal(self, account: RamalAccount) -> None:
        await self.trip()
        self.ramais[account.usuario] = account

    async def remove_ramal(self, usuario: str) -> None:
        await self.trip()
        self.ramais.pop(usuario, None)
        self._devices.pop(usuario, None)

    async def put_trunk(self, account: TrunkAccount) -> None:
        await self.trip()
        self.trunks[account.nome] = account

    async def remove_trunk(self, nome: str) -> None:
        await self.trip()
        self.trunks.pop(nome, None)

    async def trunk_status(self, nome: str) -> str:
        await self.trip()
        if nome not in self.trunks:
            return "alcancavel" if nome == REDE else "desconhecido"
        return "registrado" if self.trunks[nome].registra else "alcancavel"

    async def block(self, addresses: Sequence[str]) -> None:
        await self.trip()
        self.blocked = tuple(addresses)
