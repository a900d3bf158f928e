"""What a request says about its client, and what has to hold before anybody believes it.

Pure: reads headers, forms and claims; whose keys and secrets they are held against is not known
here.

- A client authenticates in one way (RFC 6749 §2.3).
- A client assertion names exactly our issuer as its audience (RFC 7523bis, FAPI 2.0 §5.3.2.1), or
  the token endpoint where the profile of its client has that (OIDC Core §9); it lives at most ten
  minutes, an hour for `basic`, and has a `jti`, so that it can be accepted once.
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeGuard
from urllib.parse import unquote_plus

import orjson

from foundation.canonical import b64url_decode
from foundation.errors import Malformed
from idp.models import AuthMethod, Client
from idp.protocol.errors import InvalidClient, InvalidRequest
from idp.protocol.profiles import SIGNING_ALGORITHMS, rules_of
from keys import MalformedJwk
from keys.encoding.jose import VerificationKey, verification_key

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LEEWAY: Final = timedelta(seconds=10)
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - an address
FAILED: Final = "client authentication failed"


@dataclass(slots=True)
class Credentials:
    """What a request says about its client, before anybody believes it."""

    method: AuthMethod
    client_id: str
    proof: str = ""


def read_credentials(headers: Mapping[str, str], form: Mapping[str, str]) -> Credentials:
    """How the request authenticates its client; two ways at once are refused (RFC 6749 §2.3)."""
    found: list[Credentials] = []
    if "authorization" in headers:
        found.append(_basic(headers["authorization"]))
    if "client_assertion" in form or "client_assertion_type" in form:
        found.append(_assertion(form))
    if form.get("client_secret"):
        client_id = found[0].client_id if found else _client_id(form)
        found.append(Credentials("client_secret_post", client_id, form["client_secret"]))
    if not found:
        return Credentials("none", _client_id(form))
    if len(found) > 1:
        raise InvalidRequest("more than one way of client authentication was used")
    if form.get("client_id", found[0].client_id) != found[0].client_id:
        raise InvalidRequest("client_id differs from the authenticated client")
    return found[0]


def assertion_key(
    header: Mapping[str, Any],
    jwks: Mapping[str, Any] | None,
    algorithms: tuple[str, ...] = SIGNING_ALGORITHMS,
) -> VerificationKey | None:
    """The client's registered key that `header` names; never a key the header brings along, and
    for no other than these `algorithms`.

    A kid that two keys share names none (RFC 7517 §4.5). Without kid, the only key there is. Keys
    marked for encryption are not looked at (§4.2).
    """
    keys = signature_keys(jwks)
    kid = header.get("kid")
    fitting = [jwk for jwk in keys if kid is None or jwk.get("kid") == kid]
    if len(fitting) != 1:
        return None
    try:
        return verification_key(fitting[0], algorithms)
    except MalformedJwk:
        return None


def signature_keys(jwks: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The keys that are not marked `use: enc` (RFC 7517 §4.2)."""
    return [jwk for jwk in (jwks or {}).get("keys", []) if jwk.get("use") != "enc"]


def assertion_algorithms(client: Client) -> tuple[str, ...]:
    """What a client assertion may be signed with: the one registered, else any of the profile."""
    named = client.token_endpoint_auth_signing_alg
    return tuple(each for each in rules_of(client).algorithms if named in ("", each))


def check_assertion_claims(
    claims: Mapping[str, Any], client: Client, issuer: str, now: datetime
) -> datetime:
    """What a client assertion must say (RFC 7523 §3, FAPI 2.0 §5.3.2.1). Answers its expiry.

    1. iss and sub are the client.
    2. aud is our issuer: one string, no list, no endpoint address; the profiles `standard` and
       `basic` take the address of the token endpoint too, `basic` also a list of one.
    3. exp is ahead, at most as long as the profile has it; iat and nbf, when there, are not later
       than now + 10 s.
    4. jti is there, so that it can be used once.
    """
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise InvalidClient(FAILED)
    _check_audience(claims.get("aud"), client, issuer)
    seconds = now.timestamp()
    exp = claims.get("exp")
    longest = rules_of(client).longest_assertion
    if not is_time(exp) or not seconds < exp <= seconds + longest.total_seconds():
        minutes = int(longest.total_seconds()) // 60
        raise InvalidClient(
            f"the client assertion's exp must be ahead by at most {minutes} minutes"
        )
    for name in ("iat", "nbf"):
        given: Any = claims.get(name, 0)
        if not is_time(given) or given > seconds + LEEWAY.total_seconds():
            raise InvalidClient(f"the client assertion's {name} is in the future")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 256:
        raise InvalidClient("the client assertion needs a jti")
    return datetime.fromtimestamp(exp, UTC)


def _check_audience(audience: object, client: Client, issuer: str) -> None:
    rules = rules_of(client)
    if rules.audience_as_list and isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    accepted = (issuer, issuer + TOKEN_PATH) if rules.token_endpoint_as_audience else (issuer,)
    if not isinstance(audience, str) or audience not in accepted:
        named = " or ".join(accepted)
        raise InvalidClient(f"the client assertion's aud must be exactly {named}, as a string")


def is_time(value: object) -> TypeGuard[float]:
    """A NumericDate we accept: a whole or broken number of seconds, not boolean, not year 9999."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < 1 << 34


def _basic(header: str) -> Credentials:
    """RFC 6749 §2.3.1: both halves are form-encoded before base64."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("the Authorization header must use Basic")
    try:
        pair = binascii.a2b_base64(encoded, strict_mode=True).decode()
    except ValueError:
        raise InvalidClient("the Basic credentials are not base64") from None
    client_id, colon, secret = pair.partition(":")
    if not colon:
        raise InvalidClient("the Basic credentials have no colon")
    if "%" in pair or "+" in pair:
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)
    return Credentials("client_secret_basic", client_id, secret)


def _assertion(form: Mapping[str, str]) -> Credentials:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise InvalidClient("client_assertion_type must be jwt-bearer (RFC 7523 §2.2)")
    assertion = form.get("client_assertion", "")
    return Credentials("private_key_jwt", unverified_subject(assertion), assertion)


def unverified_subject(assertion: str) -> str:
    """Whose key to look up. Not believed before the signature holds and `sub` is compared again."""
    try:
        claims = orjson.loads(b64url_decode(assertion.split(".")[1]))
        return str(claims["sub"])
    except (IndexError, KeyError, TypeError, Malformed, orjson.JSONDecodeError):
        raise InvalidClient("the client assertion is not a JWT with a sub") from None


def _client_id(form: Mapping[str, str]) -> str:
    client_id = form.get("client_id", "")
    if not client_id:
        raise InvalidClient("the client did not authenticate")
    return client_id
