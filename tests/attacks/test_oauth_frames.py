"""Attack 28: somebody else's page around ours, or talking to ours (RFC 9700 §4.16, §4.17)."""

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import PASSWORD, Site, site  # noqa: F401

ROOT = Path(__file__).parents[2]
SCRIPTS = [*(ROOT / "portal" / "static").rglob("*.js"), ROOT / "idp" / "authorize" / "form_post.py"]


@pytest.fixture(scope="module")
def authorize(site: Site) -> str:
    """An authorization request that leads to the sign-in page."""
    config = site.client("framed")
    params = {
        "client_id": "framed",
        "redirect_uri": config["redirect_uri"],
        "response_type": "code",
        "scope": "openid profile",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    return str(httpx.URL(f"{site.issuer}/oauth/authorize", params=params))


def _refuses_frames(answer: httpx.Response) -> bool:
    policy = answer.headers.get("content-security-policy", "")
    return "frame-ancestors 'none'" in policy


def test_28_every_page_of_a_sign_in_refuses_to_be_framed(site: Site, authorize: str):
    with httpx.Client(base_url=site.issuer, trust_env=False) as browser:
        asked = browser.get(authorize)
        signin = browser.get(asked.headers["location"])
        token = re.findall(r'name="form_token" value="([^"]+)"', signin.text)[-1]
        form = {"username": "chen-jingyi", "password": PASSWORD, "form_token": token}
        here = {"origin": site.issuer, "sec-fetch-site": "same-origin"}
        entered = browser.post(asked.headers["location"], data=form, headers=here)
        consent = browser.get(entered.headers["location"])
        pages = {
            "authorize": asked,
            "sign-in": signin,
            "consent": consent,
            "device": browser.get("/device"),
            "sign-out": browser.get("/signout"),
            "error": browser.get("/oauth/authorize"),
            "home": browser.get("/"),
        }

    assert consent.url.path.startswith("/consent/")
    assert {name for name, page in pages.items() if not _refuses_frames(page)} == set()


class _Trap(http.server.BaseHTTPRequestHandler):
    """Another origin, whose page lays ours under a button of its own."""

    framed = ""

    def do_GET(self) -> None:
        body = f'<title>Win a prize</title><iframe src="{self.framed}" width="800" height="600">'
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def trap(authorize: str) -> Iterator[str]:
    handler = type("Trap", (_Trap,), {"framed": authorize})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()


@pytest.mark.browser
def test_28_a_real_browser_shows_nothing_of_ours_in_somebody_elses_page(trap: str, authorize: str):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_page()
        page.goto(authorize)
        alone = page.locator("#username").count()
        page.goto(trap)
        page.wait_for_timeout(500)
        framed = sum(frame.locator("#username").count() for frame in page.frames)
        browser.close()

    assert alone == 1, "by itself the page is there"
    assert framed == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_28_no_script_of_ours_listens_to_other_windows_or_tells_them_anything(script: Path):
    text = script.read_text()

    assert "postMessage" not in text
    assert not re.search(r"""addEventListener\(\s*["']message|onmessage|window\.opener""", text)
