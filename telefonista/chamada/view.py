"""A chamada as the customer reads it: the one place that makes the resource's object (GET, report, webhook)."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from telefonista.calling.causes import motivo_desconexao
from telefonista.calling.recordings import recording_url as recording_url
from telefonista.chamada.queries import Vista
from telefonista.dialect.dates import hms, iso_local
from telefonista.storage.tables import Chamada, Gravacao, Perna


def chamada_object(vista: Vista, zone: ZoneInfo, base_url: str, *, e164: bool = False) -> dict[str, Any]:
    """The documented object, keys in the seed's order. `e164`: numbers as webhooks write them."""
    chamada = vista.chamada
    pernas = [_perna(perna, zone, perna.e164 if e164 else perna.numero) for perna in vista.pernas]
    return {
        "id": chamada.id,
        "data_criacao": iso_local(chamada.data_criacao, zone),
        "ativa": chamada.status_geral == "curso",
        "url_gravacao": _whole_recording(vista.gravacoes, base_url),
        "cliente_id": chamada.conta_id,
        "conta_id": chamada.conta_id,
        "ramal_id_origem": chamada.ramal_id_origem,
        "tags": chamada.tags,
        "status_geral": chamada.status_geral,
        "detecta_caixa": chamada.detecta_caixa,
        "gravar_audio": chamada.gravar_audio,
        "origem": _papel(vista.pernas, pernas, "origem"),
        "destino": _papel(vista.pernas, pernas, "destino"),
        "avaliacao": _avaliacao(chamada, zone),
        "pernas": [dados | {"papel": perna.papel} for perna, dados in zip(vista.pernas, pernas, strict=True)],
        "gravacoes_parciais": [_parcial(g, zone, base_url) for g in vista.gravacoes if g.tipo == "parcial"],
    }


def _avaliacao(chamada: Chamada, zone: ZoneInfo) -> dict[str, Any] | None:
    if chamada.nota is None:
        return None
    return {"nota": chamada.nota, "comentario": chamada.comentario, "data": iso_local(chamada.avaliada_em, zone)}


def _parcial(gravacao: Gravacao, zone: ZoneInfo, base_url: str) -> dict[str, Any]:
    return {
        "id": gravacao.id,
        "data_inicio": iso_local(gravacao.iniciada_em, zone),
        "status": gravacao.estado,
        "duracao_segundos": round((gravacao.medido_ms or 0) / 1000),
        "url_gravacao": recording_url(gravacao, base_url),
    }


def _whole_recording(gravacoes: Sequence[Gravacao], base_url: str) -> str | None:
    return next((recording_url(gravacao, base_url) for gravacao in gravacoes if gravacao.tipo == "completa"), None)


def _papel(pernas: Sequence[Perna], shown: Sequence[dict[str, Any]], papel: str) -> dict[str, Any] | None:
    return next((dados for perna, dados in zip(pernas, shown, strict=True) if perna.papel == papel), None)


def _perna(perna: Perna, zone: ZoneInfo, numero: str) -> dict[str, Any]:
    return {
        "data_inicio": iso_local(perna.data_inicio, zone),
        "numero": numero,
        "tipo": perna.tipo,
        "status": perna.status,
        "substatus": perna.substatus,
        "duracao_segundos": perna.duracao_segundos,
        "duracao": hms(perna.duracao_segundos),
        "duracao_cobrada_segundos": perna.duracao_cobrada_segundos,
        "duracao_cobrada": hms(perna.duracao_cobrada_segundos),
        "duracao_falada_segundos": perna.duracao_falada_segundos,
        "duracao_falada": hms(perna.duracao_falada_segundos),
        "preco": perna.preco,
        "motivo_desconexao": motivo_desconexao(perna.causa),
        f"bina_{perna.papel}": perna.bina,
    }
