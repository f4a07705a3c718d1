"""Which addresses a customer's URL may lead to."""

import pytest

from telefonista.net.addresses import allowed

PUBLIC = [
    "8.8.8.8",
    "200.147.3.157",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "2804:14c::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]
DEVELOPMENT = [
    *("127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:7f00:1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
]
NEVER = [
    *("0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "2001::1", "2001:db8::1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "3fff::1", "64:ff9b:1::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("2130706433", "0x7f000001", "127.1", "0177.0.0.1", "", "localhost", "1.2.3.4.5", "1.1.1.1/32"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_is_open(address: str) -> None:
    assert allowed(address, internal=False) and allowed(address, internal=True)


@pytest.mark.parametrize("address", DEVELOPMENT)
def test_private_networks_only_for_development(address: str) -> None:
    assert not allowed(address, internal=False) and allowed(address, internal=True)


@pytest.mark.parametrize("address", NEVER)
def test_what_is_never_open(address: str) -> None:
    """Link-local holds the clouds' metadata; what is no literal address is not connected to."""
    assert not allowed(address, internal=False) and not allowed(address, internal=True)
