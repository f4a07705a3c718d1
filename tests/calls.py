"""What flow tests call with: a desk on the fake engine, a journal in memory, and pedidos by the numbers dialled."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from telefonista.calling.capacity import Gates
from telefonista.calling.journal import Journal
from telefonista.calling.pedido import Pedido, PernaPedido, Rota
from telefonista.calling.run import Flow, Runner
from telefonista.chamada.flow import bridged_call
from telefonista.engine.fake import FakeEngine
from telefonista.engine.port import HungUp, Leg
from telefonista.storage.session import Storage

LONG = 1e6
WRITE_SECONDS = 0.001


class FakeJournal:
    """As calling.journal.Journal; facts stay in memory, `budget` is how many seconds of talk are paid for."""

    def __init__(self, engine: FakeEngine, *, budget: float = LONG) -> None:
        self.facts: list[tuple[str, str, dict[str, Any]]] = []  # tipo, perna, dados
        self.endings: list[str] = []
        self.paid = 0
        self.legs: list[Leg] = []
        self.talking_since: datetime | None = None
        self.takes: list[tuple[str, list[tuple[str, datetime]]]] = []  # tipo, and the parts' lado and beginning
        self._engine, self._budget = engine, budget

    async def dialling(self, perna: PernaPedido) -> None:
        await self._commit()
        self._fact("discada", perna)

    async def talking(self, since: datetime) -> None:
        await self._commit()
        self.talking_since = since
        self.facts.append(("conversa", "", {}))

    async def transferring(self, sai: str, perna: PernaPedido) -> None:
        await self._commit()
        self.facts.append(("transferencia", "", {"sai": sai, "entra": perna.letra}))

    async def recording(self, tipo: str, lado: str, since: datetime) -> tuple[int, str]:
        await self._commit()
        self.takes.append((tipo, [(lado, since)]))
        return len(self.takes), f"1-g{len(self.takes)}"

    async def part(self, gravacao_id: int, ordem: int, nome: str, lado: str, since: datetime) -> None:
        await self._commit()
        self.takes[gravacao_id - 1][1].append((lado, since))

    async def part_ended(self, gravacao_id: int, at: datetime) -> None:
        await self._commit()

    async def recorded(self, gravacao_id: int, at: datetime) -> None:
        await self._commit()

    async def pay_until(self, seconds: int) -> bool:
        await self._commit()
        if seconds > self._budget:
            return False
        self.paid = seconds
        return True

    def ringing(self, perna: PernaPedido, at: datetime) -> None:
        self._fact("chamando", perna, at=at)

    def answered(self, perna: PernaPedido, leg: Leg) -> None:
        self._fact("atendida", perna, leg=leg.id)
        self.watch(perna.letra, leg)

    def watch(self, letra: str, leg: Leg) -> None:
        if leg in self.legs:
            return
        self.legs.append(leg)
        leg.gone.add_done_callback(lambda gone: self._hung_up(letra, gone.result()))

    def ended(self, perna: PernaPedido, hangup: HungUp) -> None:
        self._hung_up(perna.letra, hangup)

    def not_reached(self, perna: PernaPedido, cause: int) -> None:
        self._fact("desligada", perna, causa=cause, sip=None, por="us")

    async def finish(self, desfecho: str) -> bool:
        gone = {leg.gone for leg in self.legs if not leg.gone.done()}
        if gone:
            await asyncio.wait(gone, timeout=6.0)
        await self._commit()
        self.endings.append(desfecho)
        return len(self.endings) == 1

    def told(self) -> list[str]:
        """The facts as "tipo perna", in order."""
        return [f"{tipo} {letra}".strip() for tipo, letra, _ in self.facts]

    def end_of(self, letra: str) -> tuple[int, int | None, str]:
        """(cause, sip, by) of a perna's one ending."""
        (dados,) = [dados for tipo, perna, dados in self.facts if (tipo, perna) == ("desligada", letra)]
        return dados["causa"], dados["sip"], dados["por"]

    async def _commit(self) -> None:
        await until(clock() + WRITE_SECONDS)

    def _hung_up(self, letra: str, hangup: HungUp) -> None:
        dados = {"causa": hangup.cause, "sip": hangup.sip, "por": hangup.by.value, "at": hangup.at}
        self.facts.append(("desligada", letra, dados))

    def _fact(self, tipo: str, perna: PernaPedido, **dados: Any) -> None:
        self.facts.append((tipo, perna.letra, dados))


def pedido(
    origem: str, destino: str, *, id: int = 1, toque: int = 30, limite: int = 14400, gravar: bool = False
) -> Pedido:
    """A chamada between a number ("numero") and a ramal ("ramal:usuario"), in any mix."""
    return Pedido(
        id=id,
        conta_id=1,
        origem=PernaPedido(id, "a", _rota(origem), bina="4832830151"),
        destino=PernaPedido(id, "b", _rota(destino), bina="4832830151"),
        toque=toque,
        limite=limite,
        gravar=gravar,
    )


def _rota(where: str) -> Rota:
    if where.startswith("ramal:"):
        return Rota("ramal", "ramal", where, endpoint=where.removeprefix("ramal:"), ramal_id=1)
    return Rota("fixo", "fixo", where, endpoint="rede", numero=where, tronco_id=7)


@dataclass
class Desktop:
    """A runner over a fake engine; `call` runs one chamada to its end."""

    engine: FakeEngine
    gates: Gates = field(default_factory=lambda: Gates(10.0))

    def __post_init__(self) -> None:
        # Journals are always handed over: nothing here touches the storage.
        self.runner = Runner(self.engine, cast(Storage, None), self.gates)

    def start(self, wish: Pedido, *, budget: float = LONG, flow: Flow = bridged_call) -> FakeJournal:
        journal = FakeJournal(self.engine, budget=budget)
        self.runner.start(wish, flow, journal=cast(Journal, journal))
        return journal

    async def call(self, wish: Pedido, *, budget: float = LONG, flow: Flow = bridged_call) -> tuple[str, FakeJournal]:
        """The outcome and the journal; nothing may be left in the engine."""
        journal = self.start(wish, budget=budget, flow=flow)
        await self.runner.drain(LONG)
        await self.clean()
        (outcome,) = journal.endings
        return str(outcome), journal

    async def clean(self) -> None:
        await self.engine.settle()
        assert self.engine.leftovers() == []
        assert self.runner.active() == 0


def clock() -> float:
    return asyncio.get_running_loop().time()


async def until(when: float) -> None:
    """Wait for an instant of the loop's clock."""
    moment = asyncio.Event()
    timer = asyncio.get_running_loop().call_at(when, moment.set)
    try:
        await moment.wait()
    finally:
        timer.cancel()
