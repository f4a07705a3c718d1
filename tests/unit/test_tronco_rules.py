"""Which trunks are accepted, and in which words the others are refused."""

from typing import Any

import pytest

from telefonista.tronco.rules import CLASSES, NovoTronco, TroncoInvalido, check, split_classes


def novo(**campos: Any) -> NovoTronco:
    return NovoTronco(**{"nome": "operadora", "host": "sip.operadora.com.br"} | campos)


@pytest.mark.parametrize(
    "campos",
    [
        {},
        {"host": "200.1.2.3", "porta": 65535, "transporte": "tcp"},
        {"host": "localhost"},
        {"usuario": "4832830151", "senha": "s3nh@!", "registra": True},
        {"classes": CLASSES, "formato_numero": "0nacional", "bina": "(48) 3283-0151", "canais": 1, "cps": 100},
    ],
)
def test_good(campos: dict[str, Any]) -> None:
    check(novo(**campos))


@pytest.mark.parametrize(
    ("campos", "word"),
    [
        ({"nome": ""}, "nome"),
        ({"nome": "com espaço"}, "nome"),
        ({"nome": "x" * 41}, "nome"),
        ({"host": ""}, "host"),
        ({"host": "sip.operadora.com.br:5060"}, "host"),
        ({"host": "sip:operadora"}, "host"),
        ({"host": "300.1.2.3"}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "x;transport=tcp"}, "host"),
        ({"porta": 0}, "porta"),
        ({"porta": 65536}, "porta"),
        ({"transporte": "tls"}, "transporte"),
        ({"usuario": "ana@operadora"}, "usuario"),
        ({"usuario": "ana\r\nX: y"}, "usuario"),
        ({"usuario": "ana", "senha": "com espaço"}, "senha"),
        ({"registra": True}, "usuario"),
        ({"registra": True, "usuario": "ana"}, "senha"),
        ({"formato_numero": "internacional"}, "formato-numero"),
        ({"bina": "4000"}, "bina"),
        ({"bina": "190"}, "bina"),
        ({"canais": 0}, "canais"),
        ({"cps": 1001}, "cps"),
        ({"classes": ()}, "classes"),
        ({"classes": ("fixo", "ramal")}, "classes"),
    ],
)
def test_bad(campos: dict[str, Any], word: str) -> None:
    with pytest.raises(TroncoInvalido) as caught:
        check(novo(**campos))
    assert str(caught.value).startswith(f"{word} inválido: ")


def test_classes_as_people_write_them() -> None:
    assert split_classes(" fixo, Móvel,0800,,fixo ") == ("fixo", "movel", "0800")
    assert split_classes("") == ()


def test_a_senha_is_never_shown() -> None:
    assert "segredo" not in repr(novo(usuario="ana", senha="segredo"))
