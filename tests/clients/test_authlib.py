"""Authlib's client: code with PKCE, its check of the ID token, and refresh."""

import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.clients.conftest import REDIRECT_URI, Site, Visitor
from tests.clients.programs import end_sessions, refreshes, registered


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


def test_authlib_as_it_is_signs_in_reads_userinfo_refreshes_and_signs_out(site: Site):
    here = "https://authlib.example.gov.cn"
    known = registered(site, "authlib-as-it-is", here)
    endpoints = httpx.get(f"{site.issuer}/.well-known/openid-configuration").json()
    client = OAuth2Client(
        known["client_id"],
        known["client_secret"],
        scope="openid profile",
        redirect_uri=known["redirect_uri"],
        trust_env=False,
    )
    end_sessions(site)
    person = Visitor(site)

    url, state = client.create_authorization_url(endpoints["authorization_endpoint"])
    tokens = client.fetch_token(
        endpoints["token_endpoint"], authorization_response=person.visit(url), state=state
    )
    first = dict(tokens)
    told = client.get(endpoints["userinfo_endpoint"]).json()
    refreshed = client.refresh_token(endpoints["token_endpoint"])

    assert (told["sub"], told["name"]) == (site.chen.id, "陈静怡")
    assert refreshed["refresh_token"] != first["refresh_token"]
    assert refreshes(site, known["client_id"]) == 1

    leave = {"id_token_hint": first["id_token"], "post_logout_redirect_uri": f"{here}/"}
    assert person.visit(f"{endpoints['end_session_endpoint']}?{urlencode(leave)}") == f"{here}/"
    assert site.house.idp.sessions.of(site.chen) == []
