"""Ramais made by API, and telephones registered at them as their `sip` says; for the tests of ramais and keypads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.e2e.conftest import Api
from tests.phone import Phone

_NUMEROS = count(50001)
"""No two tests of a worker share a number, so that reports by origem tell them apart."""


@dataclass
class RamalDeTeste:
    """One ramal of the first conta, or of the conta of `token`."""

    api: Api
    dados: dict[str, Any]
    token: str | None = None

    @property
    def id(self) -> int:
        return int(self.dados["id"])

    @property
    def numero(self) -> str:
        return str(self.dados["ramal"])

    @property
    def headers(self) -> dict[str, str]:
        return {"Access-Token": self.token} if self.token else {}

    def telephone(self, host: str, **options: Any) -> Phone:
        """A telephone set up with what POST /ramal answered."""
        sip = self.dados["sip"]
        server = f"{sip['servidor']}:{sip['porta']}"
        return Phone(host, **{"user": sip["usuario"], "password": self.dados["senha"], "server": server, **options})

    @asynccontextmanager
    async def registered(self, host: str, **options: Any) -> AsyncIterator[Phone]:
        """The same, registered."""
        async with self.telephone(host, **options) as phone:
            await phone.register()
            yield phone

    async def seen(self) -> dict[str, Any]:
        dados: dict[str, Any] = await self.api.ask("GET", f"/ramal/{self.id}", headers=self.headers)
        return dados

    async def registrado(self, wanted: bool = True, within: float = 1.0) -> None:
        """Wait until GET says so."""
        await self.api.until(self.seen, lambda dados: dados["sip"]["registrado"] is wanted, within)

    async def edit(self, **campos: Any) -> None:
        await self.api.ask("PUT", f"/ramal/{self.id}", json=campos, headers=self.headers)

    async def chamadas(self) -> list[dict[str, Any]]:
        """What was dialled on its telephones, oldest first."""
        query = {"origem": self.numero, "limite": "200"}
        pagina = await self.api.ask("GET", "/chamada/relatorio", params=query, headers=self.headers)
        return [row for row in pagina["relatorio"] if row["ramal_id_origem"] == self.id]

    async def dialled(self, within: float = 2.0) -> dict[str, Any]:
        """The newest chamada dialled here, once there is one."""
        found: list[dict[str, Any]] = await self.api.until(self.chamadas, bool, within)
        return found[-1]

    async def ended(self, within: float = 5.0) -> dict[str, Any]:
        """The newest chamada dialled here, once it has its ending."""

        def over(found: list[dict[str, Any]]) -> bool:
            return bool(found) and found[-1]["status_geral"] == "finalizada"

        found: list[dict[str, Any]] = await self.api.until(self.chamadas, over, within)
        return found[-1]


@asynccontextmanager
async def ramal(api: Api, token: str | None = None, **campos: Any) -> AsyncIterator[RamalDeTeste]:
    """A new ramal, removed afterwards."""
    headers = {"Access-Token": token} if token else {}
    campos.setdefault("ramal", str(next(_NUMEROS)))
    made = RamalDeTeste(api, await api.ask("POST", "/ramal", json=campos, headers=headers), token)
    try:
        yield made
    finally:
        await api.http.delete(f"/ramal/{made.id}", headers=headers)
