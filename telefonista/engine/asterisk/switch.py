"""The engine's channels and playbacks as the events tell of them, and the janitor that ends what was let go."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog

from telefonista.engine.asterisk.client import AriClient, AriError, Event
from telefonista.engine.asterisk.legs import AriLeg
from telefonista.engine.port import EngineDown, EngineError

log = structlog.get_logger()

_GONE_SECONDS = 4.0


class Switch:
    """One engine's live things. The client is put in while an engine runs and taken away when it dies."""

    def __init__(self) -> None:
        self.client: AriClient | None = None
        self.legs: dict[str, AriLeg] = {}
        self.carriers: dict[str, str] = {}  # where trunks are, by endpoint
        self.bridges: dict[str, Any] = {}  # those that are open here, by id
        self.closing: dict[str, asyncio.Task[Any]] = {}  # bridges being taken apart
        self.on_stranger: Callable[[Event], None] = lambda event: None  # StasisStart of a leg nobody dialled
        self.on_contact: Callable[[Event], None] = lambda event: None
        self.on_transfer: Callable[[Event], None] = lambda event: None
        self._playbacks: dict[str, asyncio.Future[Event]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def call(self, method: str, path: str, **query: Any) -> Any:
        """A command to the engine. Raises AriError or EngineDown."""
        if self.client is None:
            raise EngineDown("the engine is not running")
        return await self.client.call(method, path, **query)

    def take(self, event: Event) -> None:
        """Route one event. Called by the reader: never waits."""
        channel = event.get("channel") or event.get("peer")
        if event["type"] == "PlaybackFinished":
            future = self._playbacks.get(event["playback"]["id"])
            if future is not None and not future.done():
                future.set_result(event)
        elif event["type"] == "ContactStatusChange":
            self.on_contact(event)
        elif event["type"] == "ChannelTransfer":
            self.on_transfer(event)
        elif channel is not None:
            leg = self.legs.get(channel["id"])
            if leg is not None:
                leg.take(event)
            elif event["type"] == "StasisStart":
                self.on_stranger(event)

    def add(self, leg: AriLeg) -> None:
        """Know a leg until it is gone."""
        self.legs[leg.id] = leg
        leg.gone.add_done_callback(lambda _: self.legs.pop(leg.id, None))

    def expect(self, playback: str) -> asyncio.Future[Event]:
        """A future for the end of a playback; `forget` it afterwards."""
        return self._playbacks.setdefault(playback, asyncio.get_running_loop().create_future())

    def forget(self, playback: str) -> None:
        self._playbacks.pop(playback, None)

    def crashed(self) -> None:
        """The engine died: every leg is gone now."""
        now = datetime.now(UTC)
        for leg in list(self.legs.values()):
            leg.lost(now)
        for future in self._playbacks.values():
            if not future.done():
                future.set_result({"playback": {"state": "failed"}})

    # -- the janitor ------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """A task that is kept until it ends, so that shutdown can wait for it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def later(self, method: str, path: str, **query: Any) -> None:
        """A command whose failure does not matter: its object may be gone by now."""
        self.spawn(self._try(method, path, **query), f"janitor {method} {path}")

    def end_leg(self, leg: AriLeg, cause: int) -> None:
        """Hang up in the background, once the leg exists, and see that it is really gone."""
        self.spawn(self._end_leg(leg, cause), f"janitor {leg.id}")

    async def settle(self, within: float) -> None:
        """Wait until the janitor has nothing left to do, at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._tasks:
                    await asyncio.wait(set(self._tasks))

    async def _try(self, method: str, path: str, **query: Any) -> None:
        with suppress(EngineError):
            await self.call(method, path, **query)

    async def _end_leg(self, leg: AriLeg, cause: int) -> None:
        if leg.made is not None:
            await asyncio.wait({leg.made})  # a DELETE that overtakes the create would miss the channel
        for _ in range(3):
            missing = False
            try:
                await self.call("DELETE", f"/channels/{leg.id}", reason_code=cause)
            except AriError as error:
                missing = error.status == 404
            except EngineDown:
                pass  # slow or dying: a dying engine resolves `gone` by itself
            if await self._is_gone(leg):
                return
            if missing:
                leg.lost(datetime.now(UTC), cause)
                return
        log.error("leg does not end", leg=leg.id)
        leg.lost(datetime.now(UTC), cause)

    async def _is_gone(self, leg: AriLeg) -> bool:
        await asyncio.wait({leg.gone}, timeout=_GONE_SECONDS)
        return leg.gone.done()
