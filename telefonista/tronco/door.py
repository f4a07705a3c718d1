"""The operator's way into a running server: a key only the owner of HOME can read, and a call to its loopback."""

import http.client
import json
import secrets
from pathlib import Path
from typing import Any

from telefonista.refusal import Refusal
from telefonista.settings import Settings

HEADER = "Operador-Key"

_SECONDS = 10.0


class DoorError(Refusal):
    """The server did not do what was asked; the text says in Portuguese what to do."""


def make_key(home: Path) -> str:
    """A new key, kept in HOME/operador.key (0600) for the commands; the server makes one at each start."""
    key = secrets.token_urlsafe(32)
    fresh = _file(home).with_suffix(".novo")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(key)
    fresh.replace(_file(home))
    return key


def ask(settings: Settings, method: str, path: str) -> Any:
    """The `dados` the running server answers with, None when no server runs. Raises DoorError. Blocking."""
    try:
        key = _file(settings.home).read_text()
    except FileNotFoundError:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=_SECONDS)
    try:
        connection.request(method, f"/_operador{path}", headers={HEADER: key})
        response = connection.getresponse()
        status, body = response.status, response.read()
    except ConnectionRefusedError:
        return None
    except (OSError, http.client.HTTPException) as error:
        raise DoorError(f"o servidor em {host}:{settings.port} não respondeu ({error}): tente de novo") from None
    finally:
        connection.close()
    return _dados(status, body, f"{host}:{settings.port}")


def _dados(status: int, body: bytes, where: str) -> Any:
    try:
        answer = json.loads(body)
        dados, mensagem = answer["dados"], answer["mensagem"]
    except (ValueError, KeyError, TypeError):
        raise DoorError(f"em {where} responde um programa que não é a telefonista: confira TELEFONISTA_PORT") from None
    if status == 403:
        raise DoorError(f"o servidor em {where} usa outro TELEFONISTA_HOME: use o mesmo aqui")
    if status >= 400:
        raise DoorError(str(mensagem))
    return dados


def _file(home: Path) -> Path:
    return home / "operador.key"
