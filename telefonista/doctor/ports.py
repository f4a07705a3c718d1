"""The ports of the API, of SIP and of RTP: free, ours, or somebody else's."""

import errno
import socket
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from telefonista.doctor.result import Result, error, ok, warning
from telefonista.doctor.sockets import Bound, Holder, Kind, bound, holders, refusal

Wanted = tuple[Kind, str, int]
"""Kind, address, port."""


@dataclass(frozen=True)
class Machine:
    """What is held now, and which processes are ours; the defaults look at the real machine."""

    ours: Collection[int] = ()
    bound: Callable[[], list[Bound]] = bound
    holders: Callable[[Collection[int]], dict[int, Holder]] = holders
    refusal: Callable[[Kind, str, int], OSError | None] = refusal


def one(item: str, prefix: str, wanted: Sequence[Wanted], machine: Machine) -> Result:
    """Whether each (kind, address, port) can be had or is ours; `prefix` begins the variables to change if not."""
    held = 0
    for kind, host, port in wanted:
        place = f"{host}:{port} ({kind.upper()})"
        address = _numeric(host)
        if address is None:
            return error(item, f"o nome {host} não tem endereço", f"Corrija {prefix}HOST.")
        clashing = [entry for entry in machine.bound() if _same(entry, kind, port) and entry.clashes(address)]
        who = machine.holders([entry.inode for entry in clashing])
        if clashing and all(entry.inode in who and who[entry.inode].pid in machine.ours for entry in clashing):
            held += 1
            continue
        problem = machine.refusal(kind, address, port)
        if problem is not None:
            return _refused(item, prefix, place, problem, list(who.values()))
    places = ", ".join(f"{host}:{port}/{kind}" for kind, host, port in wanted)
    return ok(item, f"{places}: {'em uso por nós' if held else 'livre'}")


def rtp(address: str, ports: tuple[int, int], machine: Machine) -> Result:
    """Whether other programs sit in the range of RTP ports: the engine skips a taken one, but has fewer calls then."""
    item = "portas RTP"
    first, last = ports
    inside = [
        entry
        for entry in machine.bound()
        if entry.kind == "udp" and first <= entry.port <= last and entry.clashes(address)
    ]
    who = machine.holders([entry.inode for entry in inside])
    strange = [entry for entry in inside if entry.inode not in who or who[entry.inode].pid not in machine.ours]
    text = f"{first}-{last}/udp, {(last - first + 1) // 2} pernas ao mesmo tempo"
    if strange:
        names = Counter(str(who[entry.inode]) if entry.inode in who else "outro usuário" for entry in strange)
        held = ", ".join(f"{name}: {count}" for name, count in names.most_common(5))
        return warning(
            item,
            f"{text}; {len(strange)} porta(s) com outros programas ({held})",
            "Pare esses programas ou mude TELEFONISTA_RTP_PORTS.",
        )
    return ok(item, text)


def _refused(item: str, prefix: str, place: str, problem: OSError, who: list[Holder]) -> Result:
    match problem.errno:
        case errno.EADDRINUSE:
            by = f" por {', '.join(map(str, who))}" if who else " por um programa de outro usuário"
            return error(
                item,
                f"{place} está em uso{by}",
                f"Pare esse programa ou mude {prefix}PORT.".replace("__", "_"),
            )
        case errno.EADDRNOTAVAIL:
            return error(item, f"{place}: este endereço não é desta máquina", f"Corrija {prefix}HOST.")
        case errno.EACCES:
            return error(item, f"{place}: porta abaixo de 1024, só para root", f"Escolha outra em {prefix}PORT.")
        case _:
            return error(item, f"{place}: {problem.strerror}", f"Mude {prefix}HOST ou {prefix}PORT.")


def _same(entry: Bound, kind: Kind, port: int) -> bool:
    return entry.kind == kind and entry.port == port


def _numeric(host: str) -> str | None:
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return None
