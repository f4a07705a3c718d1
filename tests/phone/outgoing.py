"""A call the telephone makes: INVITE with digest, provisional answers, cancelling."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .call import ALLOW, SDP, Call
from .dialog import Dialog, Refused
from .message import Message
from .sdp import Sdp
from .stack import Client

if TYPE_CHECKING:
    from .phone import Phone
    from .transport import Where


class Outgoing(Call):
    """Follow it with rang, progress and answered; `status` is the last response, `responses` all of them."""

    def __init__(self, phone: Phone, dialog: Dialog, hop: Where, headers: dict[str, Any]) -> None:
        super().__init__(phone, dialog, dialog.request("INVITE", Allow=ALLOW, **headers))
        self.status = 0
        self.responses: list[Message] = []
        self._hop, self._extra = hop, headers
        self._body = self._offer()
        self._client: Client | None = None
        self._error: Exception | None = None
        self._cancelling = False

    async def run(self) -> None:
        """Send the INVITE and see it through; a task of the phone."""
        try:
            final = await self.phone.transact(self._make, self._hop, self._response, self._started)
            if final.status >= 300:
                self._error = Refused(final)
            else:
                self.dialog.learn(final)
                self.acknowledge(final)
                if self.over:  # we gave up waiting and it was answered after all
                    await self.ask("BYE")
                    return
                self._connect(Sdp.parse(final.body))
                self.up = True
                self._signal.fire()
                return
        except (TimeoutError, ConnectionError, OSError, ValueError) as error:
            self._error = error
        self.end("us" if self._cancelling else "them", self.responses[-1].all("Reason") if self.responses else [])

    def _make(self) -> Message:
        return self.dialog.request("INVITE", self._body, Allow=ALLOW, Content_Type=SDP, **self._extra)

    def _started(self, client: Client) -> None:
        self._client = client

    def _response(self, response: Message) -> None:
        if response.cseq[0] != self.dialog.cseq and response.status < 200:
            return
        self.ack_again(response)
        self.responses.append(response)
        self.status = response.status
        if 100 < response.status < 200 and response.body and not self.over:
            with suppress(ValueError):
                self._connect(Sdp.parse(response.body))
        self._signal.fire()

    def _alive(self) -> None:
        if self.over and not self.up:
            raise self._error or ConnectionError("the call is over")

    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    async def rang(self, within: float = 5.0) -> None:
        """Wait for 180."""

        def rung() -> bool:
            if 180 in self.statuses():
                return True
            self._alive()
            return False

        await self._signal.until(rung, within, f"180 for {self.to_number}")

    async def progress(self, within: float = 5.0) -> None:
        """Wait for early media: a provisional answer with a description."""

        def begun() -> bool:
            if self.remote is not None:
                return True
            self._alive()
            return False

        await self._signal.until(begun, within, f"early media from {self.to_number}")

    async def answered(self, within: float = 5.0) -> None:
        """Wait for 200; Refused if another final answer comes, TimeoutError if none does."""

        def talking() -> bool:
            self._alive()
            return self.up

        await self._signal.until(talking, within, f"answer of {self.to_number}, got {self.statuses()}")

    async def cancel(self, reason: str | None = None, within: float = 2.0) -> None:
        """Give up: CANCEL after the first provisional answer, BYE if it was answered meanwhile."""
        if self.up or self.over:
            await self.hangup(reason)
            return
        self._cancelling = True
        with suppress(TimeoutError, ConnectionError):
            await self._signal.until(self._cancellable, within, "provisional answer")
            client = self._client
            if client and not client.final.done():
                await self.phone.stack.request(client.cancel_request(reason), client.to, via=False)
            await self._signal.until(lambda: self.up or self.over, within, "end of the cancelled call")
        await self.hangup(reason) if self._answered() else self.end("us")

    def _answered(self) -> bool:
        return self.up

    def _cancellable(self) -> bool:
        """A provisional answer to the newest INVITE came (RFC 3261 9.1), or it is settled."""
        return self.over or self.up or (self._client is not None and self._client.provisional.is_set())

    async def finish(self) -> None:
        await self.cancel()
