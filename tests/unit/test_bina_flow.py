"""The call that speaks a code, in virtual time: what is said, and how it ends."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telefonista.bina.flow import speak_code
from telefonista.engine.fake import FakeEngine, FakeLeg
from telefonista.media.tones import silence
from telefonista.media.wav import write_wav
from tests.calls import Desktop, clock, pedido
from tests.virtual_time import VIRTUAL

FAR = "48999990000"


@pytest.fixture
def anyio_backend() -> Any:
    return VIRTUAL


@pytest.fixture
def avisos(tmp_path: Path) -> Path:
    for name in ("codigo", "repito", *(f"digito_{digit}" for digit in range(10))):
        write_wav(tmp_path / f"{name}.wav", silence(0.5).astype("<i2").tobytes())
    return tmp_path


@pytest.fixture
async def desktop() -> AsyncIterator[Desktop]:
    desktop = Desktop(FakeEngine())
    yield desktop
    await desktop.clean()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files played, in order."""
    found: list[str] = []
    play = FakeLeg.play

    async def noted(leg: FakeLeg, sound: Path) -> None:
        found.append(sound.stem)
        await play(leg, sound)

    monkeypatch.setattr(FakeLeg, "play", noted)
    return found


def lone() -> Any:
    return pedido(FAR, FAR, limite=60)


async def test_the_code_is_said_twice(desktop: Desktop, avisos: Path, said: list[str]) -> None:
    desktop.engine.behaviour(FAR, answer=2.0)
    began = clock()
    outcome, journal = await desktop.call(lone(), flow=speak_code("901237", avisos))
    digits = [f"digito_{digit}" for digit in "901237"]
    assert said == ["codigo", *digits, "repito", *digits]
    assert outcome == "código falado"
    assert 2 + 14 * (0.5 + 0.3) <= clock() - began <= 14
    assert journal.told() == ["discada a", "atendida a", "desligada a"]
    assert journal.end_of("a") == (16, None, "us")
    assert len(desktop.engine.dialled) == 1, "there is no other side"


async def test_who_hangs_up_hears_no_more(desktop: Desktop, avisos: Path, said: list[str]) -> None:
    desktop.engine.behaviour(FAR, answer=1.0, hang_up=2.0)
    outcome, _ = await desktop.call(lone(), flow=speak_code("123456", avisos))
    assert outcome == "origem desligou"
    assert len(said) < 6


@pytest.mark.parametrize(("sip", "outcome"), [(486, "ocupado"), (404, "não existe")])
async def test_who_is_not_reached_hears_nothing(
    desktop: Desktop, avisos: Path, said: list[str], sip: int, outcome: str
) -> None:
    desktop.engine.behaviour(FAR, refuse=sip)
    assert (await desktop.call(lone(), flow=speak_code("123456", avisos)))[0] == outcome
    assert said == []


async def test_a_missing_notice_ends_the_call(desktop: Desktop, tmp_path: Path) -> None:
    desktop.engine.behaviour(FAR, answer=1.0)
    assert (await desktop.call(lone(), flow=speak_code("123456", tmp_path)))[0] == "falha"
