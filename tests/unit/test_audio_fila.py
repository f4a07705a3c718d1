"""The rows of the queue of voice messages, on both databases: who is due, in what order, who is taken out."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from telefonista.audio.fila_queries import look, needed, place, take_back
from telefonista.audio.queries import Mudanca, Novo, cancel_waiting, create_audio, edit_audio
from telefonista.calling.records import SILENT
from telefonista.calling.sounds import Sound
from telefonista.storage.tables import Audio, Chamada, Conta, Evento, Tronco
from tests.rows import LIMITS, NOON, Books, at

pytest_plugins = ["tests.databases", "tests.rows"]

REDE, FIXO = "1030000002", "4832830151"
SOUND = Sound("som", Path("som.wav"), 2000)


def send(books: Books, conta_id: int, seconds: float = 0, *, now: float = 0, **campos: Any) -> int:
    """An audio asked for at `now`, for `seconds` after noon."""
    campos = {"numero_destino": REDE, "url_audio": "http://a.test/a.mp3"} | campos
    when = None if seconds <= now else at(seconds)
    return books.do(create_audio, conta_id, Novo(agendado_para=when, **campos), SOUND, LIMITS, at(now))


def trunk(books: Books) -> None:
    def add(session: Any) -> None:
        session.add(Tronco(nome="um", host="127.0.0.2", classes="fixo", criado_em=NOON))

    books.do(add)


def audio(books: Books, id: int) -> Audio:
    return books.do(lambda session: session.get_one(Audio, id))


def test_lines_in_order(books: Books) -> None:
    """A conta's messages by one trunk are a line; each gives its first ones, however many there are."""
    trunk(books)
    a, b = books.conta(nome="a"), books.conta(nome="b")
    of_a = [send(books, a, now=n) for n in range(5)]
    by_trunk = [send(books, a, now=n, numero_destino=FIXO) for n in range(2)]
    of_b = [send(books, b, now=n) for n in range(3)]
    later = send(books, b, 60)
    found = books.do(look, at(10), 3)
    assert [due.id for due in found.due if due.conta_id == a and due.origem is None] == of_a[:3]
    assert [due.id for due in found.due if due.origem is not None] == by_trunk
    assert [due.id for due in found.due if due.conta_id == b] == of_b
    assert (found.more, found.next_at) == (True, at(60))
    found = books.do(look, at(60), 100)
    assert later in [due.id for due in found.due] and len(found.due) == 11
    assert (found.more, found.next_at) == (False, None)
    assert books.do(look, at(-1), 100).due == []


def test_taken_out_once(books: Books) -> None:
    conta = books.conta()
    id = send(books, conta, gravar_audio=True, resposta_usuario=True, bina="4832830152")
    assert books.money(conta) == (Decimal(100), Decimal("0.12"))
    partida = books.do(place, id, LIMITS, at(1), SILENT)
    assert partida is not None
    assert (partida.arquivo, partida.url, partida.resposta_usuario) == ("som", "http://a.test/a.mp3", True)
    assert (partida.pedido.gravar, partida.pedido.limite, partida.pedido.origem.bina) == (True, 24, "4832830152")
    assert books.do(place, id, LIMITS, at(1), SILENT) is None
    assert books.do(look, at(10), 10).due == []
    assert books.money(conta) == (Decimal(100), Decimal("0.12"))


def test_what_was_not_dialled_waits_again_after_a_restart(books: Books) -> None:
    conta = books.conta()
    undialled, dialled, cancelled = (send(books, conta, now=n) for n in range(3))
    for id in (undialled, dialled):
        assert books.do(place, id, LIMITS, at(5), SILENT) is not None
    books.fact(dialled, "discada", 6, "a", leg=f"{dialled}-a")
    assert books.do(cancel_waiting, conta, cancelled, at(6), SILENT)
    assert books.do(take_back) == 1
    assert [due.id for due in books.do(look, at(10), 10).due] == [undialled]
    assert books.do(place, undialled, LIMITS, at(11), SILENT) is not None
    assert books.money(conta) == (Decimal(100), Decimal("0.24"))  # nothing is set aside twice


def test_put_off_and_brought_forward(books: Books) -> None:
    conta = books.conta()
    id = send(books, conta, 60)
    assert books.money(conta) == (Decimal(100), Decimal(0))
    books.do(edit_audio, conta, id, Mudanca({}, None, True, at(120)), LIMITS, at(1))
    assert books.do(place, id, LIMITS, at(60), SILENT) is None  # who knew it from before finds it is not due
    books.do(edit_audio, conta, id, Mudanca({"tags": "x"}, None, True, None), LIMITS, at(70))
    assert books.money(conta) == (Decimal(100), Decimal("0.12"))
    assert [due.id for due in books.do(look, at(70), 10).due] == [id]
    assert books.chamada(id).tags == "x"


def test_an_edit_changes_price_and_line(books: Books) -> None:
    trunk(books)
    conta = books.conta()
    id = send(books, conta)
    long = Sound("outro", Path("outro.wav"), 100_000)
    books.do(
        edit_audio, conta, id, Mudanca({"numero_destino": FIXO, "url_audio": "http://b.test"}, long), LIMITS, at(1)
    )
    assert books.money(conta) == (Decimal(100), Decimal("0.24"))
    assert [due.origem for due in books.do(look, at(10), 10).due] == [audio(books, id).tronco_id]
    assert books.perna(id, "a").numero == FIXO
    assert books.do(needed) == {"outro"}


def test_what_can_not_be_called_any_more_ends(books: Books) -> None:
    trunk(books)
    conta = books.conta()
    for what, causa in (("route", 3), ("money", 21)):
        id = send(books, conta, 60, numero_destino=FIXO)
        if what == "route":
            books.do(lambda session: session.execute(update(Tronco).values(classes="movel")))
        else:
            books.do(lambda session: session.execute(update(Tronco).values(classes="fixo")))
            books.do(lambda session: session.execute(update(Conta).values(saldo=Decimal(0))))
        assert books.do(place, id, LIMITS, at(61), SILENT) is None
        chamada, perna = books.chamada(id), books.perna(id, "a")
        assert (chamada.status_geral, chamada.desfecho, perna.causa) == ("finalizada", "falha", causa)
        why = select(Evento).where(Evento.chamada_id == id, Evento.tipo == "nao_colocada")
        assert books.do(lambda session, why=why: session.scalars(why).one().dados["motivo"])
        books.do(lambda session: session.execute(update(Tronco).values(classes="fixo")))
    assert books.do(look, at(70), 10).due == []


def test_sounds_are_needed_until_the_end(books: Books) -> None:
    conta = books.conta()
    id = send(books, conta)
    assert books.do(needed) == {"som"}
    books.do(cancel_waiting, conta, id, at(1), SILENT)
    assert books.do(needed) == set()
    assert books.do(lambda session: session.get_one(Chamada, id).desfecho) == "cancelada"
    assert books.money(conta) == (Decimal(100), Decimal(0)) == books.rebuilt(conta)
