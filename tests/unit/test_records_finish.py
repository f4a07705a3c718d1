"""How an ending is written, on both databases: times, status, price and ledger, once."""

from decimal import Decimal

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from telefonista.storage.tables import Perna, Rate
from tests.rows import FIXO, Books, at

pytest_plugins = ["tests.databases", "tests.rows"]

FIXO_MINUTE, MOVEL_MINUTE = Decimal("0.12"), Decimal("0.35")


@pytest.fixture
def conta_id(books: Books) -> int:
    return books.conta("100")


@pytest.fixture
def chamada_id(books: Books, conta_id: int) -> int:
    return books.place(conta_id)


def seconds_of(perna: Perna) -> tuple[int, int, int]:
    return perna.duracao_segundos, perna.duracao_falada_segundos, perna.duracao_cobrada_segundos


def own_rate(session: Session, conta_id: int, classe: str, preco: str, *cadence: int) -> None:
    inicial, incremento, gratis = cadence
    session.add(
        Rate(
            conta_id=conta_id,
            classe=classe,
            preco_minuto=Decimal(preco),
            inicial_segundos=inicial,
            incremento_segundos=incremento,
            gratis_segundos=gratis,
        )
    )


def test_a_conversation_is_priced_leg_by_leg(books: Books, conta_id: int, chamada_id: int) -> None:
    """Origem spoke from 5 to 75 s, destino from 10: 70 s and 65 s, two minutes each."""
    books.talk(chamada_id, a=5, b=10)
    books.hung_up(chamada_id, "b", 75)
    books.hung_up(chamada_id, "a", 75, por="us")
    assert books.finish(chamada_id, "destino desligou", 75.2)
    chamada, a, b = books.chamada(chamada_id), books.perna(chamada_id, "a"), books.perna(chamada_id, "b")
    assert (chamada.status_geral, chamada.estagio, chamada.desfecho) == ("finalizada", "fim", "destino desligou")
    assert chamada.encerrada_em == at(75)
    assert (seconds_of(a), a.preco, a.status) == ((75, 70, 120), 2 * FIXO_MINUTE, "atendida")
    assert (seconds_of(b), b.preco, b.status) == ((75, 65, 120), 2 * MOVEL_MINUTE, "atendida")
    assert (a.desligou, b.desligou) == (False, True)
    assert books.money(conta_id) == (100 - 2 * FIXO_MINUTE - 2 * MOVEL_MINUTE, 0)
    assert [(entry.kind, entry.valor) for entry in books.ledger(conta_id)] == [
        ("credit", Decimal(100)),
        ("reserve", FIXO_MINUTE),
        ("reserve", MOVEL_MINUTE),
        ("release", FIXO_MINUTE),
        ("capture", 2 * FIXO_MINUTE),
        ("release", MOVEL_MINUTE),
        ("capture", 2 * MOVEL_MINUTE),
    ]
    last = books.journal(chamada_id)[-1]
    assert (last.tipo, last.momento, last.dados) == ("fim", at(75.2), {"desfecho": "destino desligou"})


def test_the_second_ending_changes_nothing(books: Books, conta_id: int, chamada_id: int) -> None:
    books.talk(chamada_id)
    books.hung_up(chamada_id, "a", 30)
    books.hung_up(chamada_id, "b", 30)
    assert books.finish(chamada_id, "origem desligou", 30)
    ledger, money = [entry.id for entry in books.ledger(conta_id)], books.money(conta_id)
    assert not books.finish(chamada_id, "falha", 999)
    assert books.chamada(chamada_id).desfecho == "origem desligou"
    assert books.chamada(chamada_id).encerrada_em == at(30)
    assert ([entry.id for entry in books.ledger(conta_id)], books.money(conta_id)) == (ledger, money)
    assert [evento.tipo for evento in books.journal(chamada_id)].count("fim") == 1


def test_what_was_never_dialled_is_cancelled_and_free(books: Books, conta_id: int, chamada_id: int) -> None:
    books.finish(chamada_id, "encerrada", 3)
    for letra in "ab":
        perna = books.perna(chamada_id, letra)
        assert (perna.status, seconds_of(perna), perna.preco) == ("cancelada", (0, 0, 0), 0)
        assert (perna.data_inicio, perna.encerrada_em, perna.causa) == (None, None, None)
    assert books.chamada(chamada_id).encerrada_em == at(3)
    assert books.money(conta_id) == (100, 0)


def test_origem_pays_for_the_time_destino_was_rung(books: Books, conta_id: int, chamada_id: int) -> None:
    books.fact(chamada_id, "discada", 0, "a", leg="a")
    books.fact(chamada_id, "atendida", 4, "a", leg="a")
    books.fact(chamada_id, "discada", 5, "b", leg="b")
    books.hung_up(chamada_id, "b", 30, 17, 486)
    books.hung_up(chamada_id, "a", 31, por="us")
    books.finish(chamada_id, "ocupado", 31)
    a, b = books.perna(chamada_id, "a"), books.perna(chamada_id, "b")
    assert (seconds_of(a), a.preco, a.status) == ((31, 27, 60), FIXO_MINUTE, "atendida")
    assert (seconds_of(b), b.preco, b.status) == ((25, 0, 0), 0, "ocupado")
    assert books.money(conta_id) == (100 - FIXO_MINUTE, 0)


