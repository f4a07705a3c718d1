"""bridged_call in virtual time: every ending of a two-leg call, who hears whom on the way, and what is written down."""

import asyncio
from time import monotonic

import pytest

from telefonista.calling.legs import Desk
from telefonista.calling.pedido import Pedido
from telefonista.calling.talk import conversation
from telefonista.engine.fake import Behaviour, FakeEngine
from telefonista.engine.port import EngineDown
from tests.calls import Desktop, clock, pedido, until
from tests.virtual_time import VIRTUAL

A, B = "1130001000", "1130002000"


@pytest.fixture
def anyio_backend():
    return VIRTUAL


@pytest.fixture
async def desktop() -> Desktop:
    desktop = Desktop(FakeEngine())
    desktop.engine.behaviour(A, ring=0.5, answer=1.0)
    desktop.engine.behaviour(B, ring=0.5, answer=2.0)
    return desktop


# -- a conversation ------------------------------------------------------------------------------------------------


async def test_origem_hangs_up(desktop: Desktop) -> None:
    desktop.engine.behaviour(A, ring=0.5, answer=1.0, hang_up=10.0)
    outcome, journal = await desktop.call(pedido(A, B))
    assert outcome == "origem desligou"
    assert journal.told() == [
        *("discada a", "chamando a", "atendida a", "discada b", "chamando b", "atendida b", "conversa"),
        *("desligada a", "desligada b"),
    ]
    assert journal.end_of("a") == (16, None, "far") and journal.end_of("b") == (16, None, "us")
    assert journal.talking_since == journal.legs[1].up.result()
    assert clock() == pytest.approx(11.0, abs=0.1)


async def test_destino_hangs_up(desktop: Desktop) -> None:
    desktop.engine.behaviour(B, answer=2.0, hang_up=5.0)
    outcome, journal = await desktop.call(pedido(A, B))
    assert outcome == "destino desligou"
    assert journal.end_of("b") == (16, None, "far") and journal.end_of("a") == (16, None, "us")


async def test_both_hang_up_at_once(desktop: Desktop) -> None:
    journal = desktop.start(pedido(A, B))
    await until(8.0)
    for leg in list(desktop.engine.legs.values()):
        leg.far_hangs_up()
    await desktop.runner.drain(60)
    assert journal.endings in (["origem desligou"], ["destino desligou"])
    assert journal.end_of("a") == journal.end_of("b") == (16, None, "far")
    await desktop.clean()


async def test_the_longest_call_ends_by_its_limit(desktop: Desktop) -> None:
    began = monotonic()
    outcome, journal = await desktop.call(pedido(A, B, limite=14400))
    assert outcome == "limite" and journal.end_of("a") == (16, None, "limit")
    hangup = journal.legs[0].gone.result()
    assert (hangup.at - journal.talking_since).total_seconds() == pytest.approx(14400, abs=1)
    assert journal.paid == 14400
    assert monotonic() - began < 5


async def test_recording_holds_both(desktop: Desktop) -> None:
    desktop.engine.behaviour(B, answer=2.0, hang_up=30.0)
    await desktop.call(pedido(A, B, gravar=True))
    (recording,) = desktop.engine.recordings.values()
    assert recording.name == "1-g1.1" and recording.who == {"1-a"} and recording.seconds == pytest.approx(30, abs=0.1)


async def test_they_hear_each_other_and_nobody_else(desktop: Desktop) -> None:
    engine = desktop.engine
    desktop.start(pedido(A, B))
    desktop.start(pedido(A, B, id=2))
    await until(8.0)
    legs = engine.legs
    assert {id: engine.hearing(leg) for id, leg in legs.items()} == {
        "1-a": {"1-b"},
        "1-b": {"1-a"},
        "2-a": {"2-b"},
        "2-b": {"2-a"},
    }
    await desktop.runner.end_all()
    await desktop.clean()


async def test_origem_hears_the_ringing_then_the_early_media(desktop: Desktop) -> None:
    desktop.engine.behaviour(B, ring=2.0, early=4.0, answer=6.0)
    journal = desktop.start(pedido(A, B))
    await until(2.0)
    a, b = desktop.engine.legs["1-a"], desktop.engine.legs["1-b"]
    assert desktop.engine.hearing(a) == set()
    await until(4.0)
    assert desktop.engine.hearing(a) == {"ringback"}
    await until(6.0)
    assert desktop.engine.hears(a, b) and "atendida b" not in journal.told()
    await until(8.0)
    assert desktop.engine.hears(a, b) and desktop.engine.hears(b, a)
    await desktop.runner.end_all()
    await desktop.clean()


