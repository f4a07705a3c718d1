"""Recording commanded in mid-call: stretches, pauses, two at once, and a kill -9 of either half in between."""

import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from tests.calls import clock, until
from tests.e2e.audio import hears, sides
from tests.e2e.conftest import FIXO, MOVEL, Api, nothing_left
from tests.e2e.server import Server
from tests.phone import Phone, Tone
from tests.phone.audio import tone_present
from tests.phone.call import Call

ANA, BIA, SECRET = 700, 1300, 1900
TOLERANCE = 0.3


async def passes(seconds: float) -> None:
    """The call goes on for so long."""
    await until(clock() + seconds)


class Talk:
    """Two parties in conversation, and what is commanded of its recordings."""

    def __init__(self, api: Api, id: int, a: Call | None = None, b: Call | None = None) -> None:
        self.api, self.id, self.path = api, id, f"/chamada/{id}/gravacao"
        self._a, self._b = a, b

    @property
    def a(self) -> Call:
        assert self._a is not None
        return self._a

    @property
    def b(self) -> Call:
        assert self._b is not None
        return self._b

    async def start(self) -> int:
        return int((await self.api.ask("POST", self.path))["id"])

    async def stop(self, **params: int) -> None:
        assert await self.api.ask("DELETE", self.path, params=params) is None

    async def pause(self, pausada: bool, **corpo: int) -> None:
        assert await self.api.ask("PUT", self.path, json={"pausada": pausada, **corpo}) is None

    async def secret(self, seconds: float = 1.0) -> None:
        """A says something for so long that is in no recording, then speaks on as before."""
        self.a.play(Tone(SECRET))
        await self.b.hears(SECRET)
        await passes(seconds)
        self.a.play(Tone(ANA))
        await self.b.hears(ANA)
        await self.b.hears_not(SECRET, during=0.3, within=1)

    async def parcial(self, gravacao_id: int) -> dict[str, Any]:
        """A partial recording once it can be heard."""

        async def look() -> dict[str, Any]:
            found = (await self.api.chamada(self.id))["gravacoes_parciais"]
            one: dict[str, Any] = next(each for each in found if each["id"] == gravacao_id)
            return one

        return await self.api.until(look, lambda one: one["status"] in ("pronta", "falhou"), 15)

    async def heard(self, gravacao_id: int | None = None) -> tuple[np.ndarray, np.ndarray, int]:
        """What a recording holds: left, right, rate. Both sides are equally long."""
        params = {"id": gravacao_id} if gravacao_id else {}
        answer = await self.api.http.get(self.path, params=params)
        assert answer.headers["content-type"] == "audio/mpeg", answer.text
        return sides(answer.content)

    async def end(self) -> dict[str, Any]:
        await self.api.ask("DELETE", f"/chamada/{self.id}")
        return await self.api.ended(self.id)


async def talk(api: Api, ana: Phone, bia: Phone, **options: object) -> Talk:
    id = await api.call(FIXO, MOVEL, **options)
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.answer()
    await a.hears(BIA)
    await b.hears(ANA)
    return Talk(api, id, a, b)


def holds(samples: np.ndarray, rate: int, present: float, absent: float) -> None:
    """Assert that a tone is in all of the samples but where parts are joined, and that the other is nowhere.

    Looked at in pieces of 100 ms: over a join the tone changes its phase, and a longer piece may cancel itself.
    """
    step = rate // 10
    pieces = [samples[start : start + step] for start in range(0, len(samples) - step, step)]
    missing = [index for index, piece in enumerate(pieces) if not tone_present(piece, present, rate)]
    assert len(missing) <= len(pieces) // 5, f"{present} Hz is missing at {missing} of {len(pieces)}"
    never(samples, rate, absent)


def never(samples: np.ndarray, rate: int, freq: float) -> None:
    """Assert that a tone is in no 100 ms of the samples."""
    step = rate // 20
    for start in range(0, len(samples) - 2 * step, step):
        window = samples[start : start + 2 * step]
        assert not tone_present(window, freq, rate), f"{freq} Hz at {start / rate:.2f} s of {len(samples) / rate:.2f} s"


def lasts(samples: np.ndarray, rate: int, seconds: float) -> None:
    assert abs(len(samples) / rate - seconds) <= TOLERANCE, f"{len(samples) / rate:.2f} s instead of {seconds:.2f} s"


