"""Our own small SIP telephone for tests: `async with Phone("127.0.0.2", tone=700) as phone`; for every kind of test."""

from .call import Call
from .dialog import Refused
from .incoming import Incoming
from .outgoing import Outgoing
from .phone import Handler, Phone
from .rtp import Stats
from .scripts import AutoPhone, answering, early, refusing, ringing
from .sources import Samples, Silence, Source, Tone

__all__ = [
    "AutoPhone",
    "Call",
    "Handler",
    "Incoming",
    "Outgoing",
    "Phone",
    "Refused",
    "Samples",
    "Silence",
    "Source",
    "Stats",
    "Tone",
    "answering",
    "early",
    "refusing",
    "ringing",
]
