"""An Idempotency-Key gives its first answer again for 24 h, to its own conta, on both databases."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from telefonista.calling.idempotency import Chave, first_answer, forget_old, keep_answer
from telefonista.conta.queries import create_conta
from telefonista.dialect.errors import DialectError
from telefonista.storage.session import Storage
from telefonista.storage.tables import Conta, Idempotencia
from tests.rows import NOON, Books

pytest_plugins = ["tests.databases", "tests.rows"]

DAY = timedelta(hours=24)
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def chave(books: Books) -> Chave:
    return Chave(books.conta(), "pedido-15", "d" * 64)


def answered(session: Session, chave: Chave, dados: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The first answer, or `dados`, kept as the first."""
    first = first_answer(session, chave, now)
    if first is None:
        keep_answer(session, chave, dados, now)
    return dados if first is None else first


def test_a_new_key_has_no_answer(books: Books, chave: Chave) -> None:
    assert books.do(first_answer, chave, NOON) is None


def test_the_first_answer_is_given_again(books: Books, chave: Chave) -> None:
    dados = {"id": 7, "nome": "São João", "nada": None, "lista": [1.5, True]}
    assert books.do(answered, chave, dados, NOON) == dados
    assert books.do(answered, chave, {"id": 8}, NOON + timedelta(hours=23)) == dados


def test_the_same_key_with_another_body_is_refused_and_changes_nothing(books: Books, chave: Chave) -> None:
    books.do(answered, chave, {"id": 7}, NOON)
    other = Chave(chave.conta_id, chave.chave, "e" * 64)
    with pytest.raises(DialectError, match="Idempotency-Key") as refused:
        books.do(answered, other, {"id": 8}, NOON)
    assert (refused.value.status, int(refused.value.motivo)) == (422, 20)
    assert books.do(answered, chave, {"id": 9}, NOON) == {"id": 7}


def test_two_contas_may_use_the_same_key(books: Books, chave: Chave) -> None:
    other = Chave(books.conta(nome="outra"), chave.chave, "e" * 64)
    assert books.do(answered, chave, {"id": 7}, NOON) == {"id": 7}
    assert books.do(answered, other, {"id": 8}, NOON) == {"id": 8}
    assert books.do(answered, chave, {}, NOON) == {"id": 7}


def test_keys_differ_by_every_character(books: Books, chave: Chave) -> None:
    for number, text in enumerate(["Pedido-15", "pedido-15 ", "pedido-150", "é" * 255]):
        key = Chave(chave.conta_id, text, chave.digest)
        assert books.do(answered, key, {"id": number}, NOON) == {"id": number}


@pytest.mark.parametrize("digest", ["d" * 64, "e" * 64])
def test_after_24_hours_the_key_is_new_whatever_comes_with_it(books: Books, chave: Chave, digest: str) -> None:
    books.do(answered, chave, {"id": 7}, NOON)
    assert books.do(answered, chave, {"id": 8}, NOON + DAY) == {"id": 7}
    again = Chave(chave.conta_id, chave.chave, digest)
    later = NOON + DAY + MOMENT
    assert books.do(answered, again, {"id": 9}, later) == {"id": 9}
    assert books.do(answered, again, {"id": 10}, later + DAY) == {"id": 9}


def test_what_is_too_old_is_dropped(books: Books, chave: Chave) -> None:
    for hours in (0, 1, 25):
        books.do(keep_answer, Chave(chave.conta_id, f"{hours}", chave.digest), {}, NOON + timedelta(hours=hours))
    books.do(forget_old, NOON + timedelta(hours=25))
    query = select(Idempotencia.chave).order_by(Idempotencia.chave)
    assert books.do(lambda session: list(session.scalars(query))) == ["1", "25"]


def test_the_table_takes_a_key_once(books: Books, chave: Chave) -> None:
    """Whoever writes beside us cannot answer a key a second time."""
    books.do(keep_answer, chave, {"id": 7}, NOON)
    with pytest.raises(IntegrityError):
        books.do(keep_answer, chave, {"id": 8}, NOON)


async def test_the_key_is_kept_with_what_was_created_or_neither(storage: Storage) -> None:
    """Twenty requests at once with one key create once; a failing one leaves no key behind."""
    conta_id = (await storage.write(create_conta, "ana", "token", Decimal(0), NOON)).id
    made = iter(range(100))

    def create(session: Session, *, fail: bool) -> dict[str, Any]:
        chave = Chave(conta_id, "pedido-15", "d" * 64)
        if (answer := first_answer(session, chave, NOON)) is not None:
            return answer
        session.add(Conta(nome=f"criada {next(made)}", token_hash=f"x{fail}", criada_em=NOON))
        keep_answer(session, chave, {"id": 1}, NOON)
        session.flush()
        if fail:
            raise LookupError("after the key was written")
        return {"id": 1}

    with pytest.raises(LookupError):
        await storage.write(create, fail=True)
    answers = await asyncio.gather(*(storage.write(create, fail=False) for _ in range(20)))
    assert answers == [{"id": 1}] * 20
    assert await storage.read(lambda session: session.scalar(select(func.count(Conta.id)))) == 2
