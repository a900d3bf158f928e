"""Does an authorization request obey? One pure function, one page, one numbered step a rule.

No database, no HTTP, no clock. What happens next with a request that obeys is `rules.decide`.

Invariants
- An unknown client or redirect URI never redirects (RFC 6749 §4.1.2.1).
- Redirect URIs are compared as strings, byte for byte (RFC 9700 §4.1.3); a native app at a loopback
  address chooses the port (RFC 8252 §7.3).
- Only `response_type=code`, only PKCE S256 (RFC 9700 §2.1.1); no implicit, no plain.
- A request beyond the client's registered scopes and claims is refused, not trimmed; scopes and
  claims that nobody here knows are ignored.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from idp.authorize import claims_request
from idp.authorize.rules import RequestRefused
from idp.models import Client
from idp.protocol import resources, scopes
from idp.protocol.authorizations import AuthorizationRequest
from idp.protocol.errors import AuthorizationError, InvalidScope
from idp.protocol.profiles import must_push, rules_of
from idp.protocol.syntax import CODE_CHALLENGE, error_parameters, is_registered

PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
LONGEST_PARAMETER: Final = 4096


def check_authorization(
    params: Mapping[str, str],
    client: Client | None,
    *,
    issuer: str,
    now: datetime,
    pushed: bool = False,
    signed: bool = False,
    hint: Mapping[str, Any] | None = None,
) -> AuthorizationRequest | RequestRefused:
    """Does this authorization request obey the standards and the client's registration?

    `params` are single-valued (the caller refused duplicates, RFC 6749 §3.1); an empty value counts
    as absent. What is not named below is ignored (RFC 6749 §3.1). `pushed` and `signed` say how
    they came; `hint` are the claims of id_token_hint when it is one of ours.

     1. The client is registered and enabled; otherwise no redirect.  RFC 6749 §4.1.2.1
     2. redirect_uri is exactly one of the client's.                  RFC 9700 §4.1.3, RFC 8252 §7.3
     3. Pushed or signed, where the client must; nothing left to open. RFC 9126 §6, RFC 9101 §10.5
     4. The client may use this flow, and response_type is "code".    RFC 6749 §3.1.1
     5. response_mode is one that the client's profile has.           OAuth Multiple Responses §2.1,
                                                                      JARM §2.3
     6. code_challenge is there, method S256; or, for a client registered to rely on it, a nonce.
        The profile `basic` needs neither; what it sends counts.      RFC 7636 §4.3, RFC 9700 §2.1.1
     7. Scopes that are known are within the registration.            OIDC Core §3.1.2.1: `scopes`
     8. Claims and hints about the person are within the registration.  OIDC Core §5.5
     9. The resource is one the client is registered for.             RFC 8707 §2.1
    10. prompt, max_age and the hints make sense.                     OIDC Core §3.1.2.1
    11. dpop_jkt has the form of a thumbprint.                        RFC 9449 §10
    """
    given = {name: value for name, value in params.items() if value != ""}

    # 1, 2: until both hold, nobody is redirected anywhere.
    if client is None:
        return RequestRefused("invalid_client", "client_id is not a client registered here")
    redirect_uri = given.get("redirect_uri", "")
    if not is_registered(redirect_uri, client):
        return RequestRefused(
            "invalid_request",
            "redirect_uri is not one of those the client registered, compared exactly",
            client_uri=client.way_back,
        )

    try:
        _refuse_oversized(given)
        _check_way(given, client, pushed=pushed, signed=signed)  # 3
        _check_flow(given, client)  # 4
        response_mode = _response_mode(given, client)  # 5
        code_challenge = _code_challenge(given, client)  # 6
        asked = _scopes(given, client)  # 7
        requested = claims_request.read(given, client, asked, hint)  # 8
        return AuthorizationRequest(
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            scopes=asked,
            created_at=now,
            code_challenge=code_challenge,
            response_mode=response_mode,
            state=given.get("state"),
            nonce=given.get("nonce"),
            resources=_resources(given, client),  # 9
            userinfo_claims=requested.userinfo,
            id_token_claims=requested.id_token,
            prompt=_prompt(given),  # 10
            max_age=_max_age(given, client),
            acr_values=requested.acr_values,
            essential_acr=requested.essential_acr,
            subject=requested.subject,
            login_hint=given.get("login_hint", ""),
            ui_locales=tuple(given.get("ui_locales", "").split()),
            dpop_jkt=_dpop_jkt(given),  # 11
        )
    except AuthorizationError as refusal:
        return RequestRefused(
            refusal.error,
            refusal.detail,
            redirect_uri,
            error_parameters(
                refusal.error, refusal.detail, state=given.get("state"), issuer=issuer
            ),
            _answerable(given, client),
            client_uri=client.way_back,
            client=client,
        )


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
    mode = _answerable(given, client)
    if given.get("response_mode", "query") != mode:
        allowed = " or ".join(rules_of(client).response_modes)
        raise AuthorizationError(
            "invalid_request", f"response_mode must be {allowed}, and a form needs an http address"
        )
    return mode


def _answerable(given: Mapping[str, str], client: Client) -> str:
    """How the client can be answered: as it asks, if its profile has that and its redirect URI can
    take it; a form cannot be posted to an app's own scheme. A refusal goes the same way, signed
    where that was asked."""
    mode = given.get("response_mode", "query")
    posts = given["redirect_uri"].startswith(("https:", "http:"))
    if mode.startswith("form_post") and not posts:
        mode = "query" + mode.removeprefix("form_post")
    return mode if mode in rules_of(client).response_modes else "query"


def _code_challenge(given: Mapping[str, str], client: Client) -> str:
    challenge = given.get("code_challenge")
    if challenge is None and "code_challenge_method" not in given and _may_omit(given, client):
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


def _may_omit(given: Mapping[str, str], client: Client) -> bool:
    """The profile asks for none; or the nonce is there in its place, for a client registered so
    (RFC 9700 §2.1.1)."""
    return rules_of(client).may_omit_pkce or (
        client.relies_on_nonce and "nonce" in given and "openid" in given.get("scope", "").split()
    )


def _scopes(given: Mapping[str, str], client: Client) -> tuple[str, ...]:
    try:
        return scopes.about_a_person(given.get("scope", ""), client)
    except InvalidScope as refusal:
        raise AuthorizationError(refusal.error, refusal.detail) from None


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


def _max_age(given: Mapping[str, str], client: Client) -> int | None:
    """The request's word counts before the registration's (OIDC Registration §2)."""
    text = given.get("max_age")
    if text is None:
        return client.default_max_age
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise AuthorizationError("invalid_request", "max_age is not a number of seconds")
    return int(text)
