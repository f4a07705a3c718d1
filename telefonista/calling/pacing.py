"""In which order, and how fast, calls that fell due are started: fair between contas, within every limit."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from telefonista.calling.capacity import Gates, Starts
from telefonista.calling.pedido import leg_id


@dataclass(frozen=True)
class Due:
    """A chamada whose time has come, and the trunks its two legs are expected to take; None = no trunk."""

    at: datetime
    id: int
    conta_id: int
    origem: int | None
    destino: int | None


@dataclass
class _Conta:
    """What waits of one conta: a line for each pair of trunks, so that a full one holds up nothing else."""

    lines: dict[tuple[int | None, int | None], deque[Due]] = field(default_factory=dict)
    starts: Starts = field(default_factory=Starts)


class Pacer:
    """Contas take turns; of one conta the earliest goes first, at most `per_second` of them in a second (0 = any).

    A call is given out once both its legs have their place in the trunks, which is held for them: it never waits in
    the gate's line itself, so however many are due, calls placed now do not stand behind them.
    """

    def __init__(self, gates: Gates, per_second: int) -> None:
        self._gates, self._per_second = gates, per_second
        self._contas: dict[int, _Conta] = {}
        self._rotation: deque[int] = deque()
        self._waiting: set[int] = set()
        self.soonest = inf
        """After a `take` of None: the instant, in loop time, when one may come though no place is given back."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, id: int) -> bool:
        return id in self._waiting

    def add(self, due: Due) -> None:
        """To be given out. Come in order of time; one that is known already is not taken twice."""
        if due.id in self._waiting:
            return
        self._waiting.add(due.id)
        conta = self._contas.get(due.conta_id)
        if conta is None:
            conta = self._contas[due.conta_id] = _Conta()
            self._rotation.append(due.conta_id)
        conta.lines.setdefault((due.origem, due.destino), deque()).append(due)

    def drop(self, id: int) -> None:
        """Cancelled: it is passed over."""
        self._waiting.discard(id)

    def oldest(self) -> datetime | None:
        """When the one that waits longest fell due."""
        return min((line[0].at for conta in self._contas.values() for line in self._heads(conta)), default=None)

    def overdue(self, by: datetime) -> list[Due]:
        """Take out what fell due by that instant and found no place since."""
        late: list[Due] = []
        for conta in self._contas.values():
            for line in self._heads(conta):
                while line and line[0].at <= by:
                    due = line.popleft()
                    if due.id in self._waiting:
                        self._waiting.discard(due.id)
                        late.append(due)
        return late

    def take(self) -> Due | None:
        """The next call that may start now, with its places held: `release` gives back what it does not use."""
        now = asyncio.get_running_loop().time()
        self.soonest = inf
        for _ in range(len(self._rotation)):
            conta_id = self._rotation.popleft()
            conta = self._contas[conta_id]
            turn = conta.starts.free_at(self._per_second, now) if self._per_second else 0.0
            line, room = self._first_with_room(conta)
            if not conta.lines and not turn:
                del self._contas[conta_id]  # nothing waits, and nothing was started in the last second
                continue
            self._rotation.append(conta_id)
            if line is not None and not turn:
                return self._give(conta, line.popleft(), now)
            self.soonest = min(self.soonest, max(turn, room))
        return None

    def wait(self, most: float) -> float:
        """After a `take` of None: the seconds, up to `most`, until `soonest`."""
        return min(most, max(0.0, self.soonest - asyncio.get_running_loop().time()))

    def release(self, due: Due) -> None:
        """Give back the places of a call that is over, or came to nothing."""
        for tronco_id, key in _places(due):
            self._gates.release(tronco_id, key)

    def _first_with_room(self, conta: _Conta) -> tuple[deque[Due] | None, float]:
        """The line whose head is earliest of those with room, or None and the instant from which one has it."""
        best: deque[Due] | None = None
        soonest = inf
        for line in self._heads(conta):
            room = self._room(line[0])
            if room:
                soonest = min(soonest, room)
            elif best is None or (line[0].at, line[0].id) < (best[0].at, best[0].id):
                best = line
        return (None, soonest) if best is None else (best, 0.0)

    def _heads(self, conta: _Conta) -> Iterator[deque[Due]]:
        """The lines with somebody in them; those that were dropped are gone from their front."""
        for key, line in list(conta.lines.items()):
            while line and line[0].id not in self._waiting:
                line.popleft()
            if line:
                yield line
            else:
                del conta.lines[key]

    def _room(self, due: Due) -> float:
        if due.origem == due.destino:
            return self._gates.room(due.origem, 2)
        return max(self._gates.room(due.origem), self._gates.room(due.destino, start=False))

    def _give(self, conta: _Conta, due: Due, now: float) -> Due:
        self._waiting.discard(due.id)
        if self._per_second:
            conta.starts.add(now)
        (origem, a), (destino, b) = _places(due)
        self._gates.hold(origem, a, start=True)
        self._gates.hold(destino, b, start=False)
        return due


def _places(due: Due) -> tuple[tuple[int | None, str], tuple[int | None, str]]:
    """The trunk and the key of each leg."""
    return (due.origem, leg_id(due.id, "a")), (due.destino, leg_id(due.id, "b"))
