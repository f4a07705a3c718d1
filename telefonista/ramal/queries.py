"""The SQL of ramal, as functions taking a session."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from telefonista.dialect.dates import Limites
from telefonista.dialect.errors import duplicado, nao_encontrado
from telefonista.ramal import rules
from telefonista.storage.tables import Conta, Ramal

_USUARIO = re.compile(r"([0-9]{2,6})c([0-9]{1,18})")


def create_ramal(session: Session, conta_id: int, campos: Mapping[str, Any], now: datetime) -> Ramal:
    """A ramal of what was given; what is missing is made. 405/20 names the field that another ramal has."""
    session.get_one(Conta, conta_id, with_for_update=True)  # two at once must not find the same free number
    given = dict(campos)
    numero = given.pop("ramal", None) or _free(session, conta_id)
    ramal = Ramal(
        conta_id=conta_id,
        ramal=numero,
        login=given.pop("login", None) or rules.new_login(numero),
        senha=given.pop("senha", None) or rules.new_senha(),
        webphone_key=rules.new_webphone_key(),
        criado_em=now,
        **given,
    )
    _refuse_duplicate(session, ramal)
    session.add(ramal)
    session.flush()
    return ramal


def update_ramal(session: Session, conta_id: int, ramal_id: int, campos: Mapping[str, Any]) -> set[str]:
    """Change the given fields alone; the SIP users it had and has now. 404/60 when it is not of this conta."""
    ramal = ramal_by_id(session, conta_id, ramal_id)
    if ramal is None:
        raise nao_encontrado("ramal")
    before = ramal.usuario
    with session.no_autoflush:
        for campo, value in campos.items():
            setattr(ramal, campo, value)
        _refuse_duplicate(session, ramal)
    session.flush()
    return {before, ramal.usuario}


def delete_ramal(session: Session, conta_id: int, ramal_id: int) -> str:
    """Remove a ramal and say which SIP user it was; its chamadas stay. 404/60 when it is not of this conta."""
    ramal = ramal_by_id(session, conta_id, ramal_id)
    if ramal is None:
        raise nao_encontrado("ramal")
    session.delete(ramal)
    session.flush()
    return ramal.usuario


def ramal_by_id(session: Session, conta_id: int, ramal_id: int) -> Ramal | None:
    """A ramal of this conta."""
    ramal = session.get(Ramal, ramal_id)
    return ramal if ramal is not None and ramal.conta_id == conta_id else None


def ramal_by_usuario(session: Session, usuario: str) -> Ramal | None:
    """The ramal behind a SIP user name, of any conta."""
    parts = _USUARIO.fullmatch(usuario)
    if parts is None:
        return None
    query = select(Ramal).where(Ramal.conta_id == int(parts[2]), Ramal.ramal == parts[1])
    return session.scalars(query).one_or_none()


def all_usuarios(session: Session) -> list[str]:
    """Every SIP user there is, over all contas."""
    return [f"{numero}c{conta_id}" for numero, conta_id in session.execute(select(Ramal.ramal, Ramal.conta_id))]


def all_ramais(session: Session) -> Sequence[Ramal]:
    """Every ramal, over all contas."""
    return session.scalars(select(Ramal).order_by(Ramal.id)).all()


def list_ramais(
    session: Session, conta_id: int, limites: Limites, *, posicao: int, limite: int
) -> tuple[int, Sequence[Ramal]]:
    """One page of the report in the order of creation, and how many there are in all."""
    query = select(Ramal).where(Ramal.conta_id == conta_id)
    if limites.inicio is not None:
        query = query.where(Ramal.criado_em >= limites.inicio)
    if limites.fim is not None:
        query = query.where(Ramal.criado_em < limites.fim)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    page = query.order_by(Ramal.criado_em, Ramal.id).offset(posicao).limit(limite)
    return total, session.scalars(page).all()


def _free(session: Session, conta_id: int) -> str:
    return rules.free_numero(set(session.scalars(select(Ramal.ramal).where(Ramal.conta_id == conta_id))))


def _refuse_duplicate(session: Session, ramal: Ramal) -> None:
    """A number is unique in its conta, a login over all contas: it is what a person signs in with."""
    others = select(Ramal.id).where(Ramal.id != (ramal.id or 0))
    if session.scalar(others.where(Ramal.conta_id == ramal.conta_id, Ramal.ramal == ramal.ramal)) is not None:
        raise duplicado("ramal")
    if session.scalar(others.where(Ramal.login == ramal.login)) is not None:
        raise duplicado("login")
