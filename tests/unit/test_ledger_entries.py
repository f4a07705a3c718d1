"""Each change of money by itself, on both databases; and two writers at once who want the same money."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telefonista.billing.ledger import NotEnough, credit, reserve, settle, tariff_for
from telefonista.calling.records import grow_reserve
from telefonista.chamada.queries import Nova, create_chamada
from telefonista.conta.queries import create_conta
from telefonista.dialect.errors import DialectError
from telefonista.storage.direct import transaction
from telefonista.storage.tables import Chamada, Conta, LedgerEntry, Perna
from tests.rows import FIXO, LIMITS, MOVEL, NOON, Books, at

pytest_plugins = ["tests.databases", "tests.rows"]

PATIENCE = 20.0
FIRST_MINUTE = Decimal("0.47")  # of a fixo and a movel


def on_leg(session: Session, chamada_id: int, what: object, valor: str) -> None:
    """reserve or settle on the chamada's first leg."""
    perna = session.query(Perna).filter_by(chamada_id=chamada_id, letra="a").one()
    conta_id = session.get_one(Chamada, chamada_id).conta_id
    (reserve if what is reserve else settle)(session, conta_id, perna, Decimal(valor), NOON)


def test_credit_adds_and_takes_back(books: Books) -> None:
    conta_id = books.conta("10")
    books.do(credit, conta_id, Decimal("2.500001"), at(1), "pix")
    books.do(credit, conta_id, Decimal(-3), at(2), "estorno")
    assert books.money(conta_id) == (Decimal("9.500001"), 0)
    assert [(entry.kind, entry.valor, entry.nota) for entry in books.ledger(conta_id)] == [
        ("credit", Decimal(10), "crédito inicial"),
        ("credit", Decimal("2.500001"), "pix"),
        ("credit", Decimal(-3), "estorno"),
    ]


def test_reserving_to_the_last_millionth_and_not_one_more(books: Books) -> None:
    conta_id = books.conta("1")
    chamada_id = books.place(conta_id)
    books.do(on_leg, chamada_id, reserve, str(1 - FIRST_MINUTE))
    assert books.money(conta_id) == (1, 1)
    before = len(books.ledger(conta_id))
    with pytest.raises(NotEnough):
        books.do(on_leg, chamada_id, reserve, "0.000001")
    assert books.money(conta_id) == (1, 1)
    assert len(books.ledger(conta_id)) == before


def test_reserving_nothing_is_not_an_entry(books: Books) -> None:
    conta_id = books.conta("1")
    chamada_id = books.place(conta_id)
    before = len(books.ledger(conta_id))
    books.do(on_leg, chamada_id, reserve, "0")
    books.do(on_leg, chamada_id, reserve, "-5")
    assert len(books.ledger(conta_id)) == before


def test_settling_twice_captures_once(books: Books) -> None:
    conta_id = books.conta("10")
    chamada_id = books.place(conta_id)
    for price in ("0.24", "0.24", "7"):
        books.do(on_leg, chamada_id, settle, price)
    captures = [entry.valor for entry in books.ledger(conta_id) if entry.kind == "capture"]
    assert captures == [Decimal("0.24")]
    assert books.money(conta_id) == (Decimal("9.76"), Decimal("0.35"))


def test_the_database_itself_refuses_a_second_capture(books: Books) -> None:
    conta_id = books.conta("10")
    chamada_id = books.place(conta_id)
    books.do(on_leg, chamada_id, settle, "0.24")
    perna_id = books.perna(chamada_id, "a").id

    def again(session: Session) -> None:
        session.add(LedgerEntry(conta_id=conta_id, perna_id=perna_id, kind="capture", valor=Decimal(1), momento=NOON))

    with pytest.raises(IntegrityError):
        books.do(again)
    assert books.rebuilt(conta_id) == books.money(conta_id)


def test_a_price_beyond_the_reserve_is_charged_whole(books: Books) -> None:
    """The telephone has been used: what the reserve did not foresee is owed, and shows as a saldo below zero."""
    conta_id = books.conta("0.47")
    chamada_id = books.place(conta_id)
    books.talk(chamada_id)
    books.finish(chamada_id, "limite", 200)
    assert books.money(conta_id) == (Decimal("0.47") - 4 * Decimal("0.12") - 4 * Decimal("0.35"), 0)
    with pytest.raises(DialectError) as refused:
        books.place(conta_id)
    assert (refused.value.status, int(refused.value.motivo)) == (402, 9)


def test_a_conta_without_money_places_no_call_and_nothing_is_left_of_it(books: Books) -> None:
    conta_id = books.conta("0.469999")
    with pytest.raises(DialectError) as refused:
        books.place(conta_id)
    assert refused.value.status == 402
    assert books.do(lambda session: session.query(Chamada).count()) == 0
    assert [entry.kind for entry in books.ledger(conta_id)] == ["credit"]


