"""The fast lane's own door: a pure-ASGI dispatcher in front of the framework.

Framework dispatch costs two to ten times what the cryptography costs, so the few requests that only
read and leave a trace are answered here. What the framework would have done is done here too, and
nothing is left out: body limits, duplicate headers, security headers, error mapping, request id.
Every handler is also mounted as a FastAPI route; a test asserts that both doors answer the same.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any

import structlog

from foundation.errors import Malformed, TooLarge, YinzhengError
from foundation.hot import HotAnswer, HotRequest, HotRoute, collect_headers, problem
from server.middleware import (
    Answered,
    new_request_id,
    refuse_odd_path,
    security_headers,
    uncounted,
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = structlog.get_logger("http")


class HotPath:
    """Answers `routes` itself and hands everything else to `app`."""

    def __init__(
        self,
        app: App,
        routes: Iterable[HotRoute],
        *,
        https: bool,
        answered: Answered = uncounted,
    ) -> None:
        self._app = app
        self._answered = answered
        self._exact: dict[tuple[str, str], HotRoute] = {}
        self._one_segment: dict[tuple[str, str], tuple[HotRoute, str]] = {}
        self._security = security_headers(https=https)
        for route in routes:
            self._add(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path, method = scope["path"], scope["method"]
        route, params = self._exact.get((method, path)), {}
        if route is None:
            head, _, tail = path.rpartition("/")
            match = self._one_segment.get((method, head))
            if match is None or not tail:
                return await self._app(scope, receive, send)
            route, params = match[0], {match[1]: tail}
        request_id, began = new_request_id(), time.perf_counter()
        answer = await self._answer(route, params, scope, receive, request_id)
        self._answered(route.name, method, answer.status, time.perf_counter() - began)
        return await self._send(answer, request_id, send)

    def _add(self, route: HotRoute) -> None:
        """Exact paths, or one `{name}` as the last segment: more would be a router of our own."""
        head, _, tail = route.path.rpartition("/")
        if "{" not in route.path:
            self._exact[route.method, route.path] = route
        elif tail.startswith("{") and tail.endswith("}") and "{" not in head:
            self._one_segment[route.method, head] = (route, tail[1:-1])
        else:
            raise ValueError(f"{route.path} does not fit the fast lane")

    async def _answer(
        self,
        route: HotRoute,
        params: dict[str, str],
        scope: Scope,
        receive: Receive,
        request_id: str,
    ) -> HotAnswer:
        try:
            refuse_odd_path(scope)
            request = HotRequest(
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                headers=collect_headers(scope["headers"]),
                body=await _body(receive, route.body_limit),
                client_ip=scope["client"][0] if scope.get("client") else "",
                path_params=params,
            )
            return await route.handler(request)
        except YinzhengError as error:
            return problem(error, request_id)
        except Exception as failure:
            log.error("unexpected", request_id=request_id, failure=type(failure).__name__)
            return problem(unexpected(), request_id)

    async def _send(self, answer: HotAnswer, request_id: str, send: Send) -> None:
        headers = [
            _header("content-type", answer.media_type),
            (b"content-length", b"%d" % len(answer.body)),
            (b"x-request-id", request_id.encode()),
            *self._security,
        ]
        headers += [_header(name, value) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def unexpected() -> YinzhengError:
    """What a caller learns about a fault of ours: that it is ours, and the request id to quote."""
    return YinzhengError("something failed on our side", next_step="quote the request id to us")


@lru_cache(maxsize=256)
def _header(name: str, value: str) -> tuple[bytes, bytes]:
    """A header as it is sent; nearly all answers carry the same few."""
    return name.encode(), value.encode("latin-1")


async def _body(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Malformed("the connection ended before the request did")
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    if len(body) > limit:
        raise TooLarge(f"the body is larger than {limit} bytes", limit=str(limit))
    return body
