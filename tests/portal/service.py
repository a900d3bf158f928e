"""A service that sends people here to sign in: two origins, as a portal and its application are."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def two_origins() -> Iterator[tuple[str, str]]:
    """The portal's origin and the application's.

    The portal sends whoever comes to `/callback` on to the application; everything else is a page.
    """
    with ExitStack() as both:
        application = both.enter_context(_listening(_Page))
        portal = both.enter_context(
            _listening(type("Portal", (_Portal,), {"application": application}))
        )
        yield portal, application


@contextmanager
def _listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Page(BaseHTTPRequestHandler):
    """Answers everything with the same page."""

    def do_GET(self) -> None:
        self._answer(200, [("Content-Type", "text/html")], b"<!doctype html><p>arrived")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """The test says what happened."""

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Portal(_Page):
    application = ""

    def do_GET(self) -> None:
        if self.path.startswith("/callback"):
            return self._answer(303, [("Location", f"{self.application}{self.path}")], b"")
        return super().do_GET()
