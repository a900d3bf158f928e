"""The authorization endpoint as pure decisions: plain values in, a decision out.

No database, no HTTP, no clock. Two questions are answered here:

- `check_authorization`: does this request obey the standards and its client's registration?
- `decide`: given who is signed in and what they agreed to, what happens next?

Invariants
- An unknown client or redirect URI never redirects (RFC 6749 §4.1.2.1).
- Redirect URIs are compared as strings, byte for byte (RFC 9700 §4.1.3).
- Only `response_type=code`, only PKCE S256 (RFC 9700 §2.1.1); no implicit, no plain.
- A request beyond the client's registered scopes and claims is refused, not trimmed.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from idp import resources, wishes
from idp.claims import CLAIMS, claims_of
from idp.errors import AuthorizationError
from idp.models import Authorization, AuthorizationRequest, Client, Session
from idp.profiles import must_push, rules_of

CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}\Z")  # BASE64URL(SHA256(…)), RFC 7636 §4.2
CODE_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z")  # RFC 7636 §4.1
SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*\Z")  # RFC 6749 A.4
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
LONGEST_PARAMETER = 4096

ACR_PASSWORD = "urn:yinzheng:acr:1"  # noqa: S105 - one factor
ACR_TWO_FACTORS = "urn:yinzheng:acr:2"
_ACR_ORDER = ("", ACR_PASSWORD, ACR_TWO_FACTORS)


@dataclass(frozen=True, slots=True)
class Login:
    """The person must sign in (again) at this interaction."""

    interaction_id: str


@dataclass(frozen=True, slots=True)
class Consent:
    """The person must agree, or not, to what the client asks."""

    interaction_id: str


@dataclass(frozen=True, slots=True)
class Granted:
    """Send the browser to `redirect_uri` with `parameters` (code, state, iss)."""

    redirect_uri: str
    parameters: tuple[tuple[str, str], ...]
    response_mode: str = "query"

    @property
    def redirect_to(self) -> str:
        return with_query(self.redirect_uri, self.parameters)


@dataclass(frozen=True, slots=True)
class Refused:
    """No. With `redirect_uri` the client is told; without, only the person, on a page of ours."""

    error: str
    description: str
    redirect_uri: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    response_mode: str = "query"
    client_uri: str = ""

    @property
    def redirect_to(self) -> str | None:
        if self.redirect_uri is None:
            return None
        return with_query(self.redirect_uri, self.parameters)


def check_authorization(
    params: Mapping[str, str],
    client: Client | None,
    *,
    issuer: str,
    now: datetime,
    pushed: bool = False,
    signed: bool = False,
    hint: Mapping[str, Any] | None = None,
) -> AuthorizationRequest | Refused:
    """Does this authorization request obey the standards and the client's registration?

    `params` are single-valued (the caller refused duplicates, RFC 6749 §3.1); an empty value counts
    as absent. What is not named below is ignored (RFC 6749 §3.1). `pushed` and `signed` say how
    they came; `hint` are the claims of id_token_hint when it is one of ours.

     1. The client is registered and enabled; otherwise no redirect.  RFC 6749 §4.1.2.1
     2. redirect_uri is exactly one of the client's.                  RFC 9700 §4.1.3
     3. Pushed or signed, where the client must; nothing left to open. RFC 9126 §6, RFC 9101 §10.5
     4. The client may use this flow, and response_type is "code".    RFC 6749 §3.1.1
     5. response_mode is one that the client's profile has.           OAuth Multiple Responses §2.1
     6. code_challenge is there, method S256; or, for a client registered to rely on it, a nonce.
                                                                      RFC 7636 §4.3, RFC 9700 §2.1.1
     7. Scopes are within the registration.                           RFC 6749 §3.3
     8. Claims and hints about the person are within the registration.  OIDC Core §5.5: `wishes`
     9. The resource is one the client is registered for.             RFC 8707 §2.1
    10. prompt, max_age and the hints make sense.                     OIDC Core §3.1.2.1
    11. dpop_jkt has the form of a thumbprint.                        RFC 9449 §10
    """
    given = {name: value for name, value in params.items() if value != ""}

    # 1, 2: until both hold, nobody is redirected anywhere.
    if client is None:
        return Refused("invalid_client", "client_id is not a client registered here")
    redirect_uri = given.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        return Refused(
            "invalid_request",
            "redirect_uri is not one of those the client registered, compared exactly",
            client_uri=client.client_uri,
        )

    try:
        _refuse_oversized(given)
        _check_way(given, client, pushed=pushed, signed=signed)  # 3
        _check_flow(given, client)  # 4
        response_mode = _response_mode(given, client)  # 5
        code_challenge = _code_challenge(given, client)  # 6
        scopes = _scopes(given, client)  # 7
        wished = wishes.read(given, client, scopes, hint)  # 8
        return AuthorizationRequest(
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            scopes=scopes,
            created_at=now,
            code_challenge=code_challenge,
            response_mode=response_mode,
            state=given.get("state"),
            nonce=given.get("nonce"),
            resources=_resources(given, client),  # 9
            userinfo_claims=wished.userinfo,
            id_token_claims=wished.id_token,
            prompt=_prompt(given),  # 10
            max_age=_max_age(given),
            acr_values=wished.acr_values,
            essential_acr=wished.essential_acr,
            subject=wished.subject,
            login_hint=given.get("login_hint", ""),
            ui_locales=tuple(given.get("ui_locales", "").split()),
            dpop_jkt=_dpop_jkt(given),  # 11
        )
    except AuthorizationError as refusal:
        mode = given.get("response_mode", "")
        return Refused(
            refusal.error,
            refusal.detail,
            redirect_uri,
            error_parameters(
                refusal.error, refusal.detail, state=given.get("state"), issuer=issuer
            ),
            mode if mode in rules_of(client).response_modes else "query",
            client_uri=client.client_uri,
        )


def decide(
    request: AuthorizationRequest,
    client: Client,
    session: Session | None,
    answered: Collection[str] | None,
    *,
    subject: str,
    interaction_id: str,
    issuer: str,
    now: datetime,
) -> Login | Consent | Refused | None:
    """What stands between a checked request and its code? None means: nothing, grant it.

    `answered` are the scopes and claims this person was asked about before (None: never);
    `subject` is what the client calls them.

     1. Nobody is signed in, or not recently or not well enough, or somebody else: sign in.
        prompt=login, select_account      OIDC Core §3.1.2.1
        max_age                           OIDC Core §3.1.2.1
        acr_values                        OIDC Core §3.1.2.1, RFC 9470 §4
        id_token_hint, claims.sub         OIDC Core §3.1.2.1, §5.5.1
     2. They just did, and still it is somebody else or not well enough: the client hears why.
                                          OIDC Core §5.5.1.1, Unmet Authentication Requirements
     3. More is asked than was answered, or prompt=consent: ask.
     4. prompt=none turns 1 and 3 into an error.                       OIDC Core §3.1.2.6
    """
    silent = "none" in request.prompt
    # 1., 2.
    fresh = session is not None and session.authenticated_at > request.created_at
    unmet = session and _unmet(request, session, subject)
    if session is None or (not fresh and (unmet or _must_sign_in_again(request, session, now))):
        if silent:
            return _refused(request, client, "login_required", "nobody is signed in", issuer)
        return Login(interaction_id)
    if unmet:
        return _refused(request, client, *unmet, issuer)
    # 3.
    if _must_consent(request, client, answered):
        if silent:
            return _refused(
                request, client, "consent_required", "the person has not agreed to this", issuer
            )
        return Consent(interaction_id)
    return None


def used_before(request: AuthorizationRequest, client: Client, issuer: str) -> Refused:
    """A pushed request whose one authorization was given to somebody else (RFC 9126 §7.3)."""
    said = "this request_uri was used before"
    return _refused(request, client, "invalid_request_uri", said, issuer)


def denied(request: AuthorizationRequest, client: Client, issuer: str) -> Refused:
    """The person said no (RFC 6749 §4.1.2.1)."""
    return _refused(request, client, "access_denied", "the person did not agree", issuer)


@dataclass(frozen=True, slots=True)
class Logout:
    """A checked logout request. `at_once`: the hint proves that the asker knows this session."""

    redirect_to: str | None
    at_once: bool


def check_logout(
    params: Mapping[str, str],
    hint: Mapping[str, Any] | None,
    client: Client | None,
    session: Session | None,
) -> Logout | Refused:
    """May the browser be signed out, and where may it go then? (OIDC RP-Initiated Logout §2, §3)

    `hint` are the claims of id_token_hint when it is ours; `client` is the one that the hint or
    client_id names.

    1. A hint that was given must be one of ours.
    2. client_id, when given, is the client the hint was made for.
    3. post_logout_redirect_uri is exactly one that the client registered; else no redirect.
    4. Only a hint about the session of this browser spares the question "sign out?" (CSRF).
    """
    given = {name: value for name, value in params.items() if value != ""}
    if "id_token_hint" in given and hint is None:
        return Refused("invalid_request", "id_token_hint is not an ID token of this provider")
    if hint is not None and given.get("client_id", hint.get("aud")) != hint.get("aud"):
        return Refused("invalid_request", "client_id is not the client of id_token_hint")
    target = given.get("post_logout_redirect_uri")
    if target is not None and (client is None or target not in client.post_logout_redirect_uris):
        return Refused(
            "invalid_request",
            "post_logout_redirect_uri is not one that the client registered",
            client_uri=client.client_uri if client else "",
        )
    if target is not None and "state" in given:
        target = with_query(target, (("state", given["state"]),))
    known = hint is not None and session is not None and hint.get("sid") == session.sid
    return Logout(target, at_once=session is None or known)


def asked_claims(request: AuthorizationRequest) -> tuple[str, ...]:
    """Every claim the request would release, through scopes or by name, in catalogue order."""
    wanted = {*claims_of(request.scopes), *request.userinfo_claims, *request.id_token_claims}
    return tuple(name for name in CLAIMS if name in wanted)


def asked(request: AuthorizationRequest) -> tuple[str, ...]:
    """Everything a person is asked about: scopes and claims."""
    return (*request.scopes, *asked_claims(request))


def authorization_of(
    request: AuthorizationRequest, session: Session, allowed: Collection[str]
) -> Authorization:
    """What becomes of a request that `session`'s person granted; `allowed` are the claims."""
    through_scopes = claims_of(request.scopes)
    userinfo = {*through_scopes, *request.userinfo_claims} & set(allowed)
    id_token = set(request.id_token_claims) & set(allowed)
    return Authorization(
        person_id=session.person.id,
        subject=session.person.subject,
        sid=session.sid,
        scopes=request.scopes,
        auth_time=int(session.authenticated_at.timestamp()),
        acr=session.acr,
        amr=session.amr,
        resources=request.resources,
        userinfo_claims=tuple(name for name in CLAIMS if name in userinfo),
        id_token_claims=tuple(name for name in CLAIMS if name in id_token),
        nonce=request.nonce,
        jkt=request.dpop_jkt,
    )