async def test_each_shows_the_bina_of_its_perna(desktop: Desktop) -> None:
    await desktop.call(pedido(A, "1030000003"))
    assert [(id, to.numero, bina.numero) for id, to, bina in desktop.engine.dialled] == [
        ("1-a", A, "4832830151"),
        ("1-b", "1030000003", "4832830151"),
    ]


# -- nobody to talk to ---------------------------------------------------------------------------------------------

NO_ANSWER = pytest.mark.parametrize(
    ("numero", "outcome", "ending"),
    [
        ("1030000003", "ocupado", (17, 486, "far")),
        ("1030000004", "sem resposta", (19, None, "us")),
        ("1030000005", "não existe", (1, 404, "far")),
        ("1030000006", "congestionado", (34, 503, "far")),
        ("1030000007", "sem resposta", (19, 480, "far")),
        ("1030000010", "falha", (21, 603, "far")),
    ],
)


@NO_ANSWER
async def test_origem_does_not_answer(desktop: Desktop, numero: str, outcome: str, ending: object) -> None:
    told, journal = await desktop.call(pedido(numero, B))
    assert told == outcome and journal.end_of("a") == ending
    assert not [fact for fact in journal.told() if fact.endswith("b")]


@NO_ANSWER
async def test_destino_does_not_answer(desktop: Desktop, numero: str, outcome: str, ending: object) -> None:
    told, journal = await desktop.call(pedido(A, numero))
    assert told == outcome and journal.end_of("b") == ending
    assert journal.end_of("a") == (16, None, "us") and "conversa" not in journal.told()


async def test_rings_as_long_as_asked(desktop: Desktop) -> None:
    await desktop.call(pedido("1030000004", B, toque=47))
    assert clock() == pytest.approx(47, abs=0.1)


async def test_origem_leaves_while_destino_rings(desktop: Desktop) -> None:
    desktop.engine.behaviour(A, answer=1.0, hang_up=4.0)
    outcome, journal = await desktop.call(pedido(A, "1030000004"))
    assert outcome == "origem desligou" and journal.end_of("a") == (16, None, "far")
    assert clock() == pytest.approx(5.0, abs=0.1)


async def test_nobody_is_registered(desktop: Desktop) -> None:
    outcome, journal = await desktop.call(pedido(A, "ramal:4000c1"))
    assert outcome == "sem resposta" and journal.end_of("b") == (20, None, "us")
    assert "discada b" not in journal.told()


async def test_a_trunk_that_stays_full(desktop: Desktop) -> None:
    desktop.gates.limit(7, canais=1, cps=10)  # origem takes the only place
    outcome, journal = await desktop.call(pedido(A, B))
    assert outcome == "congestionado" and journal.end_of("b") == (42, None, "us")
    assert clock() == pytest.approx(11.0, abs=0.1)


async def test_origem_leaves_while_destino_waits_for_a_place(desktop: Desktop) -> None:
    desktop.gates.limit(7, canais=1, cps=10)
    desktop.engine.behaviour(A, answer=1.0, hang_up=3.0)
    outcome, _ = await desktop.call(pedido(A, B))
    assert outcome == "origem desligou" and clock() == pytest.approx(4.0, abs=0.1)
    async with desktop.gates.place(7):
        assert clock() < 4.1


# -- several telephones --------------------------------------------------------------------------------------------


def telephones(desktop: Desktop, *fars: Behaviour) -> Pedido:
    for index, far in enumerate(fars):
        desktop.engine.register("4000c1", f"d{index}", far)
    return pedido(A, "ramal:4000c1")


async def test_the_first_telephone_to_answer_wins(desktop: Desktop) -> None:
    wish = telephones(
        desktop, Behaviour(ring=0.1, answer=5.0), Behaviour(ring=0.2, answer=3.0, hang_up=9.0), Behaviour(refuse=486)
    )
    journal = desktop.start(wish)
    await until(3.0)
    legs = dict(desktop.engine.legs)
    assert desktop.engine.hearing(legs["1-a"]) == {"ringback"}
    assert not any(desktop.engine.hearing(legs[id]) for id in ("1-b", "1-b.1"))
    await until(6.0)
    assert desktop.engine.hearing(legs["1-a"]) == {"1-b.1"}
    elsewhere = legs["1-b"].gone.result()
    assert (elsewhere.cause, elsewhere.by.value) == (26, "us")
    await desktop.runner.drain(60)
    assert journal.endings == ["destino desligou"]
    assert journal.told().count("atendida b") == journal.told().count("desligada b") == 1
    await desktop.clean()


async def test_two_telephones_answer_at_once(desktop: Desktop) -> None:
    wish = telephones(desktop, Behaviour(answer=3.0), Behaviour(answer=3.0))
    journal = desktop.start(wish)
    await until(8.0)
    assert len(desktop.engine.legs) == 2 and journal.told().count("atendida b") == 1
    await desktop.runner.end_all()
    await desktop.clean()


