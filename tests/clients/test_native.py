"""Programs on people's own machines: a native app with AppAuth-JS, a single page with
oidc-client-ts. Both know no DPoP, so the operator lets them rely on rotation (RFC 9700 §2.2.2)."""

import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, Page

from tests.clients.conftest import HERE, PASSWORD, Site
from tests.clients.programs import Citizen, end_sessions, refreshes
from tests.portal.test_browser import chromium  # noqa: F401 - a fixture
from tests.simulators.office import free_port

PATIENCE = 20.0
LIBRARY = HERE / "node_modules" / "oidc-client-ts" / "dist" / "browser" / "oidc-client-ts.min.js"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("native"), public_clients_without_dpop=True)
    yield site
    site.stop()


def registered(site: Site, client_id: str, **changes: Any) -> str:
    site.client(
        client_id,
        profile="public",
        token_endpoint_auth_method="none",
        relies_on_rotation=True,
        **{"grant_types": ("authorization_code", "refresh_token"), **changes},
    )
    return client_id


# --- a native app ---------------------------------------------------------------------------------


@pytest.mark.node
def test_appauth_js_signs_in_reads_userinfo_refreshes_and_gives_its_token_back(
    site: Site, packages: Path, tmp_path: Path
):
    """It listens where the system gave it a port (RFC 8252 §7.3)."""
    client_id = registered(
        site, "appauth", application_type="native", redirect_uris=("http://127.0.0.1/",)
    )
    opened = tmp_path / "opened"
    (tmp_path / "xdg-open").write_text(
        f'#!/bin/sh\necho "$1" > {opened}.part\nmv {opened}.part {opened}\n'
    )
    (tmp_path / "xdg-open").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "ISSUER": site.issuer,
        "CLIENT_ID": client_id,
        "PORT": str(free_port()),
    }
    command = ("node", HERE / "node" / "appauth.mjs")
    app = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + PATIENCE
        while not opened.exists() and time.monotonic() < until and app.poll() is None:
            time.sleep(0.02)
        if opened.exists():
            Citizen(site).open(opened.read_text().strip())
        out, err = app.communicate(timeout=PATIENCE)
    finally:
        app.kill()

    assert app.returncode == 0, err.decode()[-3000:]
    told = json.loads(out.splitlines()[-1])
    assert (told["person"]["name"], told["rotated"], told["over"]) == ("陈静怡", True, 401)
    said = jwt.decode(told["idToken"], options={"verify_signature": False})
    assert (said["sub"], said["aud"]) == (site.chen.id, client_id)


# --- a single page --------------------------------------------------------------------------------


class _Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        script = self.path == "/oidc-client-ts.min.js"
        self.send_response(200)
        self.send_header("content-type", "text/javascript" if script else "text/html")
        self.end_headers()
        self.wfile.write((LIBRARY if script else HERE / "node" / "spa.html").read_bytes())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def origin(packages: Path) -> Iterator[str]:
    """Where the single page lives: another port, so another origin."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def page(chromium: Browser, site: Site) -> Iterator[Page]:  # noqa: F811
    end_sessions(site)
    context = chromium.new_context(locale="en")
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


def spa(site: Site, origin: str, page: Page, client_id: str, **changes: Any) -> None:
    addresses = (f"{origin}/callback",)
    registered(
        site, client_id, redirect_uris=addresses, post_logout_redirect_uris=(f"{origin}/",),
        application_type="native", **changes,
    )  # fmt: skip
    page.goto(f"{origin}/#authority={site.issuer}&client_id={client_id}")


def sign_in(page: Page) -> None:
    """What the person does on our pages."""
    page.fill("#username", "chen-jingyi")
    page.fill("#password", PASSWORD)
    page.click("#submit")
    page.get_by_role("button", name="Allow and continue").click()


def user(page: Page) -> Any:
    return page.evaluate("manager.getUser()")


@pytest.mark.node
@pytest.mark.browser
def test_oidc_client_ts_signs_in_reads_userinfo_refreshes_and_signs_out(
    site: Site, origin: str, page: Page
):
    spa(site, origin, page, "spa", refresh_ends_with_session=True)

    page.evaluate("void manager.signinRedirect()")
    sign_in(page)
    page.wait_for_function("document.title === 'signed in'")
    first = user(page)
    assert first["profile"]["sub"] == site.chen.id

    page.evaluate("manager.signinSilent()")
    again = user(page)
    assert again["refresh_token"] != first["refresh_token"]
    assert refreshes(site, "spa") == 1
    person = page.evaluate(
        """async (token) => {
            const known = await manager.metadataService.getMetadata();
            const answer = await fetch(known.userinfo_endpoint,
                {headers: {authorization: `Bearer ${token}`}});
            return answer.json();
        }""",
        again["access_token"],
    )
    assert person["sub"] == site.chen.id

    page.evaluate("void manager.signoutRedirect()")
    page.wait_for_url(f"{origin}/")
    assert site.house.idp.sessions.of(site.chen) == []
    page.wait_for_function("manager.getUser().then((user) => user === null)")


@pytest.mark.node
@pytest.mark.browser
def test_oidc_client_ts_signs_in_by_a_pop_up_and_renews_in_a_frame(
    site: Site, origin: str, page: Page
):
    """Without refresh tokens it asks again with prompt=none, in an iframe that nobody sees."""
    spa(site, origin, page, "popup", grant_types=("authorization_code",))

    with page.expect_popup() as opened:
        page.evaluate("void (window.signing = manager.signinPopup())")
    popup = opened.value
    popup.fill("#username", "chen-jingyi")
    popup.fill("#password", PASSWORD)
    popup.click("#submit")
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Allow and continue").click()
    first = page.evaluate("window.signing")
    assert first["profile"]["sub"] == site.chen.id

    renewed = page.evaluate("manager.signinSilent()")

    assert renewed["id_token"] != first["id_token"]
    assert renewed["profile"]["sub"] == site.chen.id
