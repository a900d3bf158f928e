"""What a client may be registered with: one pure check with the clause beside each rule.

Used by the command line, the sandbox, and dynamic registration alike, so that a client that exists
is a client that obeys.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from foundation.errors import FieldError
from foundation.outbound import (
    OutboundRefused,
    parse_url,
)
from idp.clients.mtls import registered_certificates
from idp.clients.presentation import link_problems
from idp.clients.remote_metadata import Vouched
from idp.models import LOCALES, Client
from idp.protocol import encryption
from idp.protocol.claims import CLAIMS, asked_as, claims_of
from idp.protocol.errors import InvalidClientMetadata
from idp.protocol.grant_types import GrantTypes, of_client
from idp.protocol.policy import Policy
from idp.protocol.profiles import STRICT, response_algorithm, rules_of
from idp.protocol.subjects import PERSON_PREFIX
from idp.protocol.syntax import SCOPE, origin_of, redirect_uri_problem
from keys import MalformedJwk
from keys.encoding.jose import is_jwk, verification_key

SUBJECT_NAMES: Final = (
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
)
NAMED_ALGORITHMS: Final = (
    "id_token_signed_response_alg",
    "authorization_signed_response_alg",
    "token_endpoint_auth_signing_alg",
)
LONGEST_AGE: Final = 999_999_999  # seconds; what max_age of a request may say too
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{2,99}\Z")


def checked(client: Client | Vouched, offered: GrantTypes, policy: Policy = STRICT) -> Client:
    """A client that obeys, and whose addresses were looked at. Raises `InvalidClientMetadata`."""
    if isinstance(client, Vouched):
        return client.client
    check(client, offered, policy)
    if client.sector_identifier_uri or client.jwks_uri or client.logo_uri or client.logo:
        raise InvalidClientMetadata("nobody has looked at the addresses of this registration yet")
    return client


def check(client: Client, offered: GrantTypes, policy: Policy = STRICT) -> None:
    """Raises `InvalidClientMetadata` with all `problems`."""
    if found := problems(client, offered, policy):
        raise InvalidClientMetadata(
            f"the registration of {client.client_id[:100]} breaks {len(found)} rules, "
            f"first: {found[0].detail}",
            errors=found,
            next_step="correct the named fields and register again",
        )


def problems(client: Client, offered: GrantTypes, policy: Policy = STRICT) -> list[FieldError]:
    """Every broken rule, each at its field with what would do (RFC 7591 §2). `policy` is
    what the operator allows.

    1. client_id is readable and can never be a person's id.              RFC 9700 §4.15
    2. Name and purpose are there in all three languages.                 purpose limitation
    3. Redirect URIs can be compared exactly and are safe.                RFC 8252 §7, RFC 9700 §2.1
    4. Grant types are `offered`, and none of them objects.               RFC 7591 §2.1
    5. The profile is allowed, and allows it.                             FAPI 2.0 §5.3.2
    6. What authentication needs is there: key, certificate, name;        RFC 7591 §2, RFC 8705 §2
       who signs requests has keys that a keyid can name.                 RFC 9421 §3.2
    7. Scopes can be written; their claims are within the purpose; the age of a sign-in that it
       accepts is one.                                                    RFC 6749 §3.3, OIDC §2
    8. Addresses of its own can be talked to, links can be followed; one sector per name.
                                                                          RFC 7591 §2, OIDC §8.1
    9. What is to be signed or encrypted can be, with a key for just that.  OIDC Registration §2
    """
    if unusable := _key_set(client):
        others = problems(replace(client, jwks=None), offered, policy)
        return unusable + [each for each in others if each.pointer != "/jwks"]
    return [
        *_identity(client),
        *_redirects(client, offered),
        *_grants(client, offered),
        *_profile(client, policy),
        *_algorithms(client),
        *(_authentication(client) or _signed_requests(client)),
        *_reach(client),
        *_addresses(client),
        *_confidentiality(client),
    ]


def _key_set(client: Client) -> list[FieldError]:
    """The form of `jwks`; the rules below rely on it."""
    keys = [] if client.jwks is None else client.jwks.get("keys")
    if isinstance(keys, list) and all(map(is_jwk, keys)):
        return []
    return [FieldError("/jwks", "jwks", "jwks is an object with a list of keys (RFC 7517 §4, §5)")]


def _identity(client: Client) -> list[FieldError]:
    problems = []
    if not _CLIENT_ID.match(client.client_id) or client.client_id.startswith(PERSON_PREFIX):
        problems.append(
            FieldError("/client_id", "client_id", "3 to 100 letters, digits, . _ ~ -; not p_…")
        )
    for field in ("name", "purpose"):
        missing = [each for each in LOCALES if not getattr(client, field).get(each, "").strip()]
        problems += [
            FieldError(f"/{field}/{each}", "text_missing", f"the {field} is missing in {each}")
            for each in missing
        ]
    return problems


def _redirects(client: Client, offered: GrantTypes) -> list[FieldError]:
    problems = []
    for field in ("redirect_uris", "post_logout_redirect_uris"):
        for at, uri in enumerate(getattr(client, field)):
            if (problem := redirect_uri_problem(uri)) is not None:
                problems.append(FieldError(f"/{field}/{at}", "redirect_uri", problem))
    authorizes = any(each.response_types for each in of_client(client, offered))
    if authorizes and not client.redirect_uris:
        problems.append(FieldError("/redirect_uris", "redirect_uri", "at least one is needed"))
    return problems


def _grants(client: Client, offered: GrantTypes) -> list[FieldError]:
    problems = [
        FieldError("/grant_types", "grant_type", f"{each[:40]} is not a grant type offered here")
        for each in client.grant_types
        if each not in offered
    ]
    problems += [
        FieldError("/grant_types", "grant_type", objection)
        for each in of_client(client, offered)
        if (objection := each.objection(client, offered))
    ]
    return problems


def _profile(client: Client, policy: Policy) -> list[FieldError]:
    """What the client's row of `PROFILES` does not allow."""
    if client.profile in policy.forbidden_profiles:
        said = f"the operator forbids the profile {client.profile}; register as standard or fapi2"
        return [FieldError("/profile", "profile_forbidden", said)]
    rules, method = rules_of(client), client.token_endpoint_auth_method
    if method not in rules.auth_methods:
        allowed = ", ".join(rules.auth_methods)
        said = f"the profile {client.profile} authenticates with {allowed}"
        return [FieldError("/token_endpoint_auth_method", "auth_method", said)]
    if client.relies_on_nonce and not rules.may_rely_on_nonce:
        said = f"the profile {client.profile} needs PKCE"
        return [FieldError("/relies_on_nonce", "profile", said)]
    if client.relies_on_rotation and not rules.may_rely_on_rotation:
        said = f"the profile {client.profile} does not rely on rotation"
        return [FieldError("/relies_on_rotation", "profile", said)]
    if client.relies_on_rotation and not policy.public_clients_without_dpop:
        said = "apps without DPoP keys are not allowed here; the operator may allow them"
        return [FieldError("/relies_on_rotation", "profile", said)]
    if client.relies_on_nonce and "openid" not in client.scopes:
        return [FieldError("/relies_on_nonce", "profile", "a nonce needs the scope openid")]
    return []


