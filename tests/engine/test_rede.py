"""The test network: all its numbers are called at once through a real engine, by SIP and RTP; a test looks at one."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import numpy as np
import pytest

from telefonista.engine.asterisk import rede
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.process import EngineProcess
from telefonista.engine.asterisk.spawn import free_port
from telefonista.engine.asterisk.tree import EngineTree
from telefonista.engine.rede import NUMEROS, canonico, e_da_rede, movel
from telefonista.media import levels, wav

RATE = 8000
STAY = 3.0


@dataclass
class Call:
    """What one call to the network was seen and heard to do; instants are seconds since the dial."""

    statuses: list[str] = field(default_factory=list)
    rang: float | None = None
    answered: float | None = None
    ended: float = 0.0
    sip: int | None = None
    cause: int | None = None
    keys: list[tuple[str, float]] = field(default_factory=list)
    heard: levels.Samples = field(default_factory=lambda: np.zeros(0, np.int16))

    @property
    def talk(self) -> float:
        assert self.answered is not None
        return self.ended - self.answered

    def sounding(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """For each 20 ms, whether anything was audible."""
        frames = self.heard[: len(self.heard) // 160 * 160].reshape(-1, 160)
        return np.array([levels.rms_dbfs(frame) > -45 for frame in frames])


class Line:
    """A caller in the engine: one application, its events sorted by channel."""

    def __init__(self, http: aiohttp.ClientSession, url: str, instance: Instance) -> None:
        self._http, self._url, self.instance = http, url, instance
        self._events: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._alive: set[str] = set()
        self._idle = asyncio.Event()

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            event = json.loads(message.data)
            channel = event.get("channel") or event.get("peer") or {}
            name = channel.get("id", "")
            if event["type"] == "RecordingFinished":
                name = event["recording"]["target_uri"].removeprefix("channel:")
            if event["type"] == "ChannelCreated":
                self._alive.add(name)
                self._idle.clear()
            if event["type"] == "ChannelDestroyed":
                self._alive.discard(name)
                if not self._alive:
                    self._idle.set()
            if name in self._events:
                self._events[name].put_nowait(event)

    async def idle(self, within: float) -> None:
        """Wait until no channel is left, ours or the network's."""
        async with asyncio.timeout(within):
            await self._idle.wait()

    async def post(self, path: str, **query: str | int) -> None:
        parameters = {key: str(value) for key, value in query.items()}
        async with self._http.post(self._url + path, params=parameters) as answer:
            assert answer.status < 300, (path, answer.status, await answer.text())

    async def _delete(self, path: str) -> None:
        async with self._http.delete(self._url + path) as answer:
            assert answer.status in (204, 404), (path, answer.status)

    async def call(self, number: str, *, stay: float = 60.0, say: Path | None = None) -> Call:
        """Dial, listen from before the ring, hang up `stay` s after the answer (or the ring, without one)."""
        leg = uuid4().hex
        ear = f"{leg}-ear"
        events = self._events[leg] = asyncio.Queue()
        recording = self._events[ear] = asyncio.Queue()
        await self.post("/channels/create", endpoint=f"PJSIP/{number}@rede", app="teste", channelId=leg)
        await _until(events, "StasisStart")
        await self.post(f"/channels/{leg}/snoop", spy="in", app="teste", snoopId=ear)
        await _until(recording, "StasisStart")
        await self.post(f"/channels/{ear}/record", name=ear, format="wav")
        clock = asyncio.get_running_loop().time
        call, began = Call(), clock()
        deadline = began + 60.0
        await self.post(f"/channels/{leg}/dial", timeout=60)
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await events.get()
            except TimeoutError:
                deadline = clock() + 10.0
                if say:
                    await self._delete(f"/playbacks/{leg}")  # the engine would log its interruption as a fault
                await self._delete(f"/channels/{leg}")
                continue
            now = clock() - began
            match event["type"]:
                case "Dial" if event["dialstatus"]:
                    call.statuses.append(event["dialstatus"])
                    if event["dialstatus"] == "RINGING":
                        call.rang = now
                        deadline = clock() + stay
                    if event["dialstatus"] == "ANSWER":
                        call.answered = now
                        deadline = clock() + stay
                        if say:
                            await self.post(f"/channels/{leg}/play", media=f"sound:{say}", playbackId=leg)
                case "ChannelDtmfReceived":
                    call.keys.append((event["digit"], now))
                case "ChannelDestroyed":
                    call.ended, call.cause, call.sip = now, event["cause"], event.get("tech_cause")
                    break
        await _until(recording, "RecordingFinished")
        path = self.instance.recording / f"{ear}.wav"
        call.heard = np.frombuffer(wav.read_pcm(path), "<i2").astype(np.int16)
        return call


