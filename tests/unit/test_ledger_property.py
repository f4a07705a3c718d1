"""Whatever contas, telephones and restarts do in whatever order, the money adds up: random lives on both databases."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from telefonista.billing.ledger import credit
from telefonista.calling.records import grow_reserve
from telefonista.dialect.errors import DialectError
from telefonista.storage.tables import Rate
from tests.rows import FIXO, MOVEL, Books, at, open_books

pytest_plugins = ["tests.databases", "tests.rows"]

LEGS = st.sampled_from("ab")
SOME_MONEY = st.decimals("0.000001", "3", places=6)


class Money(RuleBasedStateMachine):
    """Contas, calls at any stage, a clock that only goes on, and a second count of what everybody must have."""

    url = ""
    calls: Bundle[int] = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.opened = open_books(self.url)
        self.books: Books = self.opened.__enter__()
        self.now = 0.0
        self.credits: dict[int, Decimal] = {}
        self.conta_of: dict[int, int] = {}
        self.finished: set[int] = set()
        self.answered: dict[tuple[int, str], float] = {}
        self.gone: dict[tuple[int, str], float] = {}

    def teardown(self) -> None:
        try:
            for chamada_id, conta_id in self.conta_of.items():
                self.books.finish(chamada_id, "falha", self.now)
                assert self.books.chamada(chamada_id).status_geral == "finalizada", conta_id
            for conta_id in self.credits:
                assert self.books.money(conta_id)[1] == 0  # nothing is set aside once all have ended
                self._adds_up(conta_id)
        finally:
            self.opened.__exit__(None, None, None)

    @initialize(one=SOME_MONEY, other=SOME_MONEY)
    def contas(self, one: Decimal, other: Decimal) -> None:
        """Two contas, of which one has prices by the second and a free start."""
        for nome, valor in (("uma", one), ("outra", other)):
            self.credits[self.books.conta(str(valor), nome)] = valor
        first = min(self.credits)
        for classe, preco, cadence in (("fixo", "0.07", (30, 6, 3)), ("movel", "0.31", (1, 1, 0))):
            rate = Rate(conta_id=first, classe=classe, preco_minuto=Decimal(preco))
            rate.inicial_segundos, rate.incremento_segundos, rate.gratis_segundos = cadence
            self.books.do(lambda session, rate=rate: session.add(rate))

    @rule(seconds=st.sampled_from([0.2, 1.0, 7.0, 60.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(data=st.data(), valor=st.decimals("-1", "2", places=6))
    def credited(self, data: Any, valor: Decimal) -> None:
        conta_id = data.draw(st.sampled_from(sorted(self.credits)))
        self.books.do(credit, conta_id, valor, at(self.now), "teste")
        self.credits[conta_id] += valor

    @rule(target=calls, data=st.data(), numbers=st.tuples(*[st.sampled_from([FIXO, MOVEL])] * 2))
    def placed(self, data: Any, numbers: tuple[str, str]) -> Any:
        conta_id = data.draw(st.sampled_from(sorted(self.credits)))
        saldo, reservado = self.books.money(conta_id)
        classes = ["fixo" if number == FIXO else "movel" for number in numbers]
        first = sum(self.books.price(conta_id, classe, 1) for classe in classes)
        if first > saldo - reservado:
            with pytest.raises(DialectError, match="saldo"):
                self.books.place(conta_id, *numbers, seconds=self.now)
            assert self.books.money(conta_id) == (saldo, reservado)
            return multiple()
        chamada_id = self.books.place(conta_id, *numbers, seconds=self.now)
        assert self.books.money(conta_id) == (saldo, reservado + first)
        assert reservado + first <= saldo
        self.conta_of[chamada_id] = conta_id
        return chamada_id

    @rule(call=calls, letra=LEGS)
    def dialled(self, call: int, letra: str) -> None:
        self.books.fact(call, "discada", self.now, letra, leg=f"{call}-{letra}")

    @rule(call=calls, letra=LEGS)
    def answers(self, call: int, letra: str) -> None:
        """Each leg answers at most once, and not after its end."""
        if (call, letra) not in self.answered and (call, letra) not in self.gone:
            self.books.fact(call, "discada", self.now, letra, leg=f"{call}-{letra}")
            self.books.fact(call, "atendida", self.now, letra, leg=f"{call}-{letra}")
            if call not in self.finished:
                self.answered[call, letra] = self.now

    @rule(call=calls)
    def converses(self, call: int) -> None:
        if (call, "a") in self.answered and (call, "b") in self.answered:
            self.books.fact(call, "conversa", self.now)

    @rule(call=calls, letra=LEGS, causa=st.sampled_from([16, 17, 19, 34, 127]), por=st.sampled_from(["far", "us"]))
    def hangs_up(self, call: int, letra: str, causa: int, por: str) -> None:
        """Once by the telephone; after the ending it is no news."""
        if (call, letra) not in self.gone:
            self.books.hung_up(call, letra, self.now, causa, None, por)
            if call not in self.finished:
                self.gone[call, letra] = self.now

    @rule(call=calls, seconds=st.integers(1, 400))
    def reserve_grows(self, call: int, seconds: int) -> None:
        """Also for calls that have ended: the flow asked before it knew."""
        conta_id = self.conta_of[call]
        saldo, before = self.books.money(conta_id)
        paid = self.books.do(grow_reserve, call, seconds, at(self.now))
        after = self.books.money(conta_id)[1]
        assert after >= before
        if after > before:
            assert after <= saldo
        if call in self.finished:
            assert (paid, after) == (False, before)

    @rule(call=calls, desfecho=st.sampled_from(["origem desligou", "falha", "encerrada"]), unwatched=st.booleans())
    def ends(self, call: int, desfecho: str, unwatched: bool) -> None:
        """Once or again: by the flow, by recovery, by both."""
        wrote = self.books.finish(call, desfecho, self.now, unwatched=unwatched)
        assert wrote is (call not in self.finished)
        if wrote:
            self.finished.add(call)
            self._cost_what_its_legs_talked(call)

    @precondition(lambda self: self.finished)
    @rule(call=consumes(calls))
    def forgotten(self, call: int) -> None:
        """Leave a call as it is for the rest of this life: the end closes what is open."""

    @invariant()
    def adds_up(self) -> None:
        for conta_id in self.credits:
            self._adds_up(conta_id)

    def _cost_what_its_legs_talked(self, call: int) -> None:
        for letra in "ab":
            perna = self.books.perna(call, letra)
            if (call, letra) not in self.answered:
                assert (perna.preco, perna.duracao_falada_segundos) == (0, 0)
            else:
                assert perna.encerrada_em is not None
                talked = (perna.encerrada_em - at(self.answered[call, letra])).total_seconds()
                longest = self.gone.get((call, letra), self.now) - self.answered[call, letra]
                assert 0 <= talked <= longest + 1e-6
                seconds = max(1, int(talked + 0.5))
                assert perna.preco == self.books.price(self.conta_of[call], perna.classe, seconds)

    def _adds_up(self, conta_id: int) -> None:
        entries = self.books.ledger(conta_id)
        once = Counter((entry.perna_id, entry.kind) for entry in entries if entry.kind in ("capture", "release"))
        assert not [key for key, times in once.items() if times > 1]
        assert all(entry.valor > 0 for entry in entries if entry.kind != "credit")
        saldo, reservado = self.books.money(conta_id)
        assert (saldo, reservado) == self.books.rebuilt(conta_id)
        assert saldo == self.credits[conta_id] - self.books.prices(conta_id)
        assert reservado >= 0


def test_the_money_adds_up_in_every_life(shared_url: str) -> None:
    class OnThisDatabase(Money):
        url = shared_url

    run_state_machine_as_test(OnThisDatabase, settings=settings(max_examples=15, stateful_step_count=25, deadline=None))
