"""The runner: one task a call, one record a call, whatever the flow does."""

import asyncio

import pytest

from telefonista.calling.legs import Desk, NotReached
from telefonista.calling.pedido import Pedido
from telefonista.engine.fake import FakeEngine
from telefonista.engine.port import EngineError
from tests.calls import LONG, Desktop, clock, pedido, until
from tests.virtual_time import VIRTUAL

WISH = pedido("1030000021", "1030000022")


@pytest.fixture
def anyio_backend():
    return VIRTUAL


@pytest.fixture
async def desktop() -> Desktop:
    return Desktop(FakeEngine())


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ZeroDivisionError(), "falha"),
        (EngineError("no"), "falha"),
        (TimeoutError(), "falha"),
        (NotReached(20, ""), "sem resposta"),
        (NotReached(42, ""), "congestionado"),
    ],
)
async def test_every_failure_has_a_record(desktop: Desktop, error: Exception, outcome: str) -> None:
    async def flow(desk: Desk, wish: Pedido) -> str:
        raise error

    assert (await desktop.call(WISH, flow=flow))[0] == outcome


async def test_a_flow_says_its_outcome(desktop: Desktop) -> None:
    finished: list[int] = []
    desktop.runner.on_finished = finished.append

    async def flow(desk: Desk, wish: Pedido) -> str:
        return "destino desligou"

    assert (await desktop.call(WISH, flow=flow))[0] == "destino desligou"
    assert finished == [1]


async def test_a_chamada_runs_once_at_a_time(desktop: Desktop) -> None:
    journal, second = desktop.start(WISH), desktop.start(WISH)
    assert desktop.runner.active() == 1
    assert {task.get_name() for task in asyncio.all_tasks()} >= {"chamada-1"}
    await desktop.runner.end_all()
    assert journal.endings == ["encerrada"] and second.endings == []
    await desktop.clean()


async def test_drain_waits_no_longer_than_told(desktop: Desktop) -> None:
    journal = desktop.start(WISH)
    await desktop.runner.drain(30)
    assert clock() == 30 and desktop.runner.active() == 1 and journal.endings == []
    await desktop.runner.end_all()
    assert desktop.runner.active() == 0 and journal.endings == ["encerrada"]
    await desktop.runner.drain(30)
    assert clock() < 31
    await desktop.clean()


async def test_end_all_waits_for_the_record_of_a_call_cancelled_twice(desktop: Desktop) -> None:
    journal = desktop.start(WISH)
    finished: list[int] = []
    desktop.runner.on_finished = finished.append
    await until(5.0)
    desktop.runner.cancel(1)
    await until(5.0005)  # its ending is being written
    await desktop.runner.end_all()
    assert journal.endings == ["encerrada"] and finished == [1]
    await desktop.clean()


async def test_a_call_cancelled_while_its_ending_is_written_keeps_its_outcome(desktop: Desktop) -> None:
    journal = desktop.start(pedido("1030000003", "1030000022"))
    loop = asyncio.get_running_loop()
    for step in range(1, 80):
        loop.call_later(step / 1000 + 0.05, desktop.runner.cancel, 1)
    await desktop.runner.drain(LONG)
    await desktop.runner.end_all()
    assert journal.endings in (["ocupado"], ["encerrada"])
    await desktop.clean()


async def test_a_record_that_cannot_be_written_ends_the_call_all_the_same(desktop: Desktop) -> None:
    async def flow(desk: Desk, wish: Pedido) -> str:
        async def broken(desfecho: str) -> bool:
            raise OSError("disk full")

        desk.journal.finish = broken  # type: ignore[method-assign]
        return "destino desligou"

    journal = desktop.start(WISH, flow=flow)
    await desktop.runner.drain(LONG)
    await desktop.clean()
    assert journal.endings == []