async def _until(events: asyncio.Queue[dict[str, Any]], kind: str) -> None:
    async with asyncio.timeout(5):
        while (await events.get())["type"] != kind:
            pass


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def line(tmp_path_factory: pytest.TempPathFactory, engine_tree: EngineTree) -> AsyncIterator[Line]:
    directory = tmp_path_factory.mktemp("rede")
    instance = Instance(directory, "127.0.0.1", free_port(), (27000, 27499))
    instance.prepare()
    await rede.render_sounds(engine_tree.espeak, instance.sounds)
    engine = EngineProcess(instance, engine_tree)
    running = await engine.start()
    headers = {"Authorization": aiohttp.encode_basic_auth(running.user, running.password)}
    try:
        async with aiohttp.ClientSession(headers=headers) as http:
            query = {"app": "teste", "subscribeAll": "true"}
            async with http.ws_connect(f"{running.ari_url}/events", params=query) as socket:
                line = Line(http, running.ari_url, instance)
                reader = asyncio.create_task(line.listen(socket))
                yield line
                reader.cancel()
                with suppress(asyncio.CancelledError):
                    await reader
    finally:
        await engine.stop()


@pytest.fixture(scope="module")
async def calls(line: Line) -> AsyncIterator[dict[str, asyncio.Task[Call]]]:
    """All the network's numbers, called at the same time."""
    plans: dict[str, Coroutine[Any, Any, Call]] = {
        numero: line.call(numero) for numero in NUMEROS if numero[-2:] not in ("02", "04", "09", "21", "22")
    }
    plans |= {f"10300000{end}": line.call(f"10300000{end}", stay=STAY) for end in ("04", "09", "21", "22")}
    tone = line.instance.sounds / "tom_880"
    plans["1030000002"] = line.call("1030000002", stay=STAY, say=tone)
    tasks = {numero: asyncio.create_task(plan, name=numero) for numero, plan in plans.items()}
    yield tasks
    await asyncio.gather(*tasks.values(), return_exceptions=True)


Calls = dict[str, "asyncio.Task[Call]"]


@pytest.mark.parametrize(
    ("numero", "sip"),
    [("1030000003", 486), ("1030000005", 404), ("1030000006", 503), ("1030000010", 603)],
)
async def test_refuses_with_its_sip_code(calls: Calls, numero: str, sip: int) -> None:
    call = await calls[numero]
    assert (call.sip, call.answered, call.rang) == (sip, None, None)
    assert call.ended < 2


async def test_rings_and_never_answers(calls: Calls) -> None:
    call = await calls["1030000004"]
    assert call.statuses == ["RINGING"] and call.rang is not None
    assert call.ended - call.rang == pytest.approx(STAY, abs=0.3)
    assert not call.sounding().any()


async def test_speaks_and_hangs_up(calls: Calls, line: Line) -> None:
    call = await calls["1030000001"]
    assert call.statuses == ["RINGING", "ANSWER"] and call.cause == 16
    with wav.open_pcm(line.instance.sounds / "fala.wav") as fala:
        assert 11 < fala.seconds < 14
        assert call.talk == pytest.approx(fala.seconds, abs=0.3)
    assert levels.rms_dbfs(call.heard[2 * RATE :]) == pytest.approx(-16, abs=2)


async def test_echoes(calls: Calls) -> None:
    call = await calls["1030000002"]
    assert call.answered is not None and call.answered < 0.6
    assert levels.goertzel(call.heard[2 * RATE : 3 * RATE], 880) > 0.95


async def test_speaks_as_voicemail_before_answering(calls: Calls, line: Line) -> None:
    call = await calls["1030000007"]
    assert call.sip == 480 and call.answered is None and "PROGRESS" in call.statuses
    with wav.open_pcm(line.instance.sounds / "caixa_postal.wav") as announcement:
        assert call.ended == pytest.approx(announcement.seconds, abs=0.3)
        spoken = np.frombuffer(announcement.read(announcement.samples), "<i2").astype(np.int16)
    # A few lost or doubled frames at either end aside, the words are all there.
    assert levels.rms_dbfs(call.heard) == pytest.approx(levels.rms_dbfs(spoken), abs=1)


