"""Records a call in parts: on one party's leg at a time, cut by a pause, moved when that party is transferred."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from telefonista.calling.journal import Journal
from telefonista.calling.live import NotTalking, Papel
from telefonista.engine.port import Engine, Leg


@dataclass
class Take:
    """One recording of the call: the whole of it, or a part that the customer asked for."""

    gravacao_id: int
    tipo: str  # completa | parcial
    base: str  # the engine's name of its parts, before their number
    ordem: int = 0
    lado: Papel = "destino"
    rolling: AsyncExitStack | None = None  # None = paused
    late: timedelta = timedelta(0)  # at the most so much after the part's `iniciada_em` its sound begins

    @property
    def name(self) -> str:
        return f"{self.base}.{self.ordem}"


class Recorder:
    """All recordings of one call, one command at a time.

    A row is committed before the engine starts what it tells, and before it stops it: what a crash leaves on is longer
    than its row says, and is cut to it. What comes once the call is over raises NotTalking.
    """

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine, self._journal = engine, journal
        self._takes: dict[int, Take] = {}
        self._turn = asyncio.Lock()
        self._over = False

    def takes(self, tipo: str | None = None) -> Sequence[int]:
        """The recordings that are not finished, of one tipo or of both, in their order."""
        return [id for id, take in self._takes.items() if tipo is None or take.tipo == tipo]

    async def begin(self, tipo: str, lado: Papel, leg: Leg, since: datetime) -> int:
        """Start a recording on a party's leg; its id."""
        async with self._turn:
            self._check()
            gravacao_id, base = await self._journal.recording(tipo, lado, since)
            take = self._takes[gravacao_id] = Take(gravacao_id, tipo, base, 1, lado)
            try:
                await self._film(take, leg, since)
            except BaseException:
                del self._takes[gravacao_id]
                await self._journal.recorded(gravacao_id, datetime.now(UTC))
                raise
            return gravacao_id

    async def adopt(self, take: Take, leg: Leg | None) -> None:
        """Take up a recording that the engine carried on while we were away; `leg` None = it was paused."""
        async with self._turn:
            self._takes[take.gravacao_id] = take
            if leg is not None:
                await self._film(take, leg, None)

    async def let_go(self) -> None:
        """The call is over: nothing is recorded any more. The ending closes the rows."""
        async with self._turn:
            self._over = True
            for take in self._takes.values():
                await self._cut(take)
            self._takes.clear()

    async def pause(self, gravacao_id: int) -> bool:
        """End the part that runs; False when it is paused or finished already."""
        async with self._turn:
            self._check()
            take = self._takes.get(gravacao_id)
            if take is None or take.rolling is None:
                return False
            await self._journal.part_ended(gravacao_id, datetime.now(UTC) - take.late)
            await self._cut(take)
            return True

    async def resume(self, gravacao_id: int, lado: Papel, leg: Leg) -> bool:
        """Go on with a new part; False when it runs or is finished already."""
        async with self._turn:
            self._check()
            take = self._takes.get(gravacao_id)
            if take is None or take.rolling is not None:
                return False
            await self._roll(take, lado, leg)
            return True

    async def stop(self, gravacao_id: int) -> bool:
        """End a recording for good, before the call ends; False when it is finished already."""
        async with self._turn:
            self._check()
            take = self._takes.pop(gravacao_id, None)
            if take is None:
                return False
            await self._journal.recorded(gravacao_id, datetime.now(UTC) - take.late)
            await self._cut(take)
            return True

    async def move(self, leaving: Papel, staying: Leg) -> None:
        """Before a party leaves: what is recorded on its leg goes on on the other's, without a gap."""
        async with self._turn:
            for take in self._takes.values():
                if take.lado == leaving:
                    await self._change(take, "origem" if leaving == "destino" else "destino", staying)

    async def follow(self, lado: Papel, newcomer: Leg) -> None:
        """Somebody took a party's place: the recording goes on on the new leg.

        On the leg that stayed it would lose the newcomer: the engine's hooks drop what a leg hears once its source
        changes to one with lower RTP sequence numbers (22.10.1).
        """
        async with self._turn:
            for take in self._takes.values():
                await self._change(take, lado, newcomer)

    async def _change(self, take: Take, lado: Papel, leg: Leg) -> None:
        if (old := take.rolling) is not None:
            await self._roll(take, lado, leg)
            await old.aclose()

    def _check(self) -> None:
        if self._over:
            raise NotTalking

    async def _roll(self, take: Take, lado: Papel, leg: Leg) -> None:
        take.ordem, take.lado, since = take.ordem + 1, lado, datetime.now(UTC)
        await self._journal.part(take.gravacao_id, take.ordem, take.name, lado, since)
        try:
            await self._film(take, leg, since)
        except BaseException:
            await self._journal.part_ended(take.gravacao_id, since)
            raise

    async def _film(self, take: Take, leg: Leg, since: datetime | None) -> None:
        """Have the engine record; `since` None: it does already.

        A part is cut to the time between its rows' instants, counted from its first sound: without `late` a pause would
        let so much of what it keeps out slip in.
        """
        rolling = AsyncExitStack()
        await rolling.enter_async_context(self._engine.record(leg, take.name, running=since is None))
        take.rolling = rolling
        take.late = timedelta(0) if since is None else datetime.now(UTC) - since

    async def _cut(self, take: Take) -> None:
        rolling, take.rolling = take.rolling, None
        if rolling is not None:
            await rolling.aclose()
