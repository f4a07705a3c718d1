"""Follows the engine's security log: failed authentications are in no event of the engine (22.10.1)."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from asyncinotify import Inotify, Mask

# A first challenge is not a failure: only a wrong answer to it is, or an account nobody has.
_FAILURE = re.compile(
    r'SecurityEvent="(?:ChallengeResponseFailed|InvalidPassword|InvalidAccountID)"'
    r'.*RemoteAddress="IPV[46]/\w+/(?P<address>[^/"]+)/'
)


async def tail_failures(path: Path) -> AsyncIterator[tuple[str, datetime]]:
    """Yield (address, time) for each failed authentication from now on; survives rotation of the file."""
    path.touch(mode=0o600, exist_ok=True)  # noqa: ASYNC240 - once, local
    with Inotify() as watch:
        watch.add_watch(path.parent, Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO)
        file = path.open(encoding="utf-8", errors="replace")
        file.seek(0, 2)
        try:
            rest = ""
            async for event in watch:
                if event.name is None or event.name.name != path.name:
                    continue
                if event.mask & (Mask.CREATE | Mask.MOVED_TO):
                    file.close()
                    file = path.open(encoding="utf-8", errors="replace")
                    rest = ""
                *lines, rest = (rest + file.read()).split("\n")
                for line in lines:
                    match = _FAILURE.search(line)
                    if match:
                        yield match["address"], datetime.now(UTC)
        finally:
            file.close()
