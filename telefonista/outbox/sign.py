"""Standard Webhooks signatures (standardwebhooks.com, symmetric `v1`): how a receiver knows that it is us."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

_PREFIX = "whsec_"


def new_secret() -> str:
    """A secret as the receiver's library wants it: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def message_id(entrega_id: int) -> str:
    """The same for every attempt at one delivery: receivers tell repetitions by it."""
    return f"msg_{entrega_id}"


def signed_headers(secret: str, id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers, for an attempt made at `at`."""
    timestamp = str(int(at.timestamp()))
    return {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": sign(secret, id, timestamp, body)}


def sign(secret: str, id: str, timestamp: str, body: bytes) -> str:
    """`v1,<base64 of HMAC-SHA256 over id.timestamp.body>`."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    digest = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