async def test_answers_as_voicemail_with_a_beep_and_hangs_up_after_20_s(calls: Calls) -> None:
    call = await calls["1030000008"]
    assert call.statuses == ["RINGING", "ANSWER"] and call.talk == pytest.approx(20, abs=0.3)
    beeps = [levels.goertzel(call.heard[at : at + 800], 1000) > 0.9 for at in range(0, len(call.heard) - 800, 800)]
    assert 3 <= sum(beeps) <= 6
    last = len(beeps) - 1 - beeps[::-1].index(True)
    assert not call.sounding()[(last + 2) * 5 :].any() and len(beeps) - last > 80


async def test_presses_1_after_a_second(calls: Calls) -> None:
    call = await calls["1030000009"]
    assert [key for key, _ in call.keys] == ["1"] and call.answered is not None
    assert call.keys[0][1] - call.answered == pytest.approx(1.1, abs=0.3)
    assert call.talk == pytest.approx(STAY, abs=0.3)


async def test_hangs_up_after_3_s(calls: Calls) -> None:
    call = await calls["1030000011"]
    assert call.statuses == ["RINGING", "ANSWER"] and call.cause in (0, 16)
    assert call.talk == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(("numero", "hertz"), [("1030000021", 440), ("1030000022", 880)])
async def test_plays_its_tone(calls: Calls, numero: str, hertz: int) -> None:
    call = await calls[numero]
    assert call.answered is not None and call.answered < 0.6
    assert levels.goertzel(call.heard[RATE : 3 * RATE], hertz) > 0.98


@pytest.mark.parametrize(
    ("dialled", "sip"),
    [
        ("10930000003", 486),
        ("551030000003", 486),
        ("+551030000003", 486),
        ("+5510930000006", 503),
        ("1030000099", 404),
        ("10930000099", 404),
        ("1130000003", 404),
        ("190", 404),
        ("1", 404),
    ],
)
async def test_takes_every_way_of_writing_and_nothing_else(line: Line, dialled: str, sip: int) -> None:
    assert (await line.call(dialled)).sip == sip


async def test_leaves_no_channel_and_no_complaint(calls: Calls, line: Line) -> None:
    await asyncio.gather(*calls.values())
    await line.idle(within=3)
    log = line.instance.motor_log.read_text()
    assert [text for text in log.splitlines() if re.search(r"WARNING|ERROR", text)] == []


def test_every_number_has_its_steps() -> None:
    text = rede.dialplan(Path("/sons"))
    assert all(f"exten => {numero},1," in text for numero in NUMEROS)
    assert set(rede._STEPS) == set(NUMEROS) and "@" not in text
    assert movel("1030000001") == "10930000001"


@pytest.mark.parametrize("name", ["a,b", "a;b", "a&b", "a${b}", "a(b)"])
def test_refuses_a_path_the_dialplan_would_misread(name: str) -> None:
    with pytest.raises(ValueError, match="escolha"):
        rede.dialplan(Path("/x") / name)
    assert "Playback(/com espaco/fala)" in rede.dialplan(Path("/com espaco"))


async def test_sounds_are_made_once_and_again_when_the_text_changes(
    engine_tree: EngineTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rede, "AVISOS", {"ocupado": rede.AVISOS["ocupado"]})
    asked: list[tuple[str, ...]] = []

    def espeak(*arguments: str) -> tuple[str, ...]:
        asked.append(arguments)
        return engine_tree.espeak(*arguments)

    await rede.render_sounds(espeak, tmp_path, tmp_path / "avisos")
    sounds = list(tmp_path.rglob("*.wav"))  # noqa: ASYNC240
    assert {path.stem for path in sounds} == {*rede._SOUNDS, "ocupado"} and len(asked) == 3
    for path in sounds:
        samples = np.frombuffer(wav.read_pcm(path), "<i2").astype(np.int16)
        assert levels.peak_dbfs(samples) <= -2.9
        assert levels.rms_dbfs(samples) == pytest.approx(-16, abs=4)
    await rede.render_sounds(espeak, tmp_path, tmp_path / "avisos")
    assert len(asked) == 3
    monkeypatch.setattr(rede, "AVISOS", {"ocupado": "Outra coisa."})
    await rede.render_sounds(espeak, tmp_path, tmp_path / "avisos")
    assert len(asked) == 4


@pytest.mark.parametrize("forma", ["1030000001", "10930000001", "551030000001", "+5510930000001"])
def test_knows_its_numbers_however_written(forma: str) -> None:
    assert canonico(forma) == "1030000001" and e_da_rede(forma)


@pytest.mark.parametrize("forma", ["", "1030000012", "11930000001", "30000001", "5510", "10300000011", "x1030000001"])
def test_claims_no_other_number(forma: str) -> None:
    assert canonico(forma) is None and not e_da_rede(forma)
