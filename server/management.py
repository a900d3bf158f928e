"""Health and numbers for operators, on a port of their own that the public never reaches.

/livez      the process answers
/startupz   the house is assembled
/readyz     database reachable, schema current, signing key usable, not draining
/metrics    Prometheus text; labels are few and never hold a path value or a person
"""

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Check = Callable[[], str]
"""Answers "" when all is well, else what is not."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Metrics:
    """Domain and HTTP numbers of this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "yinzheng_http_requests",
            "Requests answered",
            ["route", "method", "status_class"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "yinzheng_http_request_seconds",
            "Time to answer",
            ["route"],
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.draining = Gauge(
            "yinzheng_draining", "1 while this process is stopping", registry=self.registry
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is a route's name, never an address that somebody typed."""
        key = (route, method if method in _METHODS else "other", status // 100)
        found = self._children.get(key)
        if found is None:  # labels are looked up once: it costs more than counting
            found = self._children[key] = (
                self.requests.labels(route, key[1], f"{key[2]}xx"),
                self.seconds.labels(route),
            )
        found[0].inc()
        found[1].observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)


class Management:
    """The management port's whole application (pure ASGI; four addresses need no framework)."""

    def __init__(self, metrics: Metrics, checks: dict[str, Check]) -> None:
        self._metrics = metrics
        self._checks = checks
        self.draining = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        status, media_type, body = self._answer(scope["path"])
        headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        match path:
            case "/livez" | "/startupz":
                return 200, "text/plain", b"ok\n"
            case "/readyz":
                return self._ready()
            case "/metrics":
                self._metrics.draining.set(self.draining.is_set())
                return 200, "text/plain; version=0.0.4; charset=utf-8", self._metrics.text()
            case _:
                return 404, "text/plain", b"/livez /readyz /startupz /metrics\n"

    def findings(self) -> dict[str, str]:
        """Each check's finding; "ok" when all is well."""
        found = {name: _outcome(check) or "ok" for name, check in self._checks.items()}
        if self.draining.is_set():
            found["draining"] = "this process is stopping"
        return found

    def _ready(self) -> tuple[int, str, bytes]:
        found = self.findings()
        ready = all(finding == "ok" for finding in found.values())
        return (200 if ready else 503), "application/json", orjson.dumps(found)


def _outcome(check: Check) -> str:
    try:
        return check()
    except Exception as failure:
        return type(failure).__name__