def essential_claims(request: AuthorizationRequest) -> frozenset[str]:
    """Claims marked essential (OIDC Core §5.5.1)."""
    both = (*request.userinfo_claims.items(), *request.id_token_claims.items())
    return frozenset(name for name, wish in both if wish and wish.get("essential") is True)


def acr_of(amr: Collection[str]) -> str:
    """The authentication context reached, never the one asked for (RFC 8176 method names)."""
    factors = {"pwd": "knowledge", "otp": "possession", "hwk": "possession", "user": "knowledge"}
    kinds = {factors[method] for method in amr if method in factors}
    return ACR_TWO_FACTORS if len(kinds) > 1 else ACR_PASSWORD


def acr_satisfies(reached: str, wanted: Collection[str]) -> bool:
    """Whether `reached` is at least one of `wanted`; values that are not ours are only wishes."""
    ours = [value for value in wanted if value in _ACR_ORDER]
    return not ours or _ACR_ORDER.index(reached) >= min(map(_ACR_ORDER.index, ours))


def acr_reaches(reached: str, required: Collection[str]) -> bool:
    """Whether `reached` is at least one of `required`; a value that is not ours is never reached
    (OIDC Core §5.5.1.1)."""
    ours = [value for value in required if value in _ACR_ORDER]
    return bool(ours) and acr_satisfies(reached, ours)


