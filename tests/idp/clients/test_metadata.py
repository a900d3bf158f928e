"""The metadata document against what is really accepted: neither more nor less (RFC 8414 §2).

Each test tries everything a standard has a name for and compares what worked with what is told.
"""

import json
import secrets
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from idp import Idp
from idp.clients.credentials import ASSERTION_TYPE
from idp.clients.mtls import ClientCertificates
from idp.protocol.claims import CLAIMS
from idp.protocol.errors import InvalidClientMetadata
from server.services import assemble
from tests.idp.proofs import Certificate, authority, certificate
from tests.idp.world import ISSUER, RelyingParty, World, public_jwk

OFFICE = authority()
AUTH_METHODS = (
    *("none", "client_secret_basic", "client_secret_post", "client_secret_jwt"),
    *("private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"),
)
GRANTS = (
    *("authorization_code", "implicit", "password", "client_credentials", "refresh_token"),
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:openid:params:grant-type:ciba",
)
SIGNING = ("none", "HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA")
KEY_ENCRYPTION = (
    *("RSA1_5", "RSA-OAEP", "RSA-OAEP-256", "A256KW", "dir", "A256GCMKW"),
    *("ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"),
)
RESPONSE_TYPES = ("code", "token", "id_token", "code id_token", "code token", "id_token token")
PLAIN_MODES = ("query", "fragment", "form_post")
RESPONSE_MODES = (*PLAIN_MODES, *(f"{each}.jwt" for each in PLAIN_MODES), "jwt", "web_message")
PROMPTS = ("none", "login", "consent", "select_account", "create")


@pytest.fixture
def idp(database, keys, ledger, clock) -> Iterator[Idp]:
    """Behind a proxy that hands client certificates on."""
    proxies = ClientCertificates(["127.0.0.1"], [OFFICE.certificate])
    idp = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=ISSUER,
        ledger=ledger,
        client_certificates=proxies,
    ).idp
    yield idp
    idp.close()


@pytest.fixture
def told(world: World) -> dict[str, Any]:
    return world.http.get("/.well-known/oauth-authorization-server").json()


