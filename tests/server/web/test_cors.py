"""Apps that run in a browser: what their scripts may call and read, and what they may not."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from foundation.actor import SYSTEM
from server.assembly import Installation, opened
from server.sandbox import seeds
from server.settings import Settings
from server.web import cors
from tests.idp.proofs import Prover
from tests.portal.live import serving
from tests.server.test_docs import served_paths

APP = {"origin": "https://app.example"}
PREFLIGHT = {
    **APP,
    "access-control-request-method": "POST",
    "access-control-request-headers": "dpop,traceparent",
}
PUBLIC = (
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwt-vc-issuer",
    "/keys/jwks.json",
    "/ledger/checkpoint",
    "/ledger/tile/0/000",
    "/oauth/device",
    "/oauth/par",
    "/oauth/revoke",
    "/oauth/token",
    "/oauth/userinfo",
    "/pki/ca.crt",
    "/pki/crl/root.crl",
    "/status-lists",
    "/status-lists/1",
    "/tsa",
    "/types",
    "/types/residence-permit/1",
)
NOT_FOR_SCRIPTS = (
    "/",
    "/signin",
    "/oauth/authorize",
    "/oauth/logout",
    "/oauth/introspect",
    "/oauth/register",
    "/api/v1/verifications",
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with opened(Settings(data_dir=tmp_path_factory.mktemp("cors"))) as house:
        seeds.seed(house)
        yield house


def ask(house: Installation, method: str, path: str, **options: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=house.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **options)

    return asyncio.run(once())


def readable(answer: httpx.Response) -> bool:
    """By a script of any origin, which sends no cookies."""
    assert "access-control-allow-credentials" not in answer.headers
    assert len(answer.headers.get_list("access-control-allow-origin")) < 2
    return answer.headers.get("access-control-allow-origin") == "*"


@pytest.mark.parametrize("path", PUBLIC)
def test_a_script_may_ask_with_any_header_and_read_what_is_public(house: Installation, path: str):
    asked = ask(house, "OPTIONS", path, headers=PREFLIGHT)
    answer = ask(house, "GET", path, headers=APP)

    assert asked.status_code == 204
    assert readable(asked)
    assert asked.headers["access-control-allow-headers"] == "dpop,traceparent"
    assert asked.headers["access-control-allow-methods"] == asked.headers["allow"]
    assert readable(answer)
    assert answer.status_code in {200, 401, 404, 405}


@pytest.mark.parametrize("headers", ["dpop\r\nset-cookie: a=b", "Authorization;", "a,,b", "é", ""])
def test_what_is_no_list_of_header_names_is_not_sent_back(house: Installation, headers: str):
    asked = {**PREFLIGHT, "access-control-request-headers": headers.encode("latin-1")}

    answer = ask(house, "OPTIONS", "/oauth/token", headers=asked)

    assert answer.headers["access-control-allow-headers"] == "Authorization, Content-Type, DPoP"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", NOT_FOR_SCRIPTS)
def test_no_script_reads_what_depends_on_a_cookie(house: Installation, path: str):
    """Or what is for other servers; a preflight is answered, and allows nothing."""
    asked = ask(house, "OPTIONS", path, headers=PREFLIGHT)

    assert asked.status_code == 204
    for answer in (asked, ask(house, "GET", path, headers=APP)):
        assert not any(name.startswith("access-control-") for name in answer.headers)


def test_every_route_for_machines_is_judged(house: Installation):
    """A new route below a public address is public; another one has to be written down here."""
    known = (*PUBLIC, *NOT_FOR_SCRIPTS, "/oauth/register/", "/api/v1/", "/oauth/form-post.js")
    machine = ("/oauth/", "/api/", "/keys/", "/pki/", "/ledger/", "/.well-known/", "/status-lists")
    paths = set(served_paths(house.api().routes))
    assert len(paths) > 80
    for path in paths:
        if path.startswith(machine):
            assert cors.is_open(path) or path.startswith(known), path


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/oauth/token", {}, 405),
        ("GET", "/keys/nothing", {}, 404),
        ("GET", "/keys/%2561", {}, 404),
        ("DELETE", "/keys/jwks.json", {}, 405),
        ("GET", "/status-lists/999", {}, 404),
        ("POST", "/oauth/token", {"content": b"grant_type=" + b"x" * 20_000}, 413),
        ("POST", "/oauth/token", {"content": b"a=1&a=2"}, 400),
        ("POST", "/oauth/userinfo", {"headers": [("authorization", "Bearer a")] * 2}, 400),
        ("GET", "/pki/crl/root.crl", {"headers": [("authorization", "Bearer a")] * 2}, 400),
        ("POST", "/tsa", {"content": b"x"}, 415),
    ],
)
def test_a_script_reads_every_refusal(
    house: Installation, method: str, path: str, options: dict[str, Any], status: int
):
    answer = ask(house, method, path, **options)

    assert answer.status_code == status
    assert readable(answer)


def test_a_script_can_read_the_nonce_it_is_asked_for(house: Installation):
    app = replace(seeds.SERVICES, client_id="app")
    with house.database.write() as tx:
        house.idp.clients.register(tx, app, by=SYSTEM)

    form = {"grant_type": "authorization_code", "code": "x", "client_id": "app"}
    proof = Prover(house.clock).proof("POST", f"{house.settings.issuer}/oauth/token")
    answer = ask(house, "POST", "/oauth/token", data=form, headers={"dpop": proof})

    assert answer.json()["error"] == "use_dpop_nonce"
    assert readable(answer)
    assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"]


def test_a_script_reads_refusals_of_the_short_way_too(tmp_path: Path):
    """The same through a socket, where the fast lane leaves out ASGI."""
    with (
        serving(tmp_path, working=False) as house,
        httpx.Client(base_url=house.settings.public_url, trust_env=False) as client,
    ):
        keys = client.get("/keys/jwks.json")
        large = client.post("/oauth/token", content=b"x" * 20_000)
        twice = client.get("/oauth/userinfo", headers=[("authorization", "Bearer a")] * 2)
        asked = client.options("/oauth/token", headers=PREFLIGHT)
        long = client.get("/keys/jwks.json", headers={"x": "y" * 66_000})

    statuses = [each.status_code for each in (keys, large, twice, asked, long)]
    assert statuses == [200, 413, 400, 204, 431]
    assert all(map(readable, (keys, large, twice, asked, long)))