def with_query(uri: str, parameters: tuple[tuple[str, str], ...]) -> str:
    """Append `parameters` to the query of `uri`, keeping what is there (RFC 6749 §3.1.2)."""
    separator = "&" if urlsplit(uri).query else "?"
    return f"{uri}{separator}{urlencode(parameters)}"


def error_parameters(
    error: str, description: str, *, state: str | None, issuer: str
) -> tuple[tuple[str, str], ...]:
    """An error response with `state` and `iss` (RFC 6749 §4.1.2.1, RFC 9207 §2)."""
    pairs = (("error", error), ("error_description", description), ("state", state))
    return (*((name, value) for name, value in pairs if value is not None), ("iss", issuer))


def redirect_uri_problem(uri: str) -> str | None:
    """Why `uri` cannot be registered as a redirect URI, or None (RFC 6749 §3.1.2, RFC 8252 §7).

    https anywhere; http only to this very machine; a private-use scheme must contain a dot.
    """
    if not uri.isascii() or any(c <= " " or c in '\\"<>^`{|}' for c in uri):
        return "has characters that a URI cannot have"
    parts = urlsplit(uri)
    if "#" in uri:
        return "has a fragment"
    if "@" in parts.netloc:
        return "has user information"
    if "*" in uri:
        return "has a wildcard; redirect URIs are compared exactly"
    if parts.scheme == "https":
        return None if parts.hostname else "has no host"
    if parts.scheme == "http":
        local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        return None if local else "is http to another machine; use https"
    if "." in parts.scheme and not parts.netloc:
        return None
    return "needs https, or a private-use scheme named like com.example.app"


