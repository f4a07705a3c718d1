"""Where telephones are registered: the registrar's own table at connect, its events from then on."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from time import time

from telefonista.engine.asterisk import ctl
from telefonista.engine.asterisk.client import Event
from telefonista.engine.port import Destination

_LINE = re.compile(r"^/registrar/contact/(?P<aor>[^;]+);@\S+\s*: (?P<contact>\{.*\})\s*$", re.MULTILINE)


class Contacts:
    """The devices of each ramal, by contact URI."""

    def __init__(self) -> None:
        self._uris: dict[str, dict[str, None]] = {}

    async def reload(self, socket: Path) -> None:
        """Read the registrar's table: contacts outlive both the engine and us."""
        text = await ctl.command(socket, "database show registrar")
        self._uris.clear()
        for match in _LINE.finditer(text):
            contact = json.loads(match["contact"])
            if float(contact.get("expiration_time", 0)) > time():
                self._uris.setdefault(match["aor"], {})[contact["uri"].replace("^3B", ";")] = None

    def take(self, event: Event) -> None:
        """Digest a ContactStatusChange."""
        info = event["contact_info"]
        uris = self._uris.setdefault(info["aor"], {})
        if info["contact_status"] in ("Removed", "Unreachable"):
            uris.pop(info["uri"], None)
        else:
            uris[info["uri"]] = None

    def forget(self, aor: str) -> None:
        self._uris.pop(aor, None)

    def devices(self, aor: str) -> Sequence[Destination]:
        return tuple(Destination(aor, device=uri) for uri in self._uris.get(aor, ()))
