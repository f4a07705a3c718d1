"""A voice message in virtual time: what is played when, which keys count, and how it ends."""

import wave
from dataclasses import replace
from pathlib import Path

import pytest

from telefonista.audio.flow import message
from telefonista.engine.fake import FakeEngine
from telefonista.engine.port import By
from tests.calls import Desktop, FakeJournal, clock, pedido, until
from tests.virtual_time import VIRTUAL

A = "1130001000"
SECONDS = 10.0


@pytest.fixture
def anyio_backend():
    return VIRTUAL


@pytest.fixture
async def desktop() -> Desktop:
    desktop = Desktop(FakeEngine())
    desktop.engine.behaviour(A, ring=0.5, answer=1.0)
    return desktop


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    with wave.open(str(tmp_path / "fala.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * int(SECONDS)))
    return tmp_path / "fala.wav"


def begin(
    desktop: Desktop, sound: Path, keys: list[str] | None = None, *, limite: int = 600, **more: bool
) -> FakeJournal:
    wish = replace(pedido(A, A, limite=limite), **more)
    return desktop.start(wish, flow=message(sound, None if keys is None else keys.append))


async def end(desktop: Desktop, journal: FakeJournal) -> str:
    await desktop.runner.drain(1e6)
    await desktop.clean()
    (outcome,) = journal.endings
    return outcome


async def test_played_and_hung_up(desktop: Desktop, sound: Path) -> None:
    journal = begin(desktop, sound)
    await until(1.3)
    (leg,) = desktop.engine.legs.values()
    assert leg.playing is not None and leg.playing[0] == sound
    assert leg.playing[1] - 1.0 < 0.3  # the first syllable
    assert await end(desktop, journal) == "mensagem tocada"
    assert journal.told() == ["discada a", "chamando a", "atendida a", "conversa", "desligada a"]
    assert journal.end_of("a") == (16, None, "us")
    assert clock() == pytest.approx(1.0 + SECONDS + 0.3, abs=0.2)


@pytest.mark.parametrize("answers", [True, False])
async def test_keys_after_the_message(desktop: Desktop, sound: Path, answers: bool) -> None:
    pressed: list[str] = []
    journal = begin(desktop, sound, pressed)
    await until(1.0 + SECONDS + 4.5)
    (leg,) = desktop.engine.legs.values()
    if answers:
        leg.far_presses("4")
        await until(1.0 + SECONDS + 9.0)
        leg.far_presses("2")
    assert await end(desktop, journal) == "mensagem tocada"
    assert pressed == (["4", "42"] if answers else [])
    assert clock() == pytest.approx(1.0 + SECONDS + (14.3 if answers else 5.3), abs=0.2)


async def test_a_key_interrupts(desktop: Desktop, sound: Path) -> None:
    pressed: list[str] = []
    journal = begin(desktop, sound, pressed)
    await until(3.0)
    (leg,) = desktop.engine.legs.values()
    leg.far_presses("1")
    await until(3.1)
    assert leg.playing is None
    assert pressed == ["1"]
    leg.far_presses("#")
    assert await end(desktop, journal) == "mensagem tocada"
    assert pressed == ["1", "1#"]
    assert clock() == pytest.approx(3.1 + 5.3, abs=0.2)


async def test_keys_do_not_interrupt_when_nobody_asks_for_them(desktop: Desktop, sound: Path) -> None:
    journal = begin(desktop, sound)
    await until(3.0)
    (leg,) = desktop.engine.legs.values()
    leg.far_presses("1")
    await until(5.0)
    assert leg.playing is not None
    assert await end(desktop, journal) == "mensagem tocada"


async def test_somebody_who_does_not_stop_pressing(desktop: Desktop, sound: Path) -> None:
    pressed: list[str] = []
    journal = begin(desktop, sound, pressed)
    await until(2.0)
    (leg,) = desktop.engine.legs.values()
    at = 2.0
    while not journal.endings:
        leg.far_presses("1")
        at += 1.0
        await until(at)
    assert at < 2.0 + 22
    assert await end(desktop, journal) == "mensagem tocada"
    assert 15 < len(pressed[-1]) <= 21


async def test_the_telephone_hangs_up_while_it_plays(desktop: Desktop, sound: Path) -> None:
    for keys in (None, []):
        desktop.engine.behaviour(A, answer=1.0, hang_up=2.0)
        journal = begin(desktop, sound, keys)
        assert await end(desktop, journal) == "destino desligou"
        assert journal.end_of("a") == (16, None, "far")


async def test_it_is_ended_while_it_plays(desktop: Desktop, sound: Path) -> None:
    for keys in (None, []):
        journal = begin(desktop, sound, keys)
        await until(clock() + 3.0)
        assert desktop.runner.cancel(1)
        assert await end(desktop, journal) == "encerrada"


async def test_the_engine_crashes_while_it_plays(desktop: Desktop, sound: Path) -> None:
    journal = begin(desktop, sound, [])
    await until(3.0)
    desktop.engine.crash()
    await desktop.runner.drain(60)
    assert journal.endings == ["falha"]
    assert journal.end_of("a")[2] == By.ENGINE.value


async def test_its_limit(desktop: Desktop, sound: Path) -> None:
    journal = begin(desktop, sound, limite=4)
    assert await end(desktop, journal) == "limite"


async def test_nobody_answers(desktop: Desktop, sound: Path) -> None:
    desktop.engine.behaviour(A, ring=0.5)
    journal = begin(desktop, sound)
    assert await end(desktop, journal) == "sem resposta"
    assert journal.talking_since is None


async def test_recorded_from_the_answer_on(desktop: Desktop, sound: Path) -> None:
    journal = begin(desktop, sound, gravar=True)
    assert await end(desktop, journal) == "mensagem tocada"
    ((tipo, ((lado, since),)),) = journal.takes
    assert (tipo, lado, since) == ("completa", "origem", journal.talking_since)


async def test_a_sound_that_is_not_there(desktop: Desktop, tmp_path: Path) -> None:
    for keys in (None, []):
        journal = begin(desktop, tmp_path / "nada.wav", keys)
        assert await end(desktop, journal) == "falha"
