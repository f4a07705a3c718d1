"""Legs out and bridges: the `async with` things of the port on top of the Switch."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from telefonista.engine.asterisk.client import APP, AriError
from telefonista.engine.asterisk.legs import AriLeg
from telefonista.engine.asterisk.switch import Switch
from telefonista.engine.port import Bridge, By, CallerId, Destination, EngineDown, EngineError, Leg

_STAGE_SECONDS = 5.0
_CLOSED_SECONDS = 2.0


def channel_address(to: Destination, carriers: Mapping[str, str]) -> str:
    """The engine's own way to write a destination. A ramal's device is one contact URI of it.

    `carriers`: host, port and parameters by endpoint.
    """
    if to.device:
        return f"PJSIP/{to.endpoint}/{to.device}"
    if carrier := carriers.get(to.endpoint):
        # By its address: one that does not answer OPTIONS, as many do not, would be taken for unreachable (22.10.1).
        return f"PJSIP/{to.endpoint}/sip:{to.numero}@{carrier}"
    return f"PJSIP/{to.numero}@{to.endpoint}" if to.numero else f"PJSIP/{to.endpoint}"


@asynccontextmanager
async def dial(
    switch: Switch,
    to: Destination,
    *,
    id: str,
    bina: CallerId,
    ring_seconds: int,
    limit_seconds: int,
    heard_in: Bridge | None,
    labels: dict[str, str],
) -> AsyncIterator[AriLeg]:
    """See Engine.dial."""
    leg = AriLeg(switch, id)
    switch.add(leg)
    # Identity of a created channel is its connected line; CALLERID has no effect (22.10.1).
    variables = {"TIMEOUT(absolute)": str(limit_seconds), "PJSIP_TRANSFER_HANDLING()": "ari-only"}
    if bina.numero:
        name = bina.nome.replace('"', "").replace("\\", "")
        variables["CONNECTEDLINE(all)"] = f'"{name}" <{bina.numero}>' if name else f"<{bina.numero}>"
    variables |= {f"TEL_{key.upper()}": value for key, value in labels.items()}
    leg.made = switch.spawn(_create(switch, leg, to, variables), f"create {id}")
    try:
        await asyncio.shield(leg.made)
        try:
            async with asyncio.timeout(_STAGE_SECONDS):
                await leg.until(leg.staged)
        except TimeoutError:
            raise EngineDown(f"channel {id} was not staged") from None
        if heard_in is not None:
            await heard_in.add(leg)
        await leg.command("POST", "/dial", timeout=ring_seconds)
        yield leg
    finally:
        leg.hang_up()


async def _create(switch: Switch, leg: AriLeg, to: Destination, variables: dict[str, str]) -> None:
    """Make the channel. A destination the engine cannot allocate ends the leg instead of failing the call."""
    try:
        made = await switch.call(
            "POST",
            "/channels/create",
            endpoint=channel_address(to, switch.carriers),
            app=APP,
            channelId=leg.id,
            body={"variables": variables},
        )
        leg.name = made["name"]
    except AriError as error:
        # 500 "Allocation failed": nobody is registered there, or the trunk does not exist.
        if error.status == 500:
            leg.lost(datetime.now(UTC), 20, By.US)
        else:
            leg.lost(datetime.now(UTC))
    except EngineDown:
        leg.lost(datetime.now(UTC))
        raise


class AriBridge:
    """A mixing bridge. Digits reach us in it because native RTP bridging is not loaded."""

    def __init__(self, switch: Switch, id: str) -> None:
        self.id = id
        self.stopping: set[asyncio.Task[None]] = set()  # sounds that are being cut off
        self._switch = switch
        self._members: set[str] = set()

    async def add(self, leg: Leg) -> None:
        if leg.id in self._members:
            return
        for other in self._switch.bridges.values():
            other._members.discard(leg.id)  # the engine moves it
        try:
            # Without the inhibition a leg that is not answered yet shows the other's identity.
            await self._switch.call(
                "POST", f"/bridges/{self.id}/addChannel", channel=leg.id, inhibitConnectedLineUpdates="true"
            )
        except AriError:
            await asyncio.wait({leg.gone}, timeout=1.0)
            if leg.gone.done():
                raise leg.gone.result() from None
            raise
        self._members.add(leg.id)

    async def remove(self, leg: Leg) -> None:
        self._members.discard(leg.id)
        with suppress(AriError):
            await self._switch.call("POST", f"/bridges/{self.id}/removeChannel", channel=leg.id)

    async def play(self, sound: Path) -> None:
        playback = uuid4().hex
        finished = self._switch.expect(playback)
        # The engine finds the file by its name without ending.
        media = f"sound:{sound.with_suffix('')}"
        play = self._switch.call("POST", f"/bridges/{self.id}/play", media=media, playbackId=playback)
        starting = self._switch.spawn(play, f"play {playback}")
        try:
            await asyncio.shield(starting)
            await asyncio.wait({finished})
            if finished.result()["playback"]["state"] == "failed":
                raise EngineError(f"{sound.name} cannot be played")
        finally:
            if finished.done():
                self._switch.forget(playback)
            else:
                stopping = self._switch.spawn(self._stop(playback, starting, finished), f"stop {playback}")
                self.stopping.add(stopping)
                stopping.add_done_callback(self.stopping.discard)

    async def _stop(self, playback: str, starting: "asyncio.Task[Any]", finished: "asyncio.Future[Any]") -> None:
        with suppress(EngineError):
            await starting  # a DELETE that overtakes the POST would not find it
            await self._switch.call("DELETE", f"/playbacks/{playback}")
            await asyncio.wait({finished}, timeout=1.0)
        self._switch.forget(playback)


@asynccontextmanager
async def bridge(switch: Switch, *legs: Leg, id: str) -> AsyncIterator[AriBridge]:
    """See Engine.bridge. One that is open here already costs no command; One left from before is adopted."""
    made = switch.bridges.get(id)
    if made is None:
        made = switch.bridges[id] = AriBridge(switch, id)
        creation = switch.spawn(_open_bridge(switch, id, switch.closing.get(id)), f"create {id}")
        opened = True
    else:
        creation, opened = None, False
    try:
        if creation is not None:
            await asyncio.shield(creation)
        for leg in legs:
            await made.add(leg)
        yield made
    finally:
        if opened:
            del switch.bridges[id]
            closing = switch.closing[id] = switch.spawn(_close_bridge(switch, made, creation), f"close {id}")
            asyncio.get_running_loop().call_later(_CLOSED_SECONDS, _forget_closing, switch, id, closing)


def _forget_closing(switch: Switch, id: str, closing: "asyncio.Task[Any]") -> None:
    if switch.closing.get(id) is closing:
        del switch.closing[id]


async def _open_bridge(switch: Switch, id: str, closing: "asyncio.Task[Any] | None") -> None:
    """Make a bridge, or adopt the one that lives since before a restart of ours: the engine has it, 409.

    One that was taken apart a moment ago is there for some ms more (22.10.1). No event tells when it is gone: it is
    asked for every 10 ms, for 2 s at the most.
    """
    if closing is not None:
        await asyncio.wait({closing})
    try:
        async with asyncio.timeout(None if closing is None else _CLOSED_SECONDS):
            while not await _make_bridge(switch, id) and closing is not None:
                await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0.01)
    except TimeoutError:
        raise EngineDown(f"bridge {id} does not close") from None


async def _make_bridge(switch: Switch, id: str) -> bool:
    """False when there is one of this id."""
    try:
        await switch.call("POST", f"/bridges/{id}", type="mixing,dtmf_events")
    except AriError as error:
        if error.status != 409:
            raise
        return False
    return True


async def _close_bridge(switch: Switch, bridge: AriBridge, creation: "asyncio.Task[Any] | None") -> None:
    if creation is not None:
        await asyncio.wait({creation})  # a DELETE that overtakes the POST would leave the bridge behind
    if bridge.stopping:
        # A bridge that goes while it plays leaves a warning in the engine's log (22.10.1).
        await asyncio.wait(set(bridge.stopping))
    with suppress(EngineError):
        await switch.call("DELETE", f"/bridges/{bridge.id}")


@asynccontextmanager
async def spy(switch: Switch, on: Leg, *, to: Leg, id: str, whisper: bool) -> AsyncIterator[None]:
    """See Engine.spy. `out` is what the spied leg hears; its recording by another leg stays free of it (22.10.1)."""
    ear = AriLeg(switch, f"{id}-ear")
    switch.add(ear)
    async with bridge(switch, to, id=id) as room:
        try:
            ear.made = switch.spawn(
                switch.call(
                    "POST",
                    f"/channels/{on.id}/snoop/{ear.id}",
                    spy="both",
                    whisper="out" if whisper else "none",
                    app=APP,
                ),
                f"create {ear.id}",
            )
            try:
                await asyncio.shield(ear.made)
            except AriError:
                await asyncio.wait({on.gone}, timeout=1.0)
                raise (on.gone.result() if on.gone.done() else EngineError(f"cannot listen to {on.id}")) from None
            async with asyncio.timeout(_STAGE_SECONDS):
                await ear.until(ear.staged)
            await room.add(ear)
            yield
        finally:
            ear.hang_up()
