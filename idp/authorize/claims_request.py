"""The `claims` parameter and the hints about the person (OIDC Core §3.1.2.1, §5.5): pure.

What a service may ask for:

- claims by name, each perhaps `essential`: within the purpose it is registered for, or not at all;
- an `acr`, perhaps essential: then nothing less will do (§5.5.1.1);
- one particular person, by `sub` or by an ID token of theirs: then nobody else will do (§5.5.1).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from idp.models import Client
from idp.protocol.authorizations import ClaimRequests
from idp.protocol.claims import CLAIMS, in_question
from idp.protocol.errors import AuthorizationError
from keys import InvalidJws
from keys.encoding.jose import parse_object


@dataclass(frozen=True, slots=True)
class RequestedClaims:
    """What was read. `subject` is the only person who will do, "" for anybody."""

    userinfo: ClaimRequests = field(default_factory=dict)
    id_token: ClaimRequests = field(default_factory=dict)
    acr_values: tuple[str, ...] = ()
    essential_acr: tuple[str, ...] = ()
    subject: str = ""


def read(
    given: Mapping[str, str],
    client: Client,
    scopes: Collection[str],
    hint: Mapping[str, Any] | None,
) -> RequestedClaims:
    """Raises `AuthorizationError`.

    1. `claims` is a JSON object of the shape of §5.5; claims nobody knows are ignored.
    2. Every claim is within the client's registered purpose.       purpose limitation
    3. acr: wanted levels, and whether less is not enough.          §5.5.1.1
    4. sub and id_token_hint name one person, the same one.         §3.1.2.1, §5.5.1
    """
    # 1.
    whole = _parsed(given, scopes)
    userinfo, id_token = _half(whole, "userinfo"), _half(whole, "id_token")
    # 2.
    for half in (userinfo, id_token):
        _refuse_beyond_purpose(in_question(half), client)
    # 3.
    wanted = id_token.get("acr") or {}
    values = _texts(wanted)
    essential = values if wanted.get("essential") is True else ()
    # 4.
    named = {*_texts(userinfo.get("sub") or {}), *_texts(id_token.get("sub") or {})}
    return RequestedClaims(
        userinfo={name: asked for name, asked in userinfo.items() if name in CLAIMS},
        id_token={name: asked for name, asked in id_token.items() if name in CLAIMS},
        acr_values=(*given.get("acr_values", "").split(), *values),
        essential_acr=essential,
        subject=_one_person(named | _hinted(given, client, hint)),
    )


def _refuse_beyond_purpose(names: Collection[str], client: Client) -> None:
    """Refused, not trimmed: whoever asks for more than their purpose needs should hear it."""
    for name in names:
        if name not in client.claims:
            raise AuthorizationError(
                "invalid_scope", f"the client's registered purpose does not cover the claim {name}"
            )


def _parsed(given: Mapping[str, str], scopes: Collection[str]) -> Mapping[str, Any]:
    if "claims" not in given:
        return {}
    if "openid" not in scopes:
        raise AuthorizationError("invalid_request", "claims needs the scope openid")
    try:
        return parse_object(given["claims"].encode())
    except InvalidJws as problem:
        raise AuthorizationError("invalid_request", f"claims: {problem.detail}") from None


def _half(whole: Mapping[str, Any], member: str) -> ClaimRequests:
    half = whole.get(member)
    if half is None:
        return {}
    if not isinstance(half, dict) or any(
        asked is not None and not isinstance(asked, dict) for asked in half.values()
    ):
        raise AuthorizationError(
            "invalid_request", f"claims.{member} is not as OIDC Core §5.5 says"
        )
    return half


def _texts(asked: Mapping[str, Any]) -> tuple[str, ...]:
    """`value` or `values` of one request for a claim (§5.5.1)."""
    values = asked.get("values", [asked["value"]] if "value" in asked else [])
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise AuthorizationError("invalid_request", "value and values of claims hold texts")
    return tuple(values)


def _hinted(
    given: Mapping[str, str], client: Client, hint: Mapping[str, Any] | None
) -> frozenset[str]:
    if "id_token_hint" not in given:
        return frozenset()
    if hint is None or hint.get("aud") != client.client_id:
        raise AuthorizationError(
            "invalid_request", "id_token_hint is not an ID token of this provider for this client"
        )
    return frozenset({str(hint.get("sub", ""))})


def _one_person(named: Collection[str]) -> str:
    if len(named) > 1:
        raise AuthorizationError("invalid_request", "sub and id_token_hint name different people")
    return next(iter(named), "")
