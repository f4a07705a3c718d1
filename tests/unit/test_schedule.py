"""The schedule, on both databases and in virtual time: fired on time, after a restart, cancelled, refused, for free."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from telefonista.calling.capacity import Gates
from telefonista.calling.routing import trunk_endpoint
from telefonista.calling.run import Runner
from telefonista.chamada.schedule import Agenda
from telefonista.chamada.schedule_queries import cancel_scheduled, end_scheduled, place_scheduled
from telefonista.engine.fake import FakeEngine
from telefonista.engine.port import TrunkAccount
from telefonista.storage.session import Storage
from telefonista.storage.tables import Chamada, Conta, LedgerEntry, Perna, Tronco
from tests.calls import LONG, clock, until
from tests.rows import FIXO, LIMITS, NOON, Books, at
from tests.virtual_time import VIRTUAL

pytest_plugins = ["tests.databases", "tests.rows"]

ENDING = "1030000011"  # hangs up after 3 s
OUTSIDE = "4832830151"


@pytest.fixture
def anyio_backend():
    return VIRTUAL


@dataclass
class Inline:
    """As Storage, without threads; virtual time knows none. Each call takes a turn of the loop."""

    books: Books
    reads: int = 0
    broken: bool = False

    async def write(self, unit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
        if self.broken:
            raise OSError("disk full")
        return self.books.do(unit, *args, **kwargs)

    async def read(self, unit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.reads += 1
        return await self.write(unit, *args, **kwargs)

    def queue(self, unit: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.books.do(unit, *args, **kwargs)


@dataclass
class Office:
    """An agenda at work on the fake engine, `seconds` after noon by the wall's clock."""

    books: Books
    seconds: float = 0
    per_second: int = 0
    conta_id: int = 0
    gates: Gates = field(default_factory=lambda: Gates(10.0))
    dialled: list[tuple[float, str]] = field(default_factory=list)  # when, leg

    def __post_init__(self) -> None:
        self.conta_id = self.conta_id or self.books.conta("1000")
        self.storage, self.engine = Inline(self.books), FakeEngine()
        dial = self.engine.dial

        def spy(*to: Any, **how: Any) -> Any:
            self.dialled.append((self.seconds + clock(), how["id"]))
            return dial(*to, **how)

        self.engine.dial = spy  # type: ignore[method-assign]
        storage = cast(Storage, self.storage)
        self.runner = Runner(self.engine, storage, self.gates)
        self.agenda = Agenda(
            storage, self.engine, self.runner, self.gates, LIMITS, per_second=self.per_second, clock=self.now
        )

    def now(self) -> datetime:
        return at(self.seconds + clock())

    def schedule(self, when: float, origem: str = FIXO, destino: str = ENDING, conta_id: int = 0, **campos: Any) -> int:
        """As POST /chamada does."""
        conta = conta_id or self.conta_id
        id = self.books.place(conta, origem, destino, agendada_para=at(when), seconds=clock() + self.seconds, **campos)
        self.agenda.changed(id, at(when))
        return id

    def trunk(self, canais: int = 30, cps: int = 5) -> None:
        """A carrier for fixo numbers, whose telephones answer and hang up."""

        def unit(session: Session) -> int:
            tronco = Tronco(nome="fixos", host="127.0.0.2", canais=canais, cps=cps, classes="fixo", criado_em=NOON)
            session.add(tronco)
            session.flush()
            return tronco.id

        id = self.books.do(unit)
        self.gates.limit(id, canais=canais, cps=cps)
        self.engine.trunks[trunk_endpoint(id)] = TrunkAccount(trunk_endpoint(id), "127.0.0.2", 5060, "udp")
        self.engine.behaviour(OUTSIDE, ring=0.1, answer=1.0, hang_up=5.0)
        self.tronco_id, self.canais = id, canais

    def empty(self) -> bool:
        """Every place of the trunk came back."""
        return self.gates.room(self.tronco_id, self.canais) == 0

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.agenda.run(), name="agenda")
        try:
            yield
            await self.runner.drain(LONG)
            await self.engine.settle()
            assert self.engine.leftovers() == []
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def until(self, seconds: float) -> None:
        await until(seconds - self.seconds)

    def started(self) -> list[tuple[float, int]]:
        """When each chamada's origem was dialled, rounded, and which."""
        return [(round(when, 1), int(leg.removesuffix("-a"))) for when, leg in self.dialled if leg.endswith("-a")]

    def ending(self, id: int) -> tuple[str, str | None, str, str]:
        chamada = self.books.chamada(id)
        a, b = self.books.perna(id, "a"), self.books.perna(id, "b")
        return chamada.status_geral, chamada.desfecho, a.status, b.status


