"""The annotated types of request fields; import them from models."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from telefonista.dialect.dates import FORMATS, parse_instant
from telefonista.dialect.errors import nao_encontrado

MAX_INT = 2**31 - 1
"""Largest id or number on the wire."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_TRUE = frozenset({"true", "1", "sim", "s", "yes", "on"})
_FALSE = frozenset({"false", "0", "nao", "não", "n", "no", "off"})


@dataclass(frozen=True)
class Ausente:
    """Marks a type for which more than null and "" means absent."""

    teste: Callable[[Any], bool]


class Tambem:
    """Marks a field that is also accepted under other names: `Annotated[Inteiro, Tambem("numero")]`."""

    def __init__(self, *nomes: str) -> None:
        self.nomes = nomes


def recusa(aceito: str) -> PydanticCustomError:
    """For validators of other modules: becomes 405/11 with `aceito`, as in "informe true ou false"."""
    return PydanticCustomError("dialect", "refused", {"aceito": aceito})


def _booleano(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
    raise recusa("informe true ou false")


def _integer(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -MAX_INT <= value <= MAX_INT:
        return value
    return None


def _inteiro(value: object) -> int:
    number = _integer(value)
    if number is None:
        raise recusa("informe um número inteiro")
    return number


def _identificador(value: object) -> int:
    number = _integer(value)
    if number is None or number < 1:
        raise recusa(f"informe um número inteiro de 1 a {MAX_INT}")
    return number


def _id_caminho(value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        number = int(value)
        if not 1 <= number <= MAX_INT:
            raise nao_encontrado("objeto")
        return number
    raise recusa("informe um número inteiro no caminho")


def _texto(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**40 else "9" * 41
    if not isinstance(value, str):
        raise recusa("informe um texto")
    if _CONTROL.search(value):
        raise recusa("informe um texto sem caracteres de controle")
    return value.strip()


def _instante(value: object) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    moment = parse_instant(value) if isinstance(value, str) else None
    if moment is None:
        raise recusa(f"informe a data em UTC como {FORMATS}")
    return moment


def _zero(value: object) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and not value.strip().strip("0")
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _no_date(value: object) -> bool:
    return isinstance(value, str) and value.strip().startswith(("0001-01-01", "0000-00-00", "01/01/0001"))


Booleano = Annotated[bool, BeforeValidator(_booleano)]
"""true/false, "true"/"True", 1/0, "1", "sim"/"nao"."""

Inteiro = Annotated[int, BeforeValidator(_inteiro)]
"""Any integer below 2^31 in size, also as text; 0 is a value."""

Identificador = Annotated[int, BeforeValidator(_identificador), Field(ge=1, le=MAX_INT), Ausente(_zero)]
"""An id; 0 is absent."""

IdCaminho = Annotated[int, BeforeValidator(_id_caminho), Path(ge=1, le=MAX_INT, description="ID do objeto.")]
"""For `id: IdCaminho` in a route: a number that cannot be an id is 404/60, a text 405/11."""

Texto = Annotated[str, BeforeValidator(_texto), StringConstraints(max_length=255)]
"""Trimmed, up to 255 characters, no control characters but line ends and tabs; a number is accepted as text."""

TextoLongo = Annotated[str, BeforeValidator(_texto), StringConstraints(max_length=1000)]
"""As Texto, up to 1000 characters."""

Telefone = Annotated[str, BeforeValidator(_texto), StringConstraints(max_length=40), Ausente(_zero)]
"""A number or ramal as the client wrote it, up to 40 characters; 0 is absent. numbers.classify judges it."""

Instante = Annotated[datetime, BeforeValidator(_instante), Ausente(_no_date)]
"""A moment as aware UTC; without offset it is UTC; 0001-01-01 is absent."""
