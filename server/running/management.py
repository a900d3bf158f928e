"""Health and numbers for operators, on a port of their own that the public never reaches.

/livez      the process answers
/startupz   the installation is assembled
/readyz     database reachable, schema current, signing key usable, not draining
/metrics    Prometheus text; labels are few and never hold a path value or a person; where the port
            is open beyond this machine, for who brings the token (RFC 6750 §2.1)
"""

import asyncio
import hmac
import threading
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Future
from itertools import accumulate
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Check = Callable[[], str]
"""Answers "" when all is well, else what is not."""

_PATIENCE: Final = 2.0  # seconds a probe waits; who asks gives up after one to five

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Answers:
    """How many answers of one kind took how long: `buckets[i]` of them less than `_BOUNDS[i]`."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0


class Metrics(Collector):
    """Domain and HTTP numbers of this process.

    Answers are counted by the event loop alone, so they need none of the client library's locks.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.draining = Gauge(
            "yinzheng_draining", "1 while this process is stopping", registry=self.registry
        )
        self._answers: dict[tuple[str, str, int], _Answers] = {}
        self.registry.register(self)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer. `route` is a route's name, never an address that somebody typed."""
        key = (route, method if method in _METHODS else "other", status // 100)
        answers = self._answers.get(key)
        if answers is None:
            answers = self._answers[key] = _Answers()
        answers.buckets[bisect_left(_BOUNDS, seconds)] += 1
        answers.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """The answers counted so far, as the client library's registry asks for them."""
        labels = ["route", "method", "status_class"]
        requests = CounterMetricFamily("yinzheng_http_requests", "Requests answered", labels=labels)
        times = HistogramMetricFamily(
            "yinzheng_http_request_seconds", "Time to answer", labels=labels
        )
        for (route, method, status_class), answers in list(self._answers.items()):
            values = (route, method, f"{status_class}xx")
            below = list(accumulate(answers.buckets))
            requests.add_metric(values, below[-1])
            bounds = [*(str(float(each)) for each in _BOUNDS), "+Inf"]
            times.add_metric(values, list(zip(bounds, below, strict=True)), answers.seconds)
        yield requests
        yield times

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)


class _Probe:
    """One check, on a thread of its own: it may be stuck as long as what it asks.

    Whoever asks meanwhile waits for the answer that is being waited for already, so a process whose
    database is silent has one silent thread for it, not one for each probe.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._asked: Future[str] | None = None

    def ask(self) -> "Future[str]":
        if self._asked is None or self._asked.done():
            self._asked = Future()
            threading.Thread(target=self._run, args=(self._asked,), daemon=True).start()
        return self._asked

    def _run(self, asked: "Future[str]") -> None:
        asked.set_result(_outcome(self._check))


class Management:
    """The management port's whole application (pure ASGI; four addresses need no framework)."""

    def __init__(self, metrics: Metrics, checks: dict[str, Check], token: str = "") -> None:
        self._metrics = metrics
        self._token = token
        self._checks = checks
        self._probes = {name: _Probe(check) for name, check in checks.items()}
        self.draining = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request: 404 for other paths than the four; `/readyz` is 503 while a
        check fails or the process is stopping."""
        if scope["type"] != "http":
            return
        if scope["path"] == "/metrics" and not self._may(scope):
            status, media_type, body = 401, "text/plain", b"bring the management token\n"
        else:
            status, media_type, body = await self._answer(scope["path"])
        headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _may(self, scope: Scope) -> bool:
        brought = dict(scope["headers"]).get(b"authorization", b"")
        return not self._token or hmac.compare_digest(brought, f"Bearer {self._token}".encode())

    async def _answer(self, path: str) -> tuple[int, str, bytes]:
        match path:
            case "/livez" | "/startupz":
                return 200, "text/plain", b"ok\n"
            case "/readyz":
                return await self._ready()
            case "/metrics":
                self._metrics.draining.set(self.draining.is_set())
                return 200, "text/plain; version=0.0.4; charset=utf-8", self._metrics.text()
            case _:
                return 404, "text/plain", b"/livez /readyz /startupz /metrics\n"

    def findings(self) -> dict[str, str]:
        """Each check's finding; "ok" when all is well. Waits as long as the checks do."""
        return {name: _outcome(check) or "ok" for name, check in self._checks.items()}

    async def _ready(self) -> tuple[int, str, bytes]:
        """The same within `_PATIENCE`. The public is served on this loop too: it never waits."""
        asked = {name: asyncio.wrap_future(probe.ask()) for name, probe in self._probes.items()}
        if asked:
            await asyncio.wait(asked.values(), timeout=_PATIENCE)
        found = {
            name: (finding.result() or "ok") if finding.done() else "no answer"
            for name, finding in asked.items()
        }
        if self.draining.is_set():
            found["draining"] = "this process is stopping"
        ready = all(finding == "ok" for finding in found.values())
        return (200 if ready else 503), "application/json", orjson.dumps(found)


def _outcome(check: Check) -> str:
    try:
        return check()
    except Exception as failure:
        return type(failure).__name__