@cache
def key_for(alg: str) -> Any:
    if alg in ("RS256", "PS256"):
        return rsa.generate_private_key(65537, 2048)
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    curve = {"ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}.get(alg, ec.SECP256R1())
    return ec.generate_private_key(curve)


def jwk_for(alg: str) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(alg if alg not in ("none", "HS256") else "ES256")
    return {**algorithm.to_jwk(key_for(alg).public_key(), as_dict=True), "kid": "k"}


def registered(world: World, **changes: Any) -> RelyingParty | None:
    """A new client, or None when it may not be registered like this."""
    try:
        return world.client(f"c-{secrets.token_hex(8)}", **changes)
    except InvalidClientMetadata:
        return None


def by_method(world: World, method: str) -> RelyingParty | None:
    shown: Certificate | None = None
    more: dict[str, Any] = {"grant_types": ("authorization_code", "client_credentials")}
    if method == "none":
        more = {"profile": "public", "grant_types": ("authorization_code", "refresh_token")}
    if "tls" in method:
        more["profile"] = "fapi2"
        more["tls_client_certificate_bound_access_tokens"] = True
        shown = certificate("bureau", OFFICE, dns="bureau.example.gov.cn")
        if method == "tls_client_auth":
            more["tls_client_auth_san_dns"] = "bureau.example.gov.cn"
        else:
            shown = certificate("bureau")
            more["jwks"] = {"keys": [shown.jwk]}
    client = registered(world, token_endpoint_auth_method=method, **more)
    if client is not None:
        client.certificate = shown
    return client


@pytest.mark.parametrize(
    ("endpoint", "form"),
    [
        ("token", {"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://a"}),
        ("introspection", {"token": "x"}),
        ("revocation", {"token": "x"}),
    ],
)
def test_client_authentication_methods(world: World, told, endpoint: str, form: dict[str, str]):
    path = told[f"{endpoint}_endpoint"].removeprefix(ISSUER)
    accepted = set()
    for method in AUTH_METHODS:
        client = by_method(world, method)
        if client is not None:
            answer = client.post(path, form)
            if answer.status_code == 200 or answer.json()["error"] != "invalid_client":
                accepted.add(method)

    assert accepted == set(told[f"{endpoint}_endpoint_auth_methods_supported"])


def test_algorithms_of_client_assertions(world: World, told):
    accepted = set()
    for profile, alg in product(("standard", "basic"), SIGNING):
        jwks = {"keys": [jwk_for(alg)]}
        method = {"profile": profile, "token_endpoint_auth_method": "private_key_jwt"}
        client = registered(world, jwks=jwks, **method)
        if client is None:
            continue
        now = int(world.clock().timestamp())
        claims = {
            "iss": client.id,
            "sub": client.id,
            "aud": ISSUER,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(8),
        }
        key = (
            {"none": None, "HS256": "x" * 32}.get(alg) if alg in ("none", "HS256") else key_for(alg)
        )
        assertion = jwt.encode(claims, key, alg, headers={"kid": "k"})
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        if world.http.post("/oauth/token", form).status_code == 200:
            accepted.add(alg)

    for endpoint in ("token", "introspection", "revocation"):
        assert accepted == set(told[f"{endpoint}_endpoint_auth_signing_alg_values_supported"])


def test_grant_types(client: RelyingParty, told):
    accepted = {
        grant
        for grant in GRANTS
        if client.token({"grant_type": grant}).json().get("error") != "unsupported_grant_type"
    }

    assert accepted == set(told["grant_types_supported"])


@pytest.mark.parametrize(
    ("member", "parameter", "values"),
    [
        ("response_types_supported", "response_type", RESPONSE_TYPES),
        ("response_modes_supported", "response_mode", RESPONSE_MODES),
        ("code_challenge_methods_supported", "code_challenge_method", ("S256", "plain", "S512")),
        ("prompt_values_supported", "prompt", PROMPTS),
    ],
)
def test_what_an_authorization_request_may_say(world, client, told, member, parameter, values):
    accepted = set()
    for value in values:
        answer = world.browser().authorize(client.request(**{parameter: value}))
        refusals = {"invalid_request", "unsupported_response_type"}
        if answer.status == 303 and answer.params.get("error") not in refusals:
            accepted.add(value)

    assert accepted == set(told[member])


@pytest.mark.parametrize("kind", ["id_token", "userinfo", "introspection", "authorization"])
def test_encryption(world: World, told, kind: str):
    accepted = set()
    for alg in KEY_ENCRYPTION:
        keys = [public_jwk(key_for("ES256"), "e", use="enc")]
        rsa_jwk = jwt.get_algorithm_by_name("RS256").to_jwk(key_for("RS256").public_key(), True)
        keys.append({**rsa_jwk, "kid": "r", "use": "enc"})
        wish = {f"{kind}_encrypted_response_alg": alg, "userinfo_signed_response_alg": "ES256"}
        if registered(world, jwks={"keys": keys}, **wish) is not None:
            accepted.add(alg)

    assert accepted == set(told[f"{kind}_encryption_alg_values_supported"])
    assert told[f"{kind}_encryption_enc_values_supported"] == ["A256GCM"]


def test_signatures_of_ours(world: World, told):
    accepted = set()
    for alg in SIGNING:
        wish = {"id_token_signed_response_alg": alg, "userinfo_signed_response_alg": alg}
        client = registered(world, profile="basic", **wish)
        if client is None:
            continue
        accepted.add(alg)
        tokens = client.tokens()
        form, headers = client.authenticated({"token": tokens["access_token"]})
        headers["accept"] = "application/token-introspection+jwt"
        answers = {
            "id_token": tokens["id_token"],
            "userinfo": client.userinfo(tokens["access_token"]).text,
            "introspection": world.http.post("/oauth/introspect", form, headers=headers).text,
        }
        browser = world.browser()
        client.code(browser)
        answered = browser.authorize(client.request(response_mode="jwt"))
        answers["authorization"] = answered.params["response"]
        for token in answers.values():
            assert jwt.get_unverified_header(token)["alg"] == alg
            world.verify(token, audience=client.id)

    for kind in ("id_token", "userinfo", "introspection", "authorization"):
        assert set(told[f"{kind}_signing_alg_values_supported"]) == accepted
    for alg in ("RS256", "none"):
        assert registered(world, userinfo_signed_response_alg=alg) is None


def test_claims_and_scopes(world: World, told):
    everything = world.client(
        "everything", scopes=tuple(told["scopes_supported"]), claims=tuple(CLAIMS)
    )
    world.note(email="chen@example.cn", phone_number="+8613800000000")
    tokens = everything.tokens(scope=" ".join(told["scopes_supported"]))
    seen = set(everything.userinfo(tokens["access_token"]).json())
    seen |= set(jwt.decode(tokens["id_token"], options={"verify_signature": False}))
    of_officers = {"organisation", "organisation_name", "roles"}

    assert set(tokens["scope"].split()) == set(told["scopes_supported"])
    assert set(told["claims_supported"]) <= seen | of_officers


def test_every_strength_that_is_told_can_be_reached(world: World, client: RelyingParty, told):
    for acr in told["acr_values_supported"]:
        wanted = json.dumps({"id_token": {"acr": {"essential": True, "value": acr}}})
        tokens = client.tokens(claims=wanted)
        assert world.verify(tokens["id_token"], audience=client.id)["acr"] == acr


def test_flags(world: World, client: RelyingParty, told):
    answer = world.browser().authorize(client.request(prompt="none"))

    assert answer.params["iss"] == ISSUER
    assert told["authorization_response_iss_parameter_supported"] is True
    assert told["request_uri_parameter_supported"] is False
    elsewhere = world.browser().authorize(client.request(request_uri="https://a.example/r"))
    assert elsewhere.status == 400 or "error" in elsewhere.params
    assert told["backchannel_logout_supported"] is True
    assert told["tls_client_certificate_bound_access_tokens"] is True


def test_every_url_is_below_the_issuer(told):
    urls = [value for value in told.values() if isinstance(value, str) and "://" in value]

    assert len(urls) > 8
    assert all(url == ISSUER or url.startswith(ISSUER + "/") for url in urls)
