"""Which addresses a customer's URL may lead to: the public internet, never what is behind our own door."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# IANA's special-purpose registries (RFC 6890 and its updates), written out: `is_global` differs between Python 3.11.x.
_SPECIAL = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
_GLOBAL_V6 = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_INTERNAL = [
    ip_network(text)
    for text in ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]


def allowed(address: str, *, internal: bool) -> bool:
    """Whether we may connect to `address`, a literal. What is no literal may not be connected to.

    `internal` adds loopback and private networks; link-local (where clouds keep their metadata), multicast and
    reserved addresses stay closed.
    """
    try:
        ip = _meant(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if internal and any(ip in network for network in _INTERNAL):
        return True
    if isinstance(ip, IPv6Address) and ip not in _GLOBAL_V6:
        return False
    return not any(ip in network for network in _SPECIAL)


def _meant(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one that only carries it."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
