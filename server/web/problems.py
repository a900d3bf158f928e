"""One error, two faces: problem details for programs (RFC 9457), a page for people.

The code, the detail and the next step are the same on both. An exception nobody foresaw becomes a
500 that names the request id and nothing else.
"""

import traceback
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from foundation.batching.routes import HotAnswer, outage, problem
from foundation.database import OUTAGES
from foundation.errors import (
    Conflict,
    FieldError,
    Gone,
    Invalid,
    Malformed,
    NotFound,
    Refused,
    TooLarge,
    YinzhengError,
)
from server.web.hotpath import unexpected
from server.web.methods import allowed

MACHINE_PATHS = (
    "/api/",
    "/oauth/",
    "/keys/",
    "/pki/",
    "/tsa",
    "/ledger/",
    "/status-lists",
    "/types",
    "/.well-known/",
)
# Below /oauth/, but opened by people's browsers: a refusal that must not be sent back to the client
# is read by a person (RFC 6749 §4.1.2.1).
BROWSER_PATHS = frozenset({"/oauth/authorize", "/oauth/logout"})
ErrorPage = Callable[[Request, YinzhengError, str], Response]

log = structlog.get_logger("http")


class MethodNotAllowed(YinzhengError):
    """The address exists, but not for this method (RFC 9110 §15.5.6)."""

    code = "method_not_allowed"
    status = 405


_BY_STATUS: dict[int, type[YinzhengError]] = {
    400: Malformed,
    403: Refused,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    422: Invalid,
}


def install(app: FastAPI, error_page: ErrorPage) -> None:
    """Register the handlers; `error_page` draws an error for a person."""

    def answer(request: Request, error: YinzhengError) -> Response:
        request_id = _request_id(request)
        if is_for_machines(request):
            return _response(problem(error, request_id))
        return error_page(request, error, request_id)

    def ours(request: Request, error: Any) -> Response:
        return answer(request, error)

    def validation(request: Request, error: Any) -> Response:
        fields = [
            FieldError("/" + "/".join(map(str, each["loc"])), each["type"], each["msg"])
            for each in error.errors()
        ]
        return answer(request, Invalid("the request has wrong fields", errors=fields))

    def http(request: Request, error: Any) -> Response:
        kind = _BY_STATUS.get(error.status_code, Malformed)
        words = {404: "there is nothing at this address", 405: "this address takes other methods"}
        response = answer(request, kind(words.get(error.status_code, str(error.detail))))
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        if error.status_code == 405:
            response.headers["allow"] = ", ".join(allowed(request.app, request.scope))
        return response

    def silence(request: Request, failure: Any) -> Response:
        later = outage(failure, _request_id(request))
        if later is None:
            raise failure  # to `fault`
        return answer(request, later)

    def fault(request: Request, error: Exception) -> Response:
        # Where, but not the message: it may quote what a citizen typed.
        trace = traceback.format_tb(error.__traceback__)[-5:]
        kind, request_id = type(error).__name__, _request_id(request)
        log.error("unexpected", request_id=request_id, failure=kind, trace="".join(trace))
        return answer(request, unexpected())

    app.add_exception_handler(YinzhengError, ours)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    for kind in OUTAGES:
        app.add_exception_handler(kind, silence)
    app.add_exception_handler(Exception, fault)


def is_for_machines(request: Request) -> bool:
    """Whether refusals at this path are problem details (RFC 9457) and not pages."""
    path = request.url.path
    return path.startswith(MACHINE_PATHS) and path not in BROWSER_PATHS


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))


def _response(answer: HotAnswer) -> Response:
    response = Response(answer.body, answer.status, media_type=answer.media_type)
    for name, value in answer.headers:
        response.headers[name] = value
    return response
