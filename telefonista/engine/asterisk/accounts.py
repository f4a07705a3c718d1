"""Telephone accounts and carriers pushed into the engine's memory; only very many of them go by a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from telefonista.engine.asterisk.accounts_file import AccountsFile
from telefonista.engine.asterisk.client import AriError
from telefonista.engine.asterisk.switch import Switch
from telefonista.engine.port import RamalAccount, TrunkAccount

_DYNAMIC = "/asterisk/config/dynamic/res_pjsip"

_MEDIA = {
    "disallow": "all",
    "allow": "alaw,ulaw",
    "direct_media": "no",
    "dtmf_mode": "auto",
    "rtp_symmetric": "yes",
    "rtp_timeout": "120",
    "rtp_timeout_hold": "3600",
    "allow_overlap": "no",
    "sdp_session": "telefonista",
    "sdp_owner": "-",
}
_AUTH = {"auth_type": "digest"}
_AOR = {
    "max_contacts": "10",
    "remove_unavailable": "yes",
    "maximum_expiration": "7200",
    "minimum_expiration": "30",
}
# Without identify_by whoever writes a trunk's name into From is taken for that trunk, from any address (22.10.1).
_RAMAL = _MEDIA | {
    "context": "ramais",
    "identify_by": "username",
    "force_rport": "yes",
    "rewrite_contact": "yes",
    "trust_id_outbound": "yes",
    "send_pai": "yes",
    "send_connected_line": "no",
    "device_state_busy_at": "0",
    "allow_subscribe": "no",
}
_TRUNK = _MEDIA | {
    "context": "entrada",
    "identify_by": "ip",
    "send_pai": "yes",
    "trust_id_outbound": "yes",
    "trust_id_inbound": "yes",
    "send_connected_line": "no",
    "redirect_method": "uri_core",
    "allow_transfer": "no",
    "allow_subscribe": "no",
    "contact_user": "telefonista",
}


class Accounts:
    """Create, change and remove accounts. Every change is in force when the call returns."""

    def __init__(self, switch: Switch, file: Path) -> None:
        self._switch = switch
        self._file = AccountsFile(file, switch, {"auth": _AUTH, "aor": _AOR, "endpoint": _RAMAL})

    async def replace_ramais(self, accounts: Iterable[RamalAccount]) -> None:
        await self._file.replace(accounts)

    async def put_ramal(self, account: RamalAccount) -> None:
        user = account.usuario
        if self._file.holds(user):
            await self._file.put(account)
            return
        await self._put("auth", user, _AUTH | {"username": user, "password": account.senha})
        await self._put("aor", user, _AOR)
        await self._put("endpoint", user, _RAMAL | {"aors": user, "auth": user, "callerid": account.shown})

    async def remove_ramal(self, usuario: str) -> None:
        if self._file.holds(usuario):
            await self._file.remove(usuario)
        for kind in ("endpoint", "aor", "auth"):
            await self._delete(kind, usuario)

    async def put_trunk(self, account: TrunkAccount) -> None:
        name = account.nome
        where = f"{account.host}:{account.porta}" + (";transport=tcp" if account.transporte == "tcp" else "")
        uri = f"sip:{where}"
        await self._put("aor", name, {"contact": uri, "qualify_frequency": "60"})
        fields = _TRUNK | {"aors": name, "transport": account.transporte}
        if account.usuario and account.senha:
            await self._put(
                "auth", name, {"auth_type": "digest", "username": account.usuario, "password": account.senha}
            )
            fields |= {"outbound_auth": name, "from_user": account.usuario, "from_domain": account.host}
        await self._put("endpoint", name, fields)
        await self._put("identify", name, {"endpoint": name, "match": account.host})
        if account.registra:
            await self._put(
                "registration",
                name,
                {
                    "outbound_auth": name,
                    "server_uri": uri,
                    "client_uri": f"sip:{account.usuario}@{account.host}:{account.porta}",
                    "transport": account.transporte,
                    "contact_user": account.usuario or name,
                    "max_random_initial_delay": "0",
                    "retry_interval": "20",
                    "forbidden_retry_interval": "60",
                },
            )
        else:
            await self._delete("registration", name)
        self._switch.carriers[name] = where

    async def remove_trunk(self, nome: str) -> None:
        self._switch.carriers.pop(nome, None)
        for kind in ("registration", "identify", "endpoint", "aor", "auth"):
            await self._delete(kind, nome)

    async def _put(self, kind: str, id: str, fields: dict[str, str]) -> None:
        body: dict[str, Any] = {"fields": [{"attribute": key, "value": value} for key, value in fields.items()]}
        await self._switch.call("PUT", f"{_DYNAMIC}/{kind}/{id}", body=body)

    async def _delete(self, kind: str, id: str) -> None:
        try:
            await self._switch.call("DELETE", f"{_DYNAMIC}/{kind}/{id}")
        except AriError as error:
            if error.status != 404:
                raise
