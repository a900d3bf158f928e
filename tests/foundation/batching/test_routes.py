"""One way from an ASGI scope to what a handler sees."""

import ast
from pathlib import Path
from typing import Any

import pytest

from foundation.batching import HotRequest
from foundation.batching.routes import ASKED_BY
from foundation.errors import Malformed

ROOT = Path(__file__).parents[3]
PACKAGES = ("foundation", "keys", "ledger", "signing", "idp", "certificates", "exchange", "portal")
# The short way has no scope: it makes its request of what the parser read.
WITHOUT_SCOPE = {"server/web/protocol.py"}


def scope(**changed: Any) -> dict[str, Any]:
    asked = {
        "type": "http",
        "method": "GET",
        "path": "/v/a b?c",
        "query_string": b"x=1&y=%C3%A4",
        "headers": [(b"accept", b"text/html"), (b"accept", b"*/*"), (b"dpop", b"proof")],
        "client": ("192.0.2.7", 4711),
    }
    return asked | changed


def test_a_request_says_what_its_scope_says():
    request = HotRequest.from_scope(scope(), b"body", {"token": "a b?c"}, b"digest")

    assert request == HotRequest(
        method="GET",
        path="/v/a b?c",
        query="x=1&y=%C3%A4",
        headers={"accept": "text/html, */*", "dpop": "proof"},
        body=b"body",
        client_ip="192.0.2.7",
        path_params={"token": "a b?c"},
        content_sha256=b"digest",
    )


def test_its_method_is_the_one_that_was_sent():
    assert HotRequest.from_scope(scope(state={ASKED_BY: "HEAD"})).method == "HEAD"


@pytest.mark.parametrize("changed", [{"client": None}, {"client": ("", 0)}])
def test_a_client_without_an_address_has_none(changed):
    assert HotRequest.from_scope(scope(**changed)).client_ip == ""


def test_a_header_with_two_meanings_is_refused():
    twice = [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]

    with pytest.raises(Malformed):
        HotRequest.from_scope(scope(headers=twice))


def test_no_other_place_makes_a_request_of_a_scope():
    made = {
        str(file.relative_to(ROOT))
        for package in (*PACKAGES, "server")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "HotRequest"
    }

    assert made == WITHOUT_SCOPE
