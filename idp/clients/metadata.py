"""Client metadata on the wire (RFC 7591 §2, OIDC Registration §2) and the `Client` it means.

- Names are RFC 7591's. `client_name` may carry a language ("client_name#en", §2.2); without one it
  stands for every language that has no text of its own. `claims` lists the personal data that may
  be asked, `profile` picks a row of `idp/protocol/profiles.py` (the strictest that fits, when
  absent).
- What is not known is ignored, null is the same as absent (§2).
- Department, purpose, and the most that may be asked come from the initial access token, never
  from the program that registers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec

from foundation.errors import FieldError
from idp.models import LOCALES, Client, Profile, Texts
from idp.protocol.claims import claims_of
from idp.protocol.errors import InvalidClientMetadata
from idp.protocol.grant_types import GrantTypes, of_client, response_types
from idp.protocol.profiles import SIGNATURE_ALGORITHM, SIGNING_ALGORITHMS

# Decided by the initial access token, or by an officer only: never by the program itself.
_GIVEN: Final = frozenset(
    {
        *("client_id", "name", "purpose", "organisation", "organisation_name", "scopes"),
        *("first_party", "resource_server", "resources", "exchange_targets"),
    }
)
OPEN: Final = tuple(each.name for each in fields(Client) if each.name not in _GIVEN)
DEFAULT_AUTH_METHOD: Final = "client_secret_basic"  # RFC 7591 §2
_ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "id_token_signed_response_alg": (SIGNATURE_ALGORITHM,),
    "introspection_signed_response_alg": (SIGNATURE_ALGORITHM,),
    "token_endpoint_auth_signing_alg": SIGNING_ALGORITHMS,
    "id_token_encrypted_response_enc": ("A256GCM",),
    "userinfo_encrypted_response_enc": ("A256GCM",),
    "introspection_encrypted_response_enc": ("A256GCM",),
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
    document: Mapping[str, Any], client_id: str, bounds: Bounds, offered: GrantTypes
) -> Client:
    """The client that `document` describes. `registration.check` still has to agree to it.

    1. Only response types and algorithms we have.           RFC 7591 §2.1
    2. Scopes and claims stay within the bounds; who names no claims, as RFC 7591 knows none, gets
       those that the scopes release.                        purpose limitation
    3. Everything has the type it must have.
    Raises `InvalidClientMetadata`.
    """
    given = {name: value for name, value in document.items() if value is not None}
    # 1., 2.
    problems = [
        *_flow(given, response_types(offered)),
        *_algorithms(given),
        *_beyond(given, bounds),
    ]
    if problems:
        raise _invalid(problems)
    # 3.
    described = {name: given[name] for name in OPEN if name in given}
    described.setdefault("token_endpoint_auth_method", DEFAULT_AUTH_METHOD)
    described.setdefault("grant_types", [n for n, kind in offered.items() if kind.by_default])
    described.setdefault("profile", _profile(described["token_endpoint_auth_method"]))
    scopes = given.get("scope", " ".join(bounds.scopes)).split()
    described.setdefault("claims", [n for n in claims_of(scopes) if n in bounds.claims])
    whole = {
        **described,
        "client_id": client_id,
        "name": _texts(given, "client_name"),
        "purpose": dict(bounds.purpose),
        "organisation": bounds.organisation,
        "organisation_name": bounds.organisation_name,
        "scopes": scopes,
    }
    try:
        return msgspec.convert(whole, type=Client)
    except msgspec.ValidationError as problem:
        said, _, at = str(problem).partition(" - at ")
        pointer = at.strip("`$").replace(".", "/").replace("[", "/").replace("]", "")
        raise _invalid([FieldError(pointer, "type", said)]) from None


def written(client: Client, offered: GrantTypes) -> dict[str, Any]:
    """A registered client as RFC 7591 §3.2.1 answers it: everything that was registered."""
    mine = {each.grant_type: each for each in of_client(client, offered)}
    plain = msgspec.json.decode(msgspec.json.encode(client))
    told = {name: plain[name] for name in OPEN if plain[name] not in (None, "")}
    for kind in ("id_token", "userinfo", "introspection"):
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
        "id_token_signed_response_alg": SIGNATURE_ALGORITHM,
        **told,
    }


def _flow(given: Mapping[str, Any], known: tuple[str, ...]) -> list[FieldError]:
    wanted = given.get("response_types", [])
    once = isinstance(wanted, list) and all(wanted.count(each) == 1 for each in wanted)
    if once and all(each in known for each in wanted):
        return []
    said = f"only the response type {' or '.join(known)} is offered"
    return [FieldError("/response_types", "response_type", said)]


def _algorithms(given: Mapping[str, Any]) -> list[FieldError]:
    return [
        FieldError(f"/{name}", "algorithm", f"must be one of {', '.join(known)}")
        for name, known in _ALGORITHMS.items()
        if given.get(name, known[0]) not in known
    ]


def _beyond(given: Mapping[str, Any], bounds: Bounds) -> list[FieldError]:
    scope, claims = given.get("scope", ""), given.get("claims", [])
    if not isinstance(scope, str):
        return [FieldError("/scope", "type", "scope is a string with spaces between")]
    if not isinstance(claims, list):
        return [FieldError("/claims", "type", "claims is a list")]
    said = "is beyond what the initial access token allows"
    problems = [
        FieldError("/scope", "beyond_purpose", f"{each[:40]} {said}")
        for each in scope.split()
        if each not in bounds.scopes
    ]
    problems += [
        FieldError("/claims", "beyond_purpose", f"{str(each)[:40]} {said}")
        for each in claims
        if each not in bounds.claims
    ]
    for language in LOCALES:
        if given.get(f"purpose#{language}", bounds.purpose[language]) != bounds.purpose[language]:
            problems.append(FieldError(f"/purpose#{language}", "beyond_purpose", f"purpose {said}"))
    return problems


def _texts(given: Mapping[str, Any], name: str) -> dict[str, str]:
    """One text a language (RFC 7591 §2.2); the bare one fills the gaps."""
    texts = {each: given.get(f"{name}#{each}", given.get(name, "")) for each in LOCALES}
    return {each: text if isinstance(text, str) else "" for each, text in texts.items()}


def _profile(method: object) -> Profile:
    """The strictest row of `PROFILES` for this way of authenticating."""
    if method == "none":
        return "public"
    return "standard" if str(method).startswith("client_secret") else "fapi2"


def _invalid(problems: list[FieldError]) -> InvalidClientMetadata:
    return InvalidClientMetadata(
        f"the metadata breaks {len(problems)} rules, first: {problems[0].detail}",
        errors=problems,
        next_step="correct the named fields and register again",
    )
