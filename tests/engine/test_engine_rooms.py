"""Bridges for many: who hears whom, mute, sounds for all, who talks; on the fake engine and on the real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from telefonista.engine.fake import FakeLeg
from telefonista.engine.port import Bridge, EngineError, HungUp, Leg
from telefonista.media import levels, tones
from telefonista.media.wav import write_wav
from tests.calls import clock, until
from tests.engine.motors import Motor
from tests.engine.test_engine_contract import (  # noqa: F401 - fixtures
    anyio_backend,
    kind,
    module_motor,
    motor,
    sound,
    tree,
)

LOW, HIGH = 440, 880  # what the test network's 1030000021 and 1030000022 say


@asynccontextmanager
async def room(motor: Motor) -> AsyncIterator[tuple[Bridge, Leg, Leg, Leg]]:
    """Three in a bridge: one says 440 Hz, one 880 Hz, one nothing."""
    async with AsyncExitStack() as stack:
        numbers = ("1030000021", "1030000022", "1030000009")
        legs = [await stack.enter_async_context(motor.dial(number)) for number in numbers]
        await asyncio.gather(*(leg.answered() for leg in legs))
        bridge = await stack.enter_async_context(motor.engine.bridge(*legs, id=f"conf-{motor.calls}"))
        low, high, mute = legs
        yield bridge, low, high, mute


def share(path: Path, frequency: float, since: float, seconds: float = 0.4) -> float:
    return levels.goertzel(sound(path, since, seconds), frequency)


async def test_each_hears_all_others_and_not_itself(motor: Motor) -> None:
    async with room(motor) as (_, low, high, third):
        async with motor.engine.record(third, "r3-g") as all_of_it, motor.engine.record(low, "r1-g") as one:
            await until(clock() + 1.0)
        await all_of_it.closed(5)
        await one.closed(5)
        assert share(all_of_it.heard, LOW, 0.4) > 0.3 and share(all_of_it.heard, HIGH, 0.4) > 0.3
        assert share(one.heard, LOW, 0.4) < 0.02 and share(one.heard, HIGH, 0.4) > 0.9
        assert share(one.said, LOW, 0.4) > 0.9 and share(one.said, HIGH, 0.4) < 0.02
        high.hang_up()
        await asyncio.wait({high.gone})
        async with motor.engine.record(third, "r4-g") as rest:
            await until(clock() + 1.0)
        await rest.closed(5)
        assert share(rest.heard, LOW, 0.4) > 0.9 and share(rest.heard, HIGH, 0.4) < 0.02


async def test_a_muted_leg_hears_and_is_not_heard(motor: Motor) -> None:
    async with room(motor) as (_, low, high, third):
        await low.mute(True)
        await low.mute(True)
        async with motor.engine.record(third, "m3-g") as others, motor.engine.record(low, "m1-g") as own:
            await until(clock() + 1.0)
        await others.closed(5)
        await own.closed(5)
        assert share(others.heard, LOW, 0.4) < 0.02 and share(others.heard, HIGH, 0.4) > 0.9
        assert share(own.heard, HIGH, 0.4) > 0.9
        await low.mute(False)
        async with motor.engine.record(third, "m4-g") as others:
            await until(clock() + 1.0)
        await others.closed(5)
        assert share(others.heard, LOW, 0.4) > 0.3 and share(others.heard, HIGH, 0.4) > 0.3
        low.hang_up()
        await asyncio.wait({low.gone})
        with pytest.raises(HungUp):
            await low.mute(True)


async def test_a_sound_for_all(motor: Motor, tmp_path: Path) -> None:
    write_wav(tmp_path / "entrada.wav", tones.sine(700, 0.6).astype("<i2").tobytes())
    async with asyncio.timeout(8), room(motor) as (bridge, low, _, third):
        async with motor.engine.record(third, "p3-g") as one, motor.engine.record(low, "p1-g") as other:
            began = clock()
            await bridge.play(tmp_path / "entrada.wav")
            assert clock() - began == pytest.approx(0.6, abs=0.35)
        for recording in (one, other):
            await recording.closed(5)
            assert share(recording.heard, 700, 0.15, 0.3) > 0.2
        with pytest.raises(EngineError):
            await bridge.play(tmp_path / "nada.wav")
        write_wav(tmp_path / "longo.wav", tones.sine(700, 20).astype("<i2").tobytes())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await bridge.play(tmp_path / "longo.wav")
        await low.mute(True)  # nothing of it blocks the legs


async def test_who_talks_is_noticed(motor: Motor) -> None:
    async with asyncio.timeout(8), room(motor) as (_, low, _, _):
        told: asyncio.Queue[bool] = asyncio.Queue()
        await low.notice_talking(told.put_nowait)
        if isinstance(low, FakeLeg):
            low.far_talks(True)
        assert await told.get() is True
        low.hang_up()
        await asyncio.wait({low.gone})
        with pytest.raises(HungUp):
            await low.notice_talking(told.put_nowait)


async def test_a_room_is_opened_again_at_once(motor: Motor) -> None:
    async with motor.dial("1030000021") as a, motor.dial("1030000022") as b:
        await asyncio.gather(a.answered(), b.answered())
        for _ in range(20):
            async with motor.engine.bridge(a, b, id="conf-again"):
                pass
        async with motor.engine.bridge(a, b, id="conf-again"):
            async with motor.engine.record(a, "again-g") as recording:
                await until(clock() + 0.8)
            await recording.closed(5)
    assert share(recording.heard, HIGH, 0.3) > 0.9
