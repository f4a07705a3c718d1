"""The SQL of ratings, as functions taking a session."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from telefonista.dialect.dates import Limites
from telefonista.dialect.errors import inativa, nao_encontrado
from telefonista.storage.tables import Chamada, Ramal

_AT_A_TIME = 1000


@dataclass(frozen=True)
class Avaliada:
    """A chamada that was rated."""

    chamada_id: int
    nota: int
    comentario: str | None
    avaliada_em: datetime
    ramal_id_origem: int | None


@dataclass
class Media:
    """Ratings as they are added up."""

    total: int = 0
    soma: int = 0

    def add(self, nota: int) -> None:
        self.total += 1
        self.soma += nota

    @property
    def media(self) -> float | None:
        """To two places; None without ratings."""
        return round(self.soma / self.total, 2) if self.total else None


@dataclass
class Medias:
    """By day in the conta's zone, and by the ramal that originated: its id and number."""

    todas: Media = field(default_factory=Media)
    por_dia: dict[date, Media] = field(default_factory=dict)
    por_ramal: dict[tuple[int, str], Media] = field(default_factory=dict)


def rate_chamada(
    session: Session, conta_id: int, chamada_id: int, nota: int, comentario: str | None, now: datetime
) -> None:
    """Keep a rating in place of the one before. Raises DialectError: no such chamada, or it has not begun."""
    chamada = session.get(Chamada, chamada_id, with_for_update=True)
    if chamada is None or chamada.conta_id != conta_id or chamada.recurso != "chamada":
        raise nao_encontrado("chamada")
    if chamada.status_geral == "criada":
        raise inativa()
    chamada.nota, chamada.comentario, chamada.avaliada_em = nota, comentario, now


def ratings(
    session: Session, conta_id: int, limites: Limites, zone: ZoneInfo, *, posicao: int, limite: int
) -> tuple[Medias, list[Avaliada]]:
    """The means of a period and one page of its ratings, of the same moment."""
    return _means(session, conta_id, limites, zone), _page(session, conta_id, limites, posicao, limite)


def _means(session: Session, conta_id: int, limites: Limites, zone: ZoneInfo) -> Medias:
    """Of all ratings of a period, in bounded memory."""
    query = (
        select(Chamada.data_criacao, Chamada.nota, Ramal.id, Ramal.ramal)
        .outerjoin(Ramal, Ramal.id == Chamada.ramal_id_origem)
        .where(*_rated(conta_id, limites))
    )
    rows: Iterable[Any] = session.execute(query.execution_options(yield_per=_AT_A_TIME))
    found = Medias()
    for criada, nota, ramal_id, ramal in rows:
        found.todas.add(nota)
        found.por_dia.setdefault(criada.astimezone(zone).date(), Media()).add(nota)
        if ramal_id is not None:
            found.por_ramal.setdefault((ramal_id, ramal), Media()).add(nota)
    return found


def _page(session: Session, conta_id: int, limites: Limites, posicao: int, limite: int) -> list[Avaliada]:
    """Oldest chamada first."""
    query = (
        select(Chamada.id, Chamada.nota, Chamada.comentario, Chamada.avaliada_em, Chamada.ramal_id_origem)
        .where(*_rated(conta_id, limites))
        .order_by(Chamada.data_criacao, Chamada.id)
    )
    rows: Iterable[Any] = session.execute(query.offset(posicao).limit(limite))
    return [Avaliada(*row) for row in rows]


def _rated(conta_id: int, limites: Limites) -> list[ColumnElement[bool]]:
    rated = [Chamada.conta_id == conta_id, Chamada.recurso == "chamada", Chamada.nota.is_not(None)]
    if limites.inicio is not None:
        rated.append(Chamada.data_criacao >= limites.inicio)
    if limites.fim is not None:
        rated.append(Chamada.data_criacao < limites.fim)
    return rated
