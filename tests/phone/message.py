"""SIP messages, addresses and URIs: parse and serialize (RFC 3261 sections 7, 19, 20); used by the phone's modules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

COMPACT = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "e": "Content-Encoding", "f": "From",
    "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact",
    "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires",
}  # fmt: skip
REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 302: "Moved Temporarily",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 484: "Address Incomplete", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 500: "Server Internal Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 600: "Busy Everywhere", 603: "Decline",
}  # fmt: skip
LISTS = {"via", "contact", "route", "record-route", "supported", "allow", "reason"}
_VIA = re.compile(r"SIP\s*/\s*2\.0\s*/\s*(\w+)\s+([^;\s]+)\s*(.*)", re.S)
_URI = re.compile(
    r"(?P<scheme>sips?|tel):(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]+\]|[^:;?]*)(?::(?P<port>\d+))?(?P<rest>.*)"
)


def split_list(value: str) -> list[str]:
    """Split at commas that are outside quotes and angle brackets."""
    parts, start, quoted, angle, at = [], 0, False, False, 0
    while at < len(value):
        char = value[at]
        if quoted and char == "\\":
            at += 1
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in "<>":
            angle = char == "<"
        elif char == "," and not quoted and not angle:
            parts.append(value[start:at].strip())
            start = at + 1
        at += 1
    parts.append(value[start:].strip())
    return [part for part in parts if part]


def _params(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in text.split(";"):
        name, _, value = item.strip().partition("=")
        if name:
            found[name.strip().lower()] = value.strip()
    return found


@dataclass(frozen=True)
class Uri:
    user: str
    host: str
    port: int
    params: dict[str, str]
    text: str

    @classmethod
    def parse(cls, text: str) -> Uri:
        match = _URI.fullmatch(text.strip())
        if not match:
            raise ValueError(f"not a SIP URI: {text!r}")
        rest, _, _ = match["rest"].partition("?")
        user = (match["user"] or "").partition(";")[0].partition(":")[0]
        host = match["host"]
        if match["scheme"] == "tel":
            user, host = host, ""
        return cls(user, host, int(match["port"] or 5060), _params(rest), text.strip())

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


@dataclass(frozen=True)
class Address:
    """A name-addr or addr-spec with its header parameters."""

    display: str
    uri: Uri
    params: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Address:
        match = re.fullmatch(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*))\s*<([^>]*)>(.*)', text, re.S)
        if match:
            display = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2].strip()
            return cls(display, Uri.parse(match[3]), _params(match[4]))
        uri, _, rest = text.strip().partition(";")
        return cls("", Uri.parse(uri), _params(rest))

    @property
    def tag(self) -> str:
        return self.params.get("tag", "")


@dataclass(frozen=True)
class Via:
    transport: str
    sent_by: str
    params: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Via:
        match = _VIA.fullmatch(text.strip())
        if not match:
            raise ValueError(f"not a Via: {text!r}")
        return cls(match[1].upper(), match[2], _params(match[3]))

    @property
    def branch(self) -> str:
        return self.params.get("branch", "")

    def __str__(self) -> str:
        params = "".join(f";{name}={value}" if value else f";{name}" for name, value in self.params.items())
        return f"SIP/2.0/{self.transport} {self.sent_by}{params}"


@dataclass
class Message:
    """A request (`method`, `uri`) or a response (`status`, `reason`); header order is kept."""

    method: str = ""
    uri: str = ""
    status: int = 0
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Read one message; ValueError if it is not SIP. A body longer than Content-Length is cut (RFC 3261 18.3)."""
        head, _, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
        message = cls()
        if response := re.fullmatch(r"SIP/2\.0 (\d{3}) ?(.*)", lines[0]):
            message.status, message.reason = int(response[1]), response[2]
        elif request := re.fullmatch(r"([A-Za-z]+) (\S+) SIP/2\.0", lines[0]):
            message.method, message.uri = request[1], request[2]
        else:
            raise ValueError(f"not a SIP message: {lines[0][:60]!r}")
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"not a SIP header: {line[:60]!r}")
            name = name.strip()
            message.headers.append((COMPACT.get(name.lower(), name), value.strip()))
        for needed in ("Via", "From", "To", "Call-ID", "CSeq"):
            if not message.get(needed):
                raise ValueError(f"SIP message without {needed}")
        length = message.get("Content-Length")
        message.body = body[: int(length)] if length.isdigit() else body
        return message

    def serialize(self) -> bytes:
        first = f"{self.method} {self.uri} SIP/2.0" if self.method else f"SIP/2.0 {self.status} {self.reason}"
        lines = [first, *(f"{name}: {value}" for name, value in self.headers if name.lower() != "content-length")]
        return "\r\n".join([*lines, f"Content-Length: {len(self.body)}", "", ""]).encode() + self.body

    def get(self, name: str, default: str = "") -> str:
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), default)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order; comma-joined values of list headers come apart."""
        wanted = name.lower()
        values = [value for key, value in self.headers if key.lower() == wanted]
        return [part for value in values for part in split_list(value)] if wanted in LISTS else values

    def set(self, name: str, *values: str) -> None:
        """Replace every value of a header, keeping the place of the first."""
        wanted, at = name.lower(), len(self.headers)
        for index, (key, _) in enumerate(self.headers):
            if key.lower() == wanted:
                at = index
                break
        kept = [pair for pair in self.headers if pair[0].lower() != wanted]
        self.headers = kept[:at] + [(name, value) for value in values] + kept[at:]

    def grouped(self) -> dict[str, list[str]]:
        """Header values by lower-case name."""
        names = dict.fromkeys(key.lower() for key, _ in self.headers)
        return {name: self.all(name) for name in names}

    @property
    def via(self) -> Via:
        return Via.parse(self.all("Via")[0])

    @property
    def cseq(self) -> tuple[int, str]:
        number, _, method = self.get("CSeq").strip().partition(" ")
        return int(number), method.strip()

    @property
    def sender(self) -> Address:
        return Address.parse(self.get("From"))

    @property
    def recipient(self) -> Address:
        return Address.parse(self.get("To"))

    @property
    def contact(self) -> Uri | None:
        contacts = self.all("Contact")
        return Address.parse(contacts[0]).uri if contacts and contacts[0] != "*" else None

    def reply(self, status: int, reason: str = "", *, tag: str = "", body: bytes = b"", **headers: Any) -> Message:
        """The response to this request; keyword Content_Type becomes header Content-Type, lists repeat."""
        answer = Message(status=status, reason=reason or REASONS.get(status, "Unknown"), body=body)
        for name in ("Via", "From", "To", "Call-ID", "CSeq", "Record-Route"):
            for value in self.all(name):
                if name == "To" and tag and not Address.parse(value).tag:
                    value = f"{value};tag={tag}"
                answer.headers.append((name, value))
        answer.add(**headers)
        return answer

    def add(self, **headers: Any) -> None:
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    self.headers.append((name.replace("_", "-"), str(one)))
