"""Node services as their users begin: passport-openidconnect, and Auth.js. Both are pinned in
`package.json`, and what listens is in `node/`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, Site
from tests.clients.programs import Citizen, end_sessions, origin, refreshes, registered, running

pytestmark = pytest.mark.node

CALLBACKS = {"passport": "/callback", "authjs": "/auth/callback/yinzheng"}


@pytest.fixture
def service(
    site: Site, packages: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[str, str]]:
    """Where the service listens that the test names, and its client_id."""
    end_sessions(site)
    name, here = request.param, origin()
    client_id = f"{name}-{here[-5:]}"
    known = registered(site, client_id, here, redirect_uris=(here + CALLBACKS[name],))
    environment = {
        "ISSUER": known["issuer"],
        "CLIENT_ID": client_id,
        "CLIENT_SECRET": known["client_secret"],
        "REDIRECT_URI": known["redirect_uri"],
        "HOME_URI": f"{here}/",
        "PORT": here[-5:].lstrip(":"),
    }
    command = ("node", HERE / "node" / f"{name}.mjs")
    with running(command, here, tmp_path / "service.log", environment) as log:
        yield here, client_id
        print(log())


@pytest.mark.parametrize("service", ["passport"], indirect=True)
def test_passport_signs_in_reads_userinfo_refreshes_and_signs_out(
    site: Site, service: tuple[str, str]
):
    here, client_id = service
    citizen = Citizen(site)

    inside = citizen.open(f"{here}/login")
    assert inside.status_code == 200, inside.text
    user = inside.json()["user"]
    assert user["profile"]["id"] == site.chen.id
    assert user["profile"]["displayName"] == "陈静怡", "read from userinfo"

    again = citizen.browser.get(f"{here}/refresh")
    assert again.status_code == 200, again.text
    assert again.json()["refresh_token"] != user["refreshToken"]
    assert refreshes(site, client_id) == 1

    home = citizen.open(f"{here}/logout")
    assert home.json() == {"user": None}
    assert site.house.idp.sessions.of(site.chen) == []


@pytest.mark.parametrize("service", ["authjs"], indirect=True)
def test_auth_js_signs_in_reads_userinfo_refreshes_and_signs_out(
    site: Site, service: tuple[str, str]
):
    here, client_id = service
    citizen = Citizen(site)

    inside = citizen.submit(citizen.browser.get(f"{here}/auth/signin"))
    assert inside.status_code == 200, inside.text
    account = inside.json()["account"]
    assert account["providerAccountId"] == site.chen.id

    told = citizen.browser.get(f"{here}/userinfo")
    assert told.status_code == 200, told.text
    assert told.json()["name"] == "陈静怡"
    again = citizen.browser.get(f"{here}/refresh")
    assert again.status_code == 200, again.text
    assert again.json()["refresh_token"] != account["refresh_token"]
    assert refreshes(site, client_id) == 1

    home = citizen.open(f"{here}/logout")
    assert str(home.url) == f"{here}/"
    assert site.house.idp.sessions.of(site.chen) == []
