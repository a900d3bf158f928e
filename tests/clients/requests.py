"""The requests of the differential test: good ones and bad ones, each with a name.

A request is built for a side, because codes, secrets and addresses differ; what is asked does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt

from tests.clients.conftest import REDIRECT_URI
from tests.clients.sides import DEVICE, LOGGED_OUT_URI, SCOPE, Side

Pairs = list[tuple[str, str]]
GONE = object()  # a parameter that is left out


@dataclass
class Ask:
    """What is sent. `where` is a name of the metadata document, or a path."""

    where: str
    method: str = "POST"
    pairs: Pairs = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


Build = Callable[[Side], Ask]
CASES: dict[str, Build] = {}


def case(name: str, build: Build) -> None:
    assert name not in CASES, name
    CASES[name] = build


def _pairs(given: dict[str, Any], changes: dict[str, Any]) -> Pairs:
    merged = {**given, **changes}
    return [(name, str(value)) for name, value in merged.items() if value is not GONE]


# --- the authorization endpoint -----------------------------------------------------------------


def authorize(
    name: str, method: str = "GET", more: Sequence[tuple[str, str]] = (), **changes: Any
) -> None:
    def build(side: Side) -> Ask:
        given = {
            "client_id": "basic",
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid",
            "state": "s-1",
            "nonce": "n-1",
            "code_challenge": side.challenge,
            "code_challenge_method": "S256",
        }
        return Ask("authorization_endpoint", method, [*_pairs(given, changes), *more])

    case(f"authorize: {name}", build)


authorize("good")
authorize("good, by POST", "POST")
authorize("client_id missing", client_id=GONE)
authorize("client_id unknown", client_id="nobody")
authorize("redirect_uri missing", redirect_uri=GONE)
authorize("redirect_uri of somebody else", redirect_uri="https://evil.example/callback")
authorize("redirect_uri with a query more", redirect_uri=REDIRECT_URI + "?x=1")
authorize("redirect_uri with a slash more", redirect_uri=REDIRECT_URI + "/")
authorize("redirect_uri with a fragment", redirect_uri=REDIRECT_URI + "#x")
authorize("response_type missing", response_type=GONE)
authorize("response_type token", response_type="token")
authorize("response_type code id_token", response_type="code id_token")
authorize("response_type nonsense", response_type="nonsense")
authorize("response_mode form_post", response_mode="form_post")
authorize("response_mode fragment", response_mode="fragment")
authorize("response_mode nonsense", response_mode="nonsense")
authorize("code_challenge missing", code_challenge=GONE, code_challenge_method=GONE)
authorize("code_challenge_method plain", code_challenge_method="plain")
authorize("code_challenge_method missing", code_challenge_method=GONE)
authorize("code_challenge too short", code_challenge="abc")
authorize("scope missing", scope=GONE)
authorize("scope unknown", scope="openid unheard-of")
authorize("prompt none", prompt="none")
authorize("prompt none with login", prompt="none login")
authorize("prompt nonsense", prompt="nonsense")
authorize("max_age negative", max_age="-1")
authorize("max_age no number", max_age="soon")
authorize("claims is no JSON", claims="{")
authorize("claims is a list", claims="[]")
authorize("request_uri of another site", request_uri="https://client.example/request.jwt")
authorize("request object that is none", request="x.y.z")
authorize("registration inline", registration="{}")
authorize("id_token_hint that is none", id_token_hint="x.y.z", prompt="none")
authorize("state sent twice", more=(("state", "s-2"),))
authorize("a parameter nobody knows", unheard_of="1")
authorize("acr_values nobody knows", acr_values="urn:unheard-of")
authorize("ui_locales nobody knows", ui_locales="xx")
authorize("display popup", display="popup")
authorize("resource unknown", resource="https://unheard-of.example/")
authorize("scope with spaces around and between", scope="  openid   profile ")
authorize("scope of which nothing is known", scope="unheard-of")
authorize("by HEAD", "HEAD")
_CORE = {"client_id": "core", "code_challenge": GONE, "code_challenge_method": GONE}
authorize("a Core client without PKCE", **_CORE)
authorize("a Core client without PKCE and nonce", **_CORE, nonce=GONE)
authorize("a Core client with plain PKCE", client_id="core", code_challenge_method="plain")
_NATIVE = {"client_id": "native", "redirect_uri": "http://127.0.0.1:51234/callback"}
authorize("a native app at another port", **_NATIVE)
authorize("a native app at another path", **{**_NATIVE, "redirect_uri": "http://127.0.0.1:1/other"})
authorize("a native app by name", **{**_NATIVE, "redirect_uri": "http://localhost:1/callback"})
authorize("a native app at IPv6", **{**_NATIVE, "redirect_uri": "http://[::1]:1/callback"})


# --- the token endpoint -------------------------------------------------------------------------


def token(
    name: str,
    make: Callable[[Side], dict[str, Any]],
    *,
    client: str = "basic",
    auth: Callable[[Side], dict[str, str]] | None = None,
    before: Callable[[Side, Pairs], Any] | None = None,
    more: Callable[[Side], Pairs] = lambda side: [],
    **options: Any,
) -> None:
    def build(side: Side) -> Ask:
        headers = auth(side) if auth else side.basic(client)
        pairs = [*_pairs(make(side), {}), *more(side)]
        if before:
            before(side, pairs)
        return Ask("token_endpoint", pairs=pairs, headers=headers, **options)

    case(f"token: {name}", build)


def own(**changes: Any) -> Callable[[Side], dict[str, Any]]:
    given = {"grant_type": "client_credentials", "scope": "records"}
    return lambda side: {**given, **changes}


def code(**changes: Any) -> Callable[[Side], dict[str, Any]]:
    return lambda side: {
        "grant_type": "authorization_code",
        "code": side.mint("codes", "basic"),
        "redirect_uri": REDIRECT_URI,
        "code_verifier": side.verifier,
        **changes,
    }


def refresh(**changes: Any) -> Callable[[Side], dict[str, Any]]:
    return lambda side: {
        "grant_type": "refresh_token",
        "refresh_token": side.mint("refresh", "basic"),
        **changes,
    }


def sent_before(side: Side, pairs: Pairs) -> None:
    """The same request, once already."""
    endpoint = side.metadata["token_endpoint"]
    side.http.post(endpoint, data=dict(pairs), headers=side.basic("basic"))


def _with_successor(side: Side, pairs: Pairs) -> Pairs:
    endpoint = side.metadata["token_endpoint"]
    answer = side.http.post(endpoint, data=dict(pairs), headers=side.basic("basic"))
    successor = answer.json()["refresh_token"]
    return [("grant_type", "refresh_token"), ("refresh_token", successor)]


def successor_used_before(side: Side, pairs: Pairs) -> None:
    sent_before(side, _with_successor(side, pairs))


def repeated_before(side: Side, pairs: Pairs) -> None:
    """The token was used twice, as after a lost answer; now its successor is."""
    successor = _with_successor(side, pairs)
    sent_before(side, pairs)
    pairs[:] = successor


def _nobody(_side: Side) -> dict[str, str]:
    return {}


token("client_credentials", own())
token("client does not authenticate", own(), auth=_nobody)
token("client unknown", own(), client="nobody")
token("client secret wrong", own(), auth=lambda side: side.basic("basic", "wrong"))
token("Basic is no base64", own(), auth=lambda side: {"authorization": "Basic ***"})
token("two ways of authentication", lambda s: {**own()(s), "client_secret": s.secrets["basic"]})
token("secret in the form for a Basic client", own(), auth=_nobody, more=lambda s: [
    ("client_id", "basic"), ("client_secret", s.secrets["basic"])])  # fmt: skip
token("secret in the form", own(), auth=_nobody, more=lambda s: [
    ("client_id", "post"), ("client_secret", s.secrets["post"])])  # fmt: skip
token("Core: secret in the form, registered for Basic", own(), auth=_nobody, more=lambda s: [
    ("client_id", "core"), ("client_secret", s.secrets["core"])])  # fmt: skip
token("Core: code without verifier", lambda s: {
    **code(code_verifier=GONE)(s), "code": s.mint("codes", "core")}, client="core")  # fmt: skip
token("scope of its own with spaces around", own(scope=" records "))
token("scope of its own unknown beside a known one", own(scope="records unheard-of"))
token("by HEAD", own(), method="HEAD")
token("grant_type missing", own(grant_type=GONE))
token("grant_type unknown", own(grant_type="urn:unheard-of"))
token("grant_type password", own(grant_type="password", username="chen", password="x"))
token("grant_type sent twice", own(), more=lambda s: [("grant_type", "client_credentials")])
token("by GET", own(), method="GET")
token("as JSON", own(), body={"grant_type": "client_credentials"})
token("scope of its own unknown", own(scope="unheard-of"))
token("client_credentials by a public client", own(), auth=_nobody, more=lambda s: [
    ("client_id", "public")])  # fmt: skip
token("code", code())
token("code of nobody", code(code="unheard-of"))
token("code missing", code(code=GONE))
token("code a second time", code(), before=sent_before)
token("code by another client", code(), client="other")
token("code with another redirect_uri", code(redirect_uri=REDIRECT_URI + "/"))
token("code without redirect_uri", code(redirect_uri=GONE))
token("code without verifier", code(code_verifier=GONE))
token("code with a wrong verifier", code(code_verifier="x" * 43))
token("code with a short verifier", code(code_verifier="x"))
token("code by a public client without proof of a key", auth=_nobody, make=lambda s: {
    **code()(s), "code": s.mint("codes", "public"), "client_id": "public"})  # fmt: skip
token("refresh", refresh())
token("refresh with nobody's token", refresh(refresh_token="unheard-of"))
token("refresh without token", refresh(refresh_token=GONE))
token("refresh by another client", refresh(), client="other")
token("refresh with less scope", refresh(scope="openid"))
token("refresh with more scope", refresh(scope=f"{SCOPE} records"))
token("refresh a second time, at once", refresh(), before=sent_before)
token("refresh a second time, its successor used", refresh(), before=successor_used_before)
token("refresh with the successor, after a second time", refresh(), before=repeated_before)
token("refresh with an unknown scope beside known ones", refresh(scope="openid unheard-of"))
token("assertion", own(), auth=_nobody, more=lambda s: s.assertion())
token("assertion for the token endpoint", own(), auth=_nobody,
      more=lambda s: s.assertion(aud=s.metadata["token_endpoint"]))  # fmt: skip
token("assertion for a list", own(), auth=_nobody, more=lambda s: s.assertion(aud=[s.issuer]))
token("assertion expired", own(), auth=_nobody, more=lambda s: s.assertion(exp=1))
token("assertion without exp", own(), auth=_nobody, more=lambda s: s.assertion(exp=None))
token("assertion without jti", own(), auth=_nobody, more=lambda s: s.assertion(jti=None))
token("assertion of another issuer", own(), auth=_nobody, more=lambda s: s.assertion(iss="basic"))
token("assertion of another type", own(), auth=_nobody, more=lambda s: [
    ("client_assertion_type", "x"), s.assertion()[1]])  # fmt: skip


def _unsigned(side: Side) -> Pairs:
    kind, (_, good) = side.assertion()
    claims = jwt.decode(good, options={"verify_signature": False})
    return [kind, ("client_assertion", jwt.encode(claims, None, "none"))]


def _assertion_again(side: Side) -> Pairs:
    pairs = side.assertion()
    form = {"grant_type": "client_credentials", "scope": "records", **dict(pairs)}
    side.http.post(side.metadata["token_endpoint"], data=form)
    return pairs


token("assertion unsigned", own(), auth=_nobody, more=_unsigned)
token("assertion a second time", own(), auth=_nobody, more=_assertion_again)
token("DPoP proof that is none", own(), auth=lambda s: {**s.basic("basic"), "dpop": "x.y.z"})
token("device code of nobody", auth=_nobody, make=lambda s: {
    "grant_type": DEVICE, "device_code": "unheard-of", "client_id": "device"})  # fmt: skip


# --- introspection, revocation, device, pushed requests, userinfo, sign-out, registration -------


def form(
    where: str,
    name: str,
    make: Callable[[Side], dict[str, Any]],
    client: str = "basic",
    auth: Callable[[Side], dict[str, str]] | None = None,
    **options: Any,
) -> None:
    def build(side: Side) -> Ask:
        headers = auth(side) if auth else side.basic(client)
        return Ask(where, pairs=_pairs(make(side), {}), headers=headers, **options)

    case(f"{where.removesuffix('_endpoint')}: {name}", build)


INTROSPECTION, REVOCATION = "introspection_endpoint", "revocation_endpoint"
form(INTROSPECTION, "own token", lambda s: {"token": s.own_token()})
form(INTROSPECTION, "refresh token", lambda s: {"token": s.mint("refresh", "basic")})
form(INTROSPECTION, "with a wrong hint", lambda s: {
    "token": s.own_token(), "token_type_hint": "refresh_token"})  # fmt: skip
form(INTROSPECTION, "another client's token", lambda s: {"token": s.own_token("other")})
form(INTROSPECTION, "another client's refresh token", lambda s: {
    "token": s.mint("refresh", "other")})  # fmt: skip
form(INTROSPECTION, "nobody's token", lambda s: {"token": "unheard-of"})
form(INTROSPECTION, "token missing", lambda s: {})
form(INTROSPECTION, "by nobody", lambda s: {"token": s.own_token()}, auth=_nobody)
form(INTROSPECTION, "by a public client", lambda s: {
    "token": s.own_token(), "client_id": "public"}, auth=_nobody)  # fmt: skip
form(INTROSPECTION, "by GET", lambda s: {"token": "x"}, method="GET")
form(REVOCATION, "own token", lambda s: {"token": s.own_token()})
form(REVOCATION, "refresh token", lambda s: {"token": s.mint("refresh", "basic")})
form(REVOCATION, "another client's refresh token", lambda s: {"token": s.mint("refresh", "other")})
form(REVOCATION, "nobody's token", lambda s: {"token": "unheard-of"})
form(REVOCATION, "with an unknown hint", lambda s: {
    "token": s.own_token(), "token_type_hint": "saml"})  # fmt: skip
form(REVOCATION, "token missing", lambda s: {})
form(REVOCATION, "by nobody", lambda s: {"token": "x"}, auth=_nobody)

DEVICES = "device_authorization_endpoint"
form(DEVICES, "good", lambda s: {"client_id": "device", "scope": "openid"}, auth=_nobody)
form(DEVICES, "scope unknown", lambda s: {
    "client_id": "device", "scope": "openid unheard-of"}, auth=_nobody)  # fmt: skip
form(DEVICES, "client without the grant", lambda s: {"scope": "openid"})
form(DEVICES, "client unknown", lambda s: {"client_id": "nobody"}, auth=_nobody)

PAR = "pushed_authorization_request_endpoint"


def pushed(**changes: Any) -> Callable[[Side], dict[str, Any]]:
    return lambda side: {
        "client_id": "basic",
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": side.challenge,
        "code_challenge_method": "S256",
        **changes,
    }


form(PAR, "good", pushed())
form(PAR, "with a request_uri", pushed(request_uri="urn:ietf:params:oauth:request_uri:x"))
form(PAR, "redirect_uri of somebody else", pushed(redirect_uri="https://evil.example/"))
form(PAR, "code_challenge missing", pushed(code_challenge=GONE, code_challenge_method=GONE))
form(PAR, "response_type token", pushed(response_type="token"))
form(PAR, "by nobody", pushed(client_id=GONE), auth=_nobody)
form(PAR, "for another client", pushed(client_id="other"))
form(PAR, "by GET", pushed(), method="GET")


def userinfo(name: str, headers: Callable[[Side], dict[str, str]], **options: Any) -> None:
    def build(side: Side) -> Ask:
        return Ask("userinfo_endpoint", "GET", headers=headers(side), **options)

    case(f"userinfo: {name}", build)


userinfo("good", lambda s: {"authorization": f"Bearer {s.mint('access', 'basic')}"})
userinfo("without token", _nobody)
userinfo("nobody's token", lambda s: {"authorization": "Bearer unheard-of"})
userinfo("a client's own token", lambda s: {"authorization": f"Bearer {s.own_token()}"})
userinfo("token in the query", _nobody, pairs=[("access_token", "unheard-of")])
userinfo("a bearer token as DPoP", lambda s: {"authorization": f"DPoP {s.mint('access', 'basic')}"})


def logout(name: str, **pairs: str) -> None:
    case(f"logout: {name}", lambda side: Ask("end_session_endpoint", "GET", [*pairs.items()]))


logout("bare")
logout("hint that is none", id_token_hint="x.y.z")
logout("of a client", client_id="basic", post_logout_redirect_uri=LOGGED_OUT_URI)
logout(
    "to an unregistered place", client_id="basic", post_logout_redirect_uri="https://evil.example"
)
logout("to a place nobody named a client for", post_logout_redirect_uri=LOGGED_OUT_URI)
logout("of an unknown client", client_id="nobody", post_logout_redirect_uri=LOGGED_OUT_URI)


def register(name: str, token: Callable[[Side], str | None], **changes: Any) -> None:
    def build(side: Side) -> Ask:
        given = token(side)
        headers = {} if given is None else {"authorization": f"Bearer {given}"}
        document = {
            "client_name": "Food licences",
            "redirect_uris": [REDIRECT_URI],
            "scope": "openid",
            "id_token_signed_response_alg": "ES256",
            **changes,
        }
        kept = {each: value for each, value in document.items() if value is not GONE}
        return Ask("registration_endpoint", headers=headers, body=kept)

    case(f"registration: {name}", build)


def _initial(side: Side) -> str:
    return side.mint("initial", "")


register("good", _initial)
register("without token", lambda s: None)
register("with nobody's token", lambda s: "unheard-of")
register("redirect_uris missing", _initial, redirect_uris=GONE)
register("redirect_uri with a fragment", _initial, redirect_uris=[REDIRECT_URI + "#x"])
register("redirect_uri by http", _initial, redirect_uris=["http://food.example.gov.cn/"])
register("grant_type unknown", _initial, grant_types=["urn:unheard-of"])
register("grant_type password", _initial, grant_types=["password"])
register("response_type token", _initial, response_types=["token"], grant_types=["implicit"])
register("scope unknown", _initial, scope="openid unheard-of")
register("key wanted, none given", _initial, token_endpoint_auth_method="private_key_jwt")
register("authentication unknown", _initial, token_endpoint_auth_method="unheard-of")
register("redirect_uris of the wrong type", _initial, redirect_uris=REDIRECT_URI)

case("metadata: OpenID", lambda s: Ask(f"{s.issuer}/.well-known/openid-configuration", "GET"))
case(
    "metadata: RFC 8414", lambda s: Ask(f"{s.issuer}/.well-known/oauth-authorization-server", "GET")
)
case("keys", lambda s: Ask("jwks_uri", "GET"))

# --- HEAD, OPTIONS, and what a browser asks before a script may (CORS preflight) -----------------


def options(where: str, name: str, method: str) -> None:
    """`method` is what a script would use there."""
    asked = {
        "origin": "https://food.example.gov.cn",
        "access-control-request-method": method,
        "access-control-request-headers": "authorization",
    }
    case(f"{name}: by OPTIONS", lambda s: Ask(where, "OPTIONS"))
    case(f"{name}: preflight", lambda s: Ask(where, "OPTIONS", headers=asked))


options("authorization_endpoint", "authorize", "GET")
options("token_endpoint", "token", "POST")
options("userinfo_endpoint", "userinfo", "GET")
options("jwks_uri", "keys", "GET")
case("keys: by HEAD", lambda s: Ask("jwks_uri", "HEAD"))
case("userinfo: by HEAD", lambda s: Ask("userinfo_endpoint", "HEAD", headers={
    "authorization": f"Bearer {s.mint('access', 'basic')}"}))  # fmt: skip
case("userinfo: by HEAD without token", lambda s: Ask("userinfo_endpoint", "HEAD"))
