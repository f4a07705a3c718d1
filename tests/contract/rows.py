"""Rows as calls leave them, written straight into the database: what GET and the report show of them is under test."""

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from telefonista.calling.house import House
from telefonista.storage.tables import Chamada, Conta, Gravacao, Perna

TARIFA = {"preco_minuto": "0.12", "inicial": 60, "incremento": 60, "gratis": 0}

FIXO = {"numero": "4832830151", "e164": "+554832830151", "tipo": "fixo", "classe": "fixo"}
MOVEL = {"numero": "48999990000", "e164": "+5548999990000", "tipo": "movel", "classe": "movel"}
RAMAL = {"numero": "4000", "e164": "4000", "tipo": "ramal", "classe": "ramal"}


async def add_chamada(
    house: House,
    conta_id: int,
    when: datetime,
    *,
    origem: dict[str, Any] = FIXO,
    destino: dict[str, Any] = MOVEL,
    **fields: Any,
) -> int:
    """A finished chamada of that instant, unless `fields` says otherwise; its id."""

    def unit(session: Session) -> int:
        made = {"status_geral": "finalizada", "limite_segundos": 60, "toque_segundos": 30} | fields
        chamada = Chamada(conta_id=conta_id, data_criacao=when, **made)
        session.add(chamada)
        session.flush()
        for letra, papel, perna in (("a", "origem", origem), ("b", "destino", destino)):
            session.add(Perna(chamada_id=chamada.id, letra=letra, papel=papel, tarifa=TARIFA, **perna))
            session.flush()
        return chamada.id

    return await house.storage.write(unit)


async def add_gravacao(house: House, conta_id: int, chamada_id: int, audio: bytes | None, **fields: Any) -> int:
    """A recording that can be heard; with `audio` None its file is not there. Its id."""
    if audio is not None:
        path = house.settings.recordings / str(conta_id) / f"{chamada_id}-g.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(audio)

    def unit(session: Session) -> int:
        made = {"estado": "pronta", "arquivo": f"{chamada_id}-g", "segredo": "segredo-do-link"} | fields
        chamada = session.get_one(Chamada, chamada_id)
        row = Gravacao(conta_id=conta_id, chamada_id=chamada_id, iniciada_em=chamada.data_criacao, **made)
        session.add(row)
        session.flush()
        return row.id

    return await house.storage.write(unit)


async def set_conta(house: House, conta_id: int, **fields: Any) -> None:
    """Change columns of a conta, as in `saldo=Decimal(0)`."""

    def unit(session: Session) -> None:
        session.execute(update(Conta).where(Conta.id == conta_id).values(**fields))

    await house.storage.write(unit)
