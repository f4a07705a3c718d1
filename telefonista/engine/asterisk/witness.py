"""The engine's own record of calls (CEL), read when nobody watched: the independent witness of how a leg ended."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telefonista.engine.port import By, Ending


def endings(files: Iterable[Path], leg_ids: Sequence[str]) -> dict[str, Ending]:
    """The HANGUP line of each leg, if it is there. `hangupsource` names the channel that hung up; "" is us."""
    wanted = set(leg_ids)
    found: dict[str, Ending] = {}
    for file in files:
        for line in _lines(file):
            id = line.get("uniqueid", "")
            if line.get("eventtype") != "HANGUP" or id not in wanted:
                continue
            extra = json.loads(line.get("eventextra") or "{}")
            source = extra.get("hangupsource") or ""
            found[id] = Ending(
                id,
                datetime.fromtimestamp(float(line["eventtime"]), UTC),
                int(extra.get("hangupcause") or 16),
                By.FAR if source and source == line.get("channame", line.get("channel")) else By.US,
            )
    return found


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.exists():
        return
    with file.open(encoding="utf-8", errors="replace") as text:
        for raw in text:
            try:
                yield json.loads(raw)
            except ValueError:
                continue  # the line being written, or cut by a crash
