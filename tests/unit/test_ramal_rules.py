"""What a ramal may be called, and the secrets made for it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telefonista.dialect.errors import DialectError
from telefonista.ramal import rules
from telefonista.ramal.queries import ramal_by_usuario
from telefonista.ramal.view import sip_server
from telefonista.settings import Settings


@given(st.integers(10, 999_999))
def test_numbers(number: int) -> None:
    text = str(number)
    if (
        number == 911
        or 100 <= number <= 199
        or text.startswith("55")
        and text[2:] in ("911", *map(str, range(100, 200)))
    ):
        with pytest.raises(DialectError, match="serviço público"):
            rules.check_numero(text)
    else:
        assert rules.check_numero(f" {text} ") == text


@given(st.text(max_size=10))
def test_what_is_no_number(text: str) -> None:
    if text.strip().isascii() and re.fullmatch("[1-9][0-9]{1,5}", text.strip()):
        return  # a number after all: test_numbers
    with pytest.raises(DialectError) as caught:
        rules.check_numero(text)
    assert (caught.value.status, caught.value.motivo) == (405, 11) and "ramal" in caught.value.mensagem


def test_made_secrets_are_good_and_never_the_same() -> None:
    senhas = {rules.new_senha() for _ in range(200)}
    assert len(senhas) == 200
    for senha in senhas:
        assert rules.check_senha(senha) == senha and len(senha) == 20
        assert any(c.isdigit() for c in senha) and any(c.isupper() for c in senha) and any(c.islower() for c in senha)
    assert len({rules.new_webphone_key() for _ in range(50)} | {rules.new_login("4000") for _ in range(50)}) == 100


def test_free_numbers() -> None:
    assert rules.free_numero(set()) == "4000"
    assert rules.free_numero({"4000", "4002", "200"}) == "4001"
    assert rules.free_numero({str(n) for n in range(3000, 10_000)}) == "10000"


@pytest.mark.parametrize(
    ("given", "server"),
    [
        ({"sip_host": "192.168.0.10"}, "192.168.0.10"),
        ({"sip_host": "192.168.0.10", "external_ip": "200.1.2.3"}, "200.1.2.3"),
        ({"sip_host": "0.0.0.0", "public_url": "https://voz.exemplo.com.br"}, "voz.exemplo.com.br"),
        ({"sip_host": "0.0.0.0"}, "127.0.0.1"),
    ],
)
def test_the_server_a_telephone_is_told(given: dict[str, str], server: str) -> None:
    assert sip_server(Settings(_env_file=None, **given)) == server


@pytest.mark.parametrize("usuario", ["", "4000", "c1", "4000c", "4000cx", "tronco-1", "4000c1c1", "4000c" + "9" * 40])
def test_what_is_no_sip_user_asks_no_database(usuario: str) -> None:
    assert ramal_by_usuario(None, usuario) is None  # type: ignore[arg-type]
