"""Base of request models and the types of their fields: what clients send in many ways becomes one value.

A route declares its model once, `corpo: NovaChamada`, or `consulta: Annotated[Consulta, Query()]`; FastAPI documents it
and the lenient middleware has made the body an object.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from telefonista.dialect.bodies import absent, fold, regular
from telefonista.dialect.fields import (
    Ausente,
    Booleano,
    IdCaminho,
    Identificador,
    Instante,
    Inteiro,
    Tambem,
    Telefone,
    Texto,
    TextoLongo,
)

__all__ = [
    "Ausente",
    "Booleano",
    "Corpo",
    "IdCaminho",
    "Identificador",
    "Instante",
    "Inteiro",
    "Tambem",
    "Telefone",
    "Texto",
    "TextoLongo",
]


class Corpo(BaseModel):
    """Keys match without regard to case or underscores; unknown ones are ignored; absent values are as if not sent."""

    model_config = ConfigDict(extra="ignore")

    _wire: ClassVar[dict[str, tuple[str, tuple[Ausente, ...]]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        wire: dict[str, tuple[str, tuple[Ausente, ...]]] = {}
        for name, info in cls.model_fields.items():
            marks = [*info.metadata, *_marks(info.annotation)]
            accepted = [name, *(other for mark in marks if isinstance(mark, Tambem) for other in mark.nomes)]
            for key in accepted:
                wire.setdefault(fold(key), (name, tuple(m for m in marks if isinstance(m, Ausente))))
        cls._wire = wire

    @model_validator(mode="before")
    @classmethod
    def _match(cls, dados: object) -> object:
        if isinstance(dados, cls):
            return dados
        if not isinstance(dados, Mapping):
            raise PydanticCustomError("dialect", "not an object", {"aceito": "informe um objeto"})
        found: dict[str, Any] = {}
        for key, value in regular(dados).items():
            name, marks = cls._wire.get(key, ("", ()))
            if name and not absent(value) and not any(mark.teste(value) for mark in marks):
                found.setdefault(name, value)
        return found

    def informados(self) -> dict[str, Any]:
        """Only the fields the client gave: what a PUT changes."""
        return self.model_dump(exclude_unset=True)


def _marks(annotation: Any) -> list[Any]:
    """The metadata inside `X | None`, where pydantic 2.14 leaves it in the annotation."""
    found: list[Any] = list(getattr(annotation, "__metadata__", ()))
    for part in get_args(annotation):
        found += _marks(part)
    return found
