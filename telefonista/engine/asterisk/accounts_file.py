"""Telephone accounts too many to be pushed one by one: a file that the engine reads anew at each change; for accounts.

Pushing costs the square of their number (22.10.1: 1,000 in 2 s, 3,000 in 10 s, 5,000 in 3 minutes); 5,000 in a file
are read in half a second, in which calls under way go on and new ones wait.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from telefonista.engine.asterisk.conf.escape import value
from telefonista.engine.asterisk.switch import Switch
from telefonista.engine.port import RamalAccount

_RELOAD_SECONDS = 15.0


class AccountsFile:
    """The accounts in the file at `path`, which is empty when an engine is born; every change is in force on return."""

    def __init__(self, path: Path, switch: Switch, fields: Mapping[str, Mapping[str, str]]) -> None:
        """`fields`: what all accounts have in common, by type of section."""
        self._path, self._switch = path, switch
        self._common = "\n".join(_section(f"ramal-{kind}](!", {"type": kind, **own}) for kind, own in fields.items())
        self._accounts: dict[str, RamalAccount] = {}
        self._turn = asyncio.Lock()
        self._wanted = self._loaded = 0

    def holds(self, usuario: str) -> bool:
        return usuario in self._accounts

    async def replace(self, accounts: Iterable[RamalAccount]) -> None:
        """These and no others."""
        self._accounts = {account.usuario: account for account in accounts}
        had = await asyncio.to_thread(self._written)
        if self._accounts or had:
            await self._load()

    async def put(self, account: RamalAccount) -> None:
        self._accounts[account.usuario] = account
        await self._load()

    async def remove(self, usuario: str) -> None:
        del self._accounts[usuario]
        await self._load()

    async def _load(self) -> None:
        """Write and have it read. Changes that come while it is read are all in the next reading."""
        self._wanted += 1
        mine = self._wanted
        async with self._turn:
            if self._loaded >= mine:
                return
            newest, accounts = self._wanted, list(self._accounts.values())
            await asyncio.to_thread(self._write, accounts)
            await self._switch.call("PUT", "/asterisk/modules/res_pjsip.so", within=_RELOAD_SECONDS)
            self._loaded = newest

    def _written(self) -> bool:
        return self._path.exists() and self._path.stat().st_size > 0

    def _write(self, accounts: list[RamalAccount]) -> None:
        text = "\n".join([self._common, *map(_account, accounts)]) if accounts else ""
        self._path.write_text(text, encoding="utf-8")  # keeps owner and mode: only the engine reads it


def _account(account: RamalAccount) -> str:
    user = account.usuario
    return "\n".join(
        (
            _section(f"{user}](ramal-auth", {"username": user, "password": account.senha}),
            _section(f"{user}](ramal-aor", {}),
            _section(f"{user}](ramal-endpoint", {"aors": user, "auth": user, "callerid": account.shown}),
        )
    )


def _section(name: str, fields: Mapping[str, str]) -> str:
    # After `=>` a value may begin with a `>` of its own.
    return "".join([f"[{name})\n", *(f"{key} => {value(text)}\n" for key, text in fields.items())])
