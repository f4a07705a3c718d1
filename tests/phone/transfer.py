"""Transfers by REFER (RFC 3515, RFC 3891): the one we ask for and the one we are asked for; used by calls."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from .dialog import Dialog
from .message import Address, Message, Uri
from .wait import Signal

if TYPE_CHECKING:
    from .call import Call


def refer_to(uri: str, replaced: Dialog | None) -> str:
    """The Refer-To value; with a dialog of ours its far end is asked to replace it."""
    if not replaced:
        return f"<{uri}>"
    value = f"{replaced.call_id};to-tag={replaced.remote_tag};from-tag={replaced.local_tag}"
    return f"<{uri}?Replaces={quote(value, safe='')}>"


class Referral:
    """A transfer we asked for; `reports` are the statuses told by NOTIFY."""

    def __init__(self) -> None:
        self.reports: list[int] = []
        self._signal = Signal()

    def notify(self, request: Message) -> None:
        if match := re.match(rb"SIP/2\.0 (\d{3})", request.body.strip()):
            self.reports.append(int(match[1]))
            self._signal.fire()

    async def result(self, within: float = 5.0) -> int:
        """The final status of the new call as the far end reports it."""

        def final() -> int:
            return next((status for status in self.reports if status >= 200), 0)

        return await self._signal.until(final, within, f"result of the transfer, reports {self.reports}")


class Referred:
    """A transfer the far end asks us for; tell it how the new call goes with `report`."""

    def __init__(self, call: Call, request: Message) -> None:
        self._call, self._number = call, request.cseq[0]
        self.refer_to = Address.parse(request.get("Refer-To")).uri
        self.referred_by = request.get("Referred-By")

    @property
    def target(self) -> Uri:
        return self.refer_to

    async def report(self, status: int, reason: str = "-") -> None:
        """NOTIFY the status of the new call; a final one ends the subscription."""
        state = "active;expires=60" if status < 200 else "terminated;reason=noresource"
        await self._call.ask(
            "NOTIFY",
            f"SIP/2.0 {status} {reason}\r\n".encode(),
            Event=f"refer;id={self._number}",
            Subscription_State=state,
            Content_Type="message/sipfrag;version=2.0",
        )