@pytest.fixture
async def office(books: Books) -> Office:
    return Office(books)


# -- on time --------------------------------------------------------------------------------------------------------


async def test_it_is_placed_when_its_time_comes(office: Office, books: Books) -> None:
    async with office.at_work():
        id = office.schedule(90, tags="x")
        assert books.money(office.conta_id) == (Decimal(1000), Decimal(0)), "nothing is set aside yet"
        assert books.ledger(office.conta_id)[1:] == []
        await office.until(89.9)
        assert office.dialled == [] and books.chamada(id).status_geral == "criada"
        await office.until(91)
        assert office.started() == [(90.0, id)]
        assert books.money(office.conta_id)[1] == Decimal("0.24")
        assert books.chamada(id).agendada_para is None
    assert office.ending(id) == ("finalizada", "destino desligou", "atendida", "atendida")
    assert [evento.tipo for evento in books.journal(id)][:3] == ["criada", "colocada", "discada"]
    assert books.journal(id)[0].dados == {"agendada_para": at(90).isoformat()}
    assert books.money(office.conta_id) == (Decimal("999.76"), Decimal(0)) == books.rebuilt(office.conta_id)


async def test_an_earlier_one_wakes_it(office: Office) -> None:
    async with office.at_work():
        late = office.schedule(3600)
        await office.until(10)
        early = office.schedule(10.5)
        at_once = office.schedule(9.9)  # its time passed while it was committed
        await office.until(3700)
    assert office.started() == [(10.0, at_once), (10.5, early), (3600.0, late)]


async def test_a_restart_places_what_was_missed_by_less_than_ten_minutes(books: Books) -> None:
    before = Office(books)
    old, young, ahead = before.schedule(5), before.schedule(100), before.schedule(650)
    office = Office(books, seconds=620, conta_id=before.conta_id)
    async with office.at_work():
        await office.until(640)
        assert office.started() == [(620.0, young)]
        assert office.ending(old) == ("finalizada", "falha", "falha", "cancelada")
        assert books.perna(old, "a").causa == 41
        assert "não estava em operação" in books.journal(old)[1].dados["motivo"]
        await office.until(660)
    assert office.started()[1:] == [(650.0, ahead)]


async def test_a_clock_set_forward_is_noticed_within_a_minute(office: Office) -> None:
    async with office.at_work():
        id = office.schedule(7200)
        await office.until(100)
        office.seconds += 7100
        await until(165)
    assert [which for _, which in office.started()] == [id]


# -- while it waits -------------------------------------------------------------------------------------------------


async def test_ten_thousand_that_wait_cost_nothing(office: Office, books: Books) -> None:
    def fill(session: Session) -> None:
        row = {"conta_id": office.conta_id, "data_criacao": NOON, "limite_segundos": 60, "toque_segundos": 30}
        waits = {"status_geral": "criada", "agendada_para": at(3600)}
        session.execute(insert(Chamada), [row | waits] * 10_000)
        perna = {"numero": FIXO, "e164": "+551030000021", "tipo": "fixo", "classe": "fixo", "tarifa": {}}
        for letra, papel in (("a", "origem"), ("b", "destino")):
            ids = session.scalars(select(Chamada.id).where(Chamada.conta_id == office.conta_id)).all()
            session.execute(insert(Perna), [{"chamada_id": id, "letra": letra, "papel": papel, **perna} for id in ids])

    books.do(fill)
    loop = asyncio.get_running_loop()
    tasks, reads = len(asyncio.all_tasks()), office.storage.reads
    async with office.at_work():
        await office.until(1)
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        assert len(asyncio.all_tasks()) == tasks + 1 and len(timers) == 1
        assert len(office.agenda._pacer) == 0
        await office.until(3500)
        assert office.storage.reads == reads + 1
        assert office.dialled == []


