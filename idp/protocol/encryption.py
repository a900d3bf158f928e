"""What only one client may read: a signed token inside an encrypted one (RFC 7516, RFC 7519 §11.2).

- Signed first, then encrypted, so whoever can open it also knows who said it.
- The key is the client's own and marked `use: enc`. A key without that mark only verifies
  signatures, and a marked one never does (attack 19).
- ECDH-ES, directly or wrapping, with AES-256-GCM. Nothing with RSA1_5, nothing symmetric.
- joserfc does the cryptography; what is chosen here is the key and the two names.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

from idp.models import Client

KEY_ALGORITHMS: Final = ("ECDH-ES", "ECDH-ES+A256KW")
CONTENT_ALGORITHMS: Final = ("A256GCM",)
KINDS: Final = ("id_token", "userinfo", "introspection", "authorization")
CURVES: Final = ("P-256", "P-384", "P-521", "X25519")

Kind = Literal["id_token", "userinfo", "introspection", "authorization"]


def wanted(client: Client, kind: Kind) -> str:
    """The key algorithm the client is registered with for this kind of token, or ""."""
    return str(getattr(client, f"{kind}_encrypted_response_alg"))


def for_client(client: Client, kind: Kind, token: str) -> str:
    """`token` as the client wants it: itself, or as the content of a JWE (cty JWT)."""
    algorithm = wanted(client, kind)
    if not algorithm:
        return token
    jwk = encryption_jwk(client.jwks, algorithm)
    assert jwk is not None, "registration.check let a client without a key be encrypted to"
    header = {"alg": algorithm, "enc": CONTENT_ALGORITHMS[0], "cty": "JWT"}
    if "kid" in jwk:
        header["kid"] = jwk["kid"]
    allowed = [*KEY_ALGORITHMS, *CONTENT_ALGORITHMS]
    return jwe.encrypt_compact(header, token, _public_key(jwk), algorithms=allowed)


def encryption_jwk(jwks: Mapping[str, Any] | None, algorithm: str) -> Mapping[str, Any] | None:
    """The first key of a set that may be encrypted to with `algorithm` (RFC 7517 §4.2, §4.4)."""
    for jwk in (jwks or {}).get("keys", []):
        if jwk.get("use") == "enc" and jwk.get("alg", algorithm) == algorithm and usable(jwk):
            return dict(jwk)
    return None


def usable(jwk: Mapping[str, Any]) -> bool:
    """Whether this is a public key on a curve that ECDH-ES is done with here."""
    if "d" in jwk or jwk.get("crv") not in CURVES:
        return False
    try:
        _public_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return True


def _public_key(jwk: Mapping[str, Any]) -> ECKey | OKPKey:
    bare = {member: jwk[member] for member in ("kty", "crv", "x", "y") if member in jwk}
    return ECKey.import_key(bare) if jwk["kty"] == "EC" else OKPKey.import_key(bare)
