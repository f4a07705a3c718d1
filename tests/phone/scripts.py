"""Telephones that act by themselves: handlers for `Phone(on_call=...)`; used by e2e and load tests."""

from __future__ import annotations

from .incoming import Incoming
from .phone import Handler, Phone
from .sources import Source


class AutoPhone(Phone):
    """A phone that serves every incoming call with `script`; counts are `total`, `active` and `peak`."""

    def __init__(self, host: str, port: int = 0, *, script: Handler, **options: object) -> None:
        super().__init__(host, port, on_call=script, **options)  # type: ignore[arg-type]


def answering(source: Source | None = None, *, ringing: bool = True) -> Handler:
    """Ring, answer, and talk until the far end hangs up."""

    async def script(call: Incoming) -> None:
        if ringing:
            await call.ringing()
        await call.answer(source)

    return script


def refusing(status: int = 486, reason: str | None = None) -> Handler:
    """Refuse each call."""

    async def script(call: Incoming) -> None:
        await call.reject(status, reason)

    return script


def ringing(call_for: float = 60.0) -> Handler:
    """Ring until the caller gives up; an error if it does not within `call_for` seconds."""

    async def script(call: Incoming) -> None:
        await call.ringing()
        await call.cancelled(call_for)

    return script


def early(source: Source, call_for: float = 60.0) -> Handler:
    """Give early media (an announcement) and never answer."""

    async def script(call: Incoming) -> None:
        await call.early_media(source)
        await call.cancelled(call_for)

    return script
