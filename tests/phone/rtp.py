"""RTP for many calls at little cost: a socket each, one pacing timer per loop (RFC 3550, RFC 4733); used by calls."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from .audio import FRAME
from .ear import Ear
from .sdp import EVENTS, PAYLOAD, Sdp
from .sources import Law, Silence, Source, silent_frame
from .wait import Signal

TICK = 0.02
DIGITS = "0123456789*#ABCD"
_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")


class Pacer:
    """Calls every running stream each 20 ms on absolute deadlines; runs only while there are streams."""

    _of: WeakKeyDictionary[asyncio.AbstractEventLoop, Pacer] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._streams: dict[Stream, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0
        self.latest = 0.0

    @classmethod
    def here(cls) -> Pacer:
        return cls._of.setdefault(asyncio.get_running_loop(), cls())

    def add(self, stream: Stream) -> None:
        self._streams[stream] = None
        if not self._timer:
            loop = asyncio.get_running_loop()
            self._next = loop.time() + TICK
            self._timer = loop.call_at(self._next, self._tick, loop)

    def remove(self, stream: Stream) -> None:
        self._streams.pop(stream, None)
        if not self._streams and self._timer:
            self._timer.cancel()
            self._timer = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        late = loop.time() - self._next
        self.latest = max(self.latest, late)
        due = 1 + int(late / TICK)
        for stream in list(self._streams):
            if due > 5:  # after a long stall a telephone does not send the past
                stream.skip(due - 5)
            for _ in range(min(due, 5)):
                stream.tick()
        self._next += due * TICK
        if self._streams:
            self._timer = loop.call_at(self._next, self._tick, loop)


@dataclass
class Stats:
    """Packets of one call: `dropped` by our loss option, `missing` by sequence gaps, `stray` from elsewhere."""

    sent: int = 0
    received: int = 0
    dropped: int = 0
    missing: int = 0
    stray: int = 0


class Stream:
    """The audio of one call: sends a source, feeds the ear, sends and receives digits."""

    def __init__(self, host: str, ear: Ear, loss: float, rng: random.Random) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.port: int = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self.ear, self.loss, self.stats = ear, loss, Stats()
        self.law: Law = "alaw"
        self.muted = False
        self.signal = Signal()
        self.digits: list[str] = []
        self.finished = True
        self._rng = rng
        self._remote: tuple[str, int] | None = None
        self._allowed = False
        self._source: Source = Silence()
        self._frames: Iterator[bytes] = self._source.frames(self.law)
        self._ssrc, self._seq, self._stamp = rng.getrandbits(32), rng.getrandbits(15), rng.getrandbits(31)
        self._marker = 0x80
        self._events_out, self._events_in = EVENTS, EVENTS
        self._keys: deque[tuple[int, int, Callable[[], None]]] = deque()
        self._key_at = self._gap = 0
        self._key_stamp = 0
        self._last_seq: int | None = None
        self._digit_stamp: int | None = None

    def connect(self, remote: Sdp, local: Sdp, sending: bool) -> None:
        """Follow what was agreed: their description and ours; without `sending` only digits are sent."""
        if remote.laws and remote.laws[0] != self.law:
            self.law = remote.laws[0]
            self._frames = self._source.frames(self.law)
        self._events_out = EVENTS if remote.events is None else remote.events
        self._remote = (remote.host, remote.port) if remote.port else None
        self._events_in = EVENTS if local.events is None else local.events
        self._allowed = sending and local.direction in ("sendrecv", "sendonly") and remote.host != "0.0.0.0"
        Pacer.here().add(self)

    def play(self, source: Source) -> None:
        """Change what is said, from the next frame."""
        self._source, self.finished = source, False
        self._frames = source.frames(self.law)

    def press(self, digit: str, seconds: float, done: Callable[[], None]) -> None:
        """Queue a key press (RFC 4733); `done` is called after its last packet and a pause of 60 ms."""
        self._keys.append((DIGITS.index(digit.upper()), max(2, round(seconds / TICK)), done))

    def skip(self, ticks: int) -> None:
        self._stamp = (self._stamp + ticks * FRAME) & 0xFFFFFFFF

    def tick(self) -> None:
        """Send what is due in these 20 ms."""
        if self._keys:
            self._tick_key()
        elif self._remote and self._allowed and not self.muted:
            frame = next(self._frames, None)
            if frame is None:
                self.finished = True
                self.signal.fire()
                self._frames = Silence().frames(self.law)
                frame = silent_frame(self.law)
            self._send(PAYLOAD[self.law] | self._marker, self._stamp, frame)
            self._marker = 0
        else:
            self._marker = 0x80
        self._stamp = (self._stamp + FRAME) & 0xFFFFFFFF

    def _tick_key(self) -> None:
        event, ticks, done = self._keys[0]
        if self._gap:
            self._gap -= 1
            if not self._gap:
                self._keys.popleft()
                self._key_at = 0
                self._marker = 0x80
                done()
            return
        if not self._key_at:
            self._key_stamp = self._stamp
        self._key_at += 1
        last = self._key_at == ticks
        payload = _EVENT.pack(event, (0x80 if last else 0) | 10, self._key_at * FRAME)
        for _ in range(3 if last else 1):
            self._send(self._events_out | (0x80 if self._key_at == 1 else 0), self._key_stamp, payload)
        if last:
            self._gap = 3

    def _send(self, kind: int, stamp: int, payload: bytes) -> None:
        self._seq = (self._seq + 1) & 0xFFFF
        if not self._remote:
            return
        if self.loss and self._rng.random() < self.loss:
            self.stats.dropped += 1
            return
        try:
            self._socket.sendto(_HEADER.pack(0x80, kind, self._seq, stamp, self._ssrc) + payload, self._remote)
            self.stats.sent += 1
        except OSError:  # full buffer or no far end: a packet lost, as on a network
            self.stats.dropped += 1

    def _readable(self) -> None:
        for _ in range(16):
            try:
                data, source = self._socket.recvfrom(2048)
            except OSError:
                return
            self._received(data, source[1])

    def _received(self, data: bytes, port: int) -> None:
        if len(data) < 12 or data[0] >> 6 != 2 or 72 <= data[1] & 0x7F <= 79:  # not RTP, or RTCP (RFC 5761)
            return
        if self._remote and port != self._remote[1]:  # a late packet of another call that had our port
            self.stats.stray += 1
            return
        first, kind, seq, stamp, _ = _HEADER.unpack_from(data)
        kind &= 0x7F
        start = 12 + 4 * (first & 15)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
        if self._last_seq is not None and 1 < (gap := (seq - self._last_seq) & 0xFFFF) < 1000:
            self.stats.missing += gap - 1
        self._last_seq = seq
        self.stats.received += 1
        if kind in (0, 8):
            self.ear.put(kind, data[start:])
        elif kind == self._events_in and len(data) >= start + 4:
            event, flags, _ = _EVENT.unpack_from(data, start)
            if flags & 0x80 and stamp != self._digit_stamp and event < len(DIGITS):
                self._digit_stamp = stamp
                self.digit(DIGITS[event])

    def digit(self, digit: str) -> None:
        """A digit came (also told by the call for SIP INFO)."""
        self.digits.append(digit)
        self.signal.fire()

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            Pacer.here().remove(self)
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            keys, self._keys = self._keys, deque()
            for _, _, done in keys:
                done()
            self.ear.close()
            self.signal.fire()
