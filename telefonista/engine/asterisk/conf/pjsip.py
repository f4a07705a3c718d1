"""pjsip.conf: transports, block list and the test network; ramais and troncos are pushed at run time, not written."""

from telefonista.engine.asterisk.instance import Instance
from telefonista.engine.asterisk.tree import EngineTree

REDE_SAIDA = "127.0.10.30"
"""Where the engine calls the test network from."""
REDE_ENTRADA = "127.0.10.31"
"""Where the test network answers."""

RAMAIS = "pjsip_ramais.conf"

PRIVATE = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10")

TRUNK = """identify_by=ip
disallow=all
allow=alaw,ulaw
direct_media=no
dtmf_mode=auto
rtp_symmetric=yes
send_pai=yes
trust_id_outbound=yes
trust_id_inbound=yes
send_connected_line=no
redirect_method=uri_core
allow_transfer=no
allow_subscribe=no
allow_overlap=no
rtp_timeout=120
rtp_timeout_hold=3600
contact_user=telefonista
sdp_session=telefonista
sdp_owner=-
"""


def render(inst: Instance, tree: EngineTree) -> str:
    """The whole file."""
    parts = [_GLOBAL, _system(tree), _transports(inst), _ACL, _NOBODY, f"#include {RAMAIS}\n"]
    if inst.test_network:
        parts.append(_test_network(inst))
    return "\n".join(parts)


# By default new SIP requests are dropped while any queue of the engine is long, also that of its events (22.10.1).
_GLOBAL = """[global]
type=global
user_agent=telefonista
endpoint_identifier_order=ip,username
disable_multi_domain=yes
send_contact_status_on_update_registration=yes
keep_alive_interval=30
max_initial_qualify_time=10
unidentified_request_period=5
unidentified_request_count=5
unidentified_request_prune_interval=30
taskprocessor_overload_trigger=pjsip_only
"""

_ACL = """[bloqueio]
type=acl
acl=bloqueados
"""

# Nobody may listen for registrations while the engine knows no endpoint at all (22.10.1). This one matches no caller.
_NOBODY = """[ninguem]
type=endpoint
identify_by=ip
context=nenhum
disallow=all
allow=alaw
"""


def _system(tree: EngineTree) -> str:
    # 22.8-22.10 hand work to busy executors of a small pool; the option is unknown (an ERROR) to older versions.
    numbers = [int(part) for part in tree.version.split(".")[:2]]
    pool = "taskpool_minimum_size=16\ntaskpool_initial_size=16\n" if numbers >= [22, 8] and numbers[0] == 22 else ""
    return f"[system]\ntype=system\ntimer_t1=500\ntimer_b=32000\n{pool}"


def _transports(inst: Instance) -> str:
    outside = ""
    if inst.external_ip:
        local = "".join(f"local_net={net}\n" for net in PRIVATE)
        outside = f"external_media_address={inst.external_ip}\nexternal_signaling_address={inst.external_ip}\n{local}"
    host = f"[{inst.sip_host}]" if ":" in inst.sip_host else inst.sip_host
    return "\n".join(
        [
            *(_transport(name, name, f"{host}:{inst.sip_port}", outside) for name in ("udp", "tcp")),
            _transport("ws", "ws", "127.0.0.1"),
        ]
    )


def _transport(name: str, protocol: str, bind: str, more: str = "") -> str:
    return f"[{name}]\ntype=transport\nprotocol={protocol}\nbind={bind}\n{more}"


def _own_transport(name: str, address: str, port: int) -> str:
    """Without the external addresses Via, Contact and SDP do not name `address` (22.10.1)."""
    own = f"external_signaling_address={address}\nexternal_media_address={address}\n"
    return _transport(name, "udp", f"{address}:{port}", own)


def _test_network(inst: Instance) -> str:
    """The engine calls itself by real SIP and RTP, from one loopback address to another."""
    return f"""{_own_transport("rede-saida", REDE_SAIDA, inst.rede_port)}
{_own_transport("rede", REDE_ENTRADA, inst.rede_port)}
[rede]
type=endpoint
transport=rede-saida
context=nenhum
aors=rede
from_domain={REDE_SAIDA}
{TRUNK}
[rede]
type=aor
contact=sip:{REDE_ENTRADA}:{inst.rede_port}

[rede-entrada]
type=endpoint
transport=rede
context=rede-de-teste
from_domain={REDE_ENTRADA}
{TRUNK}
[rede-entrada]
type=identify
endpoint=rede-entrada
match={REDE_SAIDA}
"""
