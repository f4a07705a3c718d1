"""The doctor's view of ports: /proc as the kernel writes it, and sockets really held."""

import errno
import os
import socket
from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path

import pytest

from telefonista.doctor import ports
from telefonista.doctor.ports import Machine
from telefonista.doctor.result import State
from telefonista.doctor.sockets import Bound, Holder, bound, holders, refusal

UDP = """   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref
  100: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4242 2 0000000000000000 0
"""
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0000000000000000
   1: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0000000000000000
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 99 1 0
   1: 0000000000000000FFFF00000100007F:1A0B 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 98 1 0
"""


def test_proc_is_read(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    for name, text in (("udp", UDP), ("tcp", TCP), ("tcp6", TCP6)):
        (tmp_path / "net" / name).write_text(text)
    assert bound(tmp_path) == [
        Bound("udp", ip_address("127.0.0.1"), 5060, 4242),
        Bound("tcp", ip_address("0.0.0.0"), 8080, 77),
        Bound("tcp", ip_address("::"), 22, 99),
        Bound("tcp", ip_address("::ffff:127.0.0.1"), 6667, 98),
    ]


@pytest.mark.parametrize(
    ("held", "wanted", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "127.0.0.2", True),
        ("10.0.0.1", "0.0.0.0", True),
        ("::", "127.0.0.1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_what_clashes(held: str, wanted: str, clash: bool) -> None:
    assert Bound("udp", ip_address(held), 1, 1).clashes(wanted) is clash


def test_a_socket_really_held_is_found_with_its_holder() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))
        port = ours.getsockname()[1]
        entry = next(entry for entry in bound() if entry.kind == "udp" and entry.port == port)
        assert str(entry.address) == "127.0.0.1"
        name = Path("/proc/self/comm").read_text().strip()
        assert holders([entry.inode]) == {entry.inode: Holder(os.getpid(), name)}
        problem = refusal("udp", "127.0.0.1", port)
        assert problem is not None and problem.errno == errno.EADDRINUSE
        result = ports.one("porta", "TELEFONISTA_", [("udp", "127.0.0.1", port)], Machine())
        assert result.state is State.ERROR
        assert f"127.0.0.1:{port} (UDP) está em uso por {name} (pid {os.getpid()})" in result.text
        assert result.todo == "Pare esse programa ou mude TELEFONISTA_PORT."
        mine = ports.one("porta", "TELEFONISTA_", [("udp", "127.0.0.1", port)], Machine(ours=[os.getpid()]))
        assert mine.state is State.OK and mine.text.endswith("em uso por nós")
    assert ports.one("porta", "TELEFONISTA_", [("udp", "127.0.0.1", port)], Machine()).text.endswith("livre")


def machine(
    *entries: Bound, who: dict[int, Holder] | None = None, refused: int | None = None, ours: Collection[int] = ()
) -> Machine:
    return Machine(
        ours=ours,
        bound=lambda: list(entries),
        holders=lambda inodes: {inode: (who or {})[inode] for inode in inodes if inode in (who or {})},
        refusal=lambda kind, address, port: OSError(refused, os.strerror(refused)) if refused else None,
    )


@pytest.mark.parametrize(
    ("refused", "text", "todo"),
    [
        (errno.EADDRINUSE, "está em uso por um programa de outro usuário", "mude TELEFONISTA_SIP_PORT"),
        (errno.EADDRNOTAVAIL, "este endereço não é desta máquina", "Corrija TELEFONISTA_SIP_HOST"),
        (errno.EACCES, "só para root", "Escolha outra em TELEFONISTA_SIP_PORT"),
        (errno.ENETDOWN, "Network is down", "Mude TELEFONISTA_SIP_HOST ou TELEFONISTA_SIP_PORT"),
    ],
)
def test_why_a_port_cannot_be_had(refused: int, text: str, todo: str) -> None:
    result = ports.one("portas SIP", "TELEFONISTA_SIP_", [("udp", "10.1.1.1", 5060)], machine(refused=refused))
    assert result.state is State.ERROR and text in result.text and todo in result.todo


def test_a_name_without_an_address() -> None:
    result = ports.one("porta da API", "TELEFONISTA_", [("tcp", "nao-existe.invalid", 1)], machine())
    assert result.state is State.ERROR and "nao-existe.invalid não tem endereço" in result.text


def test_rtp_ports_of_others_are_counted() -> None:
    entries = [Bound("udp", ip_address("0.0.0.0"), port, port) for port in (20000, 20001, 20002, 30000)]
    who = {20000: Holder(7, "asterisk"), 20001: Holder(8, "outro")}
    result = ports.rtp("127.0.0.1", (20000, 20099), machine(*entries, who=who, ours=[7]))
    assert result.state is State.WARNING
    assert "2 porta(s) com outros programas (outro (pid 8): 1, outro usuário: 1)" in result.text
    assert "TELEFONISTA_RTP_PORTS" in result.todo
    free = ports.rtp("127.0.0.1", (25000, 25099), machine(*entries, who=who))
    assert (free.state, free.text) == (State.OK, "25000-25099/udp, 50 pernas ao mesmo tempo")