async def test_a_partial_recording_holds_its_stretch_alone(api: Api, ana: Phone, bia: Phone) -> None:
    call = await talk(api, ana, bia)
    await call.secret(0.5)
    id = await call.start()
    began = clock()
    running = (await api.chamada(call.id))["gravacoes_parciais"]
    assert [(one["id"], one["status"], one["url_gravacao"]) for one in running] == [(id, "gravando", None)]
    await passes(2)
    await call.stop()
    seconds = clock() - began
    await call.secret(0.5)

    one = await call.parcial(id)  # while the call goes on
    assert one["duracao_segundos"] == 2
    assert (await api.chamada(call.id))["url_gravacao"] is None
    assert (await api.http.get(call.path)).json()["motivo"] == 70, "the whole of it is not recorded"
    left, right, rate = await call.heard(id)
    lasts(left, rate, seconds)
    hears(left, rate, ANA, absent=(BIA,))
    hears(right, rate, BIA, absent=(ANA,))
    never(left, rate, SECRET)
    by_link = await api.http.get(one["url_gravacao"], headers={"Access-Token": ""})
    assert by_link.content == (await api.http.get(call.path, params={"id": id})).content
    await call.a.hears(BIA)
    assert (await call.end())["gravacoes_parciais"] == [one]
    eventos = (await api.http.get(call.path + "/acessos")).json()["dados"]["relatorio"]
    assert [evento["por"] for evento in eventos] == ["token", "link", "token"]
    assert {(evento["gravacao_id"], evento["endereco"]) for evento in eventos} == {(id, "127.0.0.1")}


async def test_a_pause_is_cut_out_of_the_whole_recording(api: Api, ana: Phone, bia: Phone) -> None:
    call = await talk(api, ana, bia, gravar_audio=True)
    began = clock()
    await passes(1)
    paused = 0.0
    for _ in range(2):
        await call.pause(True)
        since = clock()
        await call.secret()
        await call.pause(False)
        paused += clock() - since
        await passes(1)
    seconds = clock() - began - paused
    await call.end()
    await api.recorded(call.id)
    left, right, rate = await call.heard()
    before = len(left) / rate - seconds  # what was recorded before this test began to count
    assert -TOLERANCE <= before <= 1.5, before
    never(left, rate, SECRET)
    holds(left, rate, ANA, absent=BIA)
    holds(right, rate, BIA, absent=ANA)
    sidecar = api.server.recording(call.id)
    assert sidecar["aviso"] is None
    assert abs(sidecar["duracao_ms"] - sidecar["conversa_ms"]) <= 300


async def test_pause_resume_and_stop_in_any_order(api: Api, ana: Phone, bia: Phone) -> None:
    call = await talk(api, ana, bia)
    id = await call.start()
    began = clock()
    await passes(1)
    await call.pause(True)
    first = clock() - began
    await call.pause(True)  # no harm
    assert (await api.chamada(call.id))["gravacoes_parciais"][0]["status"] == "pausada"
    await call.secret()
    await call.pause(False, id=id)
    began = clock()
    await call.pause(False)
    await passes(1)
    await call.stop(id=id)
    second = clock() - began
    again = await call.start()
    began = clock()
    await passes(0.6)
    await call.pause(True)
    third = clock() - began
    await call.secret(0.5)
    await call.stop()  # in the pause
    assert (await api.http.delete(call.path)).json()["motivo"] == 70
    assert (await api.http.put(call.path, json={"pausada": True})).json()["motivo"] == 70
    assert (await api.http.delete(call.path, params={"id": id})).json()["motivo"] == 60
    forgotten = await call.start()  # the call's end ends it
    began = clock()
    await passes(0.6)
    await call.pause(True)
    await call.pause(False)
    await passes(0.6)
    await call.a.hangup()
    fourth = clock() - began
    for gravacao_id, seconds in ((id, first + second), (again, third), (forgotten, fourth)):
        await call.parcial(gravacao_id)
        left, right, rate = await call.heard(gravacao_id)
        lasts(left, rate, seconds)
        never(left, rate, SECRET)
        holds(left, rate, ANA, absent=BIA)
        holds(right, rate, BIA, absent=ANA)
    for method, corpo in (("POST", {}), ("DELETE", {}), ("PUT", {"pausada": True})):
        answer = await api.http.request(method, call.path, json=corpo)
        assert (answer.status_code, answer.json()["motivo"]) == (405, 80)


