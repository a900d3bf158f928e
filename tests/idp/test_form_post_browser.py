"""The form that sends itself, in a real browser under our real policy: with script and without."""

import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx
import pytest

from tests.clients.conftest import PASSWORD, Site, site  # noqa: F401


class Service:
    """A service that waits for its answer at /callback."""

    def __init__(self) -> None:
        self.answers: list[dict[str, list[str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                service.answers.append(parse_qs(body))
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(b"<title>Welcome back</title>")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.callback = f"http://127.0.0.1:{self.server.server_port}/callback"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.mark.browser
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_person_comes_back_to_the_service_by_form(site: Site, service: Service, script: bool):  # noqa: F811
    from playwright.sync_api import sync_playwright

    client_id = f"by-form-{secrets.token_hex(4)}"
    site.client(client_id, redirect_uris=(service.callback,))
    asked = {
        "client_id": client_id,
        "redirect_uri": service.callback,
        "response_type": "code",
        "response_mode": "form_post",
        "scope": "openid",
        "state": "s",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    complaints: list[str] = []

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        page = browser.new_context(java_script_enabled=script).new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(str(httpx.URL(f"{site.issuer}/oauth/authorize", params=asked)))
        page.fill("#username", "chen-jingyi")
        page.fill("#password", PASSWORD)
        page.click("#submit")
        page.click('button[value="allow"]')
        if not script:
            page.click("#submit")
        page.wait_for_url(service.callback)
        title = page.title()
        browser.close()

    [answer] = service.answers
    assert title == "Welcome back"
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == (["s"], [site.issuer])
    assert [text for text in complaints if "Content Security Policy" in text] == []
