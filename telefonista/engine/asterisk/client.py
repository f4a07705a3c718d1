"""HTTP commands and the event socket of one engine; only this package may use it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import aiohttp
import structlog

from telefonista.engine.port import EngineDown, EngineError

log = structlog.get_logger()

APP = "telefonista"
CONTACTS_APP = "telefonista-contatos"
"""Subscribed to all endpoints, which repeats the events of all channels too: so it is apart and hears contacts only."""
COMMAND_SECONDS = 5.0
HEARTBEAT_SECONDS = 2.0
DEAF_SECONDS = 2.5

# Everything else (43 of the 69 events of a plain call are ChannelVarset) is dropped inside the engine.
EVENTS = (
    "StasisStart",
    "ChannelStateChange",
    "Dial",
    "ChannelHangupRequest",
    "ChannelDestroyed",
    "ChannelDtmfReceived",
    "ChannelTalkingStarted",
    "ChannelTalkingFinished",
    "ChannelTransfer",
    "PlaybackFinished",
    "ChannelUserevent",
    "ApplicationReplaced",
)
CONTACT_EVENTS = ("ContactStatusChange", "ApplicationReplaced")

Event = dict[str, Any]


class AriError(EngineError):
    """The engine answered a command with an error."""

    def __init__(self, status: int, what: str, text: str) -> None:
        super().__init__(f"{what}: {status} {text}")
        self.status = status


class AriClient:
    """Commands over a keep-alive pool, each with a deadline, and the one event socket of the application."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url.rstrip("/")
        self._http = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(user, password)},
            connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=50),
            timeout=aiohttp.ClientTimeout(total=COMMAND_SECONDS),
        )

    async def close(self) -> None:
        await self._http.close()

    async def call(
        self, method: str, path: str, *, body: Any = None, within: float = COMMAND_SECONDS, **query: str | int
    ) -> Any:
        """One command; returns the decoded answer or None. Raises AriError (the engine said no) or EngineDown."""
        what = f"{method} {path}"
        if self._http.closed:
            raise EngineDown(f"{what}: the engine is gone")
        try:
            async with self._http.request(
                method,
                self._url + path,
                params={key: str(value) for key, value in query.items()},
                json=body,
                timeout=aiohttp.ClientTimeout(total=within),
            ) as answer:
                data = await answer.read()
        except TimeoutError:
            raise EngineDown(f"{what}: no answer in {within} s") from None
        except aiohttp.ClientError as error:
            raise EngineDown(f"{what}: {type(error).__name__}") from None
        if answer.status == 503:
            raise EngineDown(f"{what}: not booted")
        if answer.status >= 400:
            raise AriError(answer.status, what, data[:200].decode(errors="replace"))
        return json.loads(data) if data else None

    async def listen(self, on_event: Callable[[Event], None], on_connected: Callable[[], Awaitable[None]]) -> None:
        """Hold the event socket until it breaks, goes deaf or is taken by another; returns why by an EngineDown.

        `on_connected` runs each time the socket is open and filtered, while events are already being read.
        """
        url = f"{self._url}/events"
        try:
            async with self._http.ws_connect(
                url, params={"app": f"{APP},{CONTACTS_APP}", "subscribeAll": "false"}, max_msg_size=0, autoping=True
            ) as socket:
                pulse = _Pulse(self)
                reader = asyncio.create_task(_read(socket, on_event, pulse), name="engine-events")
                tasks = {reader}
                try:
                    for app, names in ((APP, EVENTS), (CONTACTS_APP, CONTACT_EVENTS)):
                        allowed = [{"type": name} for name in names]
                        await self.call("PUT", f"/applications/{app}/eventFilter", body={"allowed": allowed})
                    # Not before: a beat that finds the socket half open leaves a warning in the engine's log (22.10.1).
                    tasks.add(asyncio.create_task(pulse.run(reader), name="engine-heartbeat"))
                    await on_connected()
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise EngineDown(f"event socket: {type(error).__name__}") from None


class _Pulse:
    """Proves that events still arrive: an engine whose writes timed out keeps the TCP open and sends nothing (G2)."""

    def __init__(self, client: AriClient) -> None:
        self._client = client
        self._expected = ""
        self._heard = asyncio.Event()

    def hears(self, event: Event) -> bool:
        if event.get("eventname") != self._expected:
            return False
        self._heard.set()
        return True

    async def run(self, reader: asyncio.Task[None]) -> None:
        while not reader.done():
            self._heard.clear()
            self._expected = f"pulse-{uuid4().hex}"
            await self._client.call("POST", f"/events/user/{self._expected}", within=DEAF_SECONDS, application=APP)
            try:
                async with asyncio.timeout(DEAF_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                raise EngineDown("event socket is deaf") from None
            await asyncio.wait({reader}, timeout=HEARTBEAT_SECONDS)


async def _read(socket: aiohttp.ClientWebSocketResponse, on_event: Callable[[Event], None], pulse: _Pulse) -> None:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        event = json.loads(message.data)
        if event["type"] == "ApplicationReplaced":
            raise EngineDown("event socket was taken by another controller")
        if event["type"] == "ChannelUserevent" and pulse.hears(event):
            continue
        with suppress(asyncio.InvalidStateError):
            on_event(event)
    raise EngineDown("event socket closed")
