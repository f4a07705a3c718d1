"""A room as the customer reads it: the one place that makes the resource's object (GET, report, webhook)."""

from collections.abc import Set
from typing import Any
from zoneinfo import ZoneInfo

from telefonista.calling.causes import motivo_desconexao
from telefonista.conferencia.queries import Parte, Vista
from telefonista.dialect.dates import hms, iso_local
from telefonista.storage.tables import Gravacao, Perna


def conferencia_object(
    vista: Vista, zone: ZoneInfo, base_url: str, talking: Set[int], *, e164: bool = False
) -> dict[str, Any]:
    """The documented object. `talking`: the chamadas whose party talks now; `e164`: how numbers are written."""
    conferencia = vista.conferencia
    made = {
        "id": conferencia.id,
        "data_criacao": iso_local(conferencia.data_criacao, zone),
        "data_termino": iso_local(conferencia.encerrada_em, zone),
        "chamadas": [chamada_object(parte, zone, base_url, talking, e164=e164) for parte in vista.partes],
        "pin": conferencia.pin,
    }
    if conferencia.numero_destino is None:
        return made
    return made | {
        "numero_destino": vista.partes[0].perna.e164 if e164 else conferencia.numero_destino,
        **_of_the_first(vista.partes[0].perna, zone),
        "url_conferencia": conferencia.url_conferencia,
        "resposta_usuario": conferencia.resposta_usuario,
        "resposta": conferencia.resposta,
    }


def chamada_object(parte: Parte, zone: ZoneInfo, base_url: str, talking: Set[int], *, e164: bool) -> dict[str, Any]:
    """One call into a room."""
    chamada, perna = parte.chamada, parte.perna
    return {
        "id": chamada.id,
        "conferencia_id": parte.participante.conferencia_id,
        "url_gravacao": _recording(parte.gravacao, base_url),
        "numero": perna.e164 if e164 else perna.numero,
        "data_criacao": iso_local(chamada.data_criacao, zone),
        "data_inicio": iso_local(perna.data_inicio, zone),
        "cli": chamada.conta_id,
        **_durations(perna),
        "status": perna.status,
        "preco": perna.preco,
        "tipo": perna.tipo,
        "motivo_desconexao": motivo_desconexao(perna.causa),
        "bina": perna.bina,
        "na_sala": chamada.estagio == "conversa",
        "mudo": parte.participante.mudo,
        "falando": chamada.id in talking and not parte.participante.mudo,
    }


def _of_the_first(perna: Perna, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "data_inicio": iso_local(perna.data_inicio, zone),
        "tipo": perna.tipo,
        "status": perna.status,
        **_durations(perna),
        "preco": perna.preco,
    }


def _durations(perna: Perna) -> dict[str, Any]:
    return {
        "duracao": hms(perna.duracao_segundos),
        "duracao_segundos": perna.duracao_segundos,
        "duracao_cobrada": hms(perna.duracao_cobrada_segundos),
        "duracao_cobrada_segundos": perna.duracao_cobrada_segundos,
        "duracao_falada": hms(perna.duracao_falada_segundos),
        "duracao_falada_segundos": perna.duracao_falada_segundos,
    }


def _recording(gravacao: Gravacao | None, base_url: str) -> str | None:
    """A link that needs no token; None until the recording can be heard."""
    if gravacao is None or gravacao.estado != "pronta":
        return None
    return f"{base_url}/rec/?id={gravacao.id}&x={gravacao.segredo}&cid={gravacao.conta_id}"
