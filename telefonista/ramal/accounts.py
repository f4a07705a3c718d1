"""Keeps the engine's telephone accounts equal to the rows; for the routes of ramal and for the wiring at engine up.

The row is the truth: an account is always made from a fresh read, one at a time for each SIP user, so that two
changes at once, or a change while everything is pushed, cannot leave an old senha in force.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog

from telefonista.calling.house import House
from telefonista.engine.port import Engine, EngineDown, EngineError, RamalAccount
from telefonista.ramal import queries
from telefonista.storage.tables import Ramal

log = structlog.get_logger()

AT_ONCE = 8
"""How many accounts are pushed at the same time."""

MANY = 1200
"""Above so many the engine is given all at once: pushing costs it the square of their number."""


@dataclass
class _Pushing:
    """Of one engine: whose turn it is, and what it still has to be told."""

    turns: "WeakValueDictionary[str, asyncio.Lock]" = field(default_factory=WeakValueDictionary)
    missed: set[str] = field(default_factory=set)


_pushing: "WeakKeyDictionary[Engine, _Pushing]" = WeakKeyDictionary()


async def push(house: House, usuarios: Iterable[str]) -> None:
    """Make these accounts in the engine what their rows say, gone ones included. An engine that is down, or fails,
    is told at `push_all`."""
    for usuario in usuarios:
        await _push(house, usuario)


async def push_all(house: House) -> int:
    """At engine up: every ramal, and what was missed while it was down; how many accounts there are.

    EngineDown when it goes away again meanwhile: whoever waits for the engine comes back with the next one.
    """
    began = time.monotonic()
    usuarios = await house.storage.read(queries.all_usuarios)
    missed = _of(house.engine).missed
    if len(usuarios) > MANY:
        await _replace(house)
        todo = iter(missed - set(usuarios))
    else:
        await house.engine.replace_ramais(())
        todo = iter(dict.fromkeys([*usuarios, *missed]))
    async with asyncio.TaskGroup() as workers:
        work = [workers.create_task(_work(house, todo), name="push-ramais") for _ in range(AT_ONCE)]
    if not all(task.result() for task in work):
        raise EngineDown("the engine went away while its accounts were made")
    if usuarios:
        log.info("ramais_in_engine", number=len(usuarios), seconds=round(time.monotonic() - began, 3))
    return len(usuarios)


async def _replace(house: House) -> None:
    """Give the engine all rows, and again when they changed meanwhile."""
    told: Sequence[RamalAccount] | None = None
    missed = _of(house.engine).missed
    while told != (accounts := [account_of(ramal) for ramal in await house.storage.read(queries.all_ramais)]):
        await house.engine.replace_ramais(accounts)
        told = accounts
        missed.difference_update(account.usuario for account in accounts)


async def _work(house: House, todo: Iterator[str]) -> bool:
    for usuario in todo:
        if not await _push(house, usuario):
            return False
    return True


async def _push(house: House, usuario: str) -> bool:
    """False when there is no engine to tell."""
    pushing = _of(house.engine)
    turn = pushing.turns.get(usuario)
    if turn is None:
        turn = pushing.turns[usuario] = asyncio.Lock()
    async with turn:
        pushing.missed.add(usuario)  # until it is done, whatever interrupts it
        ramal = await house.storage.read(queries.ramal_by_usuario, usuario)
        try:
            if ramal is None:
                await house.engine.remove_ramal(usuario)
            else:
                await house.engine.put_ramal(account_of(ramal))
        except EngineDown:
            return False
        except EngineError as error:
            log.warning("a ramal was not pushed", usuario=usuario, reason=str(error))
        else:
            pushing.missed.discard(usuario)
        return True


def account_of(ramal: Ramal) -> RamalAccount:
    """A row as the engine needs it."""
    return RamalAccount(usuario=ramal.usuario, senha=ramal.senha, numero=ramal.ramal, nome=ramal.nome or "")


def _of(engine: Engine) -> _Pushing:
    return _pushing.setdefault(engine, _Pushing())
