"""Rooms and the flows into them in virtual time: money, time, PIN, tones, and the bridge that comes and goes."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from telefonista.conferencia import queries
from telefonista.conferencia.flow import Doorman, Message
from telefonista.conferencia.rooms import Rooms, make_tones
from telefonista.engine.fake import Behaviour, FakeEngine, FakeLeg
from telefonista.engine.fake.bridges import FakeBridge
from telefonista.engine.port import Incoming
from telefonista.media.tones import sine
from telefonista.media.wav import read_pcm, write_wav
from telefonista.storage.session import Storage
from tests.calls import LONG, Desktop, clock, pedido, until
from tests.virtual_time import VIRTUAL

TONE, BUSY = "1030000021", "1030000003"


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


@dataclass
class FakeStorage:
    """Knows who is muted and keeps the keys that were pressed."""

    muted: set[int] = field(default_factory=set)
    keys: dict[int, str] = field(default_factory=dict)

    async def read(self, query: Callable[..., Any], *args: Any) -> Any:
        assert query is queries.is_mudo
        return args[0] in self.muted

    async def write(self, unit: Callable[..., Any], *args: Any) -> None:
        assert unit is queries.set_resposta
        self.keys[args[0]] = args[1]


@dataclass
class Casa:
    """A fake engine with rooms, and the flows into them."""

    engine: FakeEngine
    rooms: Rooms
    storage: FakeStorage
    doorman: Doorman
    desktop: Desktop
    sounds: Path


@pytest.fixture
async def casa(tmp_path: Path) -> Casa:
    engine, storage = FakeEngine(latency=0.001), FakeStorage()
    for name in ("conferencia_pin", "conferencia_pin_incorreto"):
        write_wav(tmp_path / f"{name}.wav", sine(700, 1.0).tobytes())
    write_wav(tmp_path / "mensagem.wav", sine(500, 4.0).tobytes())
    rooms = Rooms(engine)
    doorman = Doorman(rooms, cast(Storage, storage), tmp_path)
    return Casa(engine, rooms, storage, doorman, Desktop(engine), tmp_path)


async def test_a_call_stays_until_it_hangs_up(casa: Casa) -> None:
    casa.engine.behaviour(TONE, ring=0.1, answer=1.0, hang_up=7000.0)
    outcome, journal = await casa.desktop.call(pedido(TONE, TONE), flow=casa.doorman.called(1))
    assert outcome == "saiu"
    assert journal.told() == ["discada a", "chamando a", "atendida a", "conversa", "desligada a"]
    assert journal.paid >= 6999
    assert casa.engine.bridges == {} and casa.rooms._rooms == {}


async def test_a_call_that_does_not_come_opens_no_room(casa: Casa) -> None:
    outcome, _ = await casa.desktop.call(pedido(BUSY, BUSY), flow=casa.doorman.called(1))
    assert outcome == "ocupado"
    assert casa.rooms._rooms == {}


@pytest.mark.parametrize(("limite", "budget", "ends"), [(300, LONG, 300), (14400, 120, 120), (14400, 60, 60)])
async def test_time_and_money_end_it(casa: Casa, limite: int, budget: float, ends: int) -> None:
    call = casa.desktop.call(pedido(TONE, TONE, limite=limite), budget=budget, flow=casa.doorman.called(1))
    outcome, _ = await call
    assert outcome == "limite"
    assert clock() == pytest.approx(ends, abs=1.5)


async def test_many_come_and_go_through_one_bridge(casa: Casa) -> None:
    opened: list[str] = []
    real = casa.engine.bridge
    casa.engine.bridge = lambda *legs, id: (opened.append(id), real(*legs, id=id))[1]  # type: ignore[method-assign]
    for number in range(1, 21):
        casa.engine.behaviour(f"48328301{number:02}", ring=0.1, answer=1.0, hang_up=10.0 + number)
    casa.engine.trunks["rede"] = None  # type: ignore[assignment]
    for number in range(1, 21):
        numero = f"48328301{number:02}"
        casa.desktop.start(pedido(numero, numero, id=number), flow=casa.doorman.called(7))
    await until(5.0)
    legs = list(casa.engine.legs.values())
    assert len(legs) == 20
    for leg in legs:
        assert casa.engine.hearing(leg) == {other.id for other in legs if other is not leg}
    await until(20.5)
    assert len(casa.engine.bridges["conf-7"].members) == 11
    await casa.desktop.runner.drain(LONG)
    await casa.desktop.clean()
    assert opened == ["conf-7"]


async def test_muted_from_its_first_word(casa: Casa) -> None:
    casa.storage.muted.add(2)
    for id in (1, 2):
        casa.desktop.start(pedido(TONE, TONE, id=id), flow=casa.doorman.called(7))
    await until(3.0)
    a, b = casa.engine.legs["1-a"], casa.engine.legs["2-a"]
    assert (casa.engine.hears(a, b), casa.engine.hears(b, a)) == (False, True)
    await casa.desktop.runner.end_all()
    await casa.desktop.clean()


async def test_who_talks_is_told_once_and_forgotten_when_it_leaves(casa: Casa) -> None:
    told: list[tuple[int, int, bool]] = []
    casa.rooms.told = lambda *what: told.append(what)
    casa.desktop.start(pedido(TONE, TONE, id=1), flow=casa.doorman.called(7))
    await until(3.0)
    leg = casa.engine.legs["1-a"]
    for talking in (True, True, False, False, True):
        leg.far_talks(talking)
    assert casa.rooms.talking(7) == {1}
    assert told == [(7, 1, True), (7, 1, False), (7, 1, True)]
    leg.far_hangs_up()
    await casa.desktop.runner.drain(LONG)
    leg.far_talks(False)
    assert casa.rooms.talking(7) == frozenset() and len(told) == 3


# -- the PIN ---------------------------------------------------------------------------------------------------------


async def come_in(casa: Casa, pin: str) -> FakeLeg:
    arrived: asyncio.Queue[Incoming] = asyncio.Queue()
    casa.engine.on_incoming(arrived.put)
    leg = await casa.engine.call_in(door="ramal", endpoint="4000c1", dialled="*67")
    await arrived.get()
    casa.desktop.start(pedido(TONE, TONE, id=1), flow=casa.doorman.came_in(7, leg, pin))
    return leg


async def test_who_types_nothing_is_asked_three_times(casa: Casa) -> None:
    leg = await come_in(casa, "4321")
    await casa.desktop.runner.drain(LONG)
    await casa.desktop.clean()
    assert leg.gone.result().cause == 21
    assert clock() == pytest.approx(3 * (1 + 8) + 1, abs=0.5)


async def test_keys_may_come_slowly_and_interrupt_the_question(casa: Casa) -> None:
    leg = await come_in(casa, "4321")
    for seconds, key in ((0.5, "4"), (8.0, "3"), (15.5, "2"), (23.0, "1")):
        asyncio.get_running_loop().call_at(seconds, leg.far_presses, key)
    await until(23.5)
    assert "conf-7" in casa.engine.bridges
    leg.far_hangs_up()
    await casa.desktop.runner.drain(LONG)
    await casa.desktop.clean()


async def test_who_gives_up_while_it_is_asked(casa: Casa) -> None:
    leg = await come_in(casa, "4321")
    await until(1.5)
    leg.far_hangs_up()
    await casa.desktop.runner.drain(LONG)
    await casa.desktop.clean()
    assert casa.rooms._rooms == {}


# -- the message of the older form -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pressed", "inside_at", "resposta"),
    [
        ((), 5.3, None),
        (((2.0, "8"),), 2.0, "8"),
        (((2.0, "8"), (6.0, "2"), (8.0, "9")), 2.0, "82"),  # 5 s after the message nobody listens any more
        (((6.0, "1"),), 5.3, "1"),
    ],
)
async def test_keys_answer_the_message(
    casa: Casa, pressed: tuple[tuple[float, str], ...], inside_at: float, resposta: str | None
) -> None:
    casa.engine.behaviour(TONE, ring=0.1, answer=1.25)
    message = Message(casa.sounds / "mensagem.wav", keys=True)
    casa.desktop.start(pedido(TONE, TONE), flow=casa.doorman.called(7, message))
    await until(1.5)
    leg = casa.engine.legs["1-a"]
    for seconds, key in pressed:
        asyncio.get_running_loop().call_at(seconds, leg.far_presses, key)
    await until(inside_at - 0.2)
    assert "conf-7" not in casa.engine.bridges
    await until(inside_at + 0.2)
    assert "conf-7" in casa.engine.bridges
    await until(20.0)
    assert casa.storage.keys.get(7) == resposta
    await casa.desktop.runner.end_all()
    await casa.desktop.clean()


# -- tones -----------------------------------------------------------------------------------------------------------


async def test_tones_do_not_queue_up(casa: Casa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty who come in at once are one tone; who comes later has one of its own, and so has who leaves."""
    played: list[str] = []
    real = FakeBridge.play

    async def play(self: FakeBridge, sound: Path) -> None:
        played.append(sound.stem)
        await real(self, sound)

    monkeypatch.setattr(FakeBridge, "play", play)
    tones = make_tones(tmp_path / "tons")
    assert 0.2 < len(read_pcm(tones.entrada)) / 16000 < 0.4
    rooms = Rooms(casa.engine, tones)
    legs = [casa.engine.survivor(f"{id}-a", Behaviour()) for id in range(22)]
    async with AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(rooms.inside(7, id, leg)) for id, leg in enumerate(legs[:20])))
        assert played == ["entrada"]
        await until(clock() + 1)
        async with rooms.inside(7, 20, legs[20]):
            await until(clock() + 1)
            assert played == ["entrada"] * 2
        await until(clock() + 1)
        assert played == ["entrada", "entrada", "saida"]
        async with rooms.inside(7, 21, legs[21], quiet=True):
            await until(clock() + 1)
            assert played == ["entrada", "entrada", "saida"]
    for leg in legs:
        leg.hang_up()
    await casa.engine.settle()
    assert casa.engine.leftovers() == []


async def test_a_room_opens_again_after_a_failure(casa: Casa) -> None:
    leg = casa.engine.survivor("1-a", Behaviour())
    enter = partial(casa.rooms.inside, 7, 1, leg)
    casa.engine.crash()
    with pytest.raises(Exception, match="down"):
        async with enter():
            pytest.fail("entered")
    assert casa.rooms._rooms == {}
    await casa.engine.restart()
    again = casa.engine.survivor("2-a", Behaviour())
    async with casa.rooms.inside(7, 2, again):
        assert "conf-7" in casa.engine.bridges
    again.hang_up()
    await casa.engine.settle()
