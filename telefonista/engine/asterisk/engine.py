"""AsteriskEngine: the port's Engine over one private Asterisk 22; made by the wiring and the engine tests only."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from telefonista.engine.asterisk import ctl, dialling, recording, witness
from telefonista.engine.asterisk.accounts import Accounts
from telefonista.engine.asterisk.client import APP, CONTACTS_APP, AriClient, AriError, Event
from telefonista.engine.asterisk.conf import RAMAIS, bloqueios
from telefonista.engine.asterisk.contacts import Contacts
from telefonista.engine.asterisk.legs import AriLeg, moment
from telefonista.engine.asterisk.process import EngineProcess
from telefonista.engine.asterisk.security import tail_failures
from telefonista.engine.asterisk.spawn import EngineStartError
from telefonista.engine.asterisk.switch import Switch
from telefonista.engine.port import (
    Bridge,
    By,
    CallerId,
    Destination,
    Ending,
    EngineDown,
    EngineError,
    Incoming,
    Leg,
    RamalAccount,
    Recording,
    Referral,
    TrunkAccount,
)

log = structlog.get_logger()

_READY_SECONDS = 15
_RECONNECT_SECONDS = 0.5


class AsteriskEngine:
    """One engine process, its event stream and all that is asked of it: `start`, then `close` (it lives) or `stop`."""

    def __init__(self, process: EngineProcess) -> None:
        self._process = process
        self._switch = Switch()
        self._switch.on_stranger = self._take_stranger
        self._referral: Callable[[Referral], Awaitable[None]] | None = None
        self._switch.on_transfer = self._take_transfer
        self._switch.on_contact = lambda event: self._contacts.take(event)
        self._contacts = Contacts()
        self._accounts = Accounts(self._switch, process.instance.etc / RAMAIS)
        self._incoming: Callable[[Incoming], Awaitable[None]] | None = None
        self._up: Callable[[], Awaitable[None]] | None = None
        self._suspect: Callable[[str, datetime], None] | None = None
        self._session: asyncio.Task[None] | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._tail: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.reconnects = 0

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> bool:
        """Start or adopt the engine and return when calls can be made; True when a running one was adopted.

        EngineStartError with the reason.
        """
        await self._process.start()
        adopted = self._process.running.adopted
        self._session = asyncio.create_task(self._hold_session(), name="engine-session")
        self._supervisor = asyncio.create_task(
            self._process.supervise(self._on_down, self._on_restart), name="engine-supervisor"
        )
        self._tail = asyncio.create_task(self._watch_security(), name="engine-security")
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            raise EngineStartError(
                f"O motor subiu e em {_READY_SECONDS} s não ficou pronto para chamadas: veja os avisos acima."
            ) from None
        return adopted

    async def close(self, *, within: float = 5.0) -> None:
        """Let go of the engine without ending it: calls go on."""
        await self._let_go(within)
        self._process.leave()

    async def stop(self, *, within: float = 5.0) -> None:
        """End the engine: BYE to every leg, recordings closed."""
        await self._let_go(within)
        await self._process.stop()

    async def _let_go(self, within: float) -> None:
        await self._switch.settle(within)
        for task in (self._supervisor, self._session, self._tail):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self._ready.clear()
        if self._switch.client is not None:
            await self._switch.client.close()
            self._switch.client = None

    def alive(self) -> bool:
        return self._ready.is_set()

    async def _hold_session(self) -> None:
        """Keep one event stream to the running engine; what was missed while it was broken is reconciled."""
        while True:
            running = self._process.running
            client = AriClient(running.ari_url, running.user, running.password)
            self._switch.client = client
            try:
                await client.listen(self._switch.take, self._on_connected)
            except EngineError as error:
                log.warning("event stream lost", reason=str(error))
            except Exception:
                log.exception("event stream lost")
            finally:
                self._ready.clear()
                await client.close()
            self.reconnects += 1
            await asyncio.wait({asyncio.shield(self._process.changed())}, timeout=_RECONNECT_SECONDS)

    async def _on_connected(self) -> None:
        await self._switch.call("POST", f"/applications/{CONTACTS_APP}/subscription", eventSource="endpoint:PJSIP")
        await self._contacts.reload(self._process.instance.ctl)
        await self._reconcile()
        if self._up is not None:
            await self._up()
        self._ready.set()

    async def _on_down(self) -> None:
        self._ready.clear()
        self._switch.crashed()

    async def _on_restart(self) -> None:
        """The process is up again; `_hold_session` finds the new address by itself."""

    async def _reconcile(self) -> None:
        """After a gap in the events: complete the futures of legs that changed meanwhile."""
        there = {channel["id"]: channel for channel in await self._switch.call("GET", "/channels")}
        missing = [id for id, leg in self._switch.legs.items() if id not in there and leg.name]
        known = await self.endings(missing) if missing else {}
        for id in missing:
            leg, ending = self._switch.legs[id], known.get(id)
            if ending is None:
                leg.lost(datetime.now(UTC))
            else:
                leg.lost(ending.at, ending.cause, ending.by)
        for id, leg in self._switch.legs.items():
            if id in there and there[id]["state"] == "Up" and not leg.up.done():
                leg.up.set_result(datetime.now(UTC))

    # -- incoming ---------------------------------------------------------------------------------------------------

    def on_incoming(self, handler: Callable[[Incoming], Awaitable[None]]) -> None:
        self._incoming = handler

    def on_referral(self, handler: Callable[[Referral], Awaitable[None]]) -> None:
        self._referral = handler

    def _take_transfer(self, event: Event) -> None:
        leg = self._switch.legs.get(event["referred_by"]["source_channel"]["id"])
        if leg is None:
            return
        to = event["refer_to"]
        other = to.get("destination_channel", {}).get("id", "")
        referral = Referral(leg, to.get("requested_destination", {}).get("destination", ""), other)
        self._switch.spawn(self._refer(referral), f"referral {leg.id}")

    async def _refer(self, referral: Referral) -> None:
        if self._referral is None:
            await referral.leg.referred(done=False)
            return
        try:
            await self._referral(referral)
        except Exception:
            log.exception("a transfer was not handled", leg=referral.leg.id)
            await referral.leg.referred(done=False)

    def on_up(self, handler: Callable[[], Awaitable[None]]) -> None:
        self._up = handler

    def on_suspect(self, handler: Callable[[str, datetime], None]) -> None:
        """Called with each address that failed to authenticate."""
        self._suspect = handler

    def _take_stranger(self, event: Event) -> None:
        channel, args = event["channel"], event["args"]
        leg = AriLeg(self._switch, channel["id"], incoming=True)
        self._switch.add(leg)
        leg.take(event)
        if self._incoming is None or not args or args[0] not in ("ramal", "entrada"):
            self._switch.spawn(self._refuse(leg), f"refuse {leg.id}")
            return
        call = Incoming(
            leg=leg,
            door=args[0],
            endpoint=channel["name"].removeprefix("PJSIP/").rsplit("-", 1)[0],
            dialled=args[1],
            caller=CallerId(channel["caller"]["number"], channel["caller"]["name"]),
            at=moment(event),
        )
        self._switch.spawn(self._serve(leg, call), f"incoming {leg.id}")

    async def _follow(self, leg: AriLeg) -> None:
        """Hear of the end of a channel we did not create: without it the events stop when it leaves the application."""
        try:
            await self._switch.call("POST", f"/applications/{APP}/subscription", eventSource=f"channel:{leg.id}")
            # Its own transfer key asks us and not the engine, which would call by itself.
            await leg.command("POST", "/variable", variable="PJSIP_TRANSFER_HANDLING()", value="ari-only")
        except AriError:
            leg.lost(datetime.now(UTC), 16, By.FAR)  # the caller was faster

    async def _refuse(self, leg: AriLeg) -> None:
        with suppress(EngineDown):
            await self._follow(leg)
        leg.hang_up(cause=34)

    async def _serve(self, leg: AriLeg, call: Incoming) -> None:
        assert self._incoming is not None
        try:
            await self._follow(leg)
            await self._incoming(call)
        except Exception:
            log.exception("incoming call was not handled", leg=call.leg.id)
            call.leg.hang_up(cause=38)

    # -- calls ------------------------------------------------------------------------------------------------------

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
        if not self._ready.is_set():
            raise EngineDown("the engine is not ready")
        return dialling.dial(
            self._switch,
            to,
            id=id,
            bina=bina,
            ring_seconds=ring_seconds,
            limit_seconds=limit_seconds,
            heard_in=heard_in,
            labels=labels or {},
        )

    def bridge(self, *legs: Leg, id: str) -> AbstractAsyncContextManager[Bridge]:
        return dialling.bridge(self._switch, *legs, id=id)

    def record(self, leg: Leg, name: str, *, running: bool = False) -> AbstractAsyncContextManager[Recording]:
        assert isinstance(leg, AriLeg)
        return recording.record(self._switch, self._process.instance.ctl, leg, self.recording(name), running=running)

    def spy(self, on: Leg, *, to: Leg, id: str, whisper: bool) -> AbstractAsyncContextManager[None]:
        return dialling.spy(self._switch, on, to=to, id=id, whisper=whisper)

    def recording(self, name: str) -> recording.MixRecording:
        return recording.MixRecording(self._process.instance.recording, name)

    def devices(self, usuario: str) -> Sequence[Destination]:
        return self._contacts.devices(usuario)

    async def survivors(self) -> dict[str, Leg]:
        legs: dict[str, Leg] = {}
        for channel in await self._switch.call("GET", "/channels"):
            if channel["dialplan"]["app_name"] != "Stasis":
                continue  # the far ends of the test network are not ours
            leg = self._switch.legs.get(channel["id"])
            if leg is None:
                leg = AriLeg(self._switch, channel["id"])
                leg.name = channel["name"]
                leg.staged.set_result(None)
                if channel["state"] == "Up":
                    leg.up.set_result(datetime.now(UTC))
                self._switch.add(leg)
            legs[leg.id] = leg
        return legs

    async def close_bridges(self, keep: Collection[str]) -> None:
        for bridge in await self._switch.call("GET", "/bridges"):
            if bridge["id"] not in keep and bridge["id"] not in self._switch.bridges:
                self._switch.later("DELETE", f"/bridges/{bridge['id']}")

    async def endings(self, leg_ids: Sequence[str]) -> dict[str, Ending]:
        cel = self._process.instance.cel
        files = [*sorted(cel.parent.glob(cel.name + ".*"), reverse=True), cel]
        return await asyncio.to_thread(witness.endings, files, leg_ids)

    # -- accounts ---------------------------------------------------------------------------------------------------

    async def replace_ramais(self, accounts: Sequence[RamalAccount]) -> None:
        await self._accounts.replace_ramais(accounts)

    async def put_ramal(self, account: RamalAccount) -> None:
        await self._accounts.put_ramal(account)

    async def remove_ramal(self, usuario: str) -> None:
        await self._accounts.remove_ramal(usuario)
        self._contacts.forget(usuario)

    async def put_trunk(self, account: TrunkAccount) -> None:
        await self._accounts.put_trunk(account)

    async def remove_trunk(self, nome: str) -> None:
        await self._accounts.remove_trunk(nome)

    async def trunk_status(self, nome: str) -> str:
        text = await self.console("pjsip show registrations")
        for line in text.splitlines():
            if line.strip().startswith(f"{nome}/"):
                return "registrado" if "Registered" in line else "sem registro"
        with suppress(EngineError):
            state = (await self._switch.call("GET", f"/endpoints/PJSIP/{nome}"))["state"]
            return {"online": "alcancavel", "offline": "inalcancavel"}.get(state, "desconhecido")
        return "desconhecido"

    async def block(self, addresses: Sequence[str]) -> None:
        self._process.instance.etc.joinpath("acl.conf").write_text(bloqueios(addresses))
        await self._switch.call("PUT", "/asterisk/modules/acl")

    @property
    def sounds(self) -> Path:
        """Where the spoken notices are, in the folder `avisos`."""
        return self._process.instance.sounds

    async def console(self, command: str) -> str:
        """A command on the engine's console, for what ARI does not offer."""
        return await ctl.command(self._process.instance.ctl, command)

    async def _watch_security(self) -> None:
        async for address, at in tail_failures(self._process.instance.security_log):
            if self._suspect is not None:
                self._suspect(address, at)
