"""Keeps the engine's carriers and the gates in front of them equal to the rows; made by the wiring."""

import asyncio
from collections.abc import Sequence

import structlog

from telefonista.calling.capacity import Gates
from telefonista.calling.routing import trunk_endpoint
from telefonista.engine.port import Engine, EngineError, TrunkAccount
from telefonista.storage.session import Storage
from telefonista.storage.tables import Tronco
from telefonista.tronco import queries

log = structlog.get_logger()

ENGINE_DOWN = "motor parado"
UNKNOWN = "desconhecido"


class Carriers:
    """`push_all` each time an engine has become usable, `reload` when the operator changed a trunk."""

    def __init__(self, storage: Storage, engine: Engine, gates: Gates) -> None:
        self._storage, self._engine, self._gates = storage, engine, gates
        self._pushed: dict[str, TrunkAccount] = {}  # what this engine was told, by its name there
        self._turn = asyncio.Lock()

    async def push_all(self) -> None:
        """Tell the engine every trunk, whatever it knows."""
        await self._bring_up(afresh=True)

    async def reload(self) -> None:
        """Tell the engine what changed since; trunks that did not change keep their registration."""
        await self._bring_up(afresh=False)

    async def status(self) -> dict[str, str]:
        """One word or two on each trunk by its nome, as Engine.trunk_status has them, or "motor parado"."""
        troncos = await self._storage.read(queries.list_troncos)
        return {tronco.nome: await self.status_of(tronco) for tronco in troncos}

    async def status_of(self, tronco: Tronco) -> str:
        if not self._engine.alive():
            return ENGINE_DOWN
        try:
            return await self._engine.trunk_status(trunk_endpoint(tronco.id))
        except EngineError:
            return UNKNOWN

    async def _bring_up(self, *, afresh: bool) -> None:
        async with self._turn:
            troncos = await self._storage.read(queries.list_troncos)
            for tronco in troncos:
                self._gates.limit(tronco.id, canais=tronco.canais, cps=tronco.cps)
            if afresh or self._engine.alive():  # an engine that comes up is told before it counts as alive
                await self._remove_gone(troncos)
                for account in map(account_of, troncos):
                    await self._put(account, afresh=afresh)

    async def _remove_gone(self, troncos: Sequence[Tronco]) -> None:
        for name in self._pushed.keys() - {trunk_endpoint(tronco.id) for tronco in troncos}:
            try:
                await self._engine.remove_trunk(name)
            except EngineError as error:
                log.warning("a trunk was not removed", trunk=name, reason=str(error))
            else:
                del self._pushed[name]

    async def _put(self, account: TrunkAccount, *, afresh: bool) -> None:
        """A changed trunk is removed first: the engine merges fields, and one that is gone would linger."""
        known = self._pushed.get(account.nome)
        if known == account and not afresh:
            return
        try:
            if known != account and not afresh:
                await self._engine.remove_trunk(account.nome)
            await self._engine.put_trunk(account)
        except EngineError as error:
            self._pushed.pop(account.nome, None)
            log.warning("a trunk was not pushed", trunk=account.nome, reason=str(error))
        else:
            self._pushed[account.nome] = account


def account_of(tronco: Tronco) -> TrunkAccount:
    """A row as the engine needs it."""
    return TrunkAccount(
        nome=trunk_endpoint(tronco.id),
        host=tronco.host,
        porta=tronco.porta,
        transporte=tronco.transporte,
        usuario=tronco.usuario,
        senha=tronco.senha,
        registra=tronco.registra,
    )
