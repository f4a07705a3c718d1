"""Which Debian mirror and keyring this machine uses, read from its own apt configuration; only install calls it."""

import re
from collections.abc import Iterator
from pathlib import Path

from telefonista.engine.asterisk.tree import InstallError

KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
_RELEASES = ("bullseye", "bookworm", "trixie", "forky", "duke", "oldoldstable", "oldstable", "stable", "testing")
_DEBIAN = frozenset(["sid", "unstable", *_RELEASES, *(f"{name}-updates" for name in _RELEASES)])
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>[^#]*)")


def debian_mirrors(apt: Path = Path("/etc/apt")) -> list[str]:
    """The addresses serving Debian's main archive in `apt`, in the order written; InstallError when there is none.

    Formats: sources.list(5) of apt 2.6, one-line `*.list` and deb822 `*.sources`.
    """
    found = [uri for uri, suite, components in _entries(apt) if suite in _DEBIAN and "main" in components]
    mirrors = list(dict.fromkeys(uri for uri in found if uri.split(":")[0] not in ("cdrom", "file", "copy")))
    if not mirrors:
        raise InstallError(
            "Não achei um espelho do Debian nas fontes do apt desta máquina (/etc/apt). O motor vem dos pacotes do "
            "Debian; em outro sistema, instale o Asterisk 20 ou mais novo e aponte TELEFONISTA_ASTERISK para ele."
        )
    return mirrors


def debian_keyring(shares: Path = Path("/usr/share/keyrings")) -> Path:
    """The keyring that signs Debian's archive; InstallError when the machine has none."""
    for name in KEYRINGS:
        if (shares / name).is_file():
            return shares / name
    raise InstallError(
        "Falta o chaveiro do Debian, que prova a origem do motor: instale-o (apt-get install debian-archive-keyring)."
    )


def _entries(apt: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(address, suite, components) of every enabled binary source, in apt's own reading order."""
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        try:
            text = path.read_text("utf-8", "replace")
        except OSError:
            continue
        if path.suffix == ".list":
            yield from _one_line(text)
        elif path.suffix == ".sources":
            yield from _deb822(text)


def _one_line(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for line in text.splitlines():
        if found := _ONE_LINE.match(line.strip()):
            yield found["uri"].rstrip("/"), found["suite"].rstrip("/"), found["components"].split()


def _deb822(text: str) -> Iterator[tuple[str, str, list[str]]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in (" ", "\t"):
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0", "off"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri.rstrip("/"), suite.rstrip("/"), fields.get("components", "").split()
