"""Whether telephones can reach our SIP and RTP addresses, as far as this machine alone can tell."""

import socket
from ipaddress import IPv4Address

from telefonista.doctor.result import Result, error, ok, warning

_BEYOND = "198.51.100.1"
"""TEST-NET-2 (RFC 5737): nobody is there; connecting a UDP socket to it sends nothing and tells our own address."""


def rtp(sip_host: str, within: float = 1.0) -> Result:
    """Send one UDP packet to the address telephones send their audio to, and wait up to `within` seconds for it."""
    item = "caminho do áudio (RTP)"
    address = own_address() if IPv4Address(sip_host).is_unspecified else sip_host
    try:
        passed = _passes(address, within)
    except OSError as problem:
        return error(item, f"{address}: {problem.strerror}", "Corrija TELEFONISTA_SIP_HOST: use um endereço daqui.")
    if not passed:
        return error(
            item,
            f"um pacote UDP para {address} não chegou",
            "Confira o firewall desta máquina: UDP da porta SIP e das portas RTP tem de passar.",
        )
    if IPv4Address(address).is_loopback:
        return ok(
            item,
            f"{address} só é alcançável desta máquina: bom para a rede de teste",
            "Para telefones de fora ponha em TELEFONISTA_SIP_HOST o endereço desta máquina na rede, ou 0.0.0.0.",
        )
    if IPv4Address(address).is_global:
        return ok(item, f"{address} é público: telefones da internet chegam, se o firewall deixar")
    return ok(item, f"{address} é alcançável da rede local")


def nat(sip_host: str, external_ip: str, own: str) -> Result:
    """Whether EXTERNAL_IP fits the address we have; `own` is this machine's address on the way out."""
    item = "endereço externo (NAT)"
    inside = IPv4Address(own if IPv4Address(sip_host).is_unspecified else sip_host)
    if not external_ip:
        if inside.is_loopback or inside.is_global:
            return ok(item, "não é preciso")
        return ok(
            item,
            f"não definido; {inside} é um endereço de rede local",
            "Com telefones ou operadoras do lado de fora do roteador, ponha o endereço público em "
            "TELEFONISTA_EXTERNAL_IP; sem ele ninguém de fora ouve nada.",
        )
    outside = IPv4Address(external_ip)
    if outside.is_loopback or outside.is_unspecified or outside.is_multicast:
        return error(
            item, f"{outside} não serve para ninguém de fora", "Ponha o endereço público em TELEFONISTA_EXTERNAL_IP."
        )
    if inside.is_loopback:
        return warning(
            item,
            f"{outside} definido, mas TELEFONISTA_SIP_HOST={inside} só é alcançável desta máquina",
            "Ponha em TELEFONISTA_SIP_HOST o endereço desta máquina na rede, ou 0.0.0.0.",
        )
    if not outside.is_global:
        return warning(
            item,
            f"{outside} é um endereço privado: da internet ninguém o alcança",
            "Ponha em TELEFONISTA_EXTERNAL_IP o endereço público do roteador (o que os sites veem).",
        )
    return ok(item, f"{outside}; o roteador tem de encaminhar para {inside} a porta SIP e as portas RTP (UDP)")


def own_address() -> str:
    """The address this machine uses towards the world; 127.0.0.1 without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_BEYOND, 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _passes(address: str, within: float) -> bool:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((address, 0))
        receiver.settimeout(within)
        sender.sendto(b"telefonista", receiver.getsockname())
        try:
            return receiver.recv(64) == b"telefonista"
        except TimeoutError:
            return False
