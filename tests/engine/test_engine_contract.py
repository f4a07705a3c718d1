"""What every engine does alike: one suite for the fake, in virtual time, and for the real one over its test network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telefonista.engine.asterisk.tree import EngineTree
from telefonista.engine.port import (
    By,
    CallerId,
    Destination,
    EngineDown,
    EngineError,
    HungUp,
    Incoming,
    Leg,
    RamalAccount,
)
from telefonista.media import levels, tones
from telefonista.media.wav import read_pcm, write_wav
from tests.calls import clock, until
from tests.engine.motors import PASSWORD, Motor, Telephone, fake_motor, real_motor
from tests.virtual_time import VIRTUAL

RATE = 8000
LATE = 0.35  # how much later than told something may happen in real time, seconds


@pytest.fixture(scope="module", params=["fake", "real"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def anyio_backend(kind: str) -> Any:
    return VIRTUAL if kind == "fake" else "asyncio"


@pytest.fixture(scope="module")
def tree(kind: str, request: pytest.FixtureRequest) -> EngineTree | None:
    """The real engine's files; not asked for where only the fake is tested."""
    return request.getfixturevalue("engine_tree") if kind == "real" else None


@pytest.fixture(scope="module")
async def module_motor(tree: EngineTree | None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Motor]:
    folder = tmp_path_factory.mktemp("motor")
    async with fake_motor(folder) if tree is None else real_motor(folder, tree) as motor:
        yield motor


@pytest.fixture
async def motor(module_motor: Motor) -> AsyncIterator[Motor]:
    """The engine; after each test nothing of it may be left."""
    yield module_motor
    await module_motor.clean()


def sound(path: Path, since: float = 0.0, seconds: float = 10.0) -> levels.Samples:
    """A piece of a recording."""
    samples = np.frombuffer(read_pcm(path), "<i2").astype(np.int16)
    return samples[int(since * RATE) : int((since + seconds) * RATE)]


# -- endings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numero", "rang", "answered", "ending"),
    [
        pytest.param("1030000003", False, False, (17, 486, By.FAR), id="busy"),
        pytest.param("1030000004", True, False, (19, None, By.US), id="no answer"),
        pytest.param("1030000005", False, False, (1, 404, By.FAR), id="unknown"),
        pytest.param("1030000006", False, False, (34, 503, By.FAR), id="congested"),
        pytest.param("1030000007", True, False, (19, 480, By.FAR), id="announcement"),
        pytest.param("1030000010", False, False, (21, 603, By.FAR), id="rejected"),
        pytest.param("1030000011", True, True, (16, None, By.FAR), id="answers and hangs up"),
        pytest.param("10930000003", False, False, (17, 486, By.FAR), id="busy mobile"),
        pytest.param("1030000099", False, False, (1, 404, By.FAR), id="not in the list"),
        pytest.param("1130000003", False, False, (1, 404, By.FAR), id="elsewhere"),
    ],
)
async def test_endings(
    motor: Motor, numero: str, rang: bool, answered: bool, ending: tuple[int, int | None, By]
) -> None:
    ring = 1 if numero == "1030000004" else 10
    async with asyncio.timeout(15), motor.dial(numero, ring=ring) as leg:
        hangup = await leg.gone
    assert (hangup.cause, hangup.sip, hangup.by) == ending
    assert hangup.leg is leg
    assert (leg.ringing.done(), leg.up.done()) == (rang, answered)


async def test_answered_raises_the_ending(motor: Motor) -> None:
    with pytest.raises(HungUp) as caught:
        async with asyncio.timeout(5), motor.dial("1030000003") as leg:
            await leg.answered()
    assert caught.value.sip == 486


async def test_nobody_is_there(motor: Motor) -> None:
    dial = motor.engine.dial(
        Destination("nenhum", numero="1030000001"), id="n-a", bina=CallerId(), ring_seconds=5, limit_seconds=9
    )
    with pytest.raises(HungUp) as caught:
        async with asyncio.timeout(5), dial:
            pytest.fail("entered")
    assert (caught.value.cause, caught.value.sip, caught.value.by) == (20, None, By.US)