# --- the steps of check_authorization -----------------------------------------------------------


def _refuse_oversized(given: Mapping[str, str]) -> None:
    for name, value in given.items():
        if len(value) > LONGEST_PARAMETER:
            raise AuthorizationError("invalid_request", f"{name[:40]} is longer than 4096")


def _check_way(given: Mapping[str, str], client: Client, *, pushed: bool, signed: bool) -> None:
    if not pushed and must_push(client):
        raise AuthorizationError(
            "invalid_request", "this client must push its requests to /oauth/par (RFC 9126)"
        )
    if not signed and client.require_signed_request_object:
        raise AuthorizationError("invalid_request", "this client must sign its requests (RFC 9101)")
    for name in ("request", "request_uri", "registration"):
        if name in given:
            raise AuthorizationError(f"{name}_not_supported", f"{name} is not supported here")


def _check_flow(given: Mapping[str, str], client: Client) -> None:
    response_type = given.get("response_type")
    if response_type is None:
        raise AuthorizationError("invalid_request", "response_type is missing")
    if response_type != "code":
        raise AuthorizationError("unsupported_response_type", "response_type must be code")
    if "authorization_code" not in client.grant_types:
        raise AuthorizationError(
            "unauthorized_client", "the client is not registered for authorization_code"
        )


def _response_mode(given: Mapping[str, str], client: Client) -> str:
    mode = given.get("response_mode", "query")
    allowed = rules_of(client).response_modes
    if mode not in allowed:
        raise AuthorizationError("invalid_request", f"response_mode must be {' or '.join(allowed)}")
    return mode


