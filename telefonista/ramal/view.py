"""A ramal as the customer reads it: the one place that makes the resource's object."""

from typing import Any
from urllib.parse import urlsplit

from telefonista.settings import Settings
from telefonista.storage.tables import Ramal


def ramal_object(ramal: Ramal, settings: Settings, *, registrado: bool) -> dict[str, Any]:
    """The documented object, keys in the seed's order, and what a telephone must be told to register."""
    return {
        "id": ramal.id,
        "ramal": ramal.ramal,
        "login": ramal.login,
        "senha": ramal.senha,
        "bina": ramal.bina,
        "webphone_key": ramal.webphone_key,
        "ligacao_externa": ramal.ligacao_externa,
        "ligacao_celular": ramal.ligacao_celular,
        "gravar_audio": ramal.gravar_audio,
        "acesso_gravacoes": ramal.acesso_gravacoes,
        "webphone": ramal.webphone,
        "ura_id": ramal.ura_id,
        "voicemail": ramal.voicemail,
        "tags": ramal.tags,
        "nome": ramal.nome,
        "sip": {
            "servidor": sip_server(settings),
            "porta": settings.sip_port,
            "usuario": ramal.usuario,
            "transporte": "udp",
            "registrado": registrado,
        },
    }


def sip_server(settings: Settings) -> str:
    """The address a telephone registers with: the one seen from outside, else where the engine listens."""
    if settings.external_ip:
        return settings.external_ip
    if settings.sip_host != "0.0.0.0":
        return settings.sip_host
    return urlsplit(settings.base_url).hostname or settings.sip_host
