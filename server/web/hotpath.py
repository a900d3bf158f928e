"""The fast lane: a pure-ASGI dispatcher in front of the framework.

Framework dispatch costs two to ten times what the cryptography costs, so the few requests that only
read and leave a trace are answered here. What the framework would have done is done here too, and
nothing is left out: body limits, duplicate headers, security headers, error mapping, request id.
Every handler is also mounted as a FastAPI route; a test asserts that both lanes answer the same.

As an ASGI application it serves under any web server. Under ours most requests come an even shorter
way (`server/web/protocol.py`), which asks `find` and `reply` and leaves out ASGI.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import structlog

from foundation.batching.routes import (
    HotAnswer,
    HotRequest,
    HotRoute,
    outage,
    problem,
)
from foundation.errors import Malformed, TooLarge, YinzhengError
from server.web import cors
from server.web.middleware import (
    Answered,
    Noted,
    is_odd_path,
    new_request_id,
    security_headers,
    uncounted,
    unnoted,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

log = structlog.get_logger("http")


@dataclass(frozen=True, slots=True)
class MatchedRoute:
    """The route of an address, and what its `{name}` stands for there."""

    route: HotRoute
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Head:
    """Headers as they are sent, one by one and as lines."""

    headers: Headers
    lines: bytes


@dataclass(slots=True)
class Reply:
    """An answer as it is sent, but for Content-Length and what the web server adds."""

    status: int
    head: Head
    request_id: bytes
    body: bytes


class HotPath:
    """Answers `routes` itself and hands everything else to `app`."""

    def __init__(
        self,
        app: App,
        routes: Iterable[HotRoute],
        *,
        https: bool,
        answered: Answered = uncounted,
        noted: Noted = unnoted,
    ) -> None:
        self._app = app
        self._answered = answered
        self._noted = noted
        self._exact: dict[tuple[str, str], MatchedRoute] = {}
        self._one_segment: dict[tuple[str, str], tuple[HotRoute, str]] = {}
        security = security_headers(https=https)
        by_scripts_too = (*security, *cors.ANSWER)
        # Nearly all answers carry the same few headers.
        self._head = lru_cache(256)(
            lambda kind, more, is_open: _head(kind, more, by_scripts_too if is_open else security)
        )
        for route in routes:
            self._add(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a fast-lane route; hand everything else to the framework."""
        is_http = scope["type"] == "http"
        found = self.find(scope["method"], scope["path"]) if is_http else None
        if found is None:
            await self._app(scope, receive, send)
            return
        try:
            body = await _body(receive, found.route.body_limit)
            request = HotRequest.from_scope(scope, body, found.params)
        except YinzhengError as error:
            reply = self.refusal(found.route, scope["method"], scope["path"], error)
        else:
            reply = await self.reply(found.route, request)
        headers = [
            *reply.head.headers,
            (b"content-length", b"%d" % len(reply.body)),
            (b"x-request-id", reply.request_id),
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else reply.body
        await send({"type": "http.response.body", "body": body})

    def find(self, method: str, path: str) -> MatchedRoute | None:
        """The fast-lane route of a decoded path; None leaves the request to the framework, which
        refuses odd paths."""
        found = self._exact.get((method, path))
        if found is None:
            head, _, tail = path.rpartition("/")
            match = self._one_segment.get((method, head))
            if match is not None and tail and not is_odd_path(path):
                found = MatchedRoute(match[0], {match[1]: tail})
        return found

    async def reply(self, route: HotRoute, request: HotRequest) -> Reply:
        """Ask the route's handler. Never raises."""
        request_id, began = new_request_id(), time.perf_counter()
        try:
            answer = await route.handler(request)
        except YinzhengError as error:
            answer = problem(error, request_id)
        except Exception as failure:
            later = outage(failure, request_id)
            if later is None:
                log.error("unexpected", request_id=request_id, failure=type(failure).__name__)
            answer = problem(later or unexpected(), request_id)
        method, status, seconds = request.method, answer.status, time.perf_counter() - began
        self._answered(route.name, method, status, seconds)
        self._noted(request_id, method, route.path, status, seconds, request.asker)
        return self._reply(answer, request.path, request_id)

    def refusal(
        self, route: HotRoute | None, method: str, path: str, error: YinzhengError
    ) -> Reply:
        """What is answered at `path` without asking the handler of its route, if it has one."""
        request_id = new_request_id()
        answer = problem(error, request_id)
        name, template = (route.name, route.path) if route else ("none", "none")
        self._answered(name, method, answer.status, 0.0)
        self._noted(request_id, method, template, answer.status, 0.0, "")
        return self._reply(answer, path, request_id)

    def _reply(self, answer: HotAnswer, path: str, request_id: str) -> Reply:
        head = self._head(answer.media_type, answer.headers, cors.is_open(path))
        return Reply(answer.status, head, request_id.encode(), answer.body)

    def _add(self, route: HotRoute) -> None:
        """Exact paths, or one `{name}` as the last segment: more would be a router of our own."""
        head, _, tail = route.path.rpartition("/")
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            if "{" not in route.path:
                self._exact[method, route.path] = MatchedRoute(route, {})
            elif tail.startswith("{") and tail.endswith("}") and "{" not in head:
                self._one_segment[method, head] = (route, tail[1:-1])
            else:
                raise ValueError(f"{route.path} does not fit the fast lane")


def unexpected() -> YinzhengError:
    """What a caller learns about a fault of ours: that it is ours, and the request id to quote."""
    return YinzhengError("something failed on our side", next_step="quote the request id to us")


def too_large(limit: int) -> TooLarge:
    """The refusal of a body longer than `limit` bytes."""
    return TooLarge(f"the body is larger than {limit} bytes", limit=str(limit))


def _head(media_type: str, headers: tuple[tuple[str, str], ...], security: Headers) -> Head:
    """What no header can hold becomes "?": a value never ends its line (RFC 9110 §5.5)."""
    named = (("content-type", media_type), *headers)
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in named]
    sent = (*((name, _CONTROLS.sub(b"?", value)) for name, value in encoded), *security)
    return Head(sent, as_lines(sent))


def as_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header fields as HTTP/1.1 writes them (RFC 9112 §5), each with its line end."""
    return b"".join(b"%b: %b\r\n" % each for each in headers)


async def _body(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Malformed("the connection ended before the request did")
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    if len(body) > limit:
        raise too_large(limit)
    return body