async def test_cancelled_before_its_time(office: Office, books: Books) -> None:
    async with office.at_work():
        id, other = office.schedule(60), office.schedule(60)
        await office.until(5)
        assert await office.storage.write(cancel_scheduled, id, office.now(), office.runner.tellers)
        office.agenda.changed(id, None)
        assert not await office.storage.write(cancel_scheduled, id, office.now(), office.runner.tellers)
        await office.until(70)
    assert office.started() == [(60.0, other)]
    assert office.ending(id) == ("finalizada", "cancelada", "cancelada", "cancelada")
    assert books.perna(id, "a").data_inicio is None


async def test_cancelled_while_it_waits_for_its_place(office: Office, books: Books) -> None:
    office.trunk(canais=1)
    async with office.at_work():
        first, second = office.schedule(10, OUTSIDE), office.schedule(10, OUTSIDE)
        await office.until(12)
        assert await office.storage.write(cancel_scheduled, second, office.now(), office.runner.tellers)
        office.agenda.changed(second, None)
    assert office.started() == [(10.0, first)]
    assert office.ending(second)[1] == "cancelada"


# -- when its time comes, the world is another ----------------------------------------------------------------------


async def test_it_is_priced_and_routed_again(office: Office, books: Books) -> None:
    office.trunk()
    id = office.schedule(60, OUTSIDE)
    books.do(lambda session: session.execute(update(Conta).values(saldo=Decimal("0.30"))))
    async with office.at_work():
        await office.until(61)
        assert books.chamada(id).limite_segundos == 60
        assert books.money(office.conta_id) == (Decimal("0.30"), Decimal("0.24"))


@pytest.mark.parametrize(
    ("what", "causa", "motivo"),
    [
        (update(Conta).values(saldo=Decimal("0.20")), 21, "saldo insuficiente"),
        (update(Tronco).values(classes="movel"), 3, "numero_origem"),
    ],
)
async def test_what_can_not_be_called_any_more_ends_as_falha(
    office: Office, books: Books, what: Any, causa: int, motivo: str
) -> None:
    office.trunk()
    id = office.schedule(60, OUTSIDE)
    books.do(lambda session: session.execute(what))
    async with office.at_work():
        await office.until(70)
    assert office.dialled == []
    assert office.ending(id) == ("finalizada", "falha", "falha", "cancelada")
    assert books.perna(id, "a").causa == causa
    evento = books.journal(id)[1]
    assert evento.tipo == "nao_colocada" and motivo in evento.dados["motivo"]
    assert [row.kind for row in books.ledger(office.conta_id)] == ["credit"]
    assert len(office.agenda._pacer) == 0 and office.empty()


async def test_placed_once(office: Office, books: Books) -> None:
    id = office.schedule(0)
    units = (place_scheduled, id, LIMITS, NOON, office.runner.tellers)
    assert books.do(*units) is not None and books.do(*units) is None
    assert not books.do(end_scheduled, id, 41, "x", NOON, office.runner.tellers)
    assert not books.do(cancel_scheduled, id, NOON, office.runner.tellers)
    reserves = select(LedgerEntry).where(LedgerEntry.kind == "reserve")
    assert len(books.do(lambda session: session.scalars(reserves).all())) == 2


# -- many at once ---------------------------------------------------------------------------------------------------


async def test_many_due_at_one_second_are_spaced_by_the_trunk(office: Office) -> None:
    office.trunk(canais=100, cps=10)
    async with office.at_work():
        ids = [office.schedule(60, OUTSIDE) for _ in range(30)]
        await office.until(120)
    assert [which for _, which in office.started()] == ids
    assert [when for when, _ in office.started()] == pytest.approx([60.0] * 10 + [61.0] * 10 + [62.0] * 10, abs=0.2)
    assert all("desligou" in str(office.ending(id)[1]) for id in ids)