def test_the_limit_of_a_call_is_what_the_saldo_reaches(books: Books) -> None:
    conta_id = books.conta("2")
    assert books.chamada(books.place(conta_id)).limite_segundos == 4 * 60  # 4 minutes of 0.47 are 1.88
    assert books.chamada(books.place(conta_id)).limite_segundos == 3 * 60  # 0.47 of it is set aside
    rich = books.conta("100000", nome="rica")
    assert books.chamada(books.place(rich)).limite_segundos == LIMITS.maximo


def test_the_reserve_grows_with_the_talk_and_says_when_the_saldo_is_out(books: Books) -> None:
    conta_id = books.conta("1.50")
    chamada_id = books.place(conta_id)
    books.talk(chamada_id, a=10, b=10)
    grown = [books.do(grow_reserve, chamada_id, seconds, at(seconds)) for seconds in (60, 61, 120, 180, 181, 240)]
    assert grown == [True, True, True, True, False, False]
    saldo, reservado = books.money(conta_id)
    assert saldo == Decimal("1.50") and 3 * FIRST_MINUTE <= reservado <= saldo
    books.finish(chamada_id, "limite", 190)
    assert books.money(conta_id) == (Decimal("1.50") - 3 * FIRST_MINUTE, 0)


def test_the_reserve_counts_the_time_that_origem_waited(books: Books) -> None:
    """Origem answered at 0 and destino at 50 s: after 20 s of talk origem's second minute has begun."""
    conta_id = books.conta("10")
    chamada_id = books.place(conta_id)
    books.talk(chamada_id, a=0, b=50)
    books.do(grow_reserve, chamada_id, 20, at(70))
    assert (books.perna(chamada_id, "a").reserva, books.perna(chamada_id, "b").reserva) == (
        Decimal("0.24"),
        Decimal("0.35"),
    )


def test_nothing_is_set_aside_for_a_finished_chamada(books: Books) -> None:
    """A flow that was cancelled while it asked for more money must not leave it set aside for ever."""
    conta_id = books.conta("10")
    chamada_id = books.place(conta_id)
    books.talk(chamada_id)
    books.finish(chamada_id, "encerrada", 20)
    assert not books.do(grow_reserve, chamada_id, 600, at(21))
    assert books.money(conta_id) == (10 - FIRST_MINUTE, 0)


def test_nothing_more_is_set_aside_for_a_leg_that_has_left(books: Books) -> None:
    conta_id = books.conta("10")
    chamada_id = books.place(conta_id)
    books.talk(chamada_id, a=10, b=10)
    books.hung_up(chamada_id, "b", 40)
    assert books.do(grow_reserve, chamada_id, 120, at(41))
    assert books.perna(chamada_id, "a").reserva == Decimal("0.24")
    assert books.perna(chamada_id, "b").reserva == Decimal("0.35")


def test_a_class_that_nobody_priced_has_no_tariff(books: Books) -> None:
    with pytest.raises(LookupError, match="internacional"):
        books.do(tariff_for, books.conta(), "internacional")


def spend(session: Session, conta_id: int, held: threading.Event, go_on: threading.Event) -> int:
    """Place a call and stay in the transaction until told to end it."""
    chamada_id = create_chamada(session, conta_id, Nova(FIXO, MOVEL), LIMITS, NOON).id
    held.set()
    assert go_on.wait(PATIENCE)
    return chamada_id


def test_two_writers_at_once_do_not_spend_the_same_money(migrated_url: str) -> None:
    """A command or a second server writes beside us: the later one waits, then sees what is left."""
    with transaction(migrated_url) as session:
        conta_id = create_conta(session, "ana", "token", FIRST_MINUTE, NOON).id
    held, go_on = threading.Event(), threading.Event()

    def first() -> int:
        with transaction(migrated_url) as session:
            return spend(session, conta_id, held, go_on)

    def second() -> int:
        with transaction(migrated_url) as session:
            go_on.set()  # from here on both are under way
            return create_chamada(session, conta_id, Nova(FIXO, MOVEL), LIMITS, NOON).id

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert held.wait(PATIENCE)
        if migrated_url.startswith("sqlite"):
            go_on.set()  # there a second transaction does not even begin before the first has ended
        other = pool.submit(second)
        assert one.result(PATIENCE) > 0
        with pytest.raises(DialectError) as refused:
            other.result(PATIENCE)
    assert refused.value.status == 402
    with transaction(migrated_url) as session:
        conta = session.get_one(Conta, conta_id)
        assert (conta.saldo, conta.reservado) == (FIRST_MINUTE, FIRST_MINUTE)


def test_reserve_looks_at_the_row_and_not_at_what_the_session_remembers(books: Books) -> None:
    conta_id = books.conta("1")
    chamada_id = books.place(conta_id)

    def stale(session: Session) -> None:
        session.get_one(Conta, conta_id)
        table = Conta.__table__
        session.connection().execute(update(table).where(table.c.id == conta_id).values(saldo=Decimal("0.5")))
        perna = session.query(Perna).filter_by(chamada_id=chamada_id, letra="a").one()
        reserve(session, conta_id, perna, Decimal("0.30"), NOON)

    with pytest.raises(NotEnough):
        books.do(stale)
