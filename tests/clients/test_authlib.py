"""Authlib's client: code with PKCE, its check of the ID token, and refresh."""

import secrets
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.clients.conftest import REDIRECT_URI, Site, Visitor


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_signs_in_with_pkce_and_refreshes(site: Site, method: str):
    config = site.client(
        f"authlib-{method}".replace("_", "-"),
        token_endpoint_auth_method=method,
    )
    client = OAuth2Client(
        config["client_id"],
        config["client_secret"],
        token_endpoint_auth_method=method,
        redirect_uri=REDIRECT_URI,
        scope="openid profile offline_access",
        code_challenge_method="S256",
        trust_env=False,
    )
    metadata = httpx.get(f"{site.issuer}/.well-known/openid-configuration")
    endpoints = metadata.json()
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)

    url, state = client.create_authorization_url(
        endpoints["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    back = Visitor(site).visit(url)
    tokens = client.fetch_token(
        endpoints["token_endpoint"],
        authorization_response=back,
        state=state,
        code_verifier=verifier,
    )
    keys = KeySet.import_key_set(httpx.get(endpoints["jwks_uri"]).json())
    said = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims
    claims = CodeIDToken(
        said,
        {},
        options={"iss": {"essential": True, "value": site.issuer}},
        params={"nonce": nonce, "client_id": config["client_id"]},
    )
    claims.validate()
    refreshed = client.refresh_token(endpoints["token_endpoint"])

    assert parse_qs(urlsplit(back).query)["iss"] == [site.issuer]
    assert claims["sub"] == site.chen.id
    assert client.get(endpoints["userinfo_endpoint"]).json()["name"] == "陈静怡"
    assert refreshed["refresh_token"] != tokens["refresh_token"]
