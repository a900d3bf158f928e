"""What every answer carries and every request obeys, as pure ASGI (no BaseHTTPMiddleware: +205 µs).

- an `X-Request-Id` that errors quote;
- one meaning: a header that decides something sent twice, or a path that decodes twice, is refused
  before anybody looks at it (attacks 35 and 36);
- the digest of what goes by, when the request is signed;
- HEAD wherever GET is (RFC 9110 §9.1): the framework hears GET, and the content is left out;
- the security headers, unless the page set its own Content-Security-Policy;
- leave for scripts of any origin to read it, where `cors` says so, refusals included;
- a limit on the body, small for forms and larger where files arrive.
"""

import hashlib
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from foundation.batching.routes import ASKED_BY, ASKER, collect_headers, problem
from foundation.errors import NotFound, YinzhengError
from server.web import cors

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Digest = Any  # of hashlib, which does not name its type
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answered = Callable[[str, str, int, float], None]
"""Told of every answer: the route's name, the method, the status, the seconds until it began."""
Noted = Callable[[str, str, str, int, float, str], None]
"""Told of every answer for the log: the request's id, the method, the route's template, the status,
the seconds until it began, and who asked: a role, a program, or "" for nobody known."""

FORM_LIMIT = 256 * 1024
UPLOAD_LIMIT = 52 * 1024 * 1024

_WITHOUT_FORMS = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
CONTENT_SECURITY_POLICY = f"{_WITHOUT_FORMS}; form-action 'self'"
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not `no-referrer`: that would make browsers send `Origin: null` with our own forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
)
# Where a service sends its people to sign in or out, maybe in a pop-up. A policy of our own for
# openers would part the pop-up from the page that waits for it, also when it stands on a redirect
# or an error on the way.
_POP_UPS = ("/signin", "/consent/", "/signout", "/signed-out", "/oauth/authorize", "/oauth/logout")
# A POST there may be answered with a redirect to a service or to its request. Browsers apply
# `form-action` to every redirect that follows, and where the service sends the person next is
# nobody's knowledge here.
_LEAVING = ("/signin", "/consent/", "/signout")
_SIGNED = b"signature-input"
_HSTS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")


def security_headers(*, https: bool, path: str = "") -> tuple[tuple[bytes, bytes], ...]:
    """Of an answer at `path`, with who may read it: people come to some pages from a service, and
    scripts to some addresses from anywhere."""
    headers = dict(_HEADERS)
    if path.startswith(_POP_UPS):
        headers[b"cross-origin-opener-policy"] = b"unsafe-none"
    if path.startswith(_LEAVING):
        headers[b"content-security-policy"] = _WITHOUT_FORMS.encode()
    readers = cors.ANSWER if cors.is_open(path) else ()
    return (*headers.items(), *((_HSTS,) if https else ()), *readers)


def new_request_id() -> str:
    """16 hexadecimal characters; says nothing about the request."""
    return os.urandom(8).hex()


def is_odd_path(path: str) -> bool:
    """One decoding, then authorisation: a path that could be decoded again is nobody's path."""
    return "%" in path or "\\" in path or unquote(path) != path or not path.isprintable()


def streamed_sha256(scope: Scope) -> bytes:
    """The digest of the content that was read so far; of an unsigned request, no digest at all."""
    content: Digest | None = scope.get("state", {}).get("content")
    return b"" if content is None else content.digest()


def uncounted(_route: str, _method: str, _status: int, _seconds: float) -> None:
    """For who wants no numbers."""


def unnoted(*_answer: object) -> None:
    """For who wants no lines."""


class Envelope:
    """Wraps the framework's app: request id, security headers, body limit, numbers."""

    def __init__(
        self, app: App, *, https: bool, answered: Answered = uncounted, noted: Noted = unnoted
    ) -> None:
        self._app = app
        self._answered = answered
        self._noted = noted
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse ambiguous requests, let the framework answer the others with limited bodies, and
        count and complete each answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id, method = new_request_id(), scope["method"]
        state = scope.setdefault("state", {})
        state["request_id"], state[ASKED_BY] = request_id, method
        if method == "HEAD":
            scope, send = {**scope, "method": "GET"}, _head_alone(send)

        began = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                seconds = time.perf_counter() - began
                status, who = message["status"], state.get(ASKER, "")
                self._answered(_name(scope), method, status, seconds)
                self._noted(request_id, method, _template(scope), status, seconds, who)
                message["headers"] = self._complete(message["headers"], scope["path"], request_id)
            await send(message)

        try:
            if is_odd_path(scope["path"]):
                raise NotFound("there is nothing at this address")
            collect_headers(scope["headers"])
        except YinzhengError as error:
            return await _send_problem(error, request_id, send_with_headers)
        limited = _Limited(receive, _limit(scope))
        if _SIGNED in dict(scope["headers"]):
            scope["state"]["content"] = limited.content = hashlib.sha256()
        return await self._app(scope, limited, send_with_headers)

    def _complete(
        self, headers: list[tuple[bytes, bytes]], path: str, request_id: str
    ) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in headers}
        security = security_headers(https=self._https, path=path)
        missing = [(name, value) for name, value in security if name not in present]
        return [*headers, *missing, (b"x-request-id", request_id.encode())]


def _name(scope: Scope) -> str:
    """The route's own name; an address that leads nowhere has none."""
    return str(getattr(scope.get("route"), "name", "") or "none")


def _template(scope: Scope) -> str:
    """The route's path with its `{names}`, as it was written down; never what was asked for."""
    return str(getattr(scope.get("route"), "path", "") or "none")


def _head_alone(send: Send) -> Send:
    """Sends the head of an answer to a GET, and nothing of its content."""
    ended = False

    async def send_head(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b""})

    return send_head


async def _send_problem(error: YinzhengError, request_id: str, send: Send) -> None:
    answer = problem(error, request_id)
    headers = [(b"content-type", answer.media_type.encode())]
    headers += [(name.encode(), value.encode()) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


class _Limited:
    """A `receive` that stops counting bytes for nobody: past the limit the client is gone.

    What goes by is added to `content`, when there is one.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.content: Digest | None = None

    async def __call__(self) -> Message:
        message = await self._receive()
        body = message.get("body", b"")
        self._left -= len(body)
        if self.content is not None:
            self.content.update(body)
        return message if self._left >= 0 else {"type": "http.disconnect"}


def _limit(scope: Scope) -> int:
    headers = dict(scope["headers"])
    upload = headers.get(b"content-type", b"").startswith((b"multipart/", b"application/pdf"))
    return UPLOAD_LIMIT if upload else FORM_LIMIT
