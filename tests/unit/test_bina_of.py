"""Which number is shown: by default, as asked for, by a trunk of its own number, and when only confirmed ones leave."""

import pytest
from sqlalchemy.orm import Session

from telefonista.calling.bina import bina_of
from telefonista.calling.pedido import Rota
from telefonista.dialect.errors import DialectError
from telefonista.storage.tables import Bina, Tronco
from tests.rows import NOON, Books, at

pytest_plugins = ["tests.databases", "tests.rows"]

OTHER, MINE, SECOND = "48999990000", "4832830151", "1130830152"
RAMAL = Rota("ramal", "ramal", "4000", "4000c1", ramal_id=1)
REDE = Rota("fixo", "fixo", "+551030000001", "rede", numero="1030000001")


class Case:
    def __init__(self, books: Books) -> None:
        self.books, self.conta_id = books, books.conta()
        self.trunk = self.by_trunk(None)

    def by_trunk(self, bina: str | None) -> Rota:
        def unit(session: Session) -> int:
            tronco = Tronco(nome=f"t {bina}", host="sip.test", bina=bina, criado_em=NOON)
            session.add(tronco)
            session.flush()
            return tronco.id

        id = self.books.do(unit)
        return Rota("fixo", "fixo", "+554830300000", f"tronco-{id}", numero="4830300000", tronco_id=id)

    def confirm(self, numero: str, seconds: float, *, conta_id: int | None = None) -> None:
        def unit(session: Session) -> None:
            conta = conta_id or self.conta_id
            session.add(Bina(conta_id=conta, numero=f"+55{numero}", criada_em=NOON, confirmada_em=at(seconds)))

        self.books.do(unit)

    def shown(self, rota: Rota, padrao: str = OTHER, pedida: str | None = None, *, only: bool = True) -> str:
        return self.books.do(
            bina_of, self.conta_id, rota, padrao, so_confirmada=only, pedida=pedida, campo="bina_destino"
        )


@pytest.fixture
def case(books: Books) -> Case:
    return Case(books)


@pytest.mark.parametrize("rota", [RAMAL, REDE])
def test_what_stays_inside_shows_anything(case: Case, rota: Rota) -> None:
    assert case.shown(rota) == OTHER
    assert case.shown(rota, pedida="+55 (48) 3283-0151") == MINE
    assert case.shown(rota, padrao="4001") == "4001"
    assert case.shown(rota, padrao="") == ""


def test_without_the_rule_a_trunk_shows_anything(case: Case) -> None:
    assert case.shown(case.trunk, only=False) == OTHER
    assert case.shown(case.trunk, pedida=MINE, only=False) == MINE


def test_what_is_asked_for_must_be_confirmed(case: Case) -> None:
    with pytest.raises(DialectError, match="bina_destino") as refused:
        case.shown(case.trunk, pedida=MINE)
    assert (refused.value.status, refused.value.motivo) == (403, 8)
    with pytest.raises(DialectError):
        case.shown(case.trunk, pedida="4000")
    case.confirm(MINE, 0)
    for notation in (MINE, "+554832830151", "0 48 3283-0151"):
        assert case.shown(case.trunk, pedida=notation) == MINE


def test_an_unconfirmed_default_gives_way(case: Case) -> None:
    assert case.shown(case.trunk) == "", "no number at all rather than a stranger's"
    case.confirm(SECOND, 20)
    case.confirm(MINE, 10)
    assert case.shown(case.trunk) == MINE, "the first that was confirmed"
    assert case.shown(case.trunk, padrao="4000") == MINE
    assert case.shown(case.trunk, padrao=SECOND) == SECOND


def test_of_this_conta_and_confirmed(case: Case) -> None:
    case.confirm(MINE, 0, conta_id=case.books.conta(nome="outra"))
    case.books.do(lambda session: session.add(Bina(conta_id=case.conta_id, numero="+551130830152", criada_em=NOON)))
    assert case.shown(case.trunk) == ""
    for numero in (MINE, SECOND):
        with pytest.raises(DialectError):
            case.shown(case.trunk, pedida=numero)


@pytest.mark.parametrize("only", [True, False])
def test_the_trunks_own_number_wins(case: Case, only: bool) -> None:
    case.confirm(MINE, 0)
    rota = case.by_trunk("+551140040000")
    for pedida in (None, MINE, SECOND):
        assert case.shown(rota, pedida=pedida, only=only) == "1140040000"
