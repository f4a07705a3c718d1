"""Who holds which port on this machine, from /proc/net and /proc/*/fd (proc(5)); read by the checks of ports."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Literal

PROC = Path("/proc")
_LISTEN = "0A"

Kind = Literal["udp", "tcp"]


@dataclass(frozen=True)
class Bound:
    """A socket that holds a port: any UDP socket, or a TCP socket that listens."""

    kind: Kind
    address: IPv4Address | IPv6Address
    port: int
    inode: int

    def clashes(self, address: str) -> bool:
        """Whether nobody else can have this port on `address` (IPv4)."""
        wanted = ip_address(address)
        ours = self.address
        if isinstance(ours, IPv6Address):
            ours = ours.ipv4_mapped or (IPv4Address("0.0.0.0") if ours.is_unspecified else ours)
        return wanted.is_unspecified or ours.is_unspecified or ours == wanted


@dataclass(frozen=True)
class Holder:
    """A process; `name` as the kernel shows it."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def bound(proc: Path = PROC) -> list[Bound]:
    """Every port held on this machine, whoever holds it."""
    found: list[Bound] = []
    kinds: tuple[Kind, ...] = ("udp", "tcp")
    for kind in kinds:
        for suffix in ("", "6"):
            with suppress(OSError):
                lines = (proc / "net" / f"{kind}{suffix}").read_text().splitlines()[1:]
                found += [entry for line in lines if (entry := _parse(kind, line)) is not None]
    return found


def holders(inodes: Iterable[int], proc: Path = PROC) -> dict[int, Holder]:
    """Socket inode -> process, for those whose owner we may see (ours; all of them as root)."""
    wanted = set(inodes)
    found: dict[int, Holder] = {}
    for directory in proc.glob("[0-9]*"):
        if len(found) == len(wanted):
            break
        with suppress(OSError):  # another user's, or gone meanwhile
            for descriptor in os.scandir(directory / "fd"):
                with suppress(OSError):
                    target = os.readlink(descriptor.path)
                    if target.startswith("socket:[") and (inode := int(target[8:-1])) in wanted:
                        found[inode] = Holder(int(directory.name), (directory / "comm").read_text().strip())
    return found


def refusal(kind: Kind, address: str, port: int) -> OSError | None:
    """Why the port cannot be had, by asking for it for a moment; None when it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as probe:
        if kind == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as problem:
            return problem
    return None


def _parse(kind: Kind, line: str) -> Bound | None:
    fields = line.split()
    if len(fields) < 10 or (kind == "tcp" and fields[3] != _LISTEN):
        return None
    address, _, port = fields[1].partition(":")
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    return Bound(kind, ip_address(b"".join(words)), int(port, 16), int(fields[9]))
