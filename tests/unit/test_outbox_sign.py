"""Signatures as the Standard Webhooks libraries check them."""

import base64
from datetime import UTC, datetime

from telefonista.outbox.sign import message_id, new_secret, sign, signed_headers

# The example that the specification's own libraries are tested with.
SECRET, ID, TIMESTAMP = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
BODY, SIGNATURE = b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_specification() -> None:
    assert sign(SECRET, ID, TIMESTAMP, BODY) == SIGNATURE
    at = datetime.fromtimestamp(int(TIMESTAMP) + 0.9, UTC)
    assert signed_headers(SECRET, ID, at, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": TIMESTAMP,
        "webhook-signature": SIGNATURE,
    }


def test_secrets() -> None:
    one, other = new_secret(), new_secret()
    assert one != other and one.startswith("whsec_") and len(one) <= 80
    assert len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) == 32


def test_ids_are_stable() -> None:
    assert message_id(7) == message_id(7) == "msg_7"
