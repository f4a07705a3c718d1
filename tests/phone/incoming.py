"""A call that comes to the telephone: ring it, give it early media, answer, refuse, or see it cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .call import ALLOW, SDP, Call
from .dialog import Dialog
from .message import Message, Uri
from .sdp import Sdp
from .sources import Source
from .stack import Server

if TYPE_CHECKING:
    from .phone import Phone


class Incoming(Call):
    """Nothing but 100 is sent until the test says what to do."""

    def __init__(self, phone: Phone, server: Server, replaces: Call | None = None) -> None:
        super().__init__(phone, Dialog.of_invite(server.request, phone.contact), server.request)
        self.to_number = Uri.parse(server.request.uri).user or self.to_number
        self.was_cancelled = False
        self.replaces = replaces
        self._server = server
        self._described = b""
        server.respond(server.request.reply(100))

    def _respond(self, status: int, body: bytes = b"", reason: str | None = None) -> None:
        kind = SDP if body else None
        request = self._server.request
        tag, contact = self.dialog.local_tag, self.dialog.contact
        self._server.respond(
            request.reply(status, tag=tag, body=body, Contact=contact, Allow=ALLOW, Content_Type=kind, Reason=reason)
        )

    def _description(self) -> bytes:
        """Our part of the agreement, the same in 183 and 200; ValueError if there is none."""
        if not self._described:
            offer = self._server.request.body
            self._described = self._answer_to(Sdp.parse(offer)) if offer else self._offer()
        return self._described

    def _check_open(self) -> None:
        if self.over or self._server.answered:
            raise RuntimeError("this call is answered or over already")

    async def ringing(self) -> None:
        """Send 180."""
        self._check_open()
        self._respond(180)

    async def early_media(self, source: Source | None = None) -> None:
        """Send 183 with a description and start to talk (the phone's own tone unless given)."""
        self._check_open()
        if source:
            self.media.play(source)
        self._respond(183, self._description())

    async def answer(self, source: Source | None = None, within: float = 5.0) -> None:
        """Send 200 and wait for its ACK; TimeoutError without one. Returns also if the far end hangs up meanwhile."""
        self._check_open()
        if source:
            self.media.play(source)
        try:
            body = self._description()
        except ValueError:
            await self.reject(488)
            raise
        self._invites[self._server.request.cseq[0]] = self._server
        self.up = True
        self._respond(200, body)
        try:
            async with asyncio.timeout(within):
                await self._server.acked.wait()
        except TimeoutError:
            raise TimeoutError(f"no ACK for the 200 of {self.phone.name} within {within:g} s") from None
        if self.replaces:
            await self.replaces.hangup()

    async def reject(self, status: int = 486, reason: str | None = None) -> None:
        """Send any final status, with a Reason header value if given ('Q.850;cause=17')."""
        self._check_open()
        self._respond(status, reason=reason)
        self.end("us")

    async def cancelled(self, within: float = 3.0) -> None:
        """Wait until the caller gives up (CANCEL); `end_reason` has its Reason headers."""

        def gone() -> bool:
            if self.over and not self.was_cancelled:
                raise AssertionError(f"the call ended by {self.ended_by}, not by CANCEL")
            return self.was_cancelled

        await self._signal.until(gone, within, f"CANCEL at {self.phone.name}")

    def serves(self, server: Server | None) -> bool:
        return self._server is server

    def cancel_came(self, cancel: Message) -> None:
        if not self._server.answered:
            self.was_cancelled = True
            self._respond(487)
            self.end("them", cancel.all("Reason"))

    async def finish(self) -> None:
        if self.up:
            await self.hangup()
        elif not self.over:
            await self.reject(480)
