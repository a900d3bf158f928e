"""The fast lane's request and answer: plain values, so that one handler serves both lanes.

The fast lane is the pure-ASGI dispatcher in front of the framework (`server/web/hotpath.py`); the
ordinary one is the FastAPI twin that `mount` registers, which OpenAPI and ordinary tests see. Both
hand the handler the same `HotRequest` and send the same `HotAnswer`, byte for byte.

A handler may raise any `YinzhengError`; both lanes turn it into RFC 9457 problem details. OAuth
endpoints answer their own RFC 6749 errors and never let one rise.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

import orjson
import structlog
from fastapi import APIRouter, Request, Response

from foundation.actor import Actor
from foundation.database import DatabaseUnavailable, is_outage
from foundation.errors import Malformed, TooLarge, Unavailable, YinzhengError
from foundation.schemas import Problem

# Sent twice, these headers mean two things to two readers (attack 36): refused, never merged.
SINGLE_HEADERS = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"dpop",
        b"host",
        b"idempotency-key",
        b"transfer-encoding",
    }
)
ASKED_BY = "method"
"""In a scope's state: the method as it was sent. The framework's routes see a HEAD as GET."""
ASKER = "asker"
"""In a scope's state: whom the log names, see `HotRequest.asker`."""

_FORM = "application/x-www-form-urlencoded"
_MOST_PARAMETERS = 100
OUTAGE_RETRY: Final = 5  # seconds

log = structlog.get_logger("http")


@dataclass(slots=True)
class HotRequest:
    """What arrived. Header names are lower case; `path` is already percent-decoded once.

    `content_sha256` is the digest of content that is not in `body`, because it went by in a stream.
    `asker` is filled in by whoever finds out: the program that proved itself, for the log.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    client_ip: str = ""
    path_params: Mapping[str, str] = field(default_factory=dict)
    content_sha256: bytes | None = None
    asker: str = ""

    @classmethod
    def from_scope(
        cls,
        scope: Mapping[str, Any],
        body: bytes = b"",
        path_params: Mapping[str, str] | None = None,
        content_sha256: bytes | None = None,
    ) -> "HotRequest":
        """The request of an ASGI HTTP scope; `method` is what the client sent, also where the
        framework was told GET. Raises `Malformed` as `collect_headers` does.
        """
        client = scope.get("client")
        return cls(
            method=scope.get("state", {}).get(ASKED_BY, scope["method"]),
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=collect_headers(scope["headers"]),
            body=body,
            client_ip=client[0] if client else "",
            path_params=path_params or {},
            content_sha256=content_sha256,
        )


@dataclass(slots=True)
class HotAnswer:
    """What leaves."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


HotHandler = Callable[[HotRequest], Awaitable[HotAnswer]]


@dataclass(frozen=True, slots=True)
class HotRoute:
    """One fast-lane endpoint. `path` may hold `{name}` segments; `body_limit` is in bytes.

    `openapi` is merged into the operation that the FastAPI twin describes. A `non_blocking` handler
    hardly ever waits for anything: it may be run on the spot, without a task of its own.
    """

    method: str
    path: str
    handler: HotHandler
    name: str
    summary: str
    body_limit: int = 16_384
    openapi: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    non_blocking: bool = False


class Require(Protocol):
    """Who asks, and may they? Implemented over access tokens by `server/web/access.py`."""

    def __call__(self, *scopes: str) -> Callable[..., Awaitable[Actor]]:
        """A FastAPI dependency that answers the `Actor` of the request's access token."""

    async def hot(self, request: HotRequest, *scopes: str) -> Actor:
        """The same for a fast-lane request. Raises `Unauthenticated` or `Refused`."""


def collect_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case header names to values; a header of `SINGLE_HEADERS` sent twice is `Malformed`."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if key in headers:
            if name in SINGLE_HEADERS:
                raise Malformed(f"the header {key} was sent more than once")
            text = f"{headers[key]}, {text}"
        headers[key] = text
    return headers


def parse_form(request: HotRequest, repeated: Collection[str] = ()) -> dict[str, str]:
    """The form's parameters. Another content type, a second value or bad UTF-8 is `Malformed`.

    RFC 6749 §3.1 and §3.2: parameters must not be included more than once. Those of `repeated` may
    be; their values are joined with spaces.
    """
    media_type = request.headers.get("content-type", "")
    if media_type != _FORM and media_type.partition(";")[0].strip().lower() != _FORM:
        raise Malformed(f"the body must be {_FORM}")
    return parse_pairs(request.body, repeated)


