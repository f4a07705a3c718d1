"""The rows of rooms on both databases: made, called into, listed, idle, ended."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from telefonista.conferencia import queries
from telefonista.conferencia.calls import Convite, add_call
from telefonista.dialect.dates import Limites
from telefonista.dialect.errors import DialectError
from telefonista.storage.tables import Chamada, Conferencia
from tests.rows import FIXO, LIMITS, MOVEL, Books, at

pytest_plugins = ["tests.databases", "tests.rows"]

DAY = timedelta(hours=24)


def make(books: Books, conta_id: int, when: datetime) -> int:
    def unit(session: Session) -> int:
        room = Conferencia(conta_id=conta_id, data_criacao=when)
        session.add(room)
        session.flush()
        return room.id

    return books.do(unit)


def invite(books: Books, conta_id: int, room: int, numero: str = FIXO, *, gravar: bool = False) -> int:
    return books.do(add_call, conta_id, room, Convite(numero, gravar=gravar), LIMITS, at(0)).id


def talk(books: Books, chamada_id: int, until: float) -> None:
    """Answered at 1 s, gone at `until`."""
    books.fact(chamada_id, "discada", 0, "a", leg=f"{chamada_id}-a")
    books.fact(chamada_id, "atendida", 1, "a", leg=f"{chamada_id}-a")
    books.fact(chamada_id, "conversa", 1)
    books.hung_up(chamada_id, "a", until)
    books.finish(chamada_id, "saiu", until)


def test_a_call_is_a_chamada_of_one_leg(books: Books) -> None:
    conta = books.conta()
    room = make(books, conta, at(0))
    first, second = invite(books, conta, room), invite(books, conta, room, MOVEL)
    chamada = books.chamada(first)
    assert (chamada.recurso, chamada.status_geral) == ("conferencia", "criada")
    assert books.money(conta)[1] == Decimal("0.47")
    vista = books.do(queries.conferencia_by_id, conta, room)
    assert [parte.chamada.id for parte in vista.partes] == [first, second]
    assert [parte.perna.e164 for parte in vista.partes] == ["+551030000021", "+5510930000022"]
    talk(books, first, 62)
    talk(books, second, 3)
    assert books.prices(conta) == Decimal("0.59")
    assert books.money(conta) == books.rebuilt(conta) == (Decimal("99.41"), Decimal(0))


def test_only_rooms_where_nobody_was_for_a_day_are_ended(books: Books) -> None:
    conta = books.conta()
    empty, used, busy, later = (make(books, conta, at(seconds)) for seconds in (0, 0, 0, 50))
    talk(books, invite(books, conta, used), 100)
    invite(books, conta, used, MOVEL)
    for chamada in books.do(queries.conferencia_by_id, conta, used).partes[1:]:
        talk(books, chamada.chamada.id, 200)
    invite(books, conta, busy)
    assert books.do(queries.close_idle, at(60), DAY) == ([], at(0) + DAY)
    assert books.do(queries.close_idle, at(0) + DAY, DAY) == ([empty], at(50) + DAY)
    assert books.do(queries.close_idle, at(199) + DAY, DAY) == ([later], at(200) + DAY)
    assert books.do(queries.close_idle, at(200) + DAY, DAY) == ([used], at(200) + 2 * DAY)
    assert books.do(queries.conferencia_by_id, conta, busy).conferencia.encerrada_em is None


def test_an_ended_room_takes_nobody(books: Books) -> None:
    conta, other = books.conta(), books.conta(nome="outra")
    room = make(books, conta, at(0))
    ringing = invite(books, conta, room)
    over = invite(books, conta, room)
    talk(books, over, 5)
    with pytest.raises(DialectError, match="não há"):
        books.do(queries.close_room, other, room, at(1))
    assert books.do(queries.close_room, conta, room, at(9)) == [ringing]
    with pytest.raises(DialectError, match="encerrada"):
        invite(books, conta, room)
    with pytest.raises(DialectError, match="encerrada"):
        books.do(queries.close_room, conta, room, at(10))
    assert books.do(lambda session: session.query(Chamada).count()) == 2


def test_pages_of_the_report(books: Books) -> None:
    conta = books.conta()
    rooms = [make(books, conta, at(seconds)) for seconds in range(5)]
    calls = [invite(books, conta, rooms[2]) for _ in range(2)]
    total, page = books.do(queries.list_conferencias, conta, Limites(at(1), at(4)), posicao=1, limite=2)
    assert (total, [vista.conferencia.id for vista in page]) == (3, rooms[2:4])
    assert [parte.chamada.id for parte in page[0].partes] == calls