async def test_stopping_one_leaves_the_others(api: Api, ana: Phone, bia: Phone) -> None:
    call = await talk(api, ana, bia, gravar_audio=True)
    first, second = await call.start(), await call.start()
    began = clock()
    await passes(1)
    await call.stop(id=first)
    short = clock() - began
    call.a.play(Tone(SECRET))
    await call.b.hears(SECRET)
    await passes(1)
    await call.stop()
    long = clock() - began
    await passes(1)
    await call.end()
    await api.recorded(call.id)
    await call.parcial(second)
    left, _, rate = await call.heard(first)
    lasts(left, rate, short)
    never(left, rate, SECRET)
    left, _, rate = await call.heard(second)
    lasts(left, rate, long)
    hears(left[-len(left) // 4 :], rate, SECRET)
    left, right, rate = await call.heard()
    assert len(left) / rate > long + 1
    hears(left[-rate:], rate, SECRET, absent=(ANA,))
    hears(right, rate, BIA)
    assert api.server.recording(call.id)["aviso"] is None


async def test_not_in_conversation(api: Api, ana: Phone, bia: Phone) -> None:
    id = await api.call(FIXO, MOVEL, gravar_audio=True)
    a = await ana.incoming()
    await a.answer()
    b = await bia.incoming()
    await b.ringing()
    for method, corpo in (("POST", {}), ("DELETE", {}), ("PUT", {"pausada": True})):
        answer = await api.http.request(method, f"/chamada/{id}/gravacao", json=corpo)
        assert (answer.status_code, answer.json()["motivo"]) == (405, 80)
        assert (await api.http.request(method, "/chamada/999999/gravacao", json=corpo)).json()["motivo"] == 60
    assert (await api.http.put(f"/chamada/{id}/gravacao", json={})).json()["motivo"] == 10
    await b.answer()
    await a.hears(BIA)
    await b.hangup()
    await api.recorded(id)


@pytest.fixture
async def crashing(own_server: Server, own_api: Api) -> AsyncIterator[Talk]:
    """A recorded conversation of the test network in a server that may be killed: 440 Hz on the left, 880 Hz right."""
    own_server.start()
    id = await own_api.call("1030000021", "1030000022", gravar_audio=True)
    await own_api.talking(id)
    yield Talk(own_api, id)
    await nothing_left(own_api)


async def test_the_server_is_killed_in_a_pause_and_in_a_partial_recording(crashing: Talk) -> None:
    api, server = crashing.api, crashing.api.server
    began = clock()
    await passes(1)
    await crashing.pause(True)
    first = clock() - began
    id = await crashing.start()
    began = clock()
    await passes(1)
    server.kill()
    await passes(1)
    assert server.start() < 5
    dados = await api.chamada(crashing.id)
    assert dados["ativa"]
    assert [one["status"] for one in dados["gravacoes_parciais"]] == ["gravando"]
    await passes(0.5)
    await crashing.stop()
    partial = clock() - began
    one = await crashing.parcial(id)
    assert one["url_gravacao"]
    await crashing.pause(False)
    began = clock()
    await passes(1)
    await crashing.end()
    second = clock() - began
    await api.recorded(crashing.id)
    for gravacao_id, seconds in ((id, partial), (None, first + second)):
        left, right, rate = await crashing.heard(gravacao_id)
        if gravacao_id is None:
            assert abs(len(left) / rate - seconds) <= 2 * TOLERANCE  # counted from outside, the beginning is not exact
        else:
            lasts(left, rate, seconds)
        holds(left, rate, 440, absent=880)
        holds(right, rate, 880, absent=440)
    assert server.recording(crashing.id)["aviso"] is None


async def test_the_engine_is_killed_in_the_second_part(crashing: Talk) -> None:
    api, server = crashing.api, crashing.api.server
    await passes(1)
    await crashing.pause(True)
    await passes(0.5)
    await crashing.pause(False)
    spool = server.home / "motor" / "spool" / "recording" / f"{crashing.id}-g.2-heard.wav"
    began = time.time()
    while not spool.exists() or spool.stat().st_size < 1000:  # the engine writes its first block after 2 s
        assert time.time() - began < 6, "nothing is recorded"
        os.sched_yield()
    os.kill(server.motor()["pid"], signal.SIGKILL)
    await api.ended(crashing.id, within=5)
    await api.recorded(crashing.id)
    left, right, rate = await crashing.heard()
    assert len(left) / rate > 1 + 1.5  # both parts, less the last block of 2 s
    holds(left, rate, 440, absent=880)
    holds(right, rate, 880, absent=440)