@pytest.mark.parametrize(
    ("fars", "outcome", "ending"),
    [
        ((Behaviour(refuse=480), Behaviour(refuse=486), Behaviour(ring=1)), "ocupado", (17, 486, "far")),
        ((Behaviour(refuse=500), Behaviour(ring=1.0)), "sem resposta", (19, None, "us")),
        ((Behaviour(refuse=500), Behaviour(refuse=503)), "falha", (38, 500, "far")),
        ((Behaviour(refuse=603, refuse_at=2.0), Behaviour(refuse=480)), "falha", (21, 603, "far")),
    ],
)
async def test_no_telephone_answers(
    desktop: Desktop, fars: tuple[Behaviour, ...], outcome: str, ending: tuple[int, int | None, str]
) -> None:
    told, journal = await desktop.call(telephones(desktop, *fars))
    assert told == outcome and journal.end_of("b") == ending


async def test_a_telephone_that_is_gone_since(desktop: Desktop) -> None:
    wish = telephones(desktop, Behaviour(answer=1.0), Behaviour(answer=2.0, hang_up=3.0))
    at_hand = desktop.engine.devices("4000c1")
    desktop.engine.devices = lambda usuario: at_hand  # type: ignore[method-assign]
    desktop.engine.unregister("4000c1", "d0")
    outcome, journal = await desktop.call(wish)
    assert outcome == "destino desligou" and journal.legs[1].id == "1-b.1"


# -- the engine fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.001, 0.0025, 0.3, 0.7, 1.0, 1.0015, 1.003, 1.3, 1.8, 3.0, 3.009, 3.013, 9.0])
async def test_the_engine_dies(desktop: Desktop, at: float) -> None:
    asyncio.get_running_loop().call_later(at, desktop.engine.crash)
    outcome, journal = await desktop.call(pedido(A, B, gravar=True))
    assert outcome == "falha"
    assert clock() == pytest.approx(at, abs=0.1)
    assert {leg.gone.result().by.value for leg in journal.legs} <= {"engine"}


async def test_no_engine(desktop: Desktop) -> None:
    desktop.engine.crash()
    outcome, _ = await desktop.call(pedido(A, B))
    assert outcome == "falha"
    await desktop.engine.restart()
    desktop.engine.behaviour(B, answer=1.0, hang_up=1.0)
    assert (await desktop.call(pedido(A, B, id=2)))[0] == "destino desligou"
    with pytest.raises(EngineDown):
        desktop.engine.crash()
        await desktop.engine.trip()


# -- the saldo -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [1, 2, 5])
async def test_the_saldo_ends(desktop: Desktop, minutes: int) -> None:
    outcome, journal = await desktop.call(pedido(A, B), budget=60 * minutes + 59)
    ended = journal.legs[0].gone.result()
    assert outcome == "limite" and journal.paid == 60 * minutes
    assert (ended.at - journal.talking_since).total_seconds() == pytest.approx(60 * minutes, abs=1)


async def test_the_limit_is_paid_to_the_second(desktop: Desktop) -> None:
    outcome, journal = await desktop.call(pedido(A, B, limite=90), budget=90)
    assert outcome == "limite" and journal.paid == 90
    ended = journal.legs[0].gone.result()
    assert (ended.at - journal.talking_since).total_seconds() == pytest.approx(90, abs=1)


async def test_no_saldo_for_a_start(desktop: Desktop) -> None:
    outcome, journal = await desktop.call(pedido(A, B), budget=0)
    ended = journal.legs[0].gone.result()
    assert outcome == "limite"
    assert (ended.at - journal.talking_since).total_seconds() <= 2


# -- taken up again ------------------------------------------------------------------------------------------------


async def test_a_conversation_is_taken_up_again(desktop: Desktop) -> None:
    engine = desktop.engine
    a = engine.survivor("1-a", Behaviour(), limit_seconds=600)
    b = engine.survivor("1-b", Behaviour(hang_up=40, answer=0.0), limit_seconds=600)

    async def resume(desk: Desk, wish: Pedido) -> str:
        found = await desk.engine.survivors()
        desk.journal.watch("a", found["1-a"])
        desk.journal.watch("b", found["1-b"])
        return await conversation(desk, wish, found["1-a"], found["1-b"], talked=100.0)

    journal = desktop.start(pedido(A, B), flow=resume)
    await until(1.0)
    assert engine.hears(a, b) and engine.hears(b, a)
    await desktop.runner.drain(600)
    b.hang_up()
    a.hang_up()
    await desktop.clean()
    assert journal.endings == ["destino desligou"]
    assert journal.paid >= 140 and "conversa" not in journal.told()