async def test_instants_are_told_in_order(motor: Motor) -> None:
    before = datetime.now(UTC)
    async with asyncio.timeout(5), motor.dial("1030000021") as leg:
        await leg.answered()
        leg.hang_up()
        hangup = await leg.gone
    assert before.tzinfo == hangup.at.tzinfo
    assert leg.ringing.result() <= leg.up.result() < hangup.at
    assert (hangup.at - leg.ringing.result()).total_seconds() < 2


# -- what the engine ends by itself --------------------------------------------------------------------------------


async def test_ring_time_is_kept_by_the_engine(motor: Motor) -> None:
    began = clock()
    async with asyncio.timeout(5), motor.dial("1030000004", ring=1) as leg:
        await leg.gone
    assert clock() - began == pytest.approx(1.0, abs=LATE)


async def test_an_answer_ends_the_ring_time(motor: Motor) -> None:
    async with motor.dial("1030000021", ring=1) as leg:
        await leg.answered()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.4):
                await asyncio.shield(leg.gone)


async def test_limit_since_the_dial(motor: Motor) -> None:
    began = clock()
    async with asyncio.timeout(5), motor.dial("1030000021", limit=1) as leg:
        hangup = await leg.gone
    assert (hangup.cause, hangup.sip, hangup.by) == (16, None, By.LIMIT)
    assert leg.up.done() and clock() - began == pytest.approx(1.0, abs=LATE)


async def test_limit_while_it_rings(motor: Motor) -> None:
    began = clock()
    async with asyncio.timeout(5), motor.dial("1030000004", limit=1) as leg:
        hangup = await leg.gone
    assert (hangup.sip, hangup.by) == (None, By.LIMIT)
    assert clock() - began == pytest.approx(1.0, abs=LATE)


async def test_limit_is_set_anew(motor: Motor) -> None:
    async with asyncio.timeout(5), motor.dial("1030000021", limit=60) as leg, motor.engine.bridge(leg, id="l-br"):
        await leg.answered()
        began = clock()
        await leg.limit(30)
        await leg.limit(1)
        hangup = await leg.gone
    assert hangup.by is By.LIMIT and clock() - began == pytest.approx(1.0, abs=LATE)


# -- what we end ---------------------------------------------------------------------------------------------------


async def test_we_hang_up(motor: Motor) -> None:
    async with asyncio.timeout(5), motor.dial("1030000021") as leg:
        await leg.answered()
        leg.hang_up()
        leg.hang_up(cause=17)
        hangup = await leg.gone
        leg.hang_up()
    assert (hangup.cause, hangup.sip, hangup.by) == (16, None, By.US)


@pytest.mark.parametrize("cause", [16, 17, 26])
async def test_we_give_up_ringing(motor: Motor, cause: int) -> None:
    async with asyncio.timeout(5), motor.dial("1030000004") as leg:
        await leg.ringing
        leg.hang_up(cause=cause)
        hangup = await leg.gone
    assert (hangup.cause, hangup.sip, hangup.by) == (cause, None, By.US)


async def test_leaving_is_hanging_up(motor: Motor) -> None:
    async with motor.dial("1030000021") as leg:
        await leg.answered()
    async with asyncio.timeout(5):
        assert (await leg.gone).by is By.US


@pytest.mark.parametrize("when", [0.0, 0.001, 0.003, 0.006, 0.012, 0.05, 0.1])
async def test_cancelled_while_dialling(motor: Motor, when: float) -> None:
    legs: list[Leg] = []

    async def work() -> None:
        async with (
            motor.engine.bridge(id="c-br") as bridge,
            motor.dial("1030000004", heard_in=bridge) as leg,
        ):
            legs.append(leg)
            await asyncio.wait({leg.gone})

    task = asyncio.create_task(work())
    asyncio.get_running_loop().call_later(when, task.cancel)
    async with asyncio.timeout(5):
        await asyncio.wait({task})
        assert task.cancelled()
        for leg in legs:
            assert (await leg.gone).by is By.US