def _code_challenge(given: Mapping[str, str], client: Client) -> str:
    challenge = given.get("code_challenge")
    if challenge is None and "code_challenge_method" not in given and _relies_on(given, client):
        return ""
    if challenge is None:
        raise AuthorizationError("invalid_request", "code_challenge is missing (PKCE)")
    if given.get("code_challenge_method") != "S256":
        raise AuthorizationError("invalid_request", "code_challenge_method must be S256")
    if not CODE_CHALLENGE.match(challenge):
        raise AuthorizationError(
            "invalid_request", "code_challenge must be 43 base64url characters"
        )
    return challenge


def _relies_on(given: Mapping[str, str], client: Client) -> bool:
    """The nonce in place of PKCE: for a client registered so, and then it must be there
    (RFC 9700 §2.1.1)."""
    return (
        client.relies_on_nonce and "nonce" in given and "openid" in given.get("scope", "").split()
    )


def _scopes(given: Mapping[str, str], client: Client) -> tuple[str, ...]:
    text = given.get("scope")
    if text is None:
        raise AuthorizationError("invalid_scope", "scope is missing")
    if not SCOPE.match(text):
        raise AuthorizationError("invalid_scope", "scope is not a space-separated list")
    scopes = tuple(dict.fromkeys(text.split(" ")))
    beyond = [scope for scope in scopes if scope not in client.scopes]
    if beyond:
        raise AuthorizationError(
            "invalid_scope", f"the client is not registered for the scope {beyond[0]}"
        )
    wishes.refuse_beyond_purpose(claims_of(scopes), client)
    return scopes


def _resources(given: Mapping[str, str], client: Client) -> tuple[str, ...]:
    asked = resources.asked(given)
    if not resources.registered(asked, client):
        raise AuthorizationError("invalid_target", "the client is not registered for this resource")
    return asked


def _prompt(given: Mapping[str, str]) -> tuple[str, ...]:
    prompt = tuple(given.get("prompt", "").split())
    for value in prompt:
        if value not in PROMPTS:
            raise AuthorizationError("invalid_request", "prompt has a value that does not exist")
    if "none" in prompt and len(prompt) > 1:
        raise AuthorizationError("invalid_request", "prompt=none stands alone")
    return prompt


def _dpop_jkt(given: Mapping[str, str]) -> str:
    jkt = given.get("dpop_jkt", "")
    if jkt and not CODE_CHALLENGE.match(jkt):  # a SHA-256 in base64url, as a challenge is
        raise AuthorizationError("invalid_request", "dpop_jkt must be 43 base64url characters")
    return jkt


def _max_age(given: Mapping[str, str]) -> int | None:
    text = given.get("max_age")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise AuthorizationError("invalid_request", "max_age is not a number of seconds")
    return int(text)


# --- the steps of decide ------------------------------------------------------------------------


def _unmet(request: AuthorizationRequest, session: Session, subject: str) -> tuple[str, str] | None:
    """What the client insists on and this session does not give: error and description."""
    if request.subject not in ("", subject):
        return "login_required", "another person is signed in than the one that was asked for"
    if request.essential_acr and not acr_reaches(session.acr, request.essential_acr):
        said = "the person did not authenticate as strongly as was asked"
        return "unmet_authentication_requirements", said
    return None


def _must_sign_in_again(request: AuthorizationRequest, session: Session, now: datetime) -> bool:
    """Whether a session from before the request is not what the request wants."""
    if {"login", "select_account"} & set(request.prompt) or request.max_age == 0:
        return True
    max_age = request.max_age
    if max_age is not None and session.authenticated_at < now - timedelta(seconds=max_age):
        return True
    return not acr_satisfies(session.acr, request.acr_values)


def _must_consent(
    request: AuthorizationRequest, client: Client, answered: Collection[str] | None
) -> bool:
    if "consent" in request.prompt:
        return True
    if client.first_party:
        return False
    return answered is None or not set(asked(request)) <= set(answered)


def _refused(
    request: AuthorizationRequest, client: Client, error: str, description: str, issuer: str
) -> Refused:
    return Refused(
        error,
        description,
        request.redirect_uri,
        error_parameters(error, description, state=request.state, issuer=issuer),
        request.response_mode,
        client_uri=client.client_uri,
    )
