"""A service of another origin is told of a sign-out in a frame, in a real browser."""

import re
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.clients.conftest import PASSWORD, Site, site  # noqa: F401
from tests.idp.world import challenge


class Service:
    """A service with a page to come back to, one in a frame, and one for after the sign-out."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(self.path)
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(b"<title>Service</title>")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def heard(self) -> list[dict[str, list[str]]]:
        paths = [urlsplit(each) for each in self.asked]
        return [parse_qs(each.query) for each in paths if each.path == "/front"]


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_service_of_another_origin_hears_and_the_person_comes_back(
    site: Site,  # noqa: F811
    service: Service,
    script: bool,
):
    from playwright.sync_api import sync_playwright

    client_id = f"framed-{secrets.token_hex(4)}"
    made = site.client(
        client_id,
        redirect_uris=(f"{service.origin}/callback",),
        post_logout_redirect_uris=(f"{service.origin}/bye",),
        frontchannel_logout_uri=f"{service.origin}/front",
        frontchannel_logout_session_required=True,
    )
    verifier = secrets.token_urlsafe(32)
    asked = {
        "client_id": client_id,
        "redirect_uri": f"{service.origin}/callback",
        "response_type": "code",
        "scope": "openid",
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
    }
    complaints: list[str] = []

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        context = browser.new_context(
            java_script_enabled=script, locale="en", viewport={"width": 375, "height": 700}
        )
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(str(httpx.URL(f"{site.issuer}/oauth/authorize", params=asked)))
        page.fill("input[name=username]", "chen-jingyi")
        page.fill("input[name=password]", PASSWORD)
        page.locator("main form button").first.click()
        page.locator("button[value=allow]").click()
        page.wait_for_url(f"{service.origin}/callback*")
        code = parse_qs(urlsplit(page.url).query)["code"][0]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{service.origin}/callback",
            "code_verifier": verifier,
        }
        tokens = httpx.post(
            f"{site.issuer}/oauth/token",
            data=form,
            auth=(client_id, made["client_secret"]),
            trust_env=False,
        )
        assert tokens.status_code == 200, tokens.text

        leave = {
            "id_token_hint": tokens.json()["id_token"],
            "post_logout_redirect_uri": f"{service.origin}/bye",
        }
        answer = page.goto(str(httpx.URL(f"{site.issuer}/oauth/logout", params=leave)))
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert re.findall("frame-src ([^;]*)", policy) == [service.origin]
        assert page.title().startswith("You are signed out")
        assert page.locator("main iframe").count() == 1
        if script:
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 375
        page.wait_for_url(f"{service.origin}/bye", timeout=15_000)
        browser.close()

    [heard] = service.heard()
    assert heard.keys() == {"iss", "sid"}
    assert heard["iss"] == [site.issuer]
    assert [each for each in complaints if "Content Security Policy" in each] == []
