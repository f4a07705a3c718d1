"""dialect.envelope and errors: the exact JSON of answers, and the status and motivo of each refusal."""

import json
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telefonista.dialect import errors
from telefonista.dialect.envelope import encode, envelope, ok

# The first text of a run builds Hypothesis's table of characters, which takes over a second.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_the_order_of_keys_and_the_default_message() -> None:
    body = b'{"status":200,"sucesso":true,"motivo":0,"mensagem":"dados retornados com sucesso","dados":null}'
    assert bytes(ok().body) == body
    assert ok().headers["content-type"] == "application/json; charset=utf-8"
    assert bytes(ok({"status": "não existe"}).body).decode().endswith('"dados":{"status":"não existe"}}')
    assert json.loads(envelope(404, 60, "x").body)["sucesso"] is False


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.350000", "0.35"), ("0.10", "0.1"), ("0", "0"), ("100", "100"), ("-56.8616", "-56.8616"), ("1E+3", "1000"),
     ("12345678901234567890.123456789", "12345678901234567890.123456789")],
)  # fmt: skip
def test_a_decimal_becomes_exactly_its_number(value: str, text: str) -> None:
    assert encode({"preco": Decimal(value), "t": "0.10"}) == b'{"preco":%s,"t":"0.10"}' % text.encode()


@unhurried
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6), st.text())
def test_decimals_and_text_come_back(value: Decimal, text: str) -> None:
    found = json.loads(encode([value, text]), parse_float=Decimal, parse_int=Decimal)
    assert found[0] == value
    assert found[1] == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("value", [datetime(2020, 1, 1), {1, 2}, Decimal("NaN")])
def test_what_is_not_json_is_our_fault(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)
    with pytest.raises(ValueError):
        encode(float("nan"))


@pytest.mark.parametrize(
    ("error", "status", "motivo", "word"),
    [
        (errors.corpo_invalido(), 400, 100, "JSON"),
        (errors.corpo_grande(10), 413, 100, "10 bytes"),
        (errors.sem_saldo(), 402, 9, "saldo"),
        (errors.token_invalido(), 403, 40, "Access-Token"),
        (errors.nao_permitido("a bina não está confirmada"), 403, 8, "a bina não está confirmada"),
        (errors.nao_encontrado("chamada"), 404, 60, "chamada"),
        (errors.sem_gravacao(), 404, 70, "gravação"),
        (errors.rota_inexistente(), 404, 90, "endereço"),
        (errors.metodo_inexistente("PATCH", "GET, PUT"), 405, 90, "GET, PUT"),
        (errors.obrigatorio("numero"), 405, 10, "numero"),
        (errors.invalido("numero", "informe um texto"), 405, 11, "numero"),
        (errors.duplicado("login"), 405, 20, "login"),
        (errors.inativa(), 405, 80, "ativa"),
        (errors.chave_em_uso(), 409, 20, "Idempotency-Key"),
        (errors.chave_com_outro_corpo(), 422, 20, "Idempotency-Key"),
        (errors.limite_de_taxa(0), 429, 100, "1 s"),
        (errors.erro_interno("abc"), 500, 50, "abc"),
        (errors.nao_implementado(), 501, 30, "implementado"),
        (errors.sem_motor(4.2), 503, 50, "telefonia"),
    ],
)
def test_each_refusal(error: errors.DialectError, status: int, motivo: int, word: str) -> None:
    assert (error.status, error.motivo) == (status, motivo) and word in error.mensagem


def test_retry_after() -> None:
    assert errors.limite_de_taxa(0).headers == {"Retry-After": "1"}
    assert errors.sem_motor(4.2).headers == {"Retry-After": "5"}
    assert errors.sem_motor().headers is None
