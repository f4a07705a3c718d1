"""SIP digest authentication, client side (RFC 2617, RFC 7616, RFC 8760); used by the phone."""

from __future__ import annotations

import hashlib
import re
import secrets

ALGORITHMS = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
_PAIR = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))')


def parse(value: str) -> dict[str, str]:
    """The fields of a challenge or of credentials, names in lower case."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise ValueError(f"not a digest: {scheme!r}")
    return {name.lower(): quoted or plain for name, quoted, plain in _PAIR.findall(rest)}


def choose(challenges: list[str]) -> dict[str, str] | None:
    """The strongest challenge we can answer: SHA-256 before MD5."""
    parsed = [parse(value) for value in challenges if value.lower().startswith("digest")]
    for name in ALGORITHMS:
        for fields in parsed:
            if fields.get("algorithm", "MD5").upper() == name:
                return fields
    return None


def response(
    fields: dict[str, str], method: str, uri: str, user: str, password: str, nc: str = "", cnonce: str = ""
) -> str:
    """The response digest; with `nc` and `cnonce` it is the qop=auth form."""
    algorithm = ALGORITHMS[fields.get("algorithm", "MD5").upper()]

    def digest(*parts: str) -> str:
        return algorithm(":".join(parts).encode()).hexdigest()

    secret, request = digest(user, fields["realm"], password), digest(method, uri)
    if nc:
        return digest(secret, fields["nonce"], nc, cnonce, "auth", request)
    return digest(secret, fields["nonce"], request)


def credentials(fields: dict[str, str], method: str, uri: str, user: str, password: str) -> str:
    """The value of an Authorization or Proxy-Authorization header that answers the challenge `fields`."""
    parts = [f'username="{user}"', f'realm="{fields["realm"]}"', f'nonce="{fields["nonce"]}"', f'uri="{uri}"']
    if "algorithm" in fields:
        parts.append(f"algorithm={fields['algorithm']}")
    if "opaque" in fields:
        parts.append(f'opaque="{fields["opaque"]}"')
    if "auth" in [item.strip() for item in fields.get("qop", "").split(",")]:
        nc, cnonce = "00000001", secrets.token_hex(8)
        parts += ["qop=auth", f"nc={nc}", f'cnonce="{cnonce}"']
        parts.append(f'response="{response(fields, method, uri, user, password, nc, cnonce)}"')
    else:
        parts.append(f'response="{response(fields, method, uri, user, password)}"')
    return "Digest " + ", ".join(parts)