def _algorithms(client: Client) -> list[FieldError]:
    """What the client signs, and what is signed for it: one algorithm for all of that."""
    known, ours = rules_of(client).algorithms, response_algorithm(client)
    said = f"the profile {client.profile} has {', '.join(known)}"
    found = [
        FieldError(f"/{field}", "algorithm", said)
        for field in NAMED_ALGORITHMS
        if getattr(client, field) not in ("", *known)
    ]
    if ours in known and client.userinfo_signed_response_alg not in ("", ours):
        said = f"must be {ours}, which signs the client's ID tokens too"
        found.append(FieldError("/userinfo_signed_response_alg", "algorithm", said))
    return found


def _authentication(client: Client) -> list[FieldError]:
    match client.token_endpoint_auth_method:
        case "private_key_jwt":
            return _assertion_keys(client)
        case "tls_client_auth":
            return _subject_name(client)
        case "self_signed_tls_client_auth" if not registered_certificates(client.jwks or {}):
            said = "self_signed_tls_client_auth needs a certificate in x5c"
            return [FieldError("/jwks", "jwks", said)]
    return []


def _assertion_keys(client: Client) -> list[FieldError]:
    if client.jwks_uri:
        return []
    keys = _signature_keys(client)
    if not keys:
        return [FieldError("/jwks", "jwks", "what the client signs needs a public signature key")]
    try:
        for jwk in keys:
            verification_key(jwk, rules_of(client).algorithms)
    except MalformedJwk as problem:
        return [FieldError("/jwks", "jwks", problem.detail)]
    return []


def _signature_keys(client: Client) -> list[dict[str, Any]]:
    return [jwk for jwk in (client.jwks or {}).get("keys", []) if jwk.get("use") != "enc"]


def _subject_name(client: Client) -> list[FieldError]:
    """RFC 8705 §2.1.2: exactly one name that the certificate must carry."""
    if sum(bool(getattr(client, name)) for name in SUBJECT_NAMES) == 1:
        return []
    said = f"tls_client_auth needs exactly one of {', '.join(SUBJECT_NAMES)}"
    return [FieldError(f"/{SUBJECT_NAMES[0]}", "subject_name", said)]


