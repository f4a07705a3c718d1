"""What the routes work with: handed to them by the wiring, found through the request."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from telefonista.calling.idempotency import Chave
from telefonista.calling.run import Runner
from telefonista.dialect.auth import Token
from telefonista.dialect.errors import token_invalido
from telefonista.dialect.idempotency import chave, digest
from telefonista.dialect.lenient import dados
from telefonista.dialect.ratelimit import RateLimit
from telefonista.engine.port import Engine
from telefonista.settings import Settings
from telefonista.storage.session import Storage
from telefonista.storage.tables import Conta


@dataclass(frozen=True)
class House:
    """The running product."""

    settings: Settings
    storage: Storage
    engine: Engine
    runner: Runner
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sounds: Path = Path()  # holds the folder `avisos` with the spoken notices
    recorded: Callable[[], None] = lambda: None  # to be called when a recording has ended before its call
    # to be called when a chamada waits for an instant, or (None) no more
    scheduled: Callable[[int, datetime | None], None] = lambda chamada_id, when: None

    @cached_property
    def request_rate(self) -> RateLimit:
        """Requests by conta; in the loop only."""
        return RateLimit(self.settings.requests_per_second, self.settings.requests_burst)

    @cached_property
    def call_rate(self) -> RateLimit:
        """Calls placed at once, by conta; in units of `storage.write` only."""
        return RateLimit(self.settings.calls_per_second, self.settings.calls_burst)


def house_of(request: Request) -> House:
    """The house behind a request."""
    house: House = request.app.state.house
    return house


async def conta_of(request: Request, token: Token) -> Conta:
    """The conta that the request's Access-Token selects; refuses with 403/40, and with 429/100 over its rate."""
    house = house_of(request)
    conta = await house.storage.read(conta_by_token, token)
    if conta is None:
        raise token_invalido()
    house.request_rate.check(conta.id)
    return conta


def conta_by_token(session: Session, token: str) -> Conta | None:
    return session.scalars(select(Conta).where(Conta.token_hash == hash_of(token))).one_or_none()


def hash_of(token: str) -> str:
    """Tokens are long and random: a plain hash keeps them out of the database."""
    return hashlib.sha256(token.encode()).hexdigest()


def key_of(request: Request, conta: Conta) -> Chave | None:
    """The request's Idempotency-Key with what was asked, None without one; 405/11 when it is too long."""
    key = chave(request)
    return Chave(conta.id, key, digest(request.method, request.url.path, dados(request))) if key else None


def zone_of(conta: Conta) -> ZoneInfo:
    return ZoneInfo(conta.fuso)


async def _house(request: Request) -> House:
    return house_of(request)


Casa = Annotated[House, Depends(_house)]
ContaAtual = Annotated[Conta, Depends(conta_of)]
