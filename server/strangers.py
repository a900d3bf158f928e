"""What we sign, read as a stranger would: with PyJWT and the published keys, by no code of ours.

A change of ours that only we can read would pass every check that reads with the code that wrote.
The demo reads this way what it is given (`server/sandbox/visitors.py`), and `doctor` what the
installation would give.

    published(get, "https://id.example")          the key set, through discovery
    read(text, keys, typ="at+jwt", issuer=…, audience=…)
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt

# No `none` and no HMAC: a public key would be taken for a secret (RFC 8725 §3.1).
ALGORITHMS: Final = ("ES256", "ES384", "ES512", "PS256", "RS256", "EdDSA")
DISCOVERY: Final = "/.well-known/openid-configuration"


def published(get: Callable[[str], Mapping[str, Any]]) -> jwt.PyJWKSet:
    """The key set that discovery leads to; `get` answers the JSON behind an address."""
    return jwt.PyJWKSet.from_dict(dict(get(get(DISCOVERY)["jwks_uri"])))


def read(
    text: str, keys: jwt.PyJWKSet, *, typ: str, issuer: str, audience: str | None = None
) -> Mapping[str, Any]:
    """The claims of a signed text of type `typ`. Raises `jwt.PyJWTError` when a stranger could not
    take it for what it is: another type, a key that is not published, a bad signature, issuer,
    audience or time (RFC 7519 §7.2)."""
    header = jwt.get_unverified_header(text)
    if header.get("typ") != typ:
        raise jwt.InvalidTokenError(f"its type is {header.get('typ')}, not {typ}")
    key = next((each for each in keys.keys if each.key_id == header.get("kid")), None)
    if key is None:
        raise jwt.InvalidKeyError("its key is not published")
    return jwt.decode(text, key, algorithms=list(ALGORITHMS), audience=audience, issuer=issuer)
