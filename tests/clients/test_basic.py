"""Programs that know no more than OpenID Connect Core, with their libraries' defaults: Authlib to
sign in, PyJWT to read the ID token."""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from foundation.actor import SYSTEM
from idp.clients.metadata import Bounds
from tests.clients.conftest import PURPOSE, REDIRECT_URI, Site, Visitor


def signed_in(
    site: Site, client: OAuth2Client, **more: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Tokens and the ID token's claims of a code flow without PKCE and, unless given, nonce."""
    known = httpx.get(f"{site.issuer}/.well-known/openid-configuration").json()
    url, state = client.create_authorization_url(known["authorization_endpoint"], **more)
    assert "code_challenge" not in parse_qs(urlsplit(url).query)
    back = Visitor(site).visit(url)
    tokens = client.fetch_token(known["token_endpoint"], authorization_response=back, state=state)
    key = jwt.PyJWKClient(known["jwks_uri"]).get_signing_key_from_jwt(tokens["id_token"])
    algorithms = known["id_token_signing_alg_values_supported"]
    assert jwt.get_unverified_header(tokens["id_token"])["alg"] in algorithms
    said = jwt.decode(
        tokens["id_token"], key, ["RS256"], audience=client.client_id, issuer=site.issuer
    )
    return tokens, said


def program(client_id: str, secret: Any = None, **more: Any) -> OAuth2Client:
    given = {"redirect_uri": REDIRECT_URI, "scope": "openid profile", "trust_env": False}
    return OAuth2Client(client_id, secret, **given, **more)


@pytest.mark.parametrize("registered", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("used", ["client_secret_basic", "client_secret_post"])
def test_a_program_signs_in_with_its_secret_in_either_place(site: Site, registered, used):
    config = site.client(
        f"basic-{registered}-{used}".replace("_", "-"),
        profile="basic",
        token_endpoint_auth_method=registered,
    )
    client = program(config["client_id"], config["client_secret"], token_endpoint_auth_method=used)

    tokens, said = signed_in(site, client)

    assert said["sub"] == site.chen.id
    assert "nonce" not in said
    assert jwt.get_unverified_header(tokens["access_token"])["alg"] == "ES256"
    told = client.get(f"{site.issuer}/oauth/userinfo").json()
    assert told["name"] == "陈静怡"


def test_a_nonce_that_is_sent_comes_back(site: Site):
    config = site.client("basic-nonce", profile="basic")
    nonce = secrets.token_urlsafe(16)

    _, said = signed_in(site, program(config["client_id"], config["client_secret"]), nonce=nonce)

    assert said["nonce"] == nonce


def test_a_program_signs_in_with_an_rsa_key_as_authlib_signs_by_default(site: Site):
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    site.client(
        "basic-key",
        profile="basic",
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [jwk]},
    )
    client = program("basic-key", pem, token_endpoint_auth_method="private_key_jwt")
    client.register_client_auth_method(PrivateKeyJWT(f"{site.issuer}/oauth/token"))

    _, said = signed_in(site, client)

    assert said["sub"] == site.chen.id


def test_a_program_that_registers_with_nothing_but_where_it_is_signs_in(site: Site):
    bounds = Bounds(
        organisation="11990000MB1A0001XX",
        organisation_name="示例市市场监督管理局",
        purpose=PURPOSE,
        scopes=("openid", "profile"),
        claims=("name", "preferred_username", "locale"),
    )
    token = site.house.idp.registrations.allow(bounds, by=SYSTEM)

    made = httpx.post(
        f"{site.issuer}/oauth/register",
        json={"redirect_uris": [REDIRECT_URI]},
        headers={"authorization": f"Bearer {token}"},
    )

    assert made.status_code == 201, made.text
    told = made.json()
    assert told["id_token_signed_response_alg"] == "RS256"
    assert told["token_endpoint_auth_method"] == "client_secret_basic"
    _, said = signed_in(site, program(told["client_id"], told["client_secret"]))
    assert said["sub"] == site.chen.id
