"""A call under way as others may act on it: who talks, what is wished of it, who listens in. Kept by the runner."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from telefonista.calling.pedido import Pedido, PernaPedido
from telefonista.engine.port import Leg

Papel = Literal["origem", "destino"]


@dataclass(frozen=True)
class HandOver:
    """Give a party to another call; this one ends, and the party's leg stays up for its new owner."""

    papel: Papel
    taken: "asyncio.Future[Leg]"


class NotTalking(Exception):
    """The call is not in conversation: nothing was done."""


@dataclass(frozen=True)
class Transfer:
    """Release one party and put `perna` in its place; the other hears it ringing."""

    sai: Papel
    perna: PernaPedido
    by_key: bool = False  # the party that leaves asked by its own transfer key, and is told how it went
    leg: Leg | None = None  # who comes in is on the line already, handed over by another call


class Listener:
    """Somebody who listens in, and how: 1 hears both, 2 whispers to origem, 3 is heard by both."""

    def __init__(self, modo: int) -> None:
        self.modo = modo
        self._changed: asyncio.Future[None] | None = None

    def changed(self) -> "asyncio.Future[None]":
        """Done when the mode is next asked to be another."""
        self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def change(self, modo: int) -> None:
        self.modo = modo
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


Wish = Transfer | HandOver


class Live:
    """One running call. Its facts are in the rows; here is only what can be commanded."""

    def __init__(self, pedido: Pedido) -> None:
        self.pedido = pedido
        self.parties: tuple[Leg, Leg] | None = None  # origem's and destino's
        self.wish: asyncio.Future[Wish] | None = None
        self.lado: Papel = "destino"  # on whose leg a recording begins: the one that joined last
        self.listeners: dict[str, Listener] = {}  # by the letra of their perna
        self._joined = asyncio.Event()
        self._guests: set[asyncio.Task[None]] = set()

    @contextmanager
    def talking(self, a: Leg, b: Leg) -> Iterator["asyncio.Future[Wish]"]:
        """While inside, the call can be transferred and listened to; yields the wish to wait for."""
        self.parties, self.wish = (a, b), asyncio.get_running_loop().create_future()
        self._joined.set()
        try:
            yield self.wish
        finally:
            self.parties = self.wish = None
            self._joined.clear()

    async def joined(self) -> None:
        """Wait until there is a conversation: at once, or after the transfer under way."""
        await self._joined.wait()

    def ask(self, wish: Wish) -> None:
        """Ask something of the conversation. Raises NotTalking when there is none, or it is about to change already."""
        if self.wish is None or self.wish.done():
            raise NotTalking
        self.wish.set_result(wish)

    def leg_of(self, papel: Papel) -> Leg:
        """The leg that talks in this role now. Raises NotTalking."""
        if self.parties is None:
            raise NotTalking
        return self.parties[0 if papel == "origem" else 1]

    def attend(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a guest's part beside the call; it ends with the call at the latest."""
        task = asyncio.create_task(work, name=name)
        self._guests.add(task)
        task.add_done_callback(self._guests.discard)

    async def dismiss_guests(self) -> None:
        """End every guest's part and wait until each has let go of its leg."""
        guests = set(self._guests)
        for task in guests:
            task.cancel()
        if guests:
            await asyncio.wait(guests)
