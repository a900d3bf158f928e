"""Dex as a broker: a service behind it signs in, and its person comes from us."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, Site
from tests.clients.programs import (
    EMAIL,
    Citizen,
    built_by_go,
    give_address,
    origin,
    registered,
    running,
    signin,
)

pytestmark = pytest.mark.programs("go")

SOURCES = HERE / "go" / "dex"
SECRET = "of-the-service-at-the-broker"


@pytest.fixture
def service(site: Site, pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where the service behind the broker listens, and where the broker does."""
    dex = built_by_go(pytestconfig, "dex", SOURCES)
    program = built_by_go(pytestconfig, "signin-behind-dex", HERE / "go" / "oidc")
    give_address(site)
    broker, here = origin(), origin()
    # Dex of this version never reads userinfo: what it is to know stands in the ID token.
    known = registered(site, f"dex-{broker[-5:]}", broker, claims_in_id_token=True)
    behind = {
        "issuer": broker,
        "client_id": "service",
        "client_secret": SECRET,
        "redirect_uri": f"{here}/callback",
    }
    environment = {
        **signin(known, broker),
        "BROKER": broker,
        "WEB": str(pages_of_dex()),
        "SERVICE_SECRET": SECRET,
        "SERVICE_REDIRECT_URI": behind["redirect_uri"],
    }
    with (
        running((dex,), broker, tmp_path / "dex.log", environment) as log,
        running((program,), here, tmp_path / "service.log", signin(behind, here)),
    ):
        yield here, broker
        print(log())


def pages_of_dex() -> Path:
    """Its templates, as they lie in its module."""
    command = ("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dexidp/dex")
    found = subprocess.run(
        command, cwd=SOURCES, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    return Path(found.stdout.strip()) / "web"


def test_a_service_behind_dex_knows_our_person(site: Site, service: tuple[str, str]):
    here, broker = service
    citizen = Citizen(site)

    asked = citizen.open(f"{here}/login")
    assert asked.url.path == "/approval", asked.text
    inside = citizen.submit(asked)

    assert inside.status_code == 200, inside.text
    claims = inside.json()["claims"]
    assert claims["iss"] == broker
    assert claims["aud"] == "service"
    assert (claims["name"], claims["email"]) == ("陈静怡", EMAIL)
    assert claims["email_verified"] is True
    assert inside.json()["userinfo"] is None, "the broker has none of its own"
