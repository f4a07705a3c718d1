"""What each fact does to the rows of a call, on both databases."""

import pytest

from tests.rows import MOVEL, Books, at

pytest_plugins = ["tests.databases", "tests.rows"]


@pytest.fixture
def chamada_id(books: Books) -> int:
    return books.place(books.conta())


def test_a_new_chamada_has_two_legs_that_nobody_dialled(books: Books, chamada_id: int) -> None:
    chamada, a, b = books.chamada(chamada_id), books.perna(chamada_id, "a"), books.perna(chamada_id, "b")
    assert (chamada.status_geral, chamada.estagio, chamada.data_criacao) == ("criada", "criada", at(0))
    assert [(leg.papel, leg.classe, leg.status, leg.data_inicio) for leg in (a, b)] == [
        ("origem", "fixo", "preparando", None),
        ("destino", "movel", "preparando", None),
    ]
    assert (b.numero, b.e164) == (MOVEL, f"+55{MOVEL}")
    assert [evento.tipo for evento in books.journal(chamada_id)] == ["criada"]


def test_dialling_puts_the_call_on_its_way(books: Books, chamada_id: int) -> None:
    books.fact(chamada_id, "discada", 1, "a", leg="1-a")
    chamada, a = books.chamada(chamada_id), books.perna(chamada_id, "a")
    assert (chamada.status_geral, chamada.estagio) == ("curso", "origem")
    assert (a.data_inicio, a.leg, a.status) == (at(1), "1-a", "preparando")
    books.fact(chamada_id, "discada", 2, "b", leg="1-b")
    books.fact(chamada_id, "discada", 3, "b", leg="1-b.1")
    b = books.perna(chamada_id, "b")
    assert books.chamada(chamada_id).estagio == "destino"
    assert (b.data_inicio, b.leg) == (at(2), "1-b.1")


def test_the_first_ringing_counts_and_a_late_one_does_not_undo_the_answer(books: Books, chamada_id: int) -> None:
    books.fact(chamada_id, "discada", 0, "a", leg="1-a")
    books.fact(chamada_id, "chamando", 1, "a")
    assert books.perna(chamada_id, "a").status == "chamando"
    books.fact(chamada_id, "atendida", 4, "a", leg="1-a.1")
    books.fact(chamada_id, "chamando", 5, "a")
    a = books.perna(chamada_id, "a")
    assert (a.status, a.tocou_em, a.atendida_em, a.leg) == ("atendida", at(1), at(4), "1-a.1")


def test_the_conversation_begins_once(books: Books, chamada_id: int) -> None:
    books.talk(chamada_id, b=10)
    books.fact(chamada_id, "conversa", 50)
    chamada = books.chamada(chamada_id)
    assert (chamada.estagio, chamada.conversa_em) == ("conversa", at(10))


@pytest.mark.parametrize(
    ("causa", "sip", "por", "status"),
    [
        (17, 486, "far", "ocupado"),
        (17, 600, "far", "ocupado"),
        (18, 480, "far", "sem resposta"),
        (19, None, "us", "sem resposta"),
        (1, 404, "far", "não existe"),
        (34, 503, "far", "congestionado"),
        (42, None, "us", "congestionado"),
        (21, 603, "far", "falha"),
        (16, 487, "us", "cancelada"),
        (16, None, "us", "cancelada"),
        (16, 200, "engine", "falha"),
        (127, None, "engine", "falha"),
    ],
)
def test_a_leg_that_was_not_answered_says_why(
    books: Books, chamada_id: int, causa: int, sip: int | None, por: str, status: str
) -> None:
    books.fact(chamada_id, "discada", 1, "b", leg="1-b")
    books.hung_up(chamada_id, "b", 9, causa, sip, por)
    b = books.perna(chamada_id, "b")
    assert (b.status, b.causa, b.sip, b.encerrada_em) == (status, causa, sip, at(9))
    assert b.desligou is (por == "far")


@pytest.mark.parametrize("por", ["far", "us", "limit", "engine"])
def test_a_leg_that_was_answered_stays_so_and_knows_who_hung_up(books: Books, chamada_id: int, por: str) -> None:
    books.talk(chamada_id)
    books.hung_up(chamada_id, "a", 70, por=por)
    a = books.perna(chamada_id, "a")
    assert (a.status, a.encerrada_em, a.causa, a.desligou) == ("atendida", at(70), 16, por == "far")


def test_a_leg_that_could_not_be_called_at_all_begins_and_ends_at_once(books: Books, chamada_id: int) -> None:
    books.hung_up(chamada_id, "a", 3, 20, None, "us")
    a = books.perna(chamada_id, "a")
    assert (a.data_inicio, a.encerrada_em, a.status) == (at(3), at(3), "sem resposta")


def test_the_journal_keeps_every_fact_in_order_with_what_it_said(books: Books, chamada_id: int) -> None:
    books.talk(chamada_id)
    books.hung_up(chamada_id, "b", 70, 16, None, "far")
    books.fact(chamada_id, "nota", 71, None, texto="não há tecla", lista=[1, {"a": None}])
    told = [(evento.tipo, evento.perna) for evento in books.journal(chamada_id)]
    legs = [(tipo, letra) for letra in "ab" for tipo in ("discada", "chamando", "atendida")]
    assert told == [("criada", None), *legs, ("conversa", None), ("desligada", "b"), ("nota", None)]
    *_, hung_up, nota = books.journal(chamada_id)
    assert (hung_up.momento, hung_up.dados) == (at(70), {"causa": 16, "sip": None, "por": "far"})
    assert nota.dados == {"texto": "não há tecla", "lista": [1, {"a": None}]}


def test_a_finished_chamada_takes_no_more_facts(books: Books, chamada_id: int) -> None:
    books.fact(chamada_id, "discada", 0, "a", leg="1-a")
    books.finish(chamada_id, "cancelada", 5)
    journal = [evento.id for evento in books.journal(chamada_id)]
    before = _plain(books, chamada_id)
    books.fact(chamada_id, "atendida", 6, "a", leg="1-a")
    books.fact(chamada_id, "conversa", 7)
    books.hung_up(chamada_id, "a", 8, 17, 486)
    assert _plain(books, chamada_id) == before
    assert [evento.id for evento in books.journal(chamada_id)] == journal


def _plain(books: Books, chamada_id: int) -> list[dict[str, object]]:
    rows = [books.chamada(chamada_id), books.perna(chamada_id, "a"), books.perna(chamada_id, "b")]
    return [{column.key: getattr(row, column.key) for column in row.__table__.columns} for row in rows]
