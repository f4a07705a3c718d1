"""A call cancelled at any instant, alone or beside a hang-up or a crash: one ending, nothing left in the engine."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telefonista.engine.fake import Behaviour, FakeEngine
from tests.calls import LONG, Desktop, pedido
from tests.virtual_time import VIRTUAL

A, B, RAMAL = "1130001000", "1130002000", "ramal:4000c1"

# The fake's commands take 2 ms and the journal's 1 ms: milliseconds meet every step of a call exactly.
INSTANTS = st.integers(0, 9000).map(lambda milliseconds: milliseconds / 1000) | st.floats(0, 9)
FIRST_STEPS = st.integers(0, 40).map(lambda milliseconds: milliseconds / 1000)
AFTER_ORIGEM = st.integers(1000, 1040).map(lambda milliseconds: milliseconds / 1000)
AFTER_DESTINO = st.integers(3000, 3060).map(lambda milliseconds: milliseconds / 1000)
WHEN = INSTANTS | FIRST_STEPS | AFTER_ORIGEM | AFTER_DESTINO


@pytest.fixture
def anyio_backend():
    return VIRTUAL


def lay_out(b_hang_up: float | None) -> Desktop:
    desktop = Desktop(FakeEngine())
    desktop.engine.behaviour(A, ring=0.5, answer=1.0)
    desktop.engine.behaviour(B, ring=0.3, answer=2.0, hang_up=b_hang_up)
    desktop.engine.register("4000c1", "d1", Behaviour(ring=0.5, answer=2.0, hang_up=b_hang_up))
    desktop.engine.register("4000c1", "d2", Behaviour(ring=0.1, refuse=486, refuse_at=1.0))
    desktop.engine.register("4000c1", "d3", Behaviour(ring=0.4, answer=2.0))
    desktop.gates.limit(7, canais=2, cps=10)
    return desktop


@given(when=WHEN, destino=st.sampled_from([B, RAMAL, "1030000004"]), gravar=st.booleans())
@settings(max_examples=300, deadline=None)
async def test_cancelled_at_any_instant(when: float, destino: str, gravar: bool) -> None:
    desktop = lay_out(None)
    journal = desktop.start(pedido(A, destino, gravar=gravar))
    asyncio.get_running_loop().call_later(when, desktop.runner.cancel, 1)
    await desktop.runner.drain(LONG)
    await desktop.clean()
    assert journal.endings == ["encerrada"]
    async with desktop.gates.place(7), desktop.gates.place(7):
        pass  # both places of the trunk are free again


@given(when=WHEN, apart=st.integers(-3, 3), crash=st.booleans(), b_hang_up=st.none() | st.floats(0, 4))
@settings(max_examples=300, deadline=None)
async def test_cancelled_beside_a_hang_up_or_a_crash(
    when: float, apart: int, crash: bool, b_hang_up: float | None
) -> None:
    desktop = lay_out(b_hang_up)
    loop = asyncio.get_running_loop()
    journal = desktop.start(pedido(A, B, gravar=True))

    def strike() -> None:
        if crash:
            desktop.engine.crash()
        for leg in list(desktop.engine.legs.values())[:1]:
            leg.far_hangs_up()

    loop.call_later(when, strike)
    loop.call_later(max(0.0, when + apart / 1000), desktop.runner.cancel, 1)
    await desktop.runner.drain(LONG)
    await desktop.clean()
    assert len(journal.endings) == 1
    assert {leg.gone.done() for leg in journal.legs} <= {True}


@given(times=st.lists(WHEN, min_size=2, max_size=4))
@settings(max_examples=100, deadline=None)
async def test_cancelled_again_and_again(times: list[float]) -> None:
    """Also while the ending is being written: the record is complete when `end_all` returns."""
    desktop = lay_out(None)
    loop = asyncio.get_running_loop()
    journal = desktop.start(pedido(A, B))
    for when in times:
        loop.call_later(when, desktop.runner.cancel, 1)
    await desktop.runner.drain(min(times) + 0.001)
    await desktop.runner.end_all()
    assert journal.endings == ["encerrada"]
    await desktop.clean()


async def test_cancelled_before_its_first_step() -> None:
    desktop = lay_out(None)
    journal = desktop.start(pedido(A, B))
    assert desktop.runner.cancel(1)
    await desktop.runner.drain(LONG)
    assert journal.endings == ["encerrada"] and desktop.engine.dialled == []
    assert not desktop.runner.cancel(1)
    await desktop.clean()
