"""An audio as the customer reads it: the one place that makes the resource's object (GET, report, webhook)."""

from typing import Any
from zoneinfo import ZoneInfo

from telefonista.audio.queries import Vista
from telefonista.calling.causes import motivo_desconexao
from telefonista.calling.recordings import recording_url
from telefonista.dialect.dates import hms, iso_local


def audio_object(vista: Vista, zone: ZoneInfo, base_url: str, *, e164: bool = False) -> dict[str, Any]:
    """The documented object. `e164`: the number as webhooks write it, not as it was given."""
    audio, chamada, perna = vista.audio, vista.chamada, vista.perna
    over = (
        chamada.status_geral == "finalizada"
    )  # by `motivo_desconexao` customers tell that price and durations are final
    return {
        "id": chamada.id,
        "numero_destino": perna.e164 if e164 else perna.numero,
        "data_criacao": iso_local(chamada.data_criacao, zone),
        "data_inicio": iso_local(perna.data_inicio, zone),
        "tipo": perna.tipo,
        "status": perna.status,
        "duracao_segundos": perna.duracao_segundos,
        "duracao": hms(perna.duracao_segundos),
        "duracao_cobrada_segundos": perna.duracao_cobrada_segundos,
        "duracao_cobrada": hms(perna.duracao_cobrada_segundos),
        "duracao_falada_segundos": perna.duracao_falada_segundos,
        "duracao_falada": hms(perna.duracao_falada_segundos),
        "preco": perna.preco,
        "url_audio": audio.url_audio,
        "resposta_usuario": audio.resposta_usuario,
        "resposta": audio.resposta,
        "motivo_desconexao": motivo_desconexao(perna.causa if over else None),
        "url_gravacao": None if vista.gravacao is None else recording_url(vista.gravacao, base_url),
        "bina": perna.bina,
        "tags": chamada.tags,
    }
