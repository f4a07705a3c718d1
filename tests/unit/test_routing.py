"""From a number to where it rings, on both databases: ramal first, test network, then the trunk that serves it."""

import pytest
from sqlalchemy.orm import Session

from telefonista.calling import routing
from telefonista.calling.pedido import Rota
from telefonista.calling.routing import Chamador, NaoPermitida, SemRota
from telefonista.dialect.numbers import NumeroInvalido
from telefonista.engine.rede import NUMEROS, movel
from telefonista.storage.tables import Conta, Ramal, Tronco
from tests.rows import NOON, Books

pytest_plugins = ["tests.databases", "tests.rows"]

FIXO, MOVEL, GRATIS, ESTRANGEIRO = "4832830151", "48999990000", "08001234567", "+14155552671"


@pytest.fixture
def conta_id(books: Books) -> int:
    return books.conta()


def add_ramal(session: Session, conta_id: int, numero: str) -> int:
    key = f"{conta_id}-{numero}"
    ramal = Ramal(conta_id=conta_id, ramal=numero, login=key, senha="Segredo123", webphone_key=key, criado_em=NOON)
    session.add(ramal)
    session.flush()
    return ramal.id


def add_tronco(session: Session, nome: str, classes: str, formato: str = "nacional") -> int:
    tronco = Tronco(nome=nome, host="sip.test", classes=classes, formato_numero=formato, criado_em=NOON)
    session.add(tronco)
    session.flush()
    return tronco.id


def route(
    books: Books, conta_id: int, texto: str, *, test_network: bool = True, chamador: Chamador | None = None
) -> Rota:
    def unit(session: Session) -> Rota:
        conta = session.get_one(Conta, conta_id)
        return routing.resolve(session, conta, texto, test_network=test_network, chamador=chamador)

    return books.do(unit)


def allow_international(session: Session, conta_id: int) -> None:
    session.get_one(Conta, conta_id).internacional = True


def test_a_ramal_of_the_conta_is_found_by_its_exact_number(books: Books, conta_id: int) -> None:
    ramal_id = books.do(add_ramal, conta_id, "4000")
    rota = Rota("ramal", "ramal", "4000", f"4000c{conta_id}", ramal_id=ramal_id)
    assert route(books, conta_id, "4000") == route(books, conta_id, " 4000 ") == rota


@pytest.mark.parametrize("numero", ["40041234", "190"])
def test_a_ramal_goes_before_whatever_else_its_number_means(books: Books, conta_id: int, numero: str) -> None:
    books.do(add_tronco, "operadora", "4004,fixo")
    ramal_id = books.do(add_ramal, conta_id, numero)
    assert route(books, conta_id, numero).ramal_id == ramal_id


def test_a_ramal_of_another_conta_is_nobody(books: Books, conta_id: int) -> None:
    books.do(add_ramal, books.conta(nome="outra"), "4000")
    with pytest.raises(NumeroInvalido, match="não há ramal"):
        route(books, conta_id, "4000")


@pytest.mark.parametrize("numero", sorted(NUMEROS))
def test_the_test_network_has_its_numbers_fixo_and_movel(books: Books, conta_id: int, numero: str) -> None:
    books.do(add_tronco, "operadora", "fixo,movel")
    assert route(books, conta_id, numero) == Rota("fixo", "fixo", f"+55{numero}", "rede", numero=numero)
    twin = movel(numero)
    assert route(books, conta_id, f"+55{twin}") == Rota("movel", "movel", f"+55{twin}", "rede", numero=twin)


def test_the_rest_of_ddd_10_belongs_to_nobody(books: Books, conta_id: int) -> None:
    with pytest.raises(SemRota):
        route(books, conta_id, "1030000099")


def test_without_the_test_network_its_numbers_are_like_any_other(books: Books, conta_id: int) -> None:
    with pytest.raises(SemRota, match="TELEFONISTA_TEST_NETWORK"):
        route(books, conta_id, "1030000001", test_network=False)
    tronco_id = books.do(add_tronco, "operadora", "fixo")
    assert route(books, conta_id, "1030000001", test_network=False).tronco_id == tronco_id


def test_without_a_trunk_it_says_what_to_do(books: Books, conta_id: int) -> None:
    with pytest.raises(SemRota, match=r"classe fixo.*telefonista tronco add.*1030000001"):
        route(books, conta_id, FIXO)


