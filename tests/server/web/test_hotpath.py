"""Two doors, one answer: the dispatcher in front of the framework and the framework's twin."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response

from foundation.batching.routes import (
    HotAnswer,
    HotRequest,
    HotRoute,
    json_answer,
    mount,
    parse_form,
)
from foundation.errors import Conflict, FieldError
from server.web import problems
from server.web.hotpath import HotPath
from server.web.middleware import Envelope


async def echo(request: HotRequest) -> HotAnswer:
    form = parse_form(request) if request.body else {}
    return json_answer({"form": form, "params": dict(request.path_params)})


async def conflict(request: HotRequest) -> HotAnswer:
    errors = [FieldError("/number", "taken", "the number is taken")]
    raise Conflict("somebody was first", next_step="read it again", errors=errors)


async def fault(request: HotRequest) -> HotAnswer:
    raise RuntimeError("陈静怡 must not be told to anybody")


ROUTES = [
    HotRoute("POST", "/echo", echo, "echo", "Echo", body_limit=100),
    HotRoute("GET", "/things/{name}", echo, "thing", "One thing"),
    HotRoute("GET", "/conflict", conflict, "conflict", "A conflict"),
    HotRoute("GET", "/api/fault", fault, "fault", "A fault"),
]
FORM = {"content-type": "application/x-www-form-urlencoded"}


def framework() -> FastAPI:
    app = FastAPI()
    router = APIRouter()
    mount(router, ROUTES)
    app.include_router(router)
    page = lambda request, error, request_id: Response(error.code, error.status)  # noqa: E731
    problems.install(app, page)
    return app


def ask(app, method: str, path: str, **arguments) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **arguments)

    return asyncio.run(once())


@pytest.fixture(params=["dispatcher", "framework"])
def app(request):
    slow = Envelope(framework(), https=False)
    return HotPath(slow, ROUTES, https=False) if request.param == "dispatcher" else slow


def test_both_doors_hand_over_the_same_request(app) -> None:
    posted = ask(app, "POST", "/echo", content=b"a=1&b=%E9%BE%98", headers=FORM)
    got = ask(app, "GET", "/things/blue")

    assert posted.json() == {"form": {"a": "1", "b": "龘"}, "params": {}}
    assert got.json() == {"form": {}, "params": {"name": "blue"}}


def test_both_doors_send_the_security_headers_and_a_request_id(app) -> None:
    answer = ask(app, "GET", "/things/blue")

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert len(answer.headers["x-request-id"]) == 16


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=%ff", b"a=1&" * 60 + b"b=2"])
def test_a_bad_body_is_refused_at_both_doors(app, body: bytes) -> None:
    answer = ask(app, "POST", "/echo", content=body, headers=FORM)

    assert answer.status_code in {400, 413}


def test_a_duplicated_authorization_header_is_refused_at_both_doors(app) -> None:
    headers = [("authorization", "Bearer a"), ("authorization", "Bearer b")]

    answer = ask(app, "GET", "/things/blue", headers=headers)

    assert answer.status_code == 400


def test_an_unexpected_fault_tells_only_its_request_id() -> None:
    app = HotPath(Envelope(framework(), https=False), ROUTES, https=False)

    answer = ask(app, "GET", "/api/fault")

    assert answer.status_code == 500
    assert "陈" not in answer.text
    assert answer.json()["instance"] == answer.headers["x-request-id"]


def test_an_error_says_code_place_and_next_step() -> None:
    app = HotPath(framework(), ROUTES, https=False)

    answer = ask(app, "GET", "/conflict")

    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (409, "conflict")
    assert problem["next_step"] == "read it again"
    assert problem["errors"] == [
        {"pointer": "/number", "code": "taken", "detail": "the number is taken"}
    ]


def test_a_path_that_decodes_twice_is_nobodys_path() -> None:
    app = HotPath(Envelope(framework(), https=False), ROUTES, https=False)

    assert ask(app, "GET", "/things/..%252f..%252fetc").status_code == 404
    assert ask(app, "GET", "/things/a%5Cb").status_code == 404


def test_security_headers_are_only_sent_with_hsts_over_https() -> None:
    plain = ask(HotPath(framework(), ROUTES, https=False), "GET", "/things/a")
    secure = ask(HotPath(framework(), ROUTES, https=True), "GET", "/things/a")

    assert "strict-transport-security" not in plain.headers
    assert "strict-transport-security" in secure.headers
