"""Client metadata on the wire (RFC 7591 §2, OIDC Registration §2) and the `Client` it means.

- Names are RFC 7591's. `client_name`, `policy_uri` and `tos_uri` may carry a language
  ("client_name#en", §2.2); without one they stand for every language that has none of its own.
  `claims` lists the personal data that may be asked, `profile` picks a row of
  `idp/protocol/profiles.py` (when absent, the one that what is asked works under: `_profile`).
- What is not known is ignored, null is the same as absent (§2).
- Department, purpose, and the most that may be asked come from the initial access token, never
  from the program that registers.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, get_type_hints
from urllib.parse import urlsplit

import msgspec

from foundation.errors import FieldError
from idp.clients import registration
from idp.clients.presentation import LINKS
from idp.models import LOCALES, Client, Profile, Texts
from idp.protocol import encryption
from idp.protocol.claims import claims_of, in_question
from idp.protocol.errors import InvalidClientMetadata
from idp.protocol.grant_types import GrantTypes, of_client, response_types
from idp.protocol.policy import Policy
from idp.protocol.profiles import (
    PROFILES,
    SIGNING_ALGORITHMS,
    STRICT,
    authorization_algorithm,
    response_algorithm,
    rules_of,
)
from idp.protocol.syntax import redirect_uri_problem

# Decided by the initial access token, or by an officer only: never by the program itself.
_GIVEN: Final = frozenset(
    {
        *("client_id", "name", "purpose", "organisation", "organisation_name", "scopes"),
        *("first_party", "resource_server", "resources", "exchange_targets", "logo"),
    }
)
_TYPES: Final[Mapping[str, Any]] = get_type_hints(Client)
OPEN: Final = tuple(each.name for each in fields(Client) if each.name not in _GIVEN)
DEFAULT_AUTH_METHOD: Final = "client_secret_basic"  # RFC 7591 §2
ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    f"{kind}_encrypted_response_enc": encryption.CONTENT_ALGORITHMS for kind in encryption.KINDS
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an initial access token allows: who registers, for what, and the most they may ask."""

    organisation: str
    organisation_name: str
    purpose: Texts
    scopes: tuple[str, ...]
    claims: tuple[str, ...] = ()


def read(
    document: Mapping[str, Any],
    client_id: str,
    bounds: Bounds,
    offered: GrantTypes,
    policy: Policy = STRICT,
) -> Client:
    """The client that `document` describes, if it obeys.

    1. Everything has the type it must have.
    2. Only response types and algorithms we have.           RFC 7591 §2.1
    3. Scopes and claims stay within the bounds; who names no claims, as RFC 7591 knows none, gets
       those that the scopes release.                        purpose limitation
    4. The rules of every registration.                      `registration.problems`
    Raises `InvalidClientMetadata` with every member that breaks a rule: what has the wrong type is
    left out for steps 2 to 4, so that the first mistake hides no other.
    """
    given = {name: value for name, value in document.items() if value is not None}
    # 1.
    mistyped = _types(given)
    given = {name: value for name, value in given.items() if f"/{name}" not in mistyped}
    client = _described(given, client_id, bounds, offered, policy)
    # 2. to 4.
    problems = [
        *mistyped.values(),
        *_flow(given, response_types(offered)),
        *_algorithms(given, client),
        *_beyond(given, bounds),
        *registration.problems(client, offered, policy),
    ]
    if problems:
        raise _invalid(problems)
    return client


def _types(given: Mapping[str, Any]) -> dict[str, FieldError]:
    """By pointer of the member, what does not have the type it must have."""
    found: dict[str, FieldError] = {}
    texts = ("scope", *(each for name in LINKS for each in (name, *_by_language(name))))
    members = {**{name: _TYPES[name] for name in OPEN}, **dict.fromkeys(texts, str)}
    for name in members.keys() & given.keys():
        try:
            msgspec.convert(given[name], type=members[name])
        except msgspec.ValidationError as problem:
            said, _, at = str(problem).partition(" - at ")
            within = at.strip("`$").replace(".", "/").replace("[", "/").replace("]", "")
            found[f"/{name}"] = FieldError(f"/{name}{within}", "type", said)
    return found