def test_the_first_trunk_that_serves_the_class_takes_the_call(books: Books, conta_id: int) -> None:
    celular = books.do(add_tronco, "celular", "movel")
    geral = books.do(add_tronco, "geral", "fixo,movel,0800")
    found = {numero: route(books, conta_id, numero) for numero in (FIXO, MOVEL, GRATIS)}
    assert {numero: rota.tronco_id for numero, rota in found.items()} == {FIXO: geral, MOVEL: celular, GRATIS: geral}
    assert found[FIXO] == Rota("fixo", "fixo", f"+55{FIXO}", f"tronco-{geral}", numero=FIXO, tronco_id=geral)
    assert (found[MOVEL].tipo, found[MOVEL].classe) == ("movel", "movel")
    assert (found[GRATIS].tipo, found[GRATIS].classe) == ("fixo", "0800")
    with pytest.raises(SemRota, match="classe 0300"):
        route(books, conta_id, "03001234567")


@pytest.mark.parametrize(
    ("formato", "texto", "dialled"),
    [
        ("nacional", FIXO, "4832830151"),
        ("0nacional", FIXO, "04832830151"),
        ("e164", FIXO, "554832830151"),
        ("e164+", FIXO, "+554832830151"),
        ("nacional", "+55 (48) 99999-0000", "48999990000"),
        ("nacional", "0 48 3283-0151", "4832830151"),
        ("nacional", "5532830151", "5532830151"),  # DDD 55
        ("e164", "555532830151", "555532830151"),
        ("nacional", GRATIS, "08001234567"),
        ("0nacional", GRATIS, "08001234567"),
        ("e164", GRATIS, "558001234567"),
        ("nacional", ESTRANGEIRO, "+14155552671"),
        ("0nacional", ESTRANGEIRO, "+14155552671"),
        ("e164+", ESTRANGEIRO, "+14155552671"),
    ],
)
def test_a_number_is_dialled_as_the_carrier_wants_it(
    books: Books, conta_id: int, formato: str, texto: str, dialled: str
) -> None:
    books.do(allow_international, conta_id)
    books.do(add_tronco, "operadora", "fixo,movel,0800,internacional", formato)
    assert route(books, conta_id, texto).numero == dialled


def test_international_needs_the_contas_leave_and_then_a_trunk(books: Books, conta_id: int) -> None:
    with pytest.raises(NaoPermitida, match="internacionais"):
        route(books, conta_id, ESTRANGEIRO)
    books.do(allow_international, conta_id)
    with pytest.raises(SemRota, match="classe internacional"):
        route(books, conta_id, ESTRANGEIRO)
    tronco_id = books.do(add_tronco, "mundo", "internacional")
    rota = route(books, conta_id, ESTRANGEIRO)
    assert (rota.tipo, rota.classe, rota.e164, rota.tronco_id) == ("fixo", "internacional", ESTRANGEIRO, tronco_id)


@pytest.mark.parametrize(
    ("chamador", "texto", "right"),
    [
        (Chamador(externa=False, celular=True), FIXO, "ligacao_externa"),
        (Chamador(externa=False, celular=True), MOVEL, "ligacao_externa"),
        (Chamador(externa=False, celular=False), GRATIS, "ligacao_externa"),
        (Chamador(externa=True, celular=False), MOVEL, "ligacao_celular"),
        (Chamador(externa=True, celular=True), MOVEL, ""),
        (Chamador(externa=True, celular=False), FIXO, ""),
        (Chamador(externa=False, celular=False), "1030000001", ""),
        (Chamador(externa=False, celular=False), "10930000001", ""),
        (Chamador(externa=False, celular=False), "4000", ""),
        (None, MOVEL, ""),
    ],
)
def test_a_ramals_rights(books: Books, conta_id: int, chamador: Chamador | None, texto: str, right: str) -> None:
    """Ramais and the test network are for everybody; the API asks for no right."""
    books.do(add_ramal, conta_id, "4000")
    books.do(add_tronco, "operadora", "fixo,movel,0800")
    if right:
        with pytest.raises(NaoPermitida, match=right):
            route(books, conta_id, texto, chamador=chamador)
    else:
        assert route(books, conta_id, texto, chamador=chamador).endpoint


@pytest.mark.parametrize("texto", ["", "abc", "190", "911", "48 3283", "00 1 415 555 2671", "90 48 3283 0151"])
def test_what_is_no_number_is_refused_before_any_trunk(books: Books, conta_id: int, texto: str) -> None:
    books.do(add_tronco, "operadora", "fixo,movel,internacional")
    with pytest.raises(NumeroInvalido):
        route(books, conta_id, texto)


@pytest.mark.parametrize(
    ("texto", "shown"),
    [
        ("+5548999990000", "48999990000"),
        ("4000", "4000"),
        (ESTRANGEIRO, ESTRANGEIRO),
        (" anônimo ", "anônimo"),
        ("(48) 3283-0151", "4832830151"),
    ],
)
def test_a_caller_is_shown_as_a_telephone_in_brazil_does(texto: str, shown: str) -> None:
    assert routing.as_shown(texto) == shown