async def test_a_dead_leg_takes_no_commands(motor: Motor, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tones.sine(700, 0.2).tobytes())
    async with motor.dial("1030000003") as leg:
        with pytest.raises(HungUp):
            await leg.answered()
        for command in (
            lambda: leg.limit(5),
            lambda: leg.play(tmp_path / "a.wav"),
            lambda: leg.keys(1.0),
            lambda: enter(leg.hearing_ringback()),
            lambda: enter(motor.engine.record(leg, "dead")),
            lambda: enter(motor.engine.bridge(leg, id="d-br")),
        ):
            async with asyncio.timeout(3):
                with pytest.raises(HungUp) as caught:
                    await command()
            assert caught.value.sip == 486
        assert await leg.statistics() == {}


async def enter(context: Any) -> None:
    async with context:
        pytest.fail("entered")


# -- sound ---------------------------------------------------------------------------------------------------------


async def test_two_in_a_bridge_hear_each_other(motor: Motor) -> None:
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(motor.dial("1030000021"))
        b = await stack.enter_async_context(motor.dial("1030000022"))
        await asyncio.gather(a.answered(), b.answered())
        await stack.enter_async_context(motor.engine.bridge(a, b, id="s-br"))
        recording = await stack.enter_async_context(motor.engine.record(b, "s-g"))
        began = clock()
        await until(clock() + 1.5)
        seconds = clock() - began
    await recording.closed(5)
    assert recording.heard == motor.engine.recording("s-g").heard
    for path, hertz in ((recording.heard, 440), (recording.said, 880)):
        assert levels.goertzel(sound(path, 0.3, 1.0), hertz) > 0.95
        assert levels.rms_dbfs(sound(path, 0.3, 1.0)) > -25
        assert len(sound(path)) / RATE == pytest.approx(seconds, abs=0.25)
    assert len(sound(recording.heard)) == len(sound(recording.said))


async def test_a_recording_ends_with_its_leg(motor: Motor) -> None:
    async with motor.dial("1030000021") as a, motor.dial("1030000022") as b:
        await asyncio.gather(a.answered(), b.answered())
        async with motor.engine.bridge(a, b, id="e-br"), motor.engine.record(b, "e-g") as recording:
            await until(clock() + 0.6)
            b.hang_up()
            began = clock()
            await recording.closed(5)
            assert clock() - began < 1
            assert levels.goertzel(sound(recording.heard, 0.2, 0.3), 440) > 0.95


async def test_a_leg_moves_between_bridges(motor: Motor) -> None:
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(motor.dial("1030000021"))
        b = await stack.enter_async_context(motor.dial("1030000022"))
        await asyncio.gather(a.answered(), b.answered())
        one = await stack.enter_async_context(motor.engine.bridge(a, b, id="m1-br"))
        await stack.enter_async_context(motor.engine.bridge(a, id="m2-br"))
        recording = await stack.enter_async_context(motor.engine.record(b, "m-g"))
        await until(clock() + 0.7)
        await one.add(a)
        await until(clock() + 0.7)
        await one.remove(a)
        await one.remove(a)
        assert not a.gone.done()
    await recording.closed(5)
    assert levels.goertzel(sound(recording.heard, 0.2, 0.4), 440) < 0.1
    assert levels.goertzel(sound(recording.heard, 0.95, 0.4), 440) > 0.95


async def test_a_bridge_is_adopted_by_its_id(motor: Motor) -> None:
    async with motor.dial("1030000021") as a, motor.dial("1030000022") as b:
        await asyncio.gather(a.answered(), b.answered())
        async with motor.engine.bridge(a, id="i-br") as one, motor.engine.record(a, "i-g") as recording:
            async with motor.engine.bridge(a, b, id="i-br") as same:
                assert same.id == one.id
            await until(clock() + 0.7)
        await recording.closed(5)
        assert not a.gone.done() and not b.gone.done()
    assert levels.goertzel(sound(recording.heard, 0.2, 0.4), 880) > 0.95


