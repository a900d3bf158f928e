"""HEAD wherever GET is, on both lanes, and an `Allow` that names what is there (RFC 9110 §9.1)."""

import asyncio
import re
from collections.abc import Iterator

import httpx
import pytest

from server.assembly import Installation, opened
from server.sandbox import seeds
from server.settings import Settings
from tests.server.test_docs import served_paths

FAST = (
    "/keys/jwks.json",
    "/.well-known/openid-configuration",
    "/ledger/checkpoint",
    "/oauth/userinfo",  # refused, as a GET without a token is
)
ORDINARY = (
    "/",
    "/signin",
    "/verify",
    "/me",  # leads to the sign-in page
    "/static/style.css",
    "/pki/ca.crt",
    "/api/openapi.json",
    "/api/v1/purposes",
    "/nowhere",
    "/me%2500/access",
)
OF_THIS_ANSWER = ("x-request-id", "date", "set-cookie")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with opened(Settings(data_dir=tmp_path_factory.mktemp("methods"))) as house:
        seeds.seed(house)
        yield house


def ask(house: Installation, *requests: tuple[str, str], **headers: str) -> list[httpx.Response]:
    """By both doors where there are two: what the fast lane answers, the framework's twin does."""

    async def all_of() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=house.app())
        answers = []
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for method, path in requests:
                answers.append(await client.request(method, path, headers=headers))
                client.cookies.clear()  # each as a stranger: a page asks for its cookie once
        return answers

    return asyncio.run(all_of())


@pytest.mark.parametrize("path", [*FAST, *ORDINARY])
def test_head_is_answered_as_get_is_without_the_content(house: Installation, path: str) -> None:
    got, head = ask(house, ("GET", path), ("HEAD", path))

    assert head.status_code == got.status_code
    assert head.content == b""
    for name in OF_THIS_ANSWER:
        got.headers.pop(name, None)
        head.headers.pop(name, None)
    same = set(got.headers) - {"content-length"}  # the id of a request makes a page's length
    assert {name: got.headers[name] for name in same} == {
        name: head.headers[name] for name in head.headers if name != "content-length"
    }
    assert ("content-length" in head.headers) == ("content-length" in got.headers)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/keys/jwks.json", "GET, HEAD, OPTIONS"),
        ("/verify", "GET, HEAD, OPTIONS"),
        ("/static/style.css", "GET, HEAD, OPTIONS"),
        ("/signin", "GET, HEAD, OPTIONS, POST"),
        ("/signin/abc", "GET, HEAD, OPTIONS, POST"),
        ("/oauth/authorize", "GET, HEAD, OPTIONS, POST"),
        ("/oauth/userinfo", "GET, HEAD, OPTIONS, POST"),
        ("/oauth/introspect", "OPTIONS, POST"),
        ("/api/v1/verifications", "OPTIONS, POST"),
        ("/api/v1/purposes", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_is_not_there_is_told_all_that_are(
    house: Installation, path: str, allowed: str
) -> None:
    (refused,) = ask(house, ("TRACE", path))

    assert refused.status_code == 405
    assert refused.headers["allow"] == allowed


def test_head_is_refused_where_get_is(house: Installation) -> None:
    head, got = ask(house, ("HEAD", "/oauth/introspect"), ("GET", "/oauth/introspect"))

    assert (head.status_code, got.status_code) == (405, 405)
    assert head.headers["allow"] == got.headers["allow"] == "OPTIONS, POST"
    assert head.content == b""


def every_address(house: Installation) -> list[str]:
    """The table of routes, each name in a path filled in with something that is not there."""
    return sorted({re.sub(r"{[^}]*}", "x", path) for path in served_paths(house.api().routes)})


def _in_rows(answers: list[httpx.Response], length: int) -> Iterator[list[httpx.Response]]:
    return (answers[at : at + length] for at in range(0, len(answers), length))


def test_every_address_does_what_its_allow_says_and_nothing_else(house: Installation) -> None:
    """RFC 9110 §9.1, §10.2.1: of every route there is, on whichever lane it is answered."""
    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    paths = every_address(house)
    assert len(paths) > 80

    answers = ask(house, *((method, path) for path in paths for method in methods))

    for path, of_path in zip(paths, _in_rows(answers, len(methods)), strict=True):
        given = dict(zip(methods, of_path, strict=True))
        allow = given["TRACE"].headers["allow"]
        taken = {method for method, answer in given.items() if answer.status_code != 405}
        assert taken == set(allow.split(", ")), path
        assert {each.headers["allow"] for each in of_path if "allow" in each.headers} == {allow}
        assert ("GET" in taken) == ("HEAD" in taken), path
        assert given["OPTIONS"].status_code == 204, path
        assert given["HEAD"].status_code == given["GET"].status_code, path
        assert given["HEAD"].content == b"", path


def test_options_is_not_found_where_nothing_is(house: Installation) -> None:
    (answer,) = ask(house, ("OPTIONS", "/nowhere"))

    assert answer.status_code == 404


def test_a_script_of_any_origin_reads_our_keys(house: Installation) -> None:
    (keys,) = ask(house, ("GET", "/keys/jwks.json"), origin="https://app.example")
    again, head = ask(
        house,
        ("GET", "/keys/jwks.json"),
        ("HEAD", "/keys/jwks.json"),
        **{"if-none-match": keys.headers["etag"]},
    )

    assert (keys.status_code, again.status_code, head.status_code) == (200, 304, 304)
    for answer in (keys, again, head):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