def _described(
    given: Mapping[str, Any],
    client_id: str,
    bounds: Bounds,
    offered: GrantTypes,
    policy: Policy,
) -> Client:
    described = {name: given[name] for name in OPEN if name in given}
    described.setdefault("token_endpoint_auth_method", DEFAULT_AUTH_METHOD)
    described.setdefault("grant_types", [n for n, kind in offered.items() if kind.by_default])
    described.setdefault("profile", _profile(described, policy.forbidden_profiles))
    row = PROFILES[described["profile"]]
    described.setdefault("id_token_signed_response_alg", row.default_algorithm)
    same = described["id_token_signed_response_alg"]
    if same in row.algorithms:  # what is wrong is said once
        described.setdefault("authorization_signed_response_alg", same)
    described |= {name: _links(given, name) for name in LINKS}
    scopes = given.get("scope", " ".join(bounds.scopes)).split()
    described.setdefault("claims", [n for n in claims_of(scopes) if n in bounds.claims])
    whole = {
        **described,
        "client_id": client_id,
        "name": _name(given, bounds),
        "purpose": dict(bounds.purpose),
        "organisation": bounds.organisation,
        "organisation_name": bounds.organisation_name,
        "scopes": scopes,
    }
    return msgspec.convert(whole, type=Client)


def written(client: Client, offered: GrantTypes) -> dict[str, Any]:
    """A registered client as RFC 7591 §3.2.1 answers it: everything that was registered."""
    mine = {each.grant_type: each for each in of_client(client, offered)}
    plain = msgspec.json.decode(msgspec.json.encode(client))
    told = {name: plain[name] for name in OPEN if plain[name] not in (None, "", {})}
    for name in LINKS:
        told |= _told_links(name, told.pop(name, {}))
    for kind in encryption.KINDS:
        if f"{kind}_encrypted_response_alg" in told:
            told[f"{kind}_encrypted_response_enc"] = "A256GCM"
    return {
        "client_id": client.client_id,
        **{f"client_name#{language}": client.name[language] for language in LOCALES},
        **{f"purpose#{language}": client.purpose[language] for language in LOCALES},
        "organisation": client.organisation,
        "organisation_name": client.organisation_name,
        "response_types": list(response_types(mine)),
        "scope": " ".join(client.scopes),
        "id_token_signed_response_alg": response_algorithm(client),
        "authorization_signed_response_alg": authorization_algorithm(client),
        **told,
    }


def _flow(given: Mapping[str, Any], known: tuple[str, ...]) -> list[FieldError]:
    wanted = given.get("response_types", [])
    once = isinstance(wanted, list) and all(wanted.count(each) == 1 for each in wanted)
    if once and all(each in known for each in wanted):
        return []
    said = f"only the response type {' or '.join(known)} is offered"
    return [FieldError("/response_types", "response_type", said)]


def _algorithms(given: Mapping[str, Any], client: Client) -> list[FieldError]:
    """Of members that are not kept: they say what is so anyway, or are refused."""
    ours = tuple(each for each in rules_of(client).algorithms if each == response_algorithm(client))
    known = {**ALGORITHMS, "introspection_signed_response_alg": ours}
    return [
        FieldError(f"/{name}", "algorithm", f"must be {' or '.join(values)}")
        for name, values in known.items()
        if name in given and values and given[name] not in values
    ]


def _beyond(given: Mapping[str, Any], bounds: Bounds) -> list[FieldError]:
    scope, claims = given.get("scope", ""), given.get("claims", [])
    said = "is beyond what the initial access token allows"
    scopes, names = " ".join(bounds.scopes), " ".join(bounds.claims)
    problems = [
        FieldError("/scope", "beyond_purpose", f"{each[:40]} {said}: {scopes}")
        for each in scope.split()
        if each not in bounds.scopes
    ]
    problems += [
        FieldError("/claims", "beyond_purpose", f"{str(each)[:40]} {said}: {names}")
        for each in claims
        if each not in bounds.claims and not set(in_question([str(each)])) & {*bounds.claims}
    ]
    for language in LOCALES:
        if given.get(f"purpose#{language}", bounds.purpose[language]) != bounds.purpose[language]:
            problems.append(FieldError(f"/purpose#{language}", "beyond_purpose", f"purpose {said}"))
    return problems


