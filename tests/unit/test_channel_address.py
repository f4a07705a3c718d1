"""How the engine is told whom to call."""

import pytest

from telefonista.engine.asterisk.dialling import channel_address
from telefonista.engine.port import Destination

CARRIERS = {"tronco-1": "192.0.2.7:5060", "tronco-2": "sip.example:5080;transport=tcp"}


@pytest.mark.parametrize(
    ("to", "address"),
    [
        (Destination("rede", numero="1030000001"), "PJSIP/1030000001@rede"),
        (Destination("4000c1", device="sip:4000c1@192.0.2.9:5061"), "PJSIP/4000c1/sip:4000c1@192.0.2.9:5061"),
        # a carrier that answers no OPTIONS has no contact that the engine would call
        (Destination("tronco-1", numero="04832830151"), "PJSIP/tronco-1/sip:04832830151@192.0.2.7:5060"),
        (
            Destination("tronco-2", numero="+554832830151"),
            "PJSIP/tronco-2/sip:+554832830151@sip.example:5080;transport=tcp",
        ),
    ],
)
def test_whom_to_call(to: Destination, address: str) -> None:
    assert channel_address(to, CARRIERS) == address
