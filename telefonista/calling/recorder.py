"""Records a call in parts: on one party's leg at a time, cut by a pause, moved when that party is transferred."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from telefonista.calling.journal import Journal
from telefonista.calling.live import Papel
from telefonista.engine.port import Engine, Leg


@dataclass
class Take:
    """One recording of the call: the whole of it, or a part that the customer asked for."""

    gravacao_id: int
    base: str  # the engine's name of its parts, before their number
    ordem: int = 0
    lado: Papel = "destino"
    rolling: AsyncExitStack | None = None  # None = paused
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        return f"{self.base}.{self.ordem}"


class Recorder:
    """All recordings of one call. Each part's row is committed before the engine starts it."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine, self._journal = engine, journal
        self.takes: dict[int, Take] = {}

    async def begin(self, tipo: str, lado: Papel, leg: Leg, since: datetime) -> int:
        """Start a recording on a party's leg; its id."""
        gravacao_id, base = await self._journal.recording(tipo, lado, since)
        take = self.takes[gravacao_id] = Take(gravacao_id, base, 1, lado)
        async with take.turn:
            await self._film(take, leg)
        return gravacao_id

    async def adopt(self, gravacao_id: int, base: str, ordem: int, lado: Papel, leg: Leg | None) -> None:
        """Take up a recording that the engine carried on while we were away; `leg` None = it was paused."""
        take = self.takes[gravacao_id] = Take(gravacao_id, base, ordem, lado)
        if leg is not None:
            take.rolling = AsyncExitStack()
            await take.rolling.enter_async_context(self._engine.record(leg, take.name, running=True))

    async def let_go(self) -> None:
        """The call is over: nothing is recorded any more. The ending closes the rows."""
        for take in self.takes.values():
            if take.rolling is not None:
                await take.rolling.aclose()
        self.takes.clear()

    async def pause(self, gravacao_id: int) -> bool:
        """End the part that runs; False when it is paused already."""
        take = self.takes[gravacao_id]
        async with take.turn:
            if take.rolling is None:
                return False
            await self._cut(take)
            return True

    async def resume(self, gravacao_id: int, lado: Papel, leg: Leg) -> bool:
        """Go on with a new part; False when it runs already."""
        take = self.takes[gravacao_id]
        async with take.turn:
            if take.rolling is not None:
                return False
            await self._roll(take, lado, leg, datetime.now(UTC))
            return True

    async def stop(self, gravacao_id: int) -> None:
        """End a recording for good, before the call ends."""
        take = self.takes.pop(gravacao_id)
        async with take.turn:
            if take.rolling is not None:
                await self._cut(take)
        await self._journal.recorded(gravacao_id, datetime.now(UTC))

    async def move(self, leaving: Papel, staying: Leg) -> None:
        """Before a party leaves: what is recorded on its leg goes on on the other's, without a gap."""
        for take in self.takes.values():
            async with take.turn:
                if take.rolling is not None and take.lado == leaving:
                    old = take.rolling
                    await self._roll(take, "origem" if leaving == "destino" else "destino", staying, datetime.now(UTC))
                    await old.aclose()

    async def _roll(self, take: Take, lado: Papel, leg: Leg, since: datetime) -> None:
        take.ordem, take.lado = take.ordem + 1, lado
        await self._journal.part(take.gravacao_id, take.ordem, take.name, lado, since)
        await self._film(take, leg)

    async def _film(self, take: Take, leg: Leg) -> None:
        rolling = AsyncExitStack()
        await rolling.enter_async_context(self._engine.record(leg, take.name))
        take.rolling = rolling

    async def _cut(self, take: Take) -> None:
        assert take.rolling is not None
        rolling, take.rolling = take.rolling, None
        await rolling.aclose()
        await self._journal.part_ended(take.gravacao_id, datetime.now(UTC))
