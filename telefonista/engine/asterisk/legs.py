"""One channel of the engine as a Leg: what the events say becomes futures, what flows ask becomes commands."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from telefonista.engine.asterisk.client import AriError, Event
from telefonista.engine.asterisk.quality import media_of
from telefonista.engine.port import By, EngineError, HungUp

if TYPE_CHECKING:
    from telefonista.engine.asterisk.switch import Switch

# Bits of the engine's soft hang-up, not Q.850 (engine 22.10.1): how our own doing is told from its own.
_CANCELLED = 487
_SOFT_EXPLICIT = 32  # 1 = device (no RTP), 4 = shutdown

_TALK_DETECT = "600,256"  # ms of silence after which nobody talks any more, and the energy that talk has


def moment(event: Event) -> datetime:
    """The engine's own time of an event, UTC."""
    return datetime.strptime(event["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)


class AriLeg:
    """A channel. Made by the Switch; the futures are resolved only by `take` and `lost`."""

    def __init__(self, switch: "Switch", id: str, *, incoming: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.id = id
        self.name = ""  # the engine's name of the channel, once it exists
        self.staged: asyncio.Future[None] = loop.create_future()  # may be commanded
        self.ringing: asyncio.Future[datetime] = loop.create_future()
        self.up: asyncio.Future[datetime] = loop.create_future()
        self.gone: asyncio.Future[HungUp] = loop.create_future()
        self.incoming = incoming
        self.made: asyncio.Task[Any] | None = None
        self._switch = switch
        self._request: Event | None = None
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._tell_talking: Callable[[bool], None] = lambda talking: None
        self._asked = False
        self._handed_over = 0

    # -- what the engine tells --------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Digest one event of this channel."""
        match event["type"]:
            case "StasisStart":
                self.name = event["channel"]["name"]
                _resolve(self.staged, None)
            case "ChannelStateChange" if event["channel"]["state"] == "Up":
                _resolve(self.up, moment(event))
            case "ChannelStateChange" if event["channel"]["state"] == "Ringing":
                _resolve(self.ringing, moment(event))
            case "Dial" if event.get("dialstatus") in ("RINGING", "PROGRESS"):
                _resolve(self.ringing, moment(event))
            case "ChannelDtmfReceived":
                self._keys.put_nowait(event["digit"])
            case "ChannelTalkingStarted" | "ChannelTalkingFinished":
                self._tell_talking(event["type"] == "ChannelTalkingStarted")
            case "ChannelHangupRequest":
                self._request = self._request or event
            case "ChannelDestroyed":
                self._end(event)

    def lost(self, at: datetime, cause: int = 41, by: By = By.ENGINE) -> None:
        """The channel is known to be gone though no event said so: crash, or events missed."""
        if not self.gone.done():
            self.gone.set_result(HungUp(self, cause, None, by, at))

    def _end(self, event: Event) -> None:
        if self.gone.done():
            return
        request = self._request or {}
        soft = request.get("cause") if request.get("soft") else None
        cause, sip = event.get("cause") or 16, event.get("tech_cause")
        if sip == _CANCELLED:
            cause, sip = 16, None  # the caller gave up; the engine calls it 127 (22.10.1)
        if soft == _SOFT_EXPLICIT:
            by, sip = By.US, None  # the code the engine gives here is its own invention
        elif soft is not None:
            by = By.ENGINE
        elif self._request is None and self._asked:
            by = By.US
        elif self._request is None and sip is None:
            by = By.LIMIT  # nobody asked for this end
        else:
            by = By.FAR
        self.gone.set_result(HungUp(self, int(cause), sip, by, moment(event), media_of(event)))

    # -- what flows ask ---------------------------------------------------------------------------------------------

    async def command(self, method: str, path: str, **query: Any) -> Any:
        """A command on this channel; one that is gone raises HungUp, whatever the engine says about it."""
        try:
            return await self._switch.call(method, f"/channels/{self.id}{path}", **query)
        except AriError as error:
            if error.status in (404, 409, 412, 422) and await self._really_gone():
                raise self.gone.result() from None
            raise

    async def _really_gone(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self.gone)
        return self.gone.done()

    async def until(self, future: asyncio.Future[Any]) -> Any:
        """Wait for one of this leg's futures; raises HungUp when the leg ends first."""
        waited: set[asyncio.Future[Any]] = {future, self.gone}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        raise self.gone.result()

    async def answered(self) -> None:
        await self.until(self.up)

    async def answer(self) -> None:
        await self.command("POST", "/answer")
        await self.until(self.up)

    async def ring(self) -> None:
        await self.command("POST", "/ring")

    async def limit(self, seconds: int) -> None:
        await self.command("POST", "/variable", variable="TIMEOUT(absolute)", value=max(1, seconds))

    async def keys(self, within: float) -> str:
        waiting = asyncio.ensure_future(self._keys.get())
        try:
            waited: set[asyncio.Future[Any]] = {waiting, self.gone}
            await asyncio.wait(waited, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            if self.gone.done():
                raise self.gone.result()
            return ""
        finally:
            waiting.cancel()

    @asynccontextmanager
    async def hearing_ringback(self) -> AsyncIterator[None]:
        await self.command("POST", "/ring")
        try:
            yield
        finally:
            # Awaited: a bridge entered while the tone still plays keeps it (22.10.1).
            with suppress(EngineError, HungUp):
                await self.command("DELETE", "/ring")

    async def play(self, sound: Path) -> None:
        playback = uuid4().hex
        finished = self._switch.expect(playback)
        try:
            # The engine finds the file by its name without ending.
            await self.command("POST", "/play", media=f"sound:{sound.with_suffix('')}", playbackId=playback)
            event = await self.until(finished)
            if event["playback"]["state"] == "failed":
                if await self._really_gone():  # a hang-up fails the playback first
                    raise self.gone.result()
                raise EngineError(f"{sound.name} cannot be played")
        finally:
            self._switch.forget(playback)
            if not finished.done() and not self.gone.done():
                self._switch.later("DELETE", f"/playbacks/{playback}")

    async def hear_busy(self, seconds: float) -> None:
        playback = uuid4().hex
        await self.command("POST", "/play", media="tone:busy;tonezone=br", playbackId=playback)
        await asyncio.wait({self.gone}, timeout=seconds)
        if not self.gone.done():
            # Awaited: a channel that is hung up while it plays leaves a warning in the engine's log (22.10.1).
            with suppress(EngineError):
                await self._switch.call("DELETE", f"/playbacks/{playback}")

    async def mute(self, muted: bool) -> None:
        await self.command("POST" if muted else "DELETE", "/mute", direction="in")

    async def notice_talking(self, tell: Callable[[bool], None]) -> None:
        self._tell_talking = tell
        await self.command("POST", "/variable", variable="TALK_DETECT(set)", value=_TALK_DETECT)

    async def referred(self, *, done: bool) -> None:
        with suppress(EngineError, HungUp):
            states = "channel_answered" if done else "channel_unavailable"
            await self.command("POST", "/transfer_progress", states=states)

    def hand_over(self) -> None:
        self._handed_over += 1

    def hang_up(self, *, cause: int = 16) -> None:
        if self._handed_over:
            self._handed_over -= 1
            return
        if not self._asked and not self.gone.done():
            self._asked = True
            self._switch.end_leg(self, cause)

    async def statistics(self) -> dict[str, Any]:
        with suppress(EngineError, HungUp):
            return dict(await self.command("GET", "/rtp_statistics"))
        return {}


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
