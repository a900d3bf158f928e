"""Signed authorization requests (JAR, RFC 9101): the parameters as a JWT by the client.

Pure: a token, the client's keys and the time in; parameters out. What the object says is all that
counts; what stands beside it in the query or the form is not looked at (§6.3), so nobody on the way
can add or change anything. By value only: a `request_uri` is one of ours or none (attack 29).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from idp.clients.credentials import assertion_key, is_time
from idp.models import Client
from idp.protocol.errors import AuthorizationError
from idp.protocol.profiles import rules_of
from keys import InvalidJws
from keys.encoding.jose import unverified_header, verify_compact

REQUEST_TYPES: Final = ("oauth-authz-req+jwt", "jwt")  # §10.8; without typ: OIDC Core §6.1
LONGEST_LIFE: Final = timedelta(hours=1)  # FAPI 2.0 Message Signing §5.3.1
LEEWAY: Final = timedelta(seconds=10)
_NOT_PARAMETERS: Final = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})


def read(
    text: str, client: Client, jwks: Mapping[str, Any] | None, *, issuer: str, now: datetime
) -> dict[str, str]:
    """The parameters of a request object. Raises `AuthorizationError`: invalid_request_object.

    1. A JWS by one of the client's own keys, of a type that is no other kind of token.  §6.2, §10.8
    2. iss and client_id are the client; aud names us; there is no sub that could make it
       a client assertion.                                            §4, §10.8, RFC 9700 §4.15
    3. exp is ahead, at most an hour after nbf or now; nbf and iat have come. Both are there where
       the client's profile is strict; in OpenID Connect Core neither need be.
                                                        §4, FAPI Message Signing §5.3.1
    4. There is no object within the object.                                             §4
    """
    # 1.
    try:
        signed = verify_compact(text, typ=None, key_for=lambda header: _key(header, client, jwks))
    except InvalidJws as problem:
        raise _refused(f"the request object does not verify: {problem.detail}") from None
    claims = signed.claims
    # 2.
    if claims.get("iss") != client.client_id or claims.get("client_id") != client.client_id:
        raise _refused("iss and client_id of the request object must be the client")
    if issuer not in _listed(claims.get("aud")):
        raise _refused("aud of the request object must be the issuer")
    if "sub" in claims:
        raise _refused("a request object has no sub")
    # 3.
    if rules_of(client).strict_dates and not {"nbf", "exp"} <= claims.keys():
        raise _refused("the request object must say nbf and exp")
    _check_times(claims, now)
    # 4.
    if "request" in claims or "request_uri" in claims:
        raise _refused("a request object holds no request or request_uri")
    return {
        name: _text(name, value) for name, value in claims.items() if name not in _NOT_PARAMETERS
    }


def kid(text: str) -> object:
    """Which of the client's keys will be needed; nothing is believed yet."""
    try:
        return unverified_header(text).get("kid")
    except InvalidJws as problem:
        raise _refused(f"the request object does not verify: {problem.detail}") from None


def _key(header: Mapping[str, Any], client: Client, jwks: Mapping[str, Any] | None) -> Any:
    typ = header.get("typ", "jwt")
    known = isinstance(typ, str) and typ.lower().removeprefix("application/") in REQUEST_TYPES
    return assertion_key(header, jwks, rules_of(client).algorithms) if known else None


def _check_times(claims: Mapping[str, Any], now: datetime) -> None:
    seconds, leeway = now.timestamp(), LEEWAY.total_seconds()
    for name in ("nbf", "iat"):
        given: Any = claims.get(name, 0)
        if not is_time(given) or given > seconds + leeway:
            raise _refused(f"{name} of the request object is in the future")
    if "exp" not in claims:
        return
    exp, start = claims["exp"], claims.get("nbf", seconds)
    if not is_time(exp) or exp <= seconds:
        raise _refused("the request object has expired, or its exp is not a time")
    if exp - start > LONGEST_LIFE.total_seconds():
        raise _refused("the request object may live for an hour at most")


def _text(name: str, value: object) -> str:
    """A claim as the parameter it stands for: numbers and objects as JSON (OIDC Core §6.1)."""
    if isinstance(value, str):
        return value
    if name == "resource" and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return " ".join(value)
    if isinstance(value, bool) or not isinstance(value, int | dict):
        raise _refused(f"{name[:40]} in the request object is not of the kind it should be")
    return orjson.dumps(value).decode()


def _listed(audience: object) -> tuple[object, ...]:
    return tuple(audience) if isinstance(audience, list) else (audience,)


def _refused(detail: str) -> AuthorizationError:
    return AuthorizationError("invalid_request_object", detail)