async def test_many_through_few_channels_all_come_to_talk(office: Office) -> None:
    """Both legs by one trunk of four channels: two calls at a time, some 7 s each, none congested."""
    office.trunk(canais=4, cps=10)
    async with office.at_work():
        ids = [office.schedule(60, OUTSIDE, OUTSIDE) for _ in range(20)]
        await office.until(200)
    assert all("desligou" in str(office.ending(id)[1]) for id in ids)
    assert {office.ending(id)[2:] for id in ids} == {("atendida", "atendida")}
    await until(clock() + 1)
    assert office.empty()


async def test_a_destino_that_is_never_called_leaves_its_place(office: Office) -> None:
    office.trunk(canais=2)
    async with office.at_work():
        ids = [office.schedule(60, "1030000003", OUTSIDE) for _ in range(8)]  # origem is busy
        await office.until(70)
        assert len(office.started()) == 8
    assert {office.ending(id)[1:] for id in ids} == {("ocupado", "ocupado", "cancelada")}
    assert office.empty()


async def test_contas_share_alike(books: Books) -> None:
    office = Office(books, per_second=2)
    other = books.conta("10", nome="loja")
    async with office.at_work():
        mine = [office.schedule(60) for _ in range(6)]
        theirs = [office.schedule(60.5, conta_id=other) for _ in range(2)]
        await office.until(70)
    when = dict((which, when) for when, which in office.started())
    assert [when[id] for id in mine] == [60.0, 60.0, 61.0, 61.0, 62.0, 62.0]
    assert [when[id] for id in theirs] == [60.5, 60.5]


async def test_no_place_for_ten_minutes_is_congestionado(office: Office, books: Books) -> None:
    office.trunk(canais=0)
    async with office.at_work():
        id, free = office.schedule(60, OUTSIDE), office.schedule(61)
        await office.until(659)
        assert books.chamada(id).status_geral == "criada"
        await office.until(661)
        assert office.ending(id) == ("finalizada", "congestionado", "congestionado", "cancelada")
        assert office.started() == [(61.0, free)]


# -- when something is broken ---------------------------------------------------------------------------------------


async def test_without_an_engine_it_waits_ten_minutes(office: Office) -> None:
    office.engine.crash()
    async with office.at_work():
        lost, saved = office.schedule(60), office.schedule(400)
        await office.until(700)
        assert office.ending(lost)[:3] == ("finalizada", "falha", "falha")
        await office.engine.restart()
        office.agenda.wake()
        await office.until(710)
    assert office.started() == [(700.0, saved)]


async def test_nothing_starts_while_the_server_is_ending(office: Office, books: Books) -> None:
    office.runner.draining = True
    async with office.at_work():
        id = office.schedule(5)
        await office.until(30)
    assert office.dialled == [] and books.chamada(id).agendada_para == at(5), "the next start finds it"


async def test_a_broken_database_is_tried_again(office: Office) -> None:
    office.trunk(canais=1)
    async with office.at_work():
        id, second = office.schedule(5, OUTSIDE), office.schedule(60, OUTSIDE)
        await office.until(4)
        office.storage.broken = True
        await office.until(8)
        office.storage.broken = False
        await office.until(59.999)
        assert [which for _, which in office.started()] == [id]
        write = office.storage.write

        async def broken(unit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if unit is place_scheduled:
                raise OSError("disk full")
            return await write(unit, *args, **kwargs)

        office.storage.write = broken  # type: ignore[method-assign]
        await office.until(61)
        office.storage.write = write  # type: ignore[method-assign]
        await office.until(70)
    assert [which for _, which in office.started()] == [id, second]


async def test_many_missed_end_though_one_write_fails(books: Books) -> None:
    before = Office(books)
    ids = [before.schedule(n) for n in range(5)]
    office = Office(books, seconds=7200, conta_id=before.conta_id)
    write, failures = office.storage.write, iter([False, False, True])

    async def broken(unit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if unit is end_scheduled and next(failures, False):
            raise OSError("disk full")
        return await write(unit, *args, **kwargs)

    office.storage.write = broken  # type: ignore[method-assign]
    async with office.at_work():
        await until(20)
    assert {office.ending(id)[1] for id in ids} == {"falha"} and office.dialled == []