async def test_early_media_is_heard_in_a_bridge(motor: Motor) -> None:
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(motor.dial("1030000021"))
        await a.answered()
        bridge = await stack.enter_async_context(motor.engine.bridge(a, id="h-br"))
        recording = await stack.enter_async_context(motor.engine.record(a, "h-g"))
        b = await stack.enter_async_context(motor.dial("1030000007", heard_in=bridge))
        await b.ringing
        await until(clock() + 1.5)
        assert not b.up.done()
    await recording.closed(5)
    assert levels.rms_dbfs(sound(recording.heard, 0.5, 1.0)) > -35


async def test_ringing_is_heard_in_a_bridge(motor: Motor) -> None:
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(motor.dial("1030000021"))
        await a.answered()
        bridge = await stack.enter_async_context(motor.engine.bridge(a, id="r-br"))
        recording = await stack.enter_async_context(motor.engine.record(a, "r-g"))
        b = await stack.enter_async_context(motor.dial("1030000004", heard_in=bridge))
        await b.ringing
        await until(clock() + 0.9)
    await recording.closed(5)
    assert levels.goertzel(sound(recording.heard, 0.3, 0.4), tones.BRAZIL_HZ) > 0.9


async def test_ringback_without_a_bridge(motor: Motor) -> None:
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(motor.dial("1030000021"))
        b = await stack.enter_async_context(motor.dial("1030000022"))
        await asyncio.gather(a.answered(), b.answered())
        recording = await stack.enter_async_context(motor.engine.record(a, "t-g"))
        async with a.hearing_ringback():
            await until(clock() + 0.7)
        await stack.enter_async_context(motor.engine.bridge(a, b, id="t-br"))
        await until(clock() + 0.8)
    await recording.closed(5)
    heard = sound(recording.heard)
    assert levels.goertzel(heard[int(0.2 * RATE) : int(0.6 * RATE)], tones.BRAZIL_HZ) > 0.9
    assert levels.goertzel(heard[-int(0.6 * RATE) : -int(0.2 * RATE)], 880) > 0.95  # and no longer after it


async def test_a_sound_is_played_to_its_end(motor: Motor, tmp_path: Path) -> None:
    write_wav(tmp_path / "aviso.wav", tones.sine(700, 0.6).astype("<i2").tobytes())
    async with asyncio.timeout(8), motor.dial("1030000021") as leg:
        await leg.answered()
        async with motor.engine.record(leg, "p-g") as recording:
            began = clock()
            await leg.play(tmp_path / "aviso.wav")
            assert clock() - began == pytest.approx(0.6, abs=LATE)
        await recording.closed(5)
        assert levels.goertzel(sound(recording.heard, 0.15, 0.3), 700) > 0.9
        with pytest.raises(EngineError):
            await leg.play(tmp_path / "nada.wav")
        write_wav(tmp_path / "longo.wav", tones.sine(700, 20).astype("<i2").tobytes())
        asyncio.get_running_loop().call_later(0.2, leg.hang_up)
        with pytest.raises(HungUp):
            await leg.play(tmp_path / "longo.wav")


async def test_a_key_comes_while_a_sound_plays_and_the_sound_can_be_stopped(motor: Motor, tmp_path: Path) -> None:
    write_wav(tmp_path / "longo.wav", tones.sine(700, 20).astype("<i2").tobytes())
    async with asyncio.timeout(10), motor.dial("1030000009") as leg:
        await leg.answered()
        async with motor.engine.record(leg, "tecla-g") as recording:
            playing = asyncio.create_task(leg.play(tmp_path / "longo.wav"))
            assert await leg.keys(3.0) == "1"
            playing.cancel()
            await asyncio.wait({playing})
            assert playing.cancelled()
            await until(clock() + 0.6)
        await recording.closed(5)
        heard = sound(recording.heard)
        assert levels.goertzel(heard[int(0.3 * RATE) : int(0.6 * RATE)], 700) > 0.9
        assert np.count_nonzero(heard) / RATE < 1.6  # the key came 1.1 s after the answer; 0.6 s were waited since
        await leg.limit(30)  # nothing plays any more: a command is not held up