def parse_query(request: HotRequest) -> dict[str, str]:
    """The query's parameters, under the same rules as a form."""
    return parse_pairs(request.query.encode("latin-1"))


def _decoded(text: str) -> str:
    """Form decoding; raises `UnicodeDecodeError` for what is not UTF-8."""
    if "%" in text or "+" in text:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    return text


def parse_pairs(encoded: bytes, repeated: Collection[str] = ()) -> dict[str, str]:
    """Name and value of each `&`-separated part; a part without "=" is a name without a value."""
    parameters: dict[str, str] = {}
    try:
        text = encoded.decode("ascii")
        parts = [part for part in text.split("&") if part]
        if len(parts) > _MOST_PARAMETERS:
            raise ValueError
        plain = "%" not in text and "+" not in text
        for part in parts:
            name, _, value = part.partition("=")
            if not plain:
                name, value = _decoded(name), _decoded(value)
            if name not in parameters:
                parameters[name] = value
            elif name in repeated:
                parameters[name] += f" {value}"
            else:
                raise Malformed(f"the parameter {name[:64]} was sent more than once")
    except ValueError:
        raise Malformed("the parameters are not form-encoded UTF-8") from None
    return parameters


def json_answer(
    value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> HotAnswer:
    """An answer whose body is this value as JSON."""
    return HotAnswer(status, orjson.dumps(value), "application/json", headers)


def mount(router: APIRouter, routes: Sequence[HotRoute]) -> None:
    """Register the FastAPI twin of each fast-lane route."""
    for route in routes:
        router.add_api_route(
            route.path,
            _twin(route),
            methods=[route.method],
            name=route.name,
            operation_id=route.name,
            summary=route.summary,
            tags=list(route.tags),
            openapi_extra=dict(route.openapi) or None,
            response_class=Response,
            status_code=_good(route.openapi),
        )


def _good(told: Mapping[str, Any]) -> int:
    """The status of the good answer that an operation describes."""
    return min((int(each) for each in told.get("responses", ()) if each < "3"), default=200)


def _twin(route: HotRoute) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await read_body(request, route.body_limit)
        hot = HotRequest.from_scope(request.scope, body, request.path_params)
        try:
            answer = await route.handler(hot)
        finally:
            request.scope.setdefault("state", {})[ASKER] = hot.asker
        response = Response(answer.body, answer.status, media_type=None)
        response.headers["content-type"] = answer.media_type
        for name, value in answer.headers:
            response.headers[name] = value
        return response

    endpoint.__name__ = route.name
    return endpoint


async def read_body(request: Request, limit: int) -> bytes:
    """The content of a request of the ordinary lane. Raises `TooLarge` beyond `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes", limit=str(limit))
    return bytes(body)


def outage(failure: Exception, request_id: str = "") -> Unavailable | None:
    """What a caller is told when `failure` is the database's silence; says so once in the log."""
    if isinstance(failure, Unavailable):
        return failure
    if not is_outage(failure):
        return None
    log.warning("database_unavailable", request_id=request_id, failure=type(failure).__name__)
    return DatabaseUnavailable(
        "the database cannot be reached",
        retry_after=OUTAGE_RETRY,
        next_step="try again later, with the same Idempotency-Key where there was one",
    )


def problem(error: YinzhengError, instance: str = "") -> HotAnswer:
    """RFC 9457 problem details for `error`; `instance` is the request id."""
    headers: list[tuple[str, str]] = [("cache-control", "no-store")]
    if (challenge := getattr(error, "challenge", None)) is not None:
        headers.append(("www-authenticate", challenge))
    if (retry_after := getattr(error, "retry_after", None)) is not None:
        headers.append(("retry-after", str(retry_after)))
    if nonce := getattr(error, "dpop_nonce", ""):  # RFC 9449 §9
        headers.append(("dpop-nonce", nonce))
    if wanted := getattr(error, "accept_signature", ""):  # RFC 9421 §5.1
        headers.append(("accept-signature", wanted))
    code = getattr(error, "error", error.code)  # an OAuth error may be more exact than its class
    body: Problem = {
        "type": "about:blank",
        "title": code.replace("_", " "),
        "status": error.status,
        "code": code,
        "detail": error.detail,
        "instance": instance,
        "errors": [
            {"pointer": each.pointer, "code": each.code, "detail": each.detail}
            for each in error.errors
        ],
        "next_step": error.next_step,
    }
    return HotAnswer(error.status, orjson.dumps(body), "application/problem+json", tuple(headers))
