"""Go programs as their users begin: oauth2-proxy in front of a service, and a service with
x/oauth2 and go-oidc. Both are pinned here and in `go/oidc/go.mod`."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from foundation.actor import SYSTEM
from tests.clients.conftest import HERE, PASSWORD, Site
from tests.clients.programs import (
    EMAIL,
    Citizen,
    built_by_go,
    give_address,
    origin,
    refreshes,
    registered,
    running,
    signin,
)

pytestmark = pytest.mark.go

OAUTH2_PROXY = "github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6"


# --- oauth2-proxy -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def oauth2_proxy(pytestconfig: pytest.Config) -> Path:
    return built_by_go(pytestconfig, "oauth2-proxy", OAUTH2_PROXY)


@pytest.fixture
def proxied(
    request: pytest.FixtureRequest, site: Site, oauth2_proxy: Path, tmp_path: Path
) -> Iterator[str]:
    """Where the proxy listens. Its upstream, cookie secret and domains are its own affair; the
    rest is issuer, id, secret and redirect URI, and what a test adds as parameter. It refreshes
    when a session is a second old."""
    give_address(site)
    here = origin()
    known = registered(site, f"proxy-{here[-5:]}", here, redirect_uris=(f"{here}/oauth2/callback",))
    options = {
        "provider": "oidc",
        "oidc-issuer-url": known["issuer"],
        "client-id": known["client_id"],
        "client-secret": known["client_secret"],
        "redirect-url": known["redirect_uri"],
        "http-address": here.removeprefix("http://").replace("localhost", "127.0.0.1"),
        "upstream": "static://202",
        "email-domain": "*",
        "cookie-secret": "0123456789abcdef0123456789abcdef",
        "cookie-secure": "false",  # transport: http on loopback
        "cookie-refresh": "1s",
        "whitelist-domain": site.issuer.removeprefix("http://"),
        **getattr(request, "param", {}),
    }
    command = (oauth2_proxy, *(f"--{name}={value}" for name, value in options.items()))
    with running(command, here, tmp_path / "proxy.log") as log:
        yield here
        print(log())


def test_oauth2_proxy_signs_in_reads_userinfo_refreshes_and_signs_out(site: Site, proxied: str):
    citizen = Citizen(site)
    client_id = f"proxy-{proxied[-5:]}"
    assert citizen.browser.get(f"{proxied}/").status_code == 403

    inside = citizen.open(f"{proxied}/oauth2/start?rd=/")
    told = citizen.browser.get(f"{proxied}/oauth2/userinfo").json()

    assert inside.status_code == 202, inside.text
    assert told == {"user": site.chen.id, "email": EMAIL, "preferredUsername": "chen-jingyi"}

    before = set(citizen.browser.cookies.values())
    time.sleep(2.1)  # older than `cookie-refresh`, in whole seconds
    assert citizen.browser.get(f"{proxied}/").status_code == 202
    assert set(citizen.browser.cookies.values()) != before
    assert refreshes(site, client_id) == 1

    leave = {"client_id": client_id, "post_logout_redirect_uri": f"{proxied}/"}
    away = f"{site.issuer}/oauth/logout?{urlencode(leave)}"
    outside = citizen.open(f"{proxied}/oauth2/sign_out?{urlencode({'rd': away})}")

    assert str(outside.url) == f"{proxied}/"
    assert outside.status_code == 403
    assert site.house.idp.sessions.of(site.chen) == []


def test_oauth2_proxy_by_default_refuses_a_person_without_an_address(site: Site, proxied: str):
    li = Citizen(site, without_address(site, "li-na"))

    refused = li.open(f"{proxied}/oauth2/start?rd=/")

    assert refused.status_code == 500


@pytest.mark.parametrize("proxied", [{"oidc-email-claim": "preferred_username"}], indirect=True)
def test_oauth2_proxy_lets_in_who_has_no_address_by_another_claim(site: Site, proxied: str):
    wang = Citizen(site, without_address(site, "wang-fang"))

    inside = wang.open(f"{proxied}/oauth2/start?rd=/")

    assert inside.status_code == 202, inside.text
    assert wang.browser.get(f"{proxied}/oauth2/userinfo").json()["email"] == "wang-fang"


def without_address(site: Site, username: str) -> str:
    site.house.idp.people.add(username, "李娜", PASSWORD, by=SYSTEM)
    return username


# --- x/oauth2 and go-oidc -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def go_oidc(pytestconfig: pytest.Config) -> Path:
    return built_by_go(pytestconfig, "signin", HERE / "go" / "oidc")


@pytest.fixture
def service(site: Site, go_oidc: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where the service listens, and its client_id."""
    give_address(site)
    here = origin()
    told = f"http://127.0.0.1{here[-6:]}/told"
    known = registered(site, f"go-{here[-5:]}", here, backchannel_logout_uri=told)
    with running((go_oidc,), here, tmp_path / "service.log", signin(known, here)) as log:
        yield here, known["client_id"]
        print(log())


def test_go_oidc_signs_in_reads_userinfo_refreshes_and_signs_out(
    site: Site, service: tuple[str, str]
):
    here, client_id = service
    citizen = Citizen(site)

    answer = citizen.open(f"{here}/login")
    assert answer.status_code == 200, answer.text
    inside = answer.json()
    assert inside["claims"]["sub"] == inside["userinfo"]["sub"] == site.chen.id
    assert inside["userinfo"]["name"] == "陈静怡"
    assert inside["userinfo"]["email"] == EMAIL
    assert inside["userinfo"]["email_verified"] is True

    again = citizen.browser.get(f"{here}/refresh")
    assert again.status_code == 200, again.text
    assert again.json()["claims"]["sub"] == site.chen.id
    assert again.json()["access_token"] != inside["access_token"]
    assert again.json()["refresh_token"] != inside["refresh_token"]
    assert refreshes(site, client_id) == 1

    home = citizen.open(f"{here}/logout")
    assert str(home.url) == f"{here}/"
    assert site.house.idp.sessions.of(site.chen) == []
    assert home.json() == {"signed_in": 1}, "nobody told the service yet"
    site.house.jobs.run_pending()
    assert citizen.browser.get(f"{here}/").json() == {"signed_in": 0}
    assert citizen.browser.get(f"{here}/refresh").status_code == 502, "the session is over"
