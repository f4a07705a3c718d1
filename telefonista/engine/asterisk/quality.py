"""What a channel's RTP came to, read from the events of its end; for AriLeg only."""

from contextlib import suppress
from typing import Any

from telefonista.engine.port import Media

VARIABLE = "RTPAUDIOQOS"
"""Set when a channel is hung up, by either side since 22.10 (before: by the far end only), and carried by the events
that follow because ari.conf lists it: measuring a leg costs no command and delays no hang-up."""


def media_of(event: dict[str, Any]) -> Media | None:
    """None when the channel had no media, or the engine does not tell.

    Its `tx` jitter is what we measured on what came in (22.10.1), in seconds; `lp` is what was missing of it by the
    last RTCP report of ours.
    """
    told = dict(
        pair.split("=", 1)
        for pair in event["channel"].get("channelvars", {}).get(VARIABLE, "").split(";")
        if "=" in pair
    )
    with suppress(KeyError, ValueError):
        rtt = float(told.get("rtt", 0))
        return Media(
            sent=int(told["txcount"]),
            received=int(told["rxcount"]),
            lost=max(0, int(told["lp"])),
            jitter_ms=float(told["txjitter"]) * 1000,
            rtt_ms=rtt * 1000 if rtt > 0 else None,
        )
    return None