async def test_keys(motor: Motor) -> None:
    async with asyncio.timeout(8), motor.dial("1030000009") as leg:
        await leg.answered()
        assert await leg.keys(0.2) == ""
        assert await leg.keys(3.0) == "1"
        asyncio.get_running_loop().call_later(0.1, leg.hang_up)
        with pytest.raises(HungUp):
            await leg.keys(3.0)


# -- telephones of ours --------------------------------------------------------------------------------------------


@pytest.fixture
async def telephone(motor: Motor) -> AsyncIterator[Telephone]:
    """A telephone of ramal 4000, and of a ramal with none before and after."""
    await motor.engine.put_ramal(RamalAccount("4000c1", PASSWORD, "4000", "Ana"))
    assert motor.engine.devices("4000c1") == ()
    async with motor.telephone("4000c1") as telephone:
        await listed(motor, 1)
        yield telephone
    await listed(motor, 0)
    await motor.engine.remove_ramal("4000c1")


async def listed(motor: Motor, number: int) -> None:
    """Until so many devices are registered, at most 3 s; the port has no event for it."""
    deadline = clock() + 3.0
    while len(motor.engine.devices("4000c1")) != number and clock() < deadline:
        await until(clock() + 0.02)
    assert len(motor.engine.devices("4000c1")) == number


async def test_a_telephone_is_reached_by_its_device(motor: Motor, telephone: Telephone) -> None:
    (device,) = motor.engine.devices("4000c1")
    dial = motor.engine.dial(device, id="u-a", bina=CallerId("4001"), ring_seconds=5, limit_seconds=30)
    async with asyncio.timeout(5), dial as leg:
        await leg.answered()
        assert leg.ringing.done()


async def test_accounts_given_all_at_once(motor: Motor) -> None:
    others = [RamalAccount(f"{number}c1", "Outra;01 \\", str(number), 'Zé "o"; \\') for number in (4001, 4002)]
    await motor.engine.replace_ramais([RamalAccount("4000c1", PASSWORD, "4000", "Ana"), *others])
    async with motor.telephone("4000c1"):
        await listed(motor, 1)
        await motor.engine.put_ramal(RamalAccount("4001c1", "Nova-001", "4001"))
        await motor.engine.remove_ramal("4002c1")
        await listed(motor, 1)  # what happens to others leaves it alone
        (device,) = motor.engine.devices("4000c1")
        dial = motor.engine.dial(device, id="m-a", bina=CallerId("4001"), ring_seconds=5, limit_seconds=30)
        async with asyncio.timeout(5), dial as leg:
            await leg.answered()
    await listed(motor, 0)
    await motor.engine.replace_ramais(())
    await motor.engine.put_ramal(RamalAccount("4000c1", PASSWORD, "4000", "Ana"))  # one by one again
    async with motor.telephone("4000c1"):
        await listed(motor, 1)
    await listed(motor, 0)
    await motor.engine.remove_ramal("4000c1")


async def test_nobody_takes_calls(motor: Motor, telephone: Telephone) -> None:
    motor.engine.on_incoming(None)  # type: ignore[arg-type]  # as before anybody said so
    assert await (await telephone.call("190")).refused() == 503


async def test_an_incoming_call_is_answered(motor: Motor, telephone: Telephone) -> None:
    taken: asyncio.Queue[Incoming] = asyncio.Queue()

    async def take(call: Incoming) -> None:
        await call.leg.ring()
        await call.leg.answer()
        await taken.put(call)

    motor.engine.on_incoming(take)
    async with asyncio.timeout(8):
        line = await telephone.call("1130002000")
        call = await taken.get()
        assert (call.door, call.endpoint, call.dialled) == ("ramal", "4000c1", "1130002000")
        assert call.leg.up.done()
        await line.hang_up()
        await asyncio.wait({call.leg.gone})
    hangup = call.leg.gone.result()
    assert (hangup.cause, hangup.sip, hangup.by) == (16, None, By.FAR)


