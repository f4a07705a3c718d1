"""The story of a chamada as data: its journal in order, and each leg with its times, its end and its sound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling.causes import motivo_desconexao
from telefonista.chamada.queries import Vista, chamada_by_id
from telefonista.chamada.view import recording_url
from telefonista.dialect.dates import iso_local
from telefonista.storage.tables import Evento, Gravacao, Perna

QUEM = {"far": "telefone", "us": "sistema", "limit": "limite", "engine": "motor"}
"""Who ended a leg: the telephone at its end, we, the limit of its duration, or the engine (no sound, a crash)."""

_INTERNAL = ("leg", "por")


@dataclass(frozen=True)
class Historia:
    """A chamada with its journal, in order of time."""

    vista: Vista
    eventos: Sequence[Evento]

    def perna(self, letra: str | None) -> Perna | None:
        return next((perna for perna in self.vista.pernas if perna.letra == letra), None)

    def last(self, letra: str, tipo: str) -> Mapping[str, Any] | None:
        """What the journal says in its last entry of this kind about a leg."""
        found = [evento.dados for evento in self.eventos if evento.perna == letra and evento.tipo == tipo]
        return found[-1] if found else None


def historia_of(session: Session, conta_id: int, chamada_id: int) -> Historia | None:
    """The story of a chamada of this conta."""
    vista = chamada_by_id(session, conta_id, chamada_id)
    if vista is None:
        return None
    query = select(Evento).where(Evento.chamada_id == chamada_id).order_by(Evento.momento, Evento.id)
    return Historia(vista, session.scalars(query).all())


def story_object(historia: Historia, zone: ZoneInfo, base_url: str) -> dict[str, Any]:
    """The documented object of GET /chamada/{id}/eventos."""
    chamada = historia.vista.chamada
    return {
        "id": chamada.id,
        "status_geral": chamada.status_geral,
        "desfecho": chamada.desfecho,
        "data_criacao": iso_local(chamada.data_criacao, zone),
        "data_fim": iso_local(chamada.encerrada_em, zone),
        "eventos": [_evento(historia, evento, zone) for evento in historia.eventos],
        "pernas": [_perna(historia, perna, zone) for perna in historia.vista.pernas],
        "gravacoes": [_gravacao(gravacao, zone, base_url) for gravacao in historia.vista.gravacoes],
    }


def elapsed_ms(historia: Historia, moment: datetime) -> int:
    """Milliseconds since the chamada was created."""
    return max(0, round((moment - historia.vista.chamada.data_criacao).total_seconds() * 1000))


def _evento(historia: Historia, evento: Evento, zone: ZoneInfo) -> dict[str, Any]:
    perna = historia.perna(evento.perna)
    return {
        "momento": iso_local(evento.momento, zone),
        "decorrido_ms": elapsed_ms(historia, evento.momento),
        "tipo": evento.tipo,
        "perna": evento.perna,
        "papel": None if perna is None else perna.papel,
        "numero": None if perna is None else perna.numero,
        "dados": _dados(evento),
    }


def _dados(evento: Evento) -> dict[str, Any]:
    dados = {key: value for key, value in evento.dados.items() if key not in _INTERNAL}
    if evento.tipo == "desligada":
        dados["motivo_desconexao"] = motivo_desconexao(evento.dados.get("causa"))
        dados["quem_desligou"] = QUEM.get(evento.dados.get("por", ""))
    return dados


def _perna(historia: Historia, perna: Perna, zone: ZoneInfo) -> dict[str, Any]:
    end = historia.last(perna.letra, "desligada")
    return {
        "perna": perna.letra,
        "papel": perna.papel,
        "substitui": perna.substitui,
        "numero": perna.numero,
        "tipo": perna.tipo,
        "bina": perna.bina,
        "status": perna.status,
        "substatus": perna.substatus,
        "data_inicio": iso_local(perna.data_inicio, zone),
        "data_toque": iso_local(perna.tocou_em, zone),
        "data_atendimento": iso_local(perna.atendida_em, zone),
        "data_fim": iso_local(perna.encerrada_em, zone),
        "duracao_segundos": perna.duracao_segundos,
        "duracao_falada_segundos": perna.duracao_falada_segundos,
        "duracao_cobrada_segundos": perna.duracao_cobrada_segundos,
        "preco": perna.preco,
        "causa": perna.causa,
        "sip": perna.sip,
        "motivo_desconexao": motivo_desconexao(perna.causa),
        "quem_desligou": None if end is None else QUEM.get(end.get("por", "")),
        "midia": historia.last(perna.letra, "midia"),
    }


def _gravacao(gravacao: Gravacao, zone: ZoneInfo, base_url: str) -> dict[str, Any]:
    return {
        "id": gravacao.id,
        "tipo": gravacao.tipo,
        "status": gravacao.estado,
        "data_inicio": iso_local(gravacao.iniciada_em, zone),
        "duracao_segundos": round((gravacao.medido_ms or 0) / 1000),
        "url_gravacao": recording_url(gravacao, base_url),
    }
