"""Session descriptions: one G.711 audio line and RFC 4733 events (RFC 4566, RFC 3264); used by the phone's calls."""

from __future__ import annotations

from dataclasses import dataclass

from .sources import Law

PAYLOAD: dict[Law, int] = {"alaw": 8, "ulaw": 0}
LAW: dict[int, Law] = {8: "alaw", 0: "ulaw"}
NAMES: dict[Law, str] = {"alaw": "PCMA", "ulaw": "PCMU"}
EVENTS = 101
ANSWERS = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


@dataclass(frozen=True)
class Sdp:
    """The audio part of a description: where it listens, what it takes in order of preference, its direction."""

    host: str
    port: int
    laws: tuple[Law, ...]
    events: int | None = EVENTS
    direction: str = "sendrecv"

    @classmethod
    def parse(cls, body: bytes) -> Sdp:
        """Read a description; ValueError without an audio line."""
        host, port, direction, payloads, media, events = "", None, "sendrecv", [], "", None
        for line in body.decode("utf-8", "replace").splitlines():
            kind, _, value = line.strip().partition("=")
            if kind == "m":
                words = value.split()
                media = words[0]
                if media == "audio" and port is None:
                    port, payloads = int(words[1].partition("/")[0]), [int(word) for word in words[3:]]
            elif kind == "c" and media in ("", "audio"):
                host = value.split()[-1].partition("/")[0]
            elif kind == "a" and media in ("", "audio"):
                if value in ANSWERS:
                    direction = value
                elif value.startswith("rtpmap:") and "telephone-event/8000" in value:
                    events = int(value[7:].split()[0])
        if port is None:
            raise ValueError("session description without audio")
        laws = tuple(LAW[payload] for payload in payloads if payload in LAW)
        if host == "0.0.0.0":  # the old way of holding (RFC 2543)
            direction = "inactive"
        return cls(host, port, laws, events, direction)

    def serialize(self, session: int, version: int) -> bytes:
        numbers = [PAYLOAD[law] for law in self.laws] + ([self.events] if self.events is not None else [])
        lines = ["v=0", f"o=- {session} {version} IN IP4 {self.host}", "s=phone", f"c=IN IP4 {self.host}", "t=0 0"]
        lines.append(f"m=audio {self.port} RTP/AVP {' '.join(map(str, numbers))}")
        lines += [f"a=rtpmap:{PAYLOAD[law]} {NAMES[law]}/8000" for law in self.laws]
        if self.events is not None:
            lines += [f"a=rtpmap:{self.events} telephone-event/8000", f"a=fmtp:{self.events} 0-16"]
        return "\r\n".join([*lines, "a=ptime:20", f"a={self.direction}", ""]).encode()