def test_an_answer_that_lasted_no_second_pays_the_first_block(books: Books, conta_id: int, chamada_id: int) -> None:
    books.fact(chamada_id, "discada", 0, "a", leg="a")
    books.fact(chamada_id, "atendida", 4, "a", leg="a")
    books.hung_up(chamada_id, "a", 4.3)
    books.finish(chamada_id, "origem desligou", 4.3)
    a = books.perna(chamada_id, "a")
    assert (seconds_of(a), a.preco) == ((4, 0, 60), FIXO_MINUTE)


def test_a_failure_is_told_of_the_leg_that_was_ringing(books: Books, chamada_id: int) -> None:
    books.fact(chamada_id, "discada", 0, "a", leg="a")
    books.fact(chamada_id, "atendida", 4, "a", leg="a")
    books.fact(chamada_id, "discada", 5, "b", leg="b")
    books.fact(chamada_id, "chamando", 6, "b")
    books.finish(chamada_id, "falha", 20)
    a, b = books.perna(chamada_id, "a"), books.perna(chamada_id, "b")
    assert (a.status, a.causa, a.encerrada_em) == ("atendida", 41, at(20))
    assert (b.status, b.causa, b.encerrada_em, b.preco) == ("falha", 41, at(20), 0)


def test_a_call_that_is_ended_while_it_rings_is_cancelled(books: Books, chamada_id: int) -> None:
    books.fact(chamada_id, "discada", 0, "a", leg="a")
    books.fact(chamada_id, "chamando", 1, "a")
    books.finish(chamada_id, "encerrada", 9)
    a = books.perna(chamada_id, "a")
    assert (a.status, a.causa, a.encerrada_em, a.preco) == ("cancelada", 16, at(9), 0)


@pytest.mark.parametrize("left", ["a", "b"])
@pytest.mark.parametrize("told", [True, False])
def test_nobody_pays_for_a_leg_left_alone_while_we_were_away(
    books: Books, conta_id: int, chamada_id: int, left: str, *, told: bool
) -> None:
    """One side hung up at 60 s; the other hung on alone, for hours or without an end that anybody knows."""
    other = "b" if left == "a" else "a"
    books.talk(chamada_id, a=5, b=10)
    books.hung_up(chamada_id, left, 60)
    if told:
        books.hung_up(chamada_id, other, 7200, por="limit")
    books.finish(chamada_id, "origem desligou", 9000, unwatched=True)
    a, b = books.perna(chamada_id, "a"), books.perna(chamada_id, "b")
    assert (a.encerrada_em, b.encerrada_em) == (at(60), at(60))
    assert (seconds_of(a), seconds_of(b)) == ((60, 55, 60), (60, 50, 60))
    assert books.money(conta_id) == (100 - FIXO_MINUTE - MOVEL_MINUTE, 0)


def test_a_leg_whose_partner_left_before_it_answered_is_not_younger_than_its_answer(
    books: Books, chamada_id: int
) -> None:
    """Origem hung up in the very moment of destino's answer."""
    books.talk(chamada_id, a=5, b=10)
    books.hung_up(chamada_id, "a", 9.9)
    books.finish(chamada_id, "origem desligou", 10.5, unwatched=True)
    b = books.perna(chamada_id, "b")
    assert (b.encerrada_em, seconds_of(b)) == (at(10), (10, 0, 60))


def test_the_contas_own_rate_and_cadence_go_before_everybodys(books: Books, conta_id: int) -> None:
    books.do(own_rate, conta_id, "movel", "0.90", 30, 6, 3)
    books.do(own_rate, books.conta(nome="outra"), "movel", "9", 60, 60, 0)
    chamada_id = books.place(conta_id)
    books.talk(chamada_id, a=10, b=10)
    books.hung_up(chamada_id, "a", 42)
    books.hung_up(chamada_id, "b", 42)
    books.finish(chamada_id, "origem desligou", 42)
    b = books.perna(chamada_id, "b")
    assert (seconds_of(b), b.preco) == ((42, 32, 36), Decimal("0.54"))
    assert b.tarifa == {"preco_minuto": "0.900000", "inicial": 30, "incremento": 6, "gratis": 3}


def test_a_new_price_is_for_new_calls(books: Books, conta_id: int, chamada_id: int) -> None:
    books.talk(chamada_id)
    books.do(lambda session: session.execute(update(Rate).values(preco_minuto=Decimal(50))))
    books.hung_up(chamada_id, "a", 20)
    books.hung_up(chamada_id, "b", 20)
    books.finish(chamada_id, "origem desligou", 20)
    assert books.money(conta_id) == (100 - FIXO_MINUTE - MOVEL_MINUTE, 0)


def test_both_legs_of_one_number_are_two_rows_and_two_captures(books: Books, conta_id: int) -> None:
    chamada_id = books.place(conta_id, FIXO, FIXO)
    books.talk(chamada_id)
    books.finish(chamada_id, "limite", 10)
    assert books.money(conta_id) == (100 - 2 * FIXO_MINUTE, 0)
    assert books.rebuilt(conta_id) == books.money(conta_id)
