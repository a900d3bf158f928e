"""DPoP proofs (RFC 9449): a small JWT that says "this request, now, by the holder of this key".

Pure decisions. `check_proof` reads a proof and answers whose key it is; whether the proof was said
before is the database's word (`sender_constraint.SenderConstraints`), because several processes
answer.

- Every proof carries one of our nonces (§8, §9): a proof cannot be made in advance, and its age is
  the nonce's, by our own clock; that of a phone may be hours wrong (§4.3 no. 11). Nonces are
  computed, not stored, so every process knows them, and a restart forgets none.
- A proof is accepted as long as its nonce and remembered for longer than that (attack 22).
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from foundation.canonical import b64url
from foundation.encryption import FieldCipher
from idp.models import Client
from idp.protocol.errors import InvalidDpopProof, UseDpopNonce
from idp.protocol.profiles import SIGNING_ALGORITHMS, rules_of
from keys import (
    InvalidJws,
    MalformedJwk,
)
from keys.encoding.jose import VerificationKey, verification_key, verify_compact

PROOF_TYPE: Final = "dpop+jwt"
LEEWAY: Final = timedelta(seconds=10)  # between the clocks of our own processes
FARTHEST_AHEAD: Final = timedelta(seconds=60)  # FAPI 2.0 §5.3.2.1: more must be rejected
NONCE_PERIOD: Final = timedelta(minutes=2)
LONGEST_PROOF: Final = 4096
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class DpopProof:
    """A proof that holds. `jkt` is the thumbprint of its key (RFC 7638), what tokens are bound to;
    `issued_at` is the time by its sender's clock, `until` when its `jti` may be forgotten.
    """

    jkt: str
    jti: str
    issued_at: datetime
    until: datetime


class Nonces:
    """Server-provided nonces (§8): the HMAC of a stretch of time. One is good for its own stretch
    and for the one after, so between two and four minutes.
    """

    def __init__(self, cipher: FieldCipher) -> None:
        self._cipher = cipher

    def current(self, now: datetime) -> str:
        """The nonce to hand out now."""
        return self._of(int(now.timestamp() // NONCE_PERIOD.total_seconds()))

    def last_moment(self, nonce: object, now: datetime) -> datetime | None:
        """Until when `nonce` is good: one of the present stretch of time or the one before, None
        for any other; constant time."""
        offered = nonce.encode() if isinstance(nonce, str) else b""
        stretch = int(now.timestamp() // NONCE_PERIOD.total_seconds())
        for each in (stretch, stretch - 1):
            if secrets.compare_digest(offered, self._of(each).encode()):
                return datetime.fromtimestamp((each + 2) * NONCE_PERIOD.total_seconds(), UTC)
        return None

    def _of(self, stretch: int) -> str:
        return self._cipher.blind_index(str(stretch), "dpop nonce")[:32]


def check_proof(
    text: str,
    *,
    method: str,
    urls: Sequence[str],
    now: datetime,
    nonces: Nonces,
    access_token: str = "",
) -> DpopProof:
    """Does this proof fit this request? (RFC 9449 §4.3, numbers as there)

     2. to 7. One JWT of type dpop+jwt under the public key in its own header, whose algorithm is
        asymmetric and on our list. This is the one place where a header's key is looked at: the
        proof claims nothing but that somebody holds it.
     8. htm is the method.
     9. htu is the address, without query and fragment; one of `urls`, where there are several.
    10. nonce is one of ours.                      else use_dpop_nonce, §8
    11. iat is a time, and how old the proof is, is told by the nonce ("the creation time of the
        JWT, as determined by either the iat claim or a server managed timestamp via the nonce
        claim"); jti is there, so that a proof can be told from its copy (§11.1).
    12. ath names the access token that comes along.
    Raises `InvalidDpopProof` or `UseDpopNonce`.
    """
    # 2. to 7.
    try:
        if len(text) > LONGEST_PROOF:
            raise InvalidDpopProof(f"the DPoP proof is longer than {LONGEST_PROOF} characters")
        verified = verify_compact(text, typ=PROOF_TYPE, key_for=_key_it_brings)
    except InvalidJws as problem:
        raise InvalidDpopProof(f"the DPoP proof does not verify: {problem.detail}") from None
    claims = verified.claims
    # 8., 9.
    if claims.get("htm") != method:
        raise InvalidDpopProof("htm of the DPoP proof is not the method of this request")
    if not any(same_url(claims.get("htu"), url) for url in urls):
        raise InvalidDpopProof(f"htu of the DPoP proof is not {urls[0]}")
    # 10.
    last_moment = nonces.last_moment(claims.get("nonce"), now)
    if last_moment is None:
        raise UseDpopNonce("the DPoP proof needs the nonce of this answer's DPoP-Nonce header")
    # 11.
    issued_at = _issued_at(claims)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 256:
        raise InvalidDpopProof("the DPoP proof needs a jti")
    # 12.
    if access_token and claims.get("ath") != token_hash(access_token):
        raise InvalidDpopProof("ath of the DPoP proof is not the hash of this access token")
    return DpopProof(verified.key.thumbprint, jti, issued_at, last_moment + 2 * LEEWAY)


def refuse_early(proof: DpopProof, client: Client, now: datetime) -> None:
    """FAPI 2.0 §5.3.2.1: a JWT whose iat is more than 60 seconds ahead is rejected, however
    fresh its nonce. Raises `InvalidDpopProof`."""
    if rules_of(client).strict_dates and proof.issued_at > now + FARTHEST_AHEAD:
        raise InvalidDpopProof("iat of the DPoP proof is more than 60 seconds ahead of our clock")


def token_hash(access_token: str) -> str:
    """ath (§4.2): base64url SHA-256 of the access token."""
    return b64url(hashlib.sha256(access_token.encode()).digest())


def same_url(given: object, url: str) -> bool:
    """Whether `given` is `url`, apart from spelling, query and fragment (§4.3, RFC 3986 §6.2)."""
    if not isinstance(given, str) or len(given) > 2048:
        return False
    try:
        return _normal(given) == _normal(url)
    except ValueError:
        return False


def _normal(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url)
    if parts.username is not None or "\\" in url:
        raise ValueError(url)
    scheme = parts.scheme.lower()
    port = parts.port or _PORTS.get(scheme, 0)
    return scheme, (parts.hostname or "").lower(), port, unquote(parts.path) or "/"


def _key_it_brings(header: Mapping[str, Any]) -> VerificationKey | None:
    try:
        return verification_key(header.get("jwk"), SIGNING_ALGORITHMS)
    except MalformedJwk:
        return None


def _issued_at(claims: Mapping[str, Any]) -> datetime:
    iat = claims.get("iat")
    if isinstance(iat, bool) or not isinstance(iat, int | float) or not 0 <= iat < 1 << 34:
        raise InvalidDpopProof("iat of the DPoP proof is not a time")
    return datetime.fromtimestamp(iat, UTC)
