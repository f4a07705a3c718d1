"""The identity of a SIP dialog and the requests inside it (RFC 3261 section 12); used by the phone's calls."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from .message import Address, Message, Uri
from .transport import Where


class Refused(Exception):
    """The far end answered a request with a final status of 300 or more."""

    def __init__(self, response: Message) -> None:
        super().__init__(f"{response.status} {response.reason} to {response.cseq[1]}")
        self.status, self.response = response.status, response


def new_tag() -> str:
    return secrets.token_hex(6)


@dataclass
class Dialog:
    """`local`, `remote`: From/To values without tag; `target`: the far Contact; `routes`: in sending order."""

    call_id: str
    local: str
    remote: str
    target: str
    contact: str
    local_tag: str = field(default_factory=new_tag)
    remote_tag: str = ""
    routes: list[str] = field(default_factory=list)
    cseq: int = field(default_factory=lambda: secrets.randbelow(10000) + 1)

    @classmethod
    def of_invite(cls, invite: Message, contact: str) -> Dialog:
        """Our side of the dialog that an incoming INVITE asks for."""
        far = invite.contact
        return cls(
            call_id=invite.get("Call-ID"),
            local=_untagged(invite.get("To")),
            remote=_untagged(invite.get("From")),
            target=far.text if far else invite.sender.uri.text,
            contact=contact,
            remote_tag=invite.sender.tag,
            routes=invite.all("Record-Route"),
        )

    def learn(self, response: Message) -> None:
        """Take the far tag, target and route set from a response to our INVITE."""
        self.remote_tag = response.recipient.tag or self.remote_tag
        if contact := response.contact:
            self.target = contact.text
        if routes := response.all("Record-Route"):
            self.routes = routes[::-1]

    @property
    def hop(self) -> Where:
        """Where the next request goes: the first route (always a loose one here) or the target."""
        first = Address.parse(self.routes[0]).uri if self.routes else Uri.parse(self.target)
        return first.address

    def request(self, method: str, body: bytes = b"", cseq: int | None = None, **headers: Any) -> Message:
        """A request without Via; a new CSeq unless `cseq` is given (for ACK)."""
        if cseq is None:
            self.cseq += 1
        tag = f";tag={self.remote_tag}" if self.remote_tag else ""
        message = Message(method=method, uri=self.target, body=body)
        message.add(
            Max_Forwards="70",
            Route=self.routes,
            From=f"{self.local};tag={self.local_tag}",
            To=f"{self.remote}{tag}",
            Call_ID=self.call_id,
            CSeq=f"{cseq or self.cseq} {method}",
            Contact=self.contact,
            User_Agent="phone",
            **headers,
        )
        return message


def _untagged(value: str) -> str:
    """A From or To value as given, without its parameters after the address."""
    head, bracket, _ = value.partition(">")
    return head + ">" if bracket else f"<{value.partition(';')[0]}>"
