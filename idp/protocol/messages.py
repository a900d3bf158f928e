"""What the OAuth endpoints take and answer, member by member, with what each means.

The API description is derived from these types (`idp/web/openapi.py`), and a test compares them
with what the endpoints read. Everything arrives as text (RFC 6749 appendix B), and what is needed
of whom is decided where it is read: so a form is told here, and not checked.
"""

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta, Struct

from foundation.schemas import described, needed


def _means(description: str) -> Meta:
    return Meta(description=description)


_ClientId = Annotated[str, _means("as registered; or in the Authorization header")]
_Scope = Annotated[str, _means("names with spaces between (RFC 6749 §3.3)")]
_Resource = Annotated[
    str, _means("the API that the token is for (RFC 8707); may come more than once")
]
_State = Annotated[str, _means("comes back as it was sent (RFC 6749 §4.1.1)")]
_Locales = Annotated[str, _means("languages of the pages, the best first (OIDC Core §3.1.2.1)")]
_Seconds = Annotated[int, _means("seconds until it is over")]
_Url = Annotated[str, described(format="uri")]


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────


class ClientForm(Struct):
    """Who asks, where the Authorization header or the connection's certificate does not say it."""

    client_id: _ClientId = ""
    client_secret: Annotated[str, _means("of a client_secret_post client (RFC 6749 §2.3.1)")] = ""
    client_assertion: Annotated[str, _means("a JWT signed by the client (RFC 7523 §2.2)")] = ""
    client_assertion_type: Annotated[
        str, _means("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    ] = ""


class AuthorizationParameters(Struct):
    """An authorization request (RFC 6749 §4.1.1, OIDC Core §3.1.2.1), plain or signed."""

    redirect_uri: Annotated[str, _means("exactly one that is registered")] = ""
    response_type: Annotated[str, _means("code")] = ""
    response_mode: Annotated[
        str, _means("query or form_post, or as a signed JWT (JARM): jwt, query.jwt, form_post.jwt")
    ] = ""
    scope: _Scope = ""
    state: _State = ""
    nonce: Annotated[str, _means("comes back in the ID token")] = ""
    code_challenge: Annotated[str, _means("SHA-256 of the verifier, base64url (RFC 7636)")] = ""
    code_challenge_method: Annotated[str, _means("S256")] = ""
    prompt: Annotated[str, _means("none, or login, consent, select_account")] = ""
    max_age: Annotated[str, _means("seconds since the person signed in, at most")] = ""
    acr_values: Annotated[str, _means("levels of the sign-in, the best first")] = ""
    claims: Annotated[str, _means("single claims, as JSON (OIDC Core §5.5)")] = ""
    login_hint: Annotated[str, _means("a user name to begin with")] = ""
    id_token_hint: Annotated[str, _means("an ID token of the person that is expected")] = ""
    ui_locales: _Locales = ""
    resource: _Resource = ""
    dpop_jkt: Annotated[str, _means("thumbprint of the key of proofs (RFC 9449 §10)")] = ""
    request: Annotated[str, _means("the whole request as a signed JWT (RFC 9101)")] = ""


class AuthorizationReference(Struct):
    """What stands in the address when the rest was pushed or is signed."""

    client_id: Annotated[str, _means("as registered")] = ""
    request_uri: Annotated[str, _means("the reference that a push was answered by (RFC 9126)")] = ""


class LogoutParameters(Struct):
    """A sign-out by a service (OIDC RP-Initiated Logout §2)."""

    id_token_hint: Annotated[str, _means("an ID token of the session that ends")] = ""
    client_id: Annotated[str, _means("as registered; the audience of the hint, if both come")] = ""
    post_logout_redirect_uri: Annotated[str, _means("exactly one that is registered")] = ""
    state: _State = ""
    ui_locales: _Locales = ""


class GrantForm(Struct):
    """What every token request says."""

    grant_type: Annotated[str, needed("which of the grant types")] = ""


class GrantParameters(Struct):
    """What some grant types take; which, their rows say (`idp/token/grants`)."""

    code: Annotated[str, _means("from the authorization endpoint; counts once, for a minute")] = ""
    redirect_uri: Annotated[str, _means("the one of the authorization request")] = ""
    code_verifier: Annotated[str, _means("what code_challenge is the hash of (RFC 7636)")] = ""
    refresh_token: Annotated[str, _means("the last one given out; counts once")] = ""
    device_code: Annotated[str, _means("from the device authorization endpoint")] = ""
    subject_token: Annotated[str, _means("an access token meant for the client (RFC 8693)")] = ""
    subject_token_type: Annotated[str, _means("urn:ietf:params:oauth:token-type:access_token")] = ""
    requested_token_type: Annotated[str, _means("the same, or nothing")] = ""
    actor_token: Annotated[str, _means("refused: the client itself is the actor")] = ""
    actor_token_type: Annotated[str, _means("refused, as the actor_token")] = ""
    audience: Annotated[str, _means("refused: a target is named by resource")] = ""
    scope: _Scope = ""
    resource: _Resource = ""


class TokenForm(Struct):
    """A question about a token, or one that is given back (RFC 7662 §2.1, RFC 7009 §2.1)."""

    token: Annotated[str, needed("an access or refresh token")] = ""
    token_type_hint: Annotated[str, _means("changes nothing: the token's own form decides")] = ""


class DeviceForm(Struct):
    """A device that asks for its person (RFC 8628 §3.1)."""

    scope: _Scope = ""
    resource: _Resource = ""


class UserinfoForm(Struct):
    """An access token in a form (RFC 6750 §2.2)."""

    access_token: Annotated[str, _means("where there is no Authorization header")] = ""


# ── what is answered ─────────────────────────────────────────────────────────────────────────────


class TokenResponse(TypedDict):
    """Tokens (RFC 6749 §5.1, OIDC Core §3.1.3.3)."""

    access_token: Annotated[str, _means("a JWT (RFC 9068)")]
    token_type: Annotated[str, described(enum=["Bearer", "DPoP"])]
    expires_in: _Seconds
    scope: _Scope
    refresh_token: NotRequired[Annotated[str, _means("where the client is registered for it")]]
    id_token: NotRequired[Annotated[str, _means("with the scope openid; a JWT, or a JWE")]]
    issued_token_type: NotRequired[
        Annotated[str, _means("of what was exchanged (RFC 8693 §2.2.1)")]
    ]


class PushResponse(TypedDict):
    """A reference to a pushed request (RFC 9126 §2.2)."""

    request_uri: Annotated[str, _means("for the authorization endpoint, with client_id")]
    expires_in: _Seconds


class DeviceResponse(TypedDict):
    """What a device shows, and asks again with (RFC 8628 §3.2)."""

    device_code: str
    user_code: Annotated[str, _means("what the person types")]
    verification_uri: _Url
    verification_uri_complete: _Url
    expires_in: _Seconds
    interval: Annotated[int, _means("seconds between two questions, at least")]


class IntrospectionResponse(TypedDict):
    """Whether a token counts (RFC 7662 §2.2); nothing else is said of one that does not."""

    active: bool
    token_type: NotRequired[Annotated[str, described(enum=["Bearer", "DPoP"])]]
    iss: NotRequired[str]
    sub: NotRequired[Annotated[str, _means("the person, or the client itself")]]
    aud: NotRequired[str | list[str]]
    client_id: NotRequired[str]
    scope: NotRequired[str]
    iat: NotRequired[int]
    exp: NotRequired[int]
    jti: NotRequired[str]
    auth_time: NotRequired[int]
    acr: NotRequired[str]
    amr: NotRequired[list[str]]
    cnf: NotRequired[Annotated[dict[str, str], _means("what it is bound to (RFC 7800)")]]
    act: NotRequired[Annotated[dict[str, Any], _means("who acts for the subject (RFC 8693)")]]
    may_act: NotRequired[Annotated[dict[str, Any], _means("who may (RFC 8693)")]]


class UserinfoResponse(TypedDict):
    """The person, and the claims that they allow (OIDC Core §5.3.2)."""

    sub: Annotated[str, _means("the same as in the ID token")]


class ErrorResponse(TypedDict):
    """A refusal (RFC 6749 §5.2)."""

    error: str
    error_description: Annotated[str, _means("the rule that was broken, in words")]