async def test_a_caller_gives_up(motor: Motor, telephone: Telephone) -> None:
    taken: asyncio.Queue[Incoming] = asyncio.Queue()

    async def take(call: Incoming) -> None:
        await call.leg.ring()
        await taken.put(call)

    motor.engine.on_incoming(take)
    async with asyncio.timeout(8):
        line = await telephone.call("190")
        call = await taken.get()
        await line.hang_up()
        with pytest.raises(HungUp) as caught:
            await call.leg.answered()
    assert caught.value.by is By.FAR and not call.leg.up.done()


async def test_an_incoming_call_is_refused(motor: Motor, telephone: Telephone) -> None:
    async def refuse(call: Incoming) -> None:
        call.leg.hang_up(cause=17)

    motor.engine.on_incoming(refuse)
    assert await (await telephone.call("190")).refused() == 486


async def test_a_handler_that_fails_refuses(motor: Motor, telephone: Telephone) -> None:
    async def fail(call: Incoming) -> None:
        raise ZeroDivisionError

    motor.engine.on_incoming(fail)
    assert await (await telephone.call("190")).refused() == 500


# -- who is there --------------------------------------------------------------------------------------------------


async def test_survivors_and_endings(motor: Motor) -> None:
    async with motor.dial("1030000021", id="7-a") as up, motor.dial("1030000004", id="7-b") as ringing:
        await asyncio.gather(up.answered(), ringing.ringing)
        survivors = await motor.engine.survivors()
        assert set(survivors) == {"7-a", "7-b"}
        assert survivors["7-a"].up.done() and not survivors["7-b"].up.done()
    async with asyncio.timeout(5):
        await asyncio.gather(up.gone, ringing.gone)
    assert await motor.engine.survivors() == {}
    endings = await motor.engine.endings(["7-a", "7-b", "8-a"])
    assert {id: (ending.cause, ending.by) for id, ending in endings.items()} == {
        "7-a": (16, By.US),
        "7-b": (16, By.US),
    }
    assert abs((endings["7-a"].at - up.gone.result().at).total_seconds()) < 0.1


async def test_the_far_end_is_the_witness_s_too(motor: Motor) -> None:
    async with asyncio.timeout(8), motor.dial("1030000003", id="9-a") as leg:
        hangup = await leg.gone
    (ending,) = (await motor.engine.endings(["9-a"])).values()
    assert (ending.cause, ending.by) == (hangup.cause, hangup.by) == (17, By.FAR)


async def test_ten_calls_at_once(motor: Motor) -> None:
    async def one() -> By:
        async with motor.dial("1030000021") as a, motor.dial("1030000022") as b:
            await asyncio.gather(a.answered(), b.answered())
            async with motor.engine.bridge(a, b, id=f"{a.id}-br"):
                a.hang_up()
                return (await a.gone).by

    async with asyncio.timeout(10):
        assert await asyncio.gather(*(one() for _ in range(10))) == [By.US] * 10


# -- the engine dies (last: it starts anew) ------------------------------------------------------------------------


async def test_a_crash_ends_every_leg(motor: Motor) -> None:
    again = asyncio.Event()

    async def on_up() -> None:
        again.set()

    motor.engine.on_up(on_up)
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(motor.dial("1030000021"))
        ringing = await stack.enter_async_context(motor.dial("1030000004"))
        await asyncio.gather(up.answered(), ringing.ringing)
        await stack.enter_async_context(motor.engine.bridge(up, id="x-br"))
        await motor.crash()
        async with asyncio.timeout(5):
            for leg in (up, ringing):
                hangup = await leg.gone
                assert (hangup.by, hangup.sip) == (By.ENGINE, None)
        assert not motor.engine.alive()
        with pytest.raises(EngineDown):
            async with motor.dial("1030000021"):
                pytest.fail("dialled")
        with pytest.raises((HungUp, EngineDown)):
            await up.limit(5)
    async with asyncio.timeout(10):
        await again.wait()
        while not motor.engine.alive():  # it is a moment after on_up, and nobody tells
            await until(clock() + 0.02)
    with suppress(HungUp):
        async with asyncio.timeout(5), motor.dial("1030000021") as leg:
            await leg.answered()
    assert leg.up.done()
