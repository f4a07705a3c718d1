"""dialect.bodies, models, idempotency and paging: keys, absent values, digests and pages."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from telefonista.dialect.bodies import NotAnObject, fold, parse, regular
from telefonista.dialect.errors import DialectError
from telefonista.dialect.idempotency import chave, digest
from telefonista.dialect.models import Booleano, Corpo, Identificador, Inteiro, Tambem, Telefone, Texto
from telefonista.dialect.paging import parse_pagina, relatorio
from telefonista.dialect.refusals import refusal

# The first text of a run builds Hypothesis's table of characters, which takes over a second.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Passo(Corpo):
    acao: Texto
    menu: Inteiro | None = None


class Pedido(Corpo):
    numero_destino: Telefone
    gravar_audio: Booleano | None = None
    ramal_id: Identificador | None = None
    prioridade: Inteiro | None = None
    nota: Annotated[Inteiro | None, Tambem("numero")] = None
    dados: list[Passo] = []


@st.composite
def spelled(draw: st.DrawFn, name: str = "gravar_audio") -> str:
    letters = [letter.upper() if draw(st.booleans()) else letter for letter in name]
    return "".join(letter for letter in letters if letter != "_" or draw(st.booleans()))


@unhurried
@given(spelled(), spelled("numero_destino"), st.booleans())
def test_a_key_is_found_however_it_is_spelled(gravar: str, numero: str, nested: bool) -> None:
    options = {gravar: "Sim"}
    pedido = Pedido.model_validate({numero: 4000, **({"OPCOES": options} if nested else options)})
    assert pedido.numero_destino == "4000" and pedido.gravar_audio is True
    assert pedido.informados() == {"numero_destino": "4000", "gravar_audio": True}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@unhurried
@given(st.dictionaries(st.sampled_from([*Pedido.model_fields, "x", "opcoes"]), json_values))
def test_any_object_is_accepted_or_refused_by_name(dados: dict[str, Any]) -> None:
    try:
        Pedido.model_validate(dados)
    except ValidationError as error:
        answer = refusal(error)
        assert answer.status == 405 and answer.motivo in (10, 11)
        assert any(name in answer.mensagem for name in Pedido.model_fields)


@unhurried
@given(
    st.binary(),
    st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]),
)
async def test_any_bytes_are_an_object_or_refused(body: bytes, content_type: str) -> None:
    try:
        dados = await parse(body, content_type)
    except NotAnObject:
        return
    assert all(isinstance(key, str) for key in dados)
    json.dumps(dados)


async def test_a_form_file_is_ignored() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\ntext\r\n--x--\r\n'
    )
    assert await parse(body, "multipart/form-data; boundary=x") == {"a": "1"}


async def test_php_nests_with_brackets() -> None:
    kind = "application/x-www-form-urlencoded"
    assert await parse(b"opcoes[gravar_audio]=1&opcoes%5Btags%5D=a", kind) == {
        "opcoes": {"gravar_audio": "1", "tags": "a"}
    }
    assert await parse(b"a=1&a[b]=2&a=3", kind) == {"a": "3", "a[b]": "2"}
    with pytest.raises(NotAnObject):
        await parse(b"&".join(b"a%d=1" % n for n in range(1001)), kind)


def test_outer_keys_and_given_values_win() -> None:
    assert regular({"a": 1, "opcoes": {"A": 2, "b_c": 3}}) == {"a": 1, "bc": 3}
    assert regular({"a": "", "opcoes": {"a": 2}}) == {"a": 2}
    assert regular({"a": 1, "A": ""}) == {"a": 1}
    assert fold("Numero_Destino") == fold("numeroDestino") == "numerodestino"


def test_zero_is_absent_only_for_ids_and_numbers() -> None:
    pedido = Pedido.model_validate({"numero_destino": "4000", "ramal_id": "0", "prioridade": 0})
    assert pedido.ramal_id is None and pedido.prioridade == 0
    with pytest.raises(ValidationError) as caught:
        Pedido.model_validate({"numero_destino": 0})
    assert (refusal(caught.value).motivo, "numero_destino" in refusal(caught.value).mensagem) == (10, True)


def test_another_name_and_a_nested_model() -> None:
    assert Pedido.model_validate({"numero_destino": "1", "numero": "5"}).nota == 5
    for dados, motivo, field in (
        ([{"menu": 1}], 10, "dados[0].acao"),
        (["x"], 11, "dados[0]"),
        ([{"acao": "fim", "menu": "x"}], 11, "dados[0].menu"),
        ({}, 11, "dados"),
    ):
        with pytest.raises(ValidationError) as caught:
            Pedido.model_validate({"numero_destino": "1", "dados": dados})
        answer = refusal(caught.value)
        assert answer.motivo == motivo and f"o campo {field} " in answer.mensagem


def connection(**headers: str) -> HTTPConnection:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": pairs})


def test_a_digest_sees_what_is_asked_and_not_how_it_is_spelled() -> None:
    one = digest("POST", "/chamada", {"numero_destino": "1", "opcoes": {"tags": "é"}})
    assert one == digest("post", "/chamada", {"tags": "é", "NumeroDestino": "1"})
    assert len(one) == 64
    others = {digest("POST", "/audio", {}), digest("POST", "/chamada", {}), digest("PUT", "/chamada", {})}
    assert len(others) == 3 and one not in others
    assert chave(connection()) is None and chave(connection(idempotency_key=" k ")) == "k"
    with pytest.raises(DialectError, match="Idempotency-Key"):
        chave(connection(idempotency_key="k" * 256))


@pytest.mark.parametrize(
    ("posicao", "limite", "pagina"),
    [(None, None, (0, 100)), ("", "0", (0, 100)), ("201", "200", (201, 200)), (5, 1, (5, 1)), ("0", "500", (0, 200))],
)
def test_pages(posicao: str | int | None, limite: str | int | None, pagina: tuple[int, int]) -> None:
    assert parse_pagina(posicao, limite) == pagina


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "²", str(2**31), "9" * 30, -1])
@pytest.mark.parametrize("campo", ["posicao", "limite"])
def test_a_wrong_page_is_named(campo: str, value: str | int) -> None:
    with pytest.raises(DialectError) as caught:
        parse_pagina(**{campo: value})
    assert caught.value.motivo == 11 and campo in caught.value.mensagem


def test_the_dados_of_a_report() -> None:
    assert list(relatorio(3, 0, 2, [1, 2])) == ["total", "posicao", "limite", "relatorio"]
