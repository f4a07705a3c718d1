"""Time stamps of the SIP on loopback: when each INVITE and each answer passed. Needs CAP_NET_RAW."""

import re
import socket
import threading
import time

_TO = re.compile(rb"\r\n(?:To|t):[^\r\n]*sip:([0-9+]+)@", re.IGNORECASE)
_LINK = 14


class Wire:
    """Listens while inside; `invites` and `answers` by the number called, in seconds of time.monotonic()."""

    def __init__(self, a_port: int, b_port: int) -> None:
        self.invites: dict[str, float] = {}
        self.answers: dict[str, float] = {}
        self._ports = {a_port, b_port}
        self._stop = threading.Event()

    @staticmethod
    def allowed() -> bool:
        """Whether this process may listen."""
        try:
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)).close()
        except PermissionError:
            return False
        return True

    def __enter__(self) -> "Wire":
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._listen, name="wire")
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            now = time.monotonic()
            udp = _LINK + (packet[_LINK] & 0x0F) * 4
            source, target = int.from_bytes(packet[udp : udp + 2]), int.from_bytes(packet[udp + 2 : udp + 4])
            body = packet[udp + 8 :]
            if target in self._ports and body.startswith(b"INVITE "):
                self._note(self.invites, body, now)
            elif source in self._ports and body.startswith(b"SIP/2.0 200") and b"INVITE\r\n" in body:
                self._note(self.answers, body, now)

    def _note(self, seen: dict[str, float], body: bytes, now: float) -> None:
        if match := _TO.search(body):
            seen.setdefault(match[1].decode(), now)  # a packet on loopback passes twice, a repeat later
