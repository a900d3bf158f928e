"""requests-oauthlib, as its examples begin: code, userinfo, refresh by itself, and a way out."""

from urllib.parse import urlencode

import jwt
import pytest
import requests
from requests_oauthlib.oauth2_session import OAuth2Session

from tests.clients.conftest import Site, Visitor
from tests.clients.programs import end_sessions, refreshes, registered


def test_requests_oauthlib_signs_in_reads_userinfo_refreshes_and_signs_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the issuer of the test is on loopback
    here = "https://requests.example.gov.cn"
    known = registered(site, "requests-oauthlib", here)
    endpoints = requests.get(f"{site.issuer}/.well-known/openid-configuration", timeout=10).json()
    session = OAuth2Session(
        known["client_id"], redirect_uri=known["redirect_uri"], scope=["openid", "profile"]
    )
    session.trust_env = False
    end_sessions(site)
    person = Visitor(site)

    url, _ = session.authorization_url(endpoints["authorization_endpoint"])
    tokens = session.fetch_token(
        endpoints["token_endpoint"],
        authorization_response=person.visit(url),
        client_secret=known["client_secret"],
    )
    first = dict(tokens)
    told = session.get(endpoints["userinfo_endpoint"]).json()
    refreshed = session.refresh_token(
        endpoints["token_endpoint"],
        client_id=known["client_id"],
        client_secret=known["client_secret"],
    )

    assert (told["sub"], told["name"]) == (site.chen.id, "陈静怡")
    said = jwt.decode(first["id_token"], options={"verify_signature": False})
    assert said["sub"] == site.chen.id
    assert refreshed["refresh_token"] != first["refresh_token"]
    assert refreshes(site, known["client_id"]) == 1

    leave = {"id_token_hint": first["id_token"], "post_logout_redirect_uri": f"{here}/"}
    assert person.visit(f"{endpoints['end_session_endpoint']}?{urlencode(leave)}") == f"{here}/"
    assert site.house.idp.sessions.of(site.chen) == []
