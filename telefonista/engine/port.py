"""What a telephone engine does for us, named after what a telephonist does. Flows and features know only this page."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class EngineError(Exception):
    """The engine refused or could not do what was asked; the text is for the log, not for customers."""


class EngineDown(EngineError):
    """No engine answers now; nothing was done."""


class By(Enum):
    """Who ended a leg."""

    FAR = "far"  # the telephone or the network at its other end
    US = "us"  # a command of ours, or our ring timeout
    LIMIT = "limit"  # the maximum duration kept by the engine itself
    ENGINE = "engine"  # lost media, shutdown or crash of the engine


@dataclass(frozen=True)
class Media:
    """What the RTP of one leg came to: packets, and those that did not arrive here; `rtt_ms` only if the far end tells.

    RFC 3550: the loss is that of the last report sent, some 2 s old at the most, and the jitter is the latest.
    """

    sent: int
    received: int
    lost: int
    jitter_ms: float
    rtt_ms: float | None = None


class HungUp(Exception):
    """A leg is gone. `cause` is Q.850 (16 when the engine gives none), `sip` the code of the answer that ended it.

    `media` is None when there was none, or the engine does not know.
    """

    def __init__(
        self, leg: "Leg", cause: int, sip: int | None, by: By, at: datetime, media: Media | None = None
    ) -> None:
        super().__init__(f"{leg.id} {by.value} cause={cause} sip={sip}")
        self.leg, self.cause, self.sip, self.by, self.at = leg, cause, sip, by, at
        self.media = media


@dataclass(frozen=True)
class Destination:
    """Where one leg goes: a number by a trunk, or one device of a ramal."""

    endpoint: str  # the name a trunk or ramal was registered under in the engine
    numero: str = ""  # dialled through a trunk
    device: str = ""  # one of the ramal's devices, as `devices` lists them


@dataclass(frozen=True)
class CallerId:
    """What the called telephone shows."""

    numero: str = ""
    nome: str = ""


class Leg(Protocol):
    """One telephone line of a call. The futures are set by the engine and never by callers.

    Wait for them with asyncio.wait or a shield: a task that is cancelled while it awaits a future cancels the future.
    """

    id: str
    ringing: "asyncio.Future[datetime]"  # 180, or media before the answer
    up: "asyncio.Future[datetime]"  # answered
    gone: "asyncio.Future[HungUp]"  # always resolves, also after a crash of the engine

    async def answered(self) -> None:
        """Wait for the answer. Raises HungUp when the leg ends first (busy, no answer within its ring time ...)."""

    async def answer(self) -> None:
        """Answer an incoming leg. Raises HungUp when it is gone."""

    async def ring(self) -> None:
        """Tell an incoming leg that the other side rings (180)."""

    async def limit(self, seconds: int) -> None:
        """End this leg by itself in `seconds` from now, also with nobody watching. Raises HungUp when it is gone."""

    async def keys(self, within: float) -> str:
        """Wait up to `within` seconds for one key (0-9 * # A-D); "" when none came. Raises HungUp when it is gone."""

    def hearing_ringback(self) -> AbstractAsyncContextManager[None]:
        """The leg hears the ringing tone while inside. For a leg outside any bridge."""

    async def hear_busy(self, seconds: float) -> None:
        """The leg hears the busy tone for so long, wherever it is. Raises HungUp."""

    async def play(self, sound: Path) -> None:
        """Play an 8 kHz mono WAV to its end. An incoming leg hears it before the answer too. Raises HungUp.

        Cancelled, it stops. Keys come meanwhile as ever.

        EngineError when there is no such file, or not such a one.
        """

    async def mute(self, muted: bool) -> None:
        """Whether its bridge goes without what this leg says; it hears the others as before. Raises HungUp."""

    async def notice_talking(self, tell: Callable[[bool], None]) -> None:
        """From now on `tell` when somebody begins (True) and stops (False, some 0.6 s later) to talk into it.

        Also on a leg that was muted. The last one who asked is told. Raises HungUp.
        """

    async def referred(self, *, done: bool) -> None:
        """Tell the telephone on this leg how the transfer it asked for went; a leg that is gone is success."""

    def hand_over(self) -> None:
        """The leg gets another owner: the next hang_up, by the owner so far, leaves it alone."""

    def hang_up(self, *, cause: int = 16) -> None:
        """Ask for the end of the leg and return at once. Idempotent; a leg that is gone is simply success."""

    async def statistics(self) -> dict[str, Any]:
        """Packets, loss and jitter so far; {} when the leg is gone or has no media."""


class Bridge(Protocol):
    """Where legs hear each other."""

    id: str

    async def add(self, leg: Leg) -> None:
        """Join a leg. One that is not answered yet is heard already: its ringing and early media. Raises HungUp."""

    async def remove(self, leg: Leg) -> None:
        """Take a leg out; one that is gone or elsewhere is success."""

    async def play(self, sound: Path) -> None:
        """All members hear an 8 kHz mono WAV to its end, over what they say. Cancelled, it stops.

        EngineError when there is no such file.
        """


class Recording(Protocol):
    """Both directions of a leg in two mono files kept in step: what it hears and what it says."""

    heard: Path
    said: Path

    async def closed(self, within: float) -> None:
        """Wait until the engine has written its last byte; after `within` seconds the files are taken as they are."""


@dataclass(frozen=True)
class Incoming:
    """A leg that came to us and waits for a decision."""

    leg: Leg
    door: str  # "ramal" (a telephone of ours dialled) or "entrada" (a trunk delivered a call)
    endpoint: str
    dialled: str
    caller: CallerId
    at: datetime


@dataclass(frozen=True)
class Referral:
    """A telephone asks by its own transfer key to be replaced: by a number, or by who is on its other line."""

    leg: Leg
    numero: str
    other_leg_id: str = ""  # its own leg of the other call, when it has spoken there already (attended)


@dataclass(frozen=True)
class RamalAccount:
    """A telephone account as the engine needs it."""

    usuario: str
    senha: str = field(repr=False)
    numero: str = ""
    nome: str = ""

    @property
    def shown(self) -> str:
        """Name and number as a header has them; what would end the name early is left out."""
        name = self.nome.replace('"', "").replace("\\", "")
        return f'"{name}" <{self.numero}>' if name else f"<{self.numero}>"


@dataclass(frozen=True)
class TrunkAccount:
    """A carrier as the engine needs it."""

    nome: str
    host: str
    porta: int
    transporte: str
    usuario: str | None = None
    senha: str | None = field(default=None, repr=False)
    registra: bool = False


@dataclass(frozen=True)
class Ending:
    """How a leg ended, as the engine's own record tells it afterwards."""

    leg_id: str
    at: datetime
    cause: int
    by: By


@runtime_checkable
class Engine(Protocol):
    """A telephone engine. All commands have a deadline of their own and raise EngineDown when nobody answers."""

    reconnects: int
    """How often the connection to the engine was lost since we started."""

    def alive(self) -> bool:
        """True only while commands and the event stream both work."""

    def dial(
        self,
        to: Destination,
        *,
        id: str,
        bina: CallerId,
        ring_seconds: int,
        limit_seconds: int,
        heard_in: Bridge | None = None,
        labels: dict[str, str] | None = None,
    ) -> AbstractAsyncContextManager[Leg]:
        """Call out; the leg exists inside the context and is hung up by leaving it.

        Entering returns once the call is on its way, before it rings. `heard_in` joins the leg to a bridge before the
        answer. The engine itself gives up after `ring_seconds` and ends the leg `limit_seconds` after it was dialled.
        Entering raises HungUp when the leg fails at once, EngineError when it could not be made.
        """

    def bridge(self, *legs: Leg, id: str) -> AbstractAsyncContextManager[Bridge]:
        """A bridge with these legs, taken apart by leaving; the legs live on. An id in use is adopted."""

    def record(self, leg: Leg, name: str, *, running: bool = False) -> AbstractAsyncContextManager[Recording]:
        """Record both directions of an answered leg until it ends or the context is left; goes on without us.

        `running`: it was begun before a restart of ours and is only taken over. A leg bears several at once.
        """

    def spy(self, on: Leg, *, to: Leg, id: str, whisper: bool) -> AbstractAsyncContextManager[None]:
        """While inside, the answered leg `to` hears both directions of `on`; with `whisper` only `on` hears it."""

    def recording(self, name: str) -> Recording:
        """The recording of that name, begun at any time before."""

    def devices(self, usuario: str) -> Sequence[Destination]:
        """Where a ramal's telephones are registered now; empty when none is."""

    def on_incoming(self, handler: Callable[[Incoming], Awaitable[None]]) -> None:
        """Who decides about incoming legs. Without a handler they are refused as congested."""

    def on_referral(self, handler: Callable[[Referral], Awaitable[None]]) -> None:
        """Who decides about transfers asked for by telephones. Each must be told its end by Leg.referred."""

    def on_up(self, handler: Callable[[], Awaitable[None]]) -> None:
        """Called each time an engine has become usable (at start, after a crash), before calls are admitted."""

    async def replace_ramais(self, accounts: Sequence[RamalAccount]) -> None:
        """Make these accounts and forget those that it made before; in force when this returns.

        For more of them than can be put one by one. put_ramal and remove_ramal work on them too.
        """

    async def put_ramal(self, account: RamalAccount) -> None:
        """Create or change a telephone account; in force when this returns."""

    async def remove_ramal(self, usuario: str) -> None:
        """Forget a telephone account and where it was registered."""

    async def put_trunk(self, account: TrunkAccount) -> None:
        """Create or change a carrier."""

    async def remove_trunk(self, nome: str) -> None:
        """Forget a carrier."""

    async def trunk_status(self, nome: str) -> str:
        """One word on a carrier: "registrado", "sem registro", "alcancavel", "inalcancavel", "desconhecido"."""

    async def survivors(self) -> dict[str, Leg]:
        """The legs alive now by id, taken over after a restart of ours; answered ones have `up` set."""

    async def close_bridges(self, keep: Collection[str]) -> None:
        """Take apart the bridges left from before a restart of ours, except these."""

    async def endings(self, leg_ids: Sequence[str]) -> dict[str, Ending]:
        """What the engine's own record says of legs that ended while nobody watched."""

    async def block(self, addresses: Sequence[str]) -> None:
        """Refuse everything from these addresses, and only these."""
