"""Pages of reports: the query every report accepts and the `dados` every report answers; for every feature."""

from datetime import datetime
from typing import Annotated, Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from telefonista.dialect.dates import Limites, parse_limites
from telefonista.dialect.errors import invalido
from telefonista.dialect.fields import MAX_INT
from telefonista.dialect.models import Corpo, Inteiro, Texto

DEFAULT, MOST = 100, 200

T = TypeVar("T")


class Pagina(NamedTuple):
    """`posicao` is a zero-based offset, `limite` 1 to 200."""

    posicao: int
    limite: int


def parse_pagina(posicao: int | str | None = None, limite: int | str | None = None) -> Pagina:
    """Missing or 0: offset 0 and 100 rows; more than 200 becomes 200; negative or no number: 405/11."""
    return Pagina(_number("posicao", posicao), min(_number("limite", limite) or DEFAULT, MOST))


def _number(campo: str, value: int | str | None) -> int:
    text = "" if value is None else str(value).strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > MAX_INT:
        raise invalido(campo, f"informe um número inteiro de 0 a {MAX_INT}")
    return int(text)


def relatorio(total: int, posicao: int, limite: int, itens: list[Any]) -> dict[str, Any]:
    """The `dados` of a report; `total` counts all rows, not this page's."""
    return {"total": total, "posicao": posicao, "limite": limite, "relatorio": itens}


class Relatorio(BaseModel, Generic[T]):
    """Uma página de um relatório."""

    # For OpenAPI only, by `documented`: answers are made by `relatorio`.

    total: int = Field(description="Quantos registros há no período, em todas as páginas.")
    posicao: int = Field(description="Quantos registros foram pulados.")
    limite: int = Field(description="Quantos registros cabem na página.")
    relatorio: list[T] = Field(description="Os registros, do mais antigo ao mais novo.")


class ConsultaRelatorio(Corpo):
    """`consulta: Annotated[ConsultaRelatorio, Query()]`; a report with filters of its own inherits from it."""

    data_inicio: Annotated[
        Texto | None, Field(description="Início do período, no fuso da conta: `AAAA-MM-DD` ou data e hora.")
    ] = None
    data_fim: Annotated[
        Texto | None, Field(description="Fim do período; só a data inclui o dia inteiro. Sem período: últimos 30 dias.")
    ] = None
    posicao: Annotated[Inteiro, Field(ge=0, description="Quantos registros pular; começa em 0.")] = 0
    limite: Annotated[Inteiro, Field(ge=0, description="Registros por página: 100 se ausente, no máximo 200.")] = (
        DEFAULT
    )

    def limites(self, zone: ZoneInfo, now: datetime, *, tudo: bool = False) -> Limites:
        """See dates.parse_limites."""
        return parse_limites(self.data_inicio, self.data_fim, zone, now, tudo=tudo)

    def pagina(self) -> Pagina:
        return parse_pagina(self.posicao, self.limite)
