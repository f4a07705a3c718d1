"""The report of chamadas as a table (RFC 4180, UTF-8), sent while it is read: memory does not grow with its length."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session
from starlette.responses import StreamingResponse

from telefonista.calling.causes import motivo_desconexao
from telefonista.calling.house import House
from telefonista.chamada.queries import Vista
from telefonista.chamada.report_rows import Cursor, Filtro, next_chamadas
from telefonista.chamada.view import recording_url
from telefonista.dialect.dates import iso_local
from telefonista.storage.tables import Chamada, Perna

ROWS_AT_A_TIME = 500
"""So many chamadas are read in one turn: each is a transaction of its own, short enough to disturb nobody."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_CHAMADA: dict[str, Callable[[Chamada, ZoneInfo], Any]] = {
    "id": lambda chamada, zone: chamada.id,
    "data_criacao": lambda chamada, zone: iso_local(chamada.data_criacao, zone),
    "data_fim": lambda chamada, zone: iso_local(chamada.encerrada_em, zone),
    "status_geral": lambda chamada, zone: chamada.status_geral,
    "desfecho": lambda chamada, zone: chamada.desfecho,
    "ramal_id_origem": lambda chamada, zone: chamada.ramal_id_origem,
    "tags": lambda chamada, zone: _harmless(chamada.tags),
    "nota": lambda chamada, zone: chamada.nota,
    "comentario": lambda chamada, zone: _harmless(chamada.comentario),
}
_PERNA: dict[str, Callable[[Perna, ZoneInfo], Any]] = {
    "numero": lambda perna, zone: _harmless(perna.numero),
    "tipo": lambda perna, zone: perna.tipo,
    "status": lambda perna, zone: perna.status,
    "data_inicio": lambda perna, zone: iso_local(perna.data_inicio, zone),
    "data_atendimento": lambda perna, zone: iso_local(perna.atendida_em, zone),
    "duracao_segundos": lambda perna, zone: perna.duracao_segundos,
    "duracao_falada_segundos": lambda perna, zone: perna.duracao_falada_segundos,
    "duracao_cobrada_segundos": lambda perna, zone: perna.duracao_cobrada_segundos,
    "preco": lambda perna, zone: _money(perna.preco),
    "motivo_desconexao": lambda perna, zone: motivo_desconexao(perna.causa),
}
COLUMNS = (
    *_CHAMADA,
    *(f"{papel}_{nome}" for papel in ("origem", "destino") for nome in _PERNA),
    *("pernas", "preco_total", "url_gravacao"),
)


class TableOfChamadas(StreamingResponse):
    """All chamadas of a filter, as a file to keep. A client that goes away ends the reading."""

    def __init__(self, casa: House, filtro: Filtro, zone: ZoneInfo) -> None:
        super().__init__(
            _table(casa, filtro, zone),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": 'attachment; filename="chamadas.csv"'},
        )


async def _table(casa: House, filtro: Filtro, zone: ZoneInfo) -> AsyncIterator[bytes]:
    yield _lines([COLUMNS])
    after: Cursor | None = None
    while True:
        lines, after = await casa.storage.read(_stretch, filtro, after, zone, casa.settings.base_url)
        if lines:
            yield lines
        if after is None:
            return


def _stretch(
    session: Session, filtro: Filtro, after: Cursor | None, zone: ZoneInfo, base_url: str
) -> tuple[bytes, Cursor | None]:
    """The next lines. Written where they are read: the loop that carries the calls only passes them on."""
    vistas, after = next_chamadas(session, filtro, after, ROWS_AT_A_TIME)
    return _lines([_row(vista, zone, base_url) for vista in vistas]), after


def _row(vista: Vista, zone: ZoneInfo, base_url: str) -> list[Any]:
    by_papel = {perna.papel: perna for perna in reversed(vista.pernas)}
    row = [cell(vista.chamada, zone) for cell in _CHAMADA.values()]
    for papel in ("origem", "destino"):
        perna = by_papel.get(papel)
        row += [None if perna is None else cell(perna, zone) for cell in _PERNA.values()]
    total = sum((perna.preco for perna in vista.pernas), Decimal(0))
    whole = (recording_url(gravacao, base_url) for gravacao in vista.gravacoes if gravacao.tipo == "completa")
    return [*row, len(vista.pernas), _money(total), next(whole, None)]


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _money(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _harmless(text: str | None) -> str | None:
    """What others wrote is text: a spreadsheet takes a cell that begins so for a formula, an apostrophe says no."""
    return f"'{text}" if text is not None and text.startswith(_FORMULA) and not text[1:].isdecimal() else text
