"""The engine's configuration as text: `render` for process, `bloqueios` for whoever keeps the block list.

Verified against Asterisk 22.10: with these files and modules the engine starts without a warning in its log.
"""

from collections.abc import Iterable
from importlib.resources import files
from ipaddress import ip_address

from telefonista.engine.asterisk.conf import pjsip
from telefonista.engine.asterisk.conf.escape import value
from telefonista.engine.asterisk.conf.modules import modules
from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.quality import VARIABLE
from telefonista.engine.asterisk.tree import EngineTree

APP = "telefonista"
"""The name under which the engine hands calls to us."""
USER = "tel"
"""The engine's only ARI user."""

_RTCP = "rtcpinterval=2000\n"  # the loss that is told at a call's end is that of the last report (default 5000)
RAMAIS = pjsip.RAMAIS
"""The file for accounts too many to be pushed; an engine is born with an empty one."""

_EMPTY = ("features.conf", "udptl.conf", "ccss.conf", "websocket_client.conf")


def render(inst: Instance, tree: EngineTree, rede_dialplan: str | None = None) -> dict[str, str]:
    """File name -> text of everything in the instance's etc directory.

    `rede_dialplan` replaces the test network's own dialplan (tests). InstallError when `tree` lacks a module we need.
    """
    if inst.test_network and rede_dialplan is None:
        from telefonista.engine.asterisk.rede import dialplan  # only engines with the test network need it

        rede_dialplan = dialplan(inst.sounds)
    fixed = files(__package__).joinpath("fixos")
    texts = {entry.name: entry.read_text("utf-8") for entry in fixed.iterdir() if entry.name.endswith(".conf")}
    texts |= {name: "[general]\n" for name in _EMPTY}
    texts |= {
        "asterisk.conf": _asterisk(inst, tree),
        "modules.conf": modules(tree, test_network=inst.test_network),
        "http.conf": _http(inst),
        "ari.conf": _ari(inst),
        "pjsip.conf": pjsip.render(inst, tree),
        "acl.conf": bloqueios([]),
        RAMAIS: "",
        "extensions.conf": _extensions(rede_dialplan if inst.test_network else None),
        "rtp.conf": f"[general]\nrtpstart={inst.rtp_ports[0]}\nrtpend={inst.rtp_ports[1]}\nstrictrtp=yes\n{_RTCP}",
        "musiconhold.conf": f"[default]\nmode=files\ndirectory={value(inst.sounds / 'moh')}\nsort=random\n",
    }
    return texts


def bloqueios(addresses: Iterable[str]) -> str:
    """acl.conf refusing these IPv4 or IPv6 addresses; ValueError for what is not an address.

    The last rule that matches decides (ast_apply_acl, Asterisk 22), so everybody is permitted first.
    """
    denied = [f"deny={address}/{address.max_prefixlen}\n" for address in map(ip_address, addresses)]
    return "".join(["[bloqueados]\n", "permit=0.0.0.0/0\n", "permit=::/0\n", *denied])


def _asterisk(inst: Instance, tree: EngineTree) -> str:
    directories = {
        "astetcdir": inst.etc,
        "astmoddir": tree.modules,
        "astvarlibdir": tree.varlib,
        "astdbdir": inst.db,
        "astkeydir": inst.keys,
        "astdatadir": tree.data,
        "astagidir": tree.data / "agi-bin",
        "astspooldir": inst.spool,
        "astrundir": inst.run,
        "astlogdir": inst.log,
        "astcachedir": inst.cache,
    }
    lines = [f"{name} => {value(path)}" for name, path in directories.items()]
    options = f"""
[options]
documentation_language = en_US
entityid = {inst.entity_id}
hideconnect = yes
live_dangerously = no
"""
    return "[directories]\n" + "\n".join(lines) + "\n" + options


def _http(inst: Instance) -> str:
    return f"""[general]
enabled=yes
servername=
bindaddr=127.0.0.1
bindport={inst.ari_port}
sessionlimit=200
session_keep_alive=60000
enable_static=no
enable_status=no
"""


def _ari(inst: Instance) -> str:
    return f"""[general]
enabled=yes
auth_realm=telefonista
websocket_write_timeout=2000
channelvars={VARIABLE}

[{USER}]
type=user
read_only=no
password_format=plain
password={value(inst.ari_password)}
"""


def _extensions(rede: str | None) -> str:
    entrances = "\n".join(
        f"[{context}]\n"
        + "".join(
            f"exten => {pattern},1,Stasis({APP},{kind},${{EXTEN}})\n same => n,Hangup(34)\n"
            # one pattern cannot take both a single character and more
            for pattern in ("_[+*#0-9a-zA-Z].", "_[+*#0-9]")
        )
        for context, kind in (("entrada", "entrada"), ("ramais", "ramal"))
    )
    rest = f"""
[amd]
exten => s,1,AMD()
 same => n,Stasis({APP},amd,${{AMDSTATUS}},${{AMDCAUSE}})
 same => n,Hangup(34)

[nenhum]
exten => _[+*#0-9a-zA-Z].,1,Hangup(21)
exten => _[+*#0-9],1,Hangup(21)
"""
    return entrances + rest + (f"\n{rede}\n" if rede else "")
