"""One call of the test telephone, whichever way it goes: audio, digits, hold, transfer, ending. Made by the Phone."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import audio
from .dialog import Dialog, Refused
from .ear import Ear
from .message import Message
from .rtp import Stats, Stream
from .sdp import ANSWERS, Sdp
from .sources import Samples, Source
from .stack import Server
from .transfer import Referral, Referred, refer_to
from .wait import Signal

if TYPE_CHECKING:
    from .phone import Phone

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, REFER, UPDATE, MESSAGE"
SDP = "application/sdp"
TCP = ";transport=tcp"


class Call:
    """State shared by incoming and outgoing calls; every wait takes `within` seconds and raises when it passes."""

    def __init__(self, phone: Phone, dialog: Dialog, invite: Message) -> None:
        self.phone, self.dialog = phone, dialog
        self.from_header, self.from_number = invite.get("From"), invite.sender.uri.user
        self.to_header, self.to_number = invite.get("To"), invite.recipient.uri.user
        self.headers: dict[str, list[str]] = invite.grouped()
        self.invite = invite
        self.up = self.over = False
        self.ended_by = ""
        self.end_reason: list[str] = []
        self.ear = Ear(f"{phone.name} in call {self.from_number}->{self.to_number}", phone.remember)
        self.media = Stream(phone.host, self.ear, phone.loss, phone.rng)
        self.media.play(phone.source)
        self.remote: Sdp | None = None
        self.local = Sdp(phone.host, self.media.port, phone.laws)
        self.referral: Referral | None = None
        self._session, self._version = secrets.randbelow(2**31), 0
        self._signal = Signal()
        self._direction, self._hold_sends = "sendrecv", True
        self._acks: dict[int, Message] = {}
        self._invites: dict[int, Server] = {}
        self._reinviting = False
        self._referred: list[Referred] = []
        self._digits_taken = 0

    # ---- what was agreed -------------------------------------------------------------------------------------------

    def header(self, name: str) -> str | None:
        """First value of a header of the INVITE."""
        return next(iter(self.headers.get(name.lower(), [])), None)

    @property
    def stats(self) -> Stats:
        return self.media.stats

    @property
    def held_by_them(self) -> bool:
        return self.remote is not None and self.remote.direction in ("sendonly", "inactive")

    def _offer(self) -> bytes:
        self.local = Sdp(self.phone.host, self.media.port, self.phone.laws, direction=self._direction)
        return self._serialize()

    def _answer_to(self, remote: Sdp) -> bytes:
        """Agree to their offer; ValueError if no codec is shared."""
        laws = tuple(law for law in self.phone.laws if law in remote.laws)[:1]
        if not laws:
            raise ValueError("no codec in common")
        direction = ANSWERS[remote.direction]
        if self._direction == "sendonly":
            direction = "sendonly" if direction in ("sendrecv", "sendonly") else "inactive"
        self.local = Sdp(self.phone.host, self.media.port, laws, remote.events, direction)
        self._connect(Sdp(remote.host, remote.port, laws, remote.events, remote.direction))
        return self._serialize()

    def _serialize(self) -> bytes:
        self._version += 1
        return self.local.serialize(self._session, self._version)

    def _connect(self, remote: Sdp) -> None:
        self.remote = remote
        self.media.connect(remote, self.local, self._direction == "sendrecv" or self._hold_sends)
        self._signal.fire()

    # ---- sound -----------------------------------------------------------------------------------------------------

    def play(self, source: Source | audio.Pcm) -> None:
        """Say something else from now on (a source, or samples once)."""
        self.media.play(source if hasattr(source, "frames") else Samples(source))

    async def played(self, within: float = 10.0) -> None:
        """Wait until the samples being played are all sent."""
        await self.media.signal.until(lambda: self.media.finished or self.over, within, "end of the samples")

    def stop_sending(self) -> None:
        self.media.muted = True

    def start_sending(self) -> None:
        self.media.muted = False

    async def hears(self, *freqs: float, within: float = 3.0, share: float = 0.1) -> None:
        await self.ear.hears(*freqs, within=within, share=share)

    async def hears_not(self, *freqs: float, during: float = 0.5, within: float = 0.0) -> None:
        await self.ear.hears_not(*freqs, during=during, within=within)

    async def silent(self, during: float = 0.5, within: float = 0.0) -> None:
        await self.ear.silent(during, within)

    async def hears_ringback(self, within: float = 6.0) -> None:
        await self.ear.ringback(within)

    def heard(self, start: float = 0.0, end: float | None = None) -> audio.Pcm:
        """Received samples; seconds on `ear.clock`, negative ones count back from now."""
        return self.ear.heard(start, end)

    # ---- digits ----------------------------------------------------------------------------------------------------

    async def send_dtmf(self, digits: str, *, method: str = "rfc4733", seconds: float = 0.12) -> None:
        """Press keys one after the other, by RFC 4733 events or SIP INFO ('info'); returns when all are sent."""
        for digit in digits:
            if method == "info":
                body = f"Signal={digit}\r\nDuration={round(seconds * 1000)}\r\n".encode()
                await self.ask("INFO", body, Content_Type="application/dtmf-relay")
            else:
                sent = asyncio.Event()
                self.media.press(digit, seconds, sent.set)
                async with asyncio.timeout(seconds + 2):
                    await sent.wait()

    async def dtmf(self, within: float = 3.0, count: int = 1) -> str:
        """The next `count` digits received and not yet taken."""
        end = self._digits_taken + count

        def enough() -> str:
            digits = "".join(self.media.digits[self._digits_taken : end])
            return digits if len(digits) == count else ""

        found = await self.media.signal.until(enough, within, f"{count} digit(s), got {self.media.digits}")
        self._digits_taken = end
        return found

    # ---- requests inside the call ----------------------------------------------------------------------------------

    async def ask(self, method: str, body: bytes = b"", within: float = 5.0, **headers: Any) -> Message:
        """Send a request in the dialog and return its 2xx; Refused for any other final answer."""
        async with asyncio.timeout(within):
            final = await self.phone.transact(lambda: self.dialog.request(method, body, **headers), self.dialog.hop)
        if final.status >= 300:
            raise Refused(final)
        return final

    async def hold(self, *, send: bool = False) -> None:
        """re-INVITE with a=sendonly; audio stops unless `send`."""
        self._hold_sends = send
        await self._reinvite("sendonly")

    async def resume(self) -> None:
        await self._reinvite("sendrecv")

    async def held(self, within: float = 3.0) -> None:
        """Wait until the far end puts us on hold."""
        await self._signal.until(lambda: self.held_by_them, within, "hold by the far end")

    async def resumed(self, within: float = 3.0) -> None:
        await self._signal.until(lambda: not self.held_by_them, within, "end of hold by the far end")

    async def _reinvite(self, direction: str) -> None:
        self._direction, self._reinviting = direction, True
        try:
            body = self._offer()
            async with asyncio.timeout(5):
                final = await self.phone.transact(
                    lambda: self.dialog.request("INVITE", body, Allow=ALLOW, Content_Type=SDP),
                    self.dialog.hop,
                    self.ack_again,
                )
        finally:
            self._reinviting = False
        if final.status >= 300:
            raise Refused(final)
        self.acknowledge(final)
        self._connect(Sdp.parse(final.body))

    def acknowledge(self, final: Message) -> None:
        """ACK a 2xx to our INVITE, and again each time the 2xx comes again."""
        number = final.cseq[0]
        if contact := final.contact:
            self.dialog.target = contact.text
        ack = self.dialog.request("ACK", cseq=number)
        ack.headers.insert(0, ("Via", self.phone.stack.via))
        self._acks[number] = ack
        self.phone.stack.send(ack, self.dialog.hop)

    def ack_again(self, response: Message) -> None:
        if response.status // 100 == 2 and (ack := self._acks.get(response.cseq[0])):
            self.phone.stack.send(ack, self.dialog.hop)

    # ---- transfer --------------------------------------------------------------------------------------------------

    async def refer(self, to: str, *, replaces: Call | None = None) -> Referral:
        """Ask the far end to call `to` (number or URI): blind, or attended when `replaces` is our other call.

        Hear the far end first: Asterisk 22 reports 400 for a leg that is answered but not bridged yet.
        """
        self.referral = Referral()
        target = refer_to(self.phone.target(to)[0], replaces.dialog if replaces else None)
        await self.ask("REFER", Refer_To=target, Referred_By=self.dialog.local)
        return self.referral

    async def referred(self, within: float = 3.0) -> Referred:
        """The next REFER the far end sent us (already answered 202)."""
        await self._signal.until(lambda: self._referred, within, "REFER")
        return self._referred.pop(0)

    # ---- requests from the far end ---------------------------------------------------------------------------------

    def handle(self, server: Server) -> None:
        """Answer a request inside the dialog."""
        request = server.request
        method = request.method
        if method == "BYE":
            server.respond(request.reply(200))
            self.end("them", request.all("Reason"))
        elif method == "NOTIFY":
            server.respond(request.reply(200))
            if self.referral:
                self.referral.notify(request)
        elif self.over:
            server.respond(request.reply(481))
        elif method in ("INVITE", "UPDATE"):
            self._reinvited(server)
        elif method == "INFO":
            server.respond(request.reply(200))
            self._informed(request)
        elif method == "REFER":
            server.respond(request.reply(202, Contact=self.dialog.contact))
            self._referred.append(Referred(self, request))
            self._signal.fire()
        elif method in ("OPTIONS", "MESSAGE", "PRACK"):
            server.respond(request.reply(200, Allow=ALLOW))
        else:
            server.respond(request.reply(405, Allow=ALLOW))

    def _reinvited(self, server: Server) -> None:
        request = server.request
        if not self.up or self._reinviting:
            server.respond(request.reply(491))
            return
        if contact := request.contact:
            self.dialog.target = contact.text
        try:
            if request.body:
                body = self._answer_to(Sdp.parse(request.body))
            else:
                body = self._offer() if request.method == "INVITE" else b""
        except ValueError:
            server.respond(request.reply(488))
            return
        if request.method == "INVITE":
            self._invites[request.cseq[0]] = server
        kind = SDP if body else None
        server.respond(request.reply(200, body=body, Contact=self.dialog.contact, Allow=ALLOW, Content_Type=kind))

    def acked(self, ack: Message) -> None:
        """The far end acknowledged our 2xx; its body is the answer if the offer was ours."""
        if server := self._invites.pop(ack.cseq[0], None):
            server.acknowledged(ack)
            if ack.body and not server.request.body:
                with suppress(ValueError):
                    self._connect(Sdp.parse(ack.body))

    def _informed(self, request: Message) -> None:
        text = request.body.decode("ascii", "replace")
        kind = request.get("Content-Type").lower()
        if "dtmf-relay" in kind:
            match = re.search(r"Signal\s*=\s*([0-9*#A-D])", text, re.I)
        else:
            match = re.fullmatch(r"\s*([0-9*#A-D])\s*", text, re.I) if "dtmf" in kind else None
        if match:
            self.media.digit(match[1].upper())

    # ---- ending ----------------------------------------------------------------------------------------------------

    async def hangup(self, reason: str | None = None, within: float = 2.0) -> None:
        """BYE; returns when it is answered, or after `within` seconds whatever happens."""
        if self.over:
            return
        self.end("us")
        with suppress(TimeoutError, ConnectionError, Refused, OSError):
            await self.ask("BYE", within=within, Reason=reason)

    async def ended(self, within: float = 3.0) -> None:
        """Wait for the end of the call, however it comes; then see `ended_by` and `end_reason`."""
        await self._signal.until(lambda: self.over, within, f"end of call at {self.phone.name}")

    def end(self, by: str, reason: list[str] | None = None) -> None:
        """Note the end: 'us' or 'them', with their Reason headers."""
        if not self.over:
            self.over, self.up = True, False
            self.ended_by, self.end_reason = by, reason or []
            self.media.close()
            self._signal.fire()
            self.phone.forget(self)

    async def finish(self) -> None:
        """End it in the way its state asks for."""
        await self.hangup()
