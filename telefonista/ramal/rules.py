"""What a ramal may be called and which senha it may have: pure checks and makers, for the rest of ramal."""

import re
import secrets
from collections.abc import Set
from itertools import count

from telefonista.dialect.errors import invalido
from telefonista.dialect.numbers import e_servico

FIRST = 4000
"""Where free numbers start."""

SENHA_MIN, SENHA_MAX = 8, 64

_NUMERO = re.compile(r"[1-9][0-9]{1,5}")
# What a digest is made of must be the same bytes in every telephone: no accents.
_SENHA = re.compile(r"(?=.*[a-z])(?=.*[A-Z])[\x20-\x7e]{8,64}")
# Without the letters and digits that a person reads wrong from a screen.
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def check_numero(texto: str) -> str:
    """The number as it is kept; 405/11 unless it is 2 to 6 digits, does not start with 0 and is no public service."""
    numero = texto.strip()
    if not _NUMERO.fullmatch(numero):
        raise invalido("ramal", "informe de 2 a 6 dígitos que não comecem com 0, por exemplo 4000")
    if e_servico(numero):
        raise invalido("ramal", "este é o número de um serviço público ou de emergência: informe outro, como 4000")
    return numero


def check_senha(senha: str) -> str:
    """The senha as it is; 405/11 when it is too easy to guess or cannot be typed into every telephone."""
    if not _SENHA.fullmatch(senha):
        raise invalido(
            "senha",
            f"informe de {SENHA_MIN} a {SENHA_MAX} caracteres sem acentos, com letras maiúsculas e minúsculas",
        )
    return senha


def free_numero(taken: Set[str]) -> str:
    """The lowest number from 4000 on that is not taken."""
    return next(str(number) for number in count(FIRST) if str(number) not in taken)


def new_senha() -> str:
    """20 characters with upper and lower case and digits (about 115 bits)."""
    while True:
        senha = "".join(secrets.choice(_ALPHABET) for _ in range(20))
        if _SENHA.fullmatch(senha) and any(c.isdigit() for c in senha):
            return senha


def new_login(numero: str) -> str:
    """A login that nobody has, for a ramal that was given none."""
    return f"{numero}.{secrets.token_hex(6)}@telefonista"


def new_webphone_key() -> str:
    return secrets.token_urlsafe(32)