def _name(given: Mapping[str, Any], bounds: Bounds) -> dict[str, str]:
    """What people are told; for a program that gives itself no name, which RFC 7591 §2 allows, the
    host that it has them sent back to, or whose it is."""
    names = _texts(given, "client_name")
    if any(names.values()):
        return names
    readable = [each for each in given.get("redirect_uris", ()) if not redirect_uri_problem(each)]
    host = urlsplit("".join(readable[:1])).hostname
    return dict.fromkeys(LOCALES, host or bounds.organisation_name)


def _texts(given: Mapping[str, Any], name: str) -> dict[str, str]:
    """One text a language (RFC 7591 §2.2); the bare one fills the gaps."""
    texts = {each: given.get(f"{name}#{each}", given.get(name, "")) for each in LOCALES}
    return {each: text if isinstance(text, str) else "" for each, text in texts.items()}


def _links(given: Mapping[str, Any], name: str) -> dict[str, str]:
    """One address a language, the bare one for those that have none; languages without are left
    out."""
    return {language: uri for language, uri in _texts(given, name).items() if uri}


def _by_language(name: str) -> tuple[str, ...]:
    return tuple(f"{name}#{language}" for language in LOCALES)


def _told_links(name: str, links: Mapping[str, str]) -> dict[str, str]:
    """As they were sent: one for all, or one a language."""
    if len(links) == len(LOCALES) and len(set(links.values())) == 1:
        return {name: links[LOCALES[0]]}
    return {f"{name}#{language}": uri for language, uri in links.items()}


def _profile(asked: Mapping[str, Any], forbidden: Collection[Profile]) -> Profile:
    """The row of `PROFILES` under which what is asked works, for who names none.

    1. Without authentication: public. By certificate: fapi2, the only one that has that.
    2. Pushed requests and bound tokens are asked for by name: fapi2, which is just that.
    3. A key of its own that signs as FAPI says: standard.
    4. Anybody else may never have heard of PKCE, and no metadata says whether: basic, or standard
       where the operator forbids it.
    """
    # 1.
    method = asked["token_endpoint_auth_method"]
    fitting = [name for name, row in PROFILES.items() if method in row.auth_methods]
    if len(fitting) == 1:
        return fitting[0]
    # 2.
    bound = ("dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens")
    pushes = asked.get("require_pushed_authorization_requests")
    if "fapi2" in fitting and pushes and any(asked.get(name) for name in bound):
        return "fapi2"
    # 3., 4.
    modern = method == "private_key_jwt" and _signs_as_fapi(asked)
    return "standard" if modern or "basic" in forbidden else "basic"


def _signs_as_fapi(asked: Mapping[str, Any]) -> bool:
    """Whether nothing that is said of algorithms names RS256, and something names another."""
    named = [
        asked.get(f"{kind}_alg")
        for kind in ("id_token_signed_response", "token_endpoint_auth_signing")
    ]
    keys = (asked.get("jwks") or {}).get("keys")
    named += [_algorithm_of(jwk) for jwk in (keys if isinstance(keys, list) else [])]
    said = [each for each in named if each]
    return bool(said) and all(each in SIGNING_ALGORITHMS for each in said)


def _algorithm_of(jwk: object) -> object:
    """What a signature key is for; an RSA key that does not say is for RS256, as libraries have
    it."""
    if not isinstance(jwk, dict) or jwk.get("use") == "enc":
        return None
    return jwk.get("alg") or {"EC": "ES256", "OKP": "EdDSA", "RSA": "RS256"}.get(
        str(jwk.get("kty"))
    )


def _invalid(problems: list[FieldError]) -> InvalidClientMetadata:
    return InvalidClientMetadata(
        f"the metadata breaks {len(problems)} rules, first: {problems[0].detail}",
        errors=problems,
        next_step="correct the named fields and register again",
    )