def _addresses(client: Client) -> list[FieldError]:
    fields = ("jwks_uri", "sector_identifier_uri", "backchannel_logout_uri", "logo_uri")
    problems = [
        FieldError(f"/{field}", "uri", problem)
        for field in fields
        if (problem := _address_problem(getattr(client, field))) is not None
    ]
    if client.jwks_uri and client.jwks is not None:
        problems.append(FieldError("/jwks_uri", "jwks", "jwks and jwks_uri exclude each other"))
    problems += link_problems(client)
    problems += _front_channel(client)
    readable = [uri for uri in client.redirect_uris if redirect_uri_problem(uri) is None]
    hosts = {urlsplit(uri).hostname or uri for uri in readable}
    if client.subject_type == "pairwise" and len(hosts) > 1 and not client.sector_identifier_uri:
        said = "redirect URIs on several hosts need a sector_identifier_uri"
        problems.append(FieldError("/sector_identifier_uri", "uri", said))
    return problems


def _front_channel(client: Client) -> list[FieldError]:
    """Front-Channel Logout §2: a page of the same origin as one that receives people."""
    uri = client.frontchannel_logout_uri
    if not uri:
        return []
    problem = redirect_uri_problem(uri)
    if problem is None and (not origin_of(uri) or origin_of(uri) not in _origins(client)):
        problem = "must have the scheme, host and port of a redirect URI"
    return [FieldError("/frontchannel_logout_uri", "uri", problem)] if problem else []


def _origins(client: Client) -> set[str]:
    return {origin_of(uri) for uri in client.redirect_uris}


def _address_problem(uri: str) -> str | None:
    """Why we would never send a request to `uri`; "" is no address at all."""
    if not uri:
        return None
    try:
        scheme, host, _, _ = parse_url(uri)
    except OutboundRefused as problem:
        return problem.detail
    local = host in ("localhost", "127.0.0.1", "::1")
    return "http to another machine; use https" if scheme == "http" and not local else None


def _signed_requests(client: Client) -> list[FieldError]:
    if not client.require_signed_requests or client.jwks_uri:
        return []
    names = [jwk.get("kid") or "" for jwk in _signature_keys(client)]
    if not all(names) or len(set(names)) != len(names):
        said = "signed requests need keys, each with a kid of its own"
        return [FieldError("/jwks", "jwks", said)]
    return _assertion_keys(client)


def _reach(client: Client) -> list[FieldError]:
    problems = [
        FieldError("/scopes", "scope", f"{each[:40]!r} is not a scope")
        for each in client.scopes
        if not SCOPE.match(each) or " " in each
    ]
    problems += [
        FieldError("/claims", "claim", f"{each[:40]} is not a claim of this provider")
        for each in client.claims
        if each not in CLAIMS
    ]
    problems += [
        FieldError("/claims", "claim", f"the scopes release {each}, which is not in claims")
        for each in claims_of(client.scopes)
        if each not in client.claims
    ]
    problems += [
        FieldError("/claims", "claim", f"{each} goes with {asked_as(each)}, which is not in claims")
        for each in client.claims
        if each in CLAIMS and asked_as(each) not in client.claims
    ]
    if client.default_max_age is not None and not 0 <= client.default_max_age <= LONGEST_AGE:
        said = f"default_max_age is a number of seconds, 0 to {LONGEST_AGE}"
        problems.append(FieldError("/default_max_age", "max_age", said))
    return problems


def _confidentiality(client: Client) -> list[FieldError]:
    problems = []
    if client.userinfo_encrypted_response_alg and not client.userinfo_signed_response_alg:
        field = "userinfo_encrypted_response_alg"
        problems.append(FieldError(f"/{field}", "algorithm", "encrypted userinfo is signed first"))
    for kind in encryption.KINDS:
        algorithm = getattr(client, f"{kind}_encrypted_response_alg")
        field = f"/{kind}_encrypted_response_alg"
        if algorithm and algorithm not in encryption.KEY_ALGORITHMS:
            known = ", ".join(encryption.KEY_ALGORITHMS)
            problems.append(FieldError(field, "algorithm", f"must be one of {known}"))
    return problems + ([] if client.jwks_uri else lacking_keys(client, client.jwks))


def lacking_keys(client: Client, jwks: Mapping[str, Any] | None) -> list[FieldError]:
    """For what the client wants encrypted, the key that `jwks` does not have."""
    return [
        FieldError("/jwks", "jwks", f"{algorithm} needs a key with use=enc")
        for kind in encryption.KINDS
        if (algorithm := encryption.wanted(client, kind))
        and encryption.encryption_jwk(jwks, algorithm) is None
    ]
