"""The SQL of the report of chamadas: a page of it, and a stretch of the whole; for report.py and report_csv.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, literal, select, tuple_
from sqlalchemy.orm import Session

from telefonista.chamada.queries import Vista
from telefonista.dialect.dates import Limites
from telefonista.storage.tables import Chamada, Gravacao, Perna
from telefonista.storage.types import Instant


@dataclass(frozen=True)
class Filtro:
    """Which chamadas: of one conta, created within bounds, with these numbers (as stored: E.164 or ramal)."""

    conta_id: int
    limites: Limites
    origem: str | None = None
    destino: str | None = None

    def numbers(self) -> list[tuple[str, str]]:
        """(papel, number) of each number asked for."""
        asked = (("origem", self.origem), ("destino", self.destino))
        return [(papel, numero) for papel, numero in asked if numero is not None]


class Cursor(NamedTuple):
    """The last chamada that was seen."""

    data_criacao: datetime
    id: int


def list_chamadas(session: Session, filtro: Filtro, *, posicao: int, limite: int) -> tuple[int, list[Vista]]:
    """One page of the report, oldest first, and how many there are in all.

    Counting and skipping read indexes alone. Numbers are looked for between the smallest and the largest id within
    the bounds, so that a number of every day costs no more than its calls of these days.
    """
    wanted = _within(filtro)
    # Counted together: PostgreSQL 15 looks for a minimum alone along the primary key, through every other conta's rows.
    bounds = select(func.count(), func.min(Chamada.id), func.max(Chamada.id)).where(*wanted)
    total, first, last = session.execute(bounds).one()
    if numbers := filtro.numbers():
        for papel, numero in numbers:
            called = select(Perna.chamada_id).where(
                Perna.e164 == numero, Perna.papel == papel, Perna.chamada_id.between(first, last)
            )
            wanted.append(Chamada.id.in_(called))
        total = session.scalar(select(func.count()).select_from(Chamada).where(*wanted)) or 0
    page = select(Chamada.id).where(*wanted).order_by(Chamada.data_criacao, Chamada.id)
    return total, vistas(session, session.scalars(page.offset(posicao).limit(limite)).all() if posicao < total else [])


def next_chamadas(
    session: Session, filtro: Filtro, after: Cursor | None, size: int
) -> tuple[list[Vista], Cursor | None]:
    """Of the next `size` chamadas within the bounds those with the numbers, and where to go on; None at the end."""
    window = select(Chamada.data_criacao, Chamada.id).where(*_within(filtro))
    if after is not None:
        seen = tuple_(literal(after.data_criacao, Instant), literal(after.id))
        window = window.where(tuple_(Chamada.data_criacao, Chamada.id) > seen)
    found = session.execute(window.order_by(Chamada.data_criacao, Chamada.id).limit(size)).all()
    ids = [id for _, id in found]
    for papel, numero in filtro.numbers():
        called = select(Perna.chamada_id).where(Perna.chamada_id.in_(ids), Perna.papel == papel, Perna.e164 == numero)
        kept = set(session.scalars(called))
        ids = [id for id in ids if id in kept]
    return vistas(session, ids), Cursor(*found[-1]) if len(found) == size else None


def vistas(session: Session, ids: Sequence[int]) -> list[Vista]:
    """These chamadas with their legs and recordings, in the order of `ids`."""
    if not ids:
        return []
    chamadas = {chamada.id: chamada for chamada in session.scalars(select(Chamada).where(Chamada.id.in_(ids)))}
    pernas: dict[int, list[Perna]] = {id: [] for id in ids}
    for perna in session.scalars(select(Perna).where(Perna.chamada_id.in_(ids)).order_by(Perna.id)):
        pernas[perna.chamada_id].append(perna)
    gravacoes: dict[int, list[Gravacao]] = {id: [] for id in ids}
    for gravacao in session.scalars(select(Gravacao).where(Gravacao.chamada_id.in_(ids)).order_by(Gravacao.id)):
        gravacoes[gravacao.chamada_id].append(gravacao)
    return [Vista(chamadas[id], pernas[id], gravacoes[id]) for id in ids]


def _within(filtro: Filtro) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [Chamada.conta_id == filtro.conta_id, Chamada.recurso == "chamada"]
    if filtro.limites.inicio is not None:
        wanted.append(Chamada.data_criacao >= filtro.limites.inicio)
    if filtro.limites.fim is not None:
        wanted.append(Chamada.data_criacao < filtro.limites.fim)
    return wanted
