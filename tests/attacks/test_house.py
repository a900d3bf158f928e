"""Attacks 8, 28, 35, 36, 50 and 53 on the house as a whole: real server, real pages, real races."""

import asyncio
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from server.sandbox import seeds
from server.sandbox.demo import FOOD, TYPE
from server.sandbox.visitors import Browser, Program
from tests.simulators.office import PATIENCE, Office, open_office
from tests.simulators.officers import identifier_of, sealed, submitted

FAR_AWAY = "/api/v1/purposes"
REASON = {"purpose": "loan-application", "case_ref": "LOAN-2026-0050"}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("house")) as office:
        yield office


@pytest.fixture(scope="module")
def bank(office: Office) -> Iterator[Program]:
    program = Program(office.origin, "shili-bank", office.new_secret("shili-bank"))
    yield program
    program.close()


def raw(office: Office, request: bytes) -> list[bytes]:
    """The status of every answer to these exact bytes, until the house ends the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", office.port), timeout=10) as connection:
        connection.sendall(request)
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, TimeoutError):
            pass
    return re.findall(rb"HTTP/1\.1 (\d\d\d)", answer)


# ── 28: framing ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/", "/signin", "/verify", "/developers", "/status", "/nowhere"])
def test_28_no_page_can_be_put_into_a_frame_of_somebody_else(office: Office, path: str) -> None:
    answer = httpx.get(office.origin + path)

    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    # A service may open the sign-in page in a pop-up, and then waits for it.
    opener = "unsafe-none" if path == "/signin" else "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == opener
    assert "postMessage" not in answer.text


def test_28_the_consent_page_cannot_be_framed_either(office: Office) -> None:
    client = seeds.SERVICES
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": seeds.CALLBACK,
        "scope": "openid profile",
        "state": "s",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    browser = Browser(office.origin)
    page = browser.open("/oauth/authorize", **query)
    consent = page.send("/signin/", {"username": "long", "password": seeds.PASSWORD})

    assert consent.path.startswith("/consent/")
    assert "frame-ancestors 'none'" in consent.response.headers["content-security-policy"]
    browser.close()


# ── 8: redirects that repeat a POST ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/signin/", "/oauth/authorize/", "/oauth/token/", "/device/"])
def test_08_a_form_sent_to_nearly_the_right_address_is_not_sent_on(
    office: Office, path: str
) -> None:
    """307 would repeat it, password and all, wherever the Host header points."""
    form = "username=long&password=secret"
    head = f"POST {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"

    (status,) = raw(office, f"{head}{kind}Content-Length: {len(form)}\r\n\r\n{form}".encode())

    assert status in {b"404", b"405"}


# ── 35: path traversal and double encoding ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server/settings.py",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/%252e%252e/%252e%252e/etc/passwd",
        "/static/..%5c..%5cetc%5cpasswd",
        "/static//etc/passwd",
        "/ledger/tile/../../keys/jwks.json",
        "/ledger/tile/entries/%2e%2e/000",
        "/pki/%2e%2e%2fca.crt",
        "/status-lists/%2e%2e",
        "/status-lists/1%00",
        "/staff/certificates/%252e%252e%252fme",
        "/staff%252fbulk",
        "/me%00/access",
        "/verify/..;/staff",
        "/types/..%2f..%2fmappings/chicago/1",
    ],
)
def test_35_a_path_is_decoded_once_and_leads_to_what_it_names_or_nowhere(
    office: Office, path: str
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    (status,) = raw(office, request.encode())

    assert status in {b"400", b"404"}, path


@pytest.mark.parametrize("path", ["/me/access", "/staff", "/staff/bulk", "/staff/certificates"])
@pytest.mark.parametrize("disguise", ["%2F", "%252F", "/./", "//", "/;/"])
def test_35_no_spelling_of_a_closed_address_opens_it(
    office: Office, path: str, disguise: str
) -> None:
    spelled = disguise.join(["", *path.strip("/").split("/")])
    target = spelled if spelled.startswith("/") else "/" + spelled
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    (status,) = raw(office, request.encode())

    assert status in {b"303", b"400", b"404"}, target  # 303: to the sign-in page


@pytest.mark.parametrize("path", ["/api%2Fv1/purposes", "/api/v1/%70urposes", "/API/v1/purposes"])
def test_35_an_api_address_asks_for_a_token_however_it_is_spelled(
    office: Office, path: str
) -> None:
    (status,) = raw(office, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    assert status in {b"401", b"404"}


# ── 36: request smuggling, headers sent twice ────────────────────────────────────────────────

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /api/v1/verifications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + SMUGGLED,
        HEAD + b"Content-Length: 2, 40\r\n\r\n{}" + SMUGGLED,
        HEAD + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED,
        HEAD + b"Content-Length: 0x2\r\n\r\n{}" + SMUGGLED,
        HEAD + b"Transfer-Encoding: identity, chunked, cow\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"X-Folded: a\r\n Content-Length: 40\r\nContent-Length: 2\r\n\r\n{}" + SMUGGLED,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;\n{}\r\n0\r\n\r\n" + SMUGGLED,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
        b"GET /x HTTP/1.1\nHost: x\n\n" + SMUGGLED,
        b"GET /x HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n" + SMUGGLED,
    ],
)
def test_36_bytes_that_two_readers_could_cut_differently_are_refused(
    office: Office, request_bytes: bytes
) -> None:
    statuses = raw(office, request_bytes)

    assert statuses == [b"400"], statuses  # and the connection ends: nothing after it was read


@pytest.mark.parametrize("path", [FAR_AWAY, "/api/v1/verifications", "/verify", "/oauth/token"])
@pytest.mark.parametrize(
    "header", ["Authorization", "Idempotency-Key", "Content-Type", "Host", "DPoP"]
)
def test_36_a_header_that_decides_something_cannot_be_sent_twice(
    office: Office, path: str, header: str
) -> None:
    method = "GET" if path in {FAR_AWAY, "/verify"} else "POST"
    twice = f"{header}: one\r\n{header}: two\r\n"
    host = "" if header == "Host" else "Host: localhost\r\n"
    head = (
        f"{method} {path} HTTP/1.1\r\n{host}{twice}Content-Length: 0\r\nConnection: close\r\n\r\n"
    )

    assert raw(office, head.encode()) == [b"400"]


def test_36_the_same_header_sent_once_is_read_so_that_the_refusals_mean_something(
    bank: Program,
) -> None:
    assert bank.client.get(FAR_AWAY).status_code == 200


# ── 50: races ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def officers(office: Office) -> Iterator[tuple[Browser, Browser]]:
    wang, li = Browser(office.origin), Browser(office.origin)
    wang.sign_in("wang", seeds.PASSWORD)
    li.sign_in("li", seeds.PASSWORD)
    yield wang, li
    wang.close()
    li.close()


def test_50_two_approvals_at_once_seal_one_licence(
    office: Office, officers: tuple[Browser, Browser]
) -> None:
    wang, li = officers
    draft = submitted(wang)
    action = f"/staff/review/{draft}/approve"
    form = li.open(f"/staff/review/{draft}").form(action).values

    with ThreadPoolExecutor(8) as at_once:
        answers = list(at_once.map(lambda _: li.client.post(action, data=form), range(8)))
    identifier = identifier_of(li, draft)

    assert Counter(each.status_code for each in answers)[303] == 1
    assert {each.status_code for each in answers} <= {303, 409}
    register = li.open("/staff/certificates").response.text
    assert register.count(f'href="/staff/certificates/{identifier}"') == 1


def test_50_after_a_revocation_is_answered_no_verification_says_valid(
    bank: Program, officers: tuple[Browser, Browser]
) -> None:
    """Linearizable: verdicts seen while revoking are first valid, then revoked, never back."""
    identifier = sealed(*officers)
    basis = next(
        each["legal_bases"][0]
        for each in bank.purposes()
        if (each["code"], each["type"]) == ("loan-application", TYPE)
    )
    asked = {"number": identifier, "legal_basis": basis, **REASON}
    path = f"/staff/certificates/{identifier}/revoke"
    form = officers[1].open(path)

    async def race() -> tuple[list[tuple[float, float, str]], float]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[float, float, str]] = []
        revoked_at = float("inf")
        looked = asyncio.Event()

        async def look(client: httpx.AsyncClient) -> None:
            looks_after = 0
            while looks_after < 20:
                began = loop.time()
                answer = await client.post("/api/v1/verifications", json=asked)
                seen.append((began, loop.time(), answer.json()["verdict"]))
                looks_after += began > revoked_at
                looked.set()

        async def revoke() -> None:
            nonlocal revoked_at
            await looked.wait()
            change = {"reason_code": "serious_violation"}
            done = await asyncio.to_thread(form.send, path, change)
            assert done.status == 200
            revoked_at = loop.time()

        headers = dict(bank.client.headers)
        async with httpx.AsyncClient(base_url=bank.client.base_url, headers=headers) as client:
            await asyncio.gather(revoke(), *(look(client) for _ in range(4)))
        return seen, revoked_at

    seen, revoked_at = asyncio.run(race())

    verdicts = Counter(verdict for _, _, verdict in seen)
    assert verdicts.keys() == {"valid", "revoked"}
    first_revoked = min(ended for _, ended, verdict in seen if verdict == "revoked")
    assert not [1 for began, _, verdict in seen if verdict == "valid" and began > revoked_at]
    assert not [1 for began, _, verdict in seen if verdict == "valid" and began > first_revoked]


def test_50_two_drafts_with_one_number_become_one_licence(
    officers: tuple[Browser, Browser],
) -> None:
    """The number was free when both were drafted; the database lets one of them have it."""
    wang, li = officers
    number = {"licence_number": "JY29900017654325", "then": "preview", **FOOD}
    new = wang.open("/staff/drafts/new", type=TYPE).form("/staff/drafts")

    with ThreadPoolExecutor(4) as at_once:
        answers = list(
            at_once.map(
                lambda _: wang.client.post("/staff/drafts", data={**new.values, **number}), range(4)
            )
        )

    kept = [each for each in answers if each.status_code == 303]
    assert {each.status_code for each in answers} <= {303, 409, 422}
    drafts = [each.headers["location"].split("/")[3] for each in kept]
    for draft in drafts:
        wang.open(f"/staff/drafts/{draft}/preview").send(f"/staff/drafts/{draft}/submit", {})
        li.open(f"/staff/review/{draft}").send(f"/staff/review/{draft}/approve", {})
    register = li.open("/staff/certificates", q="JY29900017654325")
    until = time.monotonic() + PATIENCE
    while "JY29900017654325" not in register.text and time.monotonic() < until:
        register = li.open("/staff/certificates", q="JY29900017654325")

    table = register.response.text.split("<tbody>")[1]
    assert table.count(">JY29900017654325<") == 1


# ── 53: header floods ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/keys/jwks.json", "/verify", "/oauth/token", "/nowhere"])
@pytest.mark.parametrize(
    "fields", ["X: {}\r\n".format("x" * 1_600_000), "X: 1\r\n" * 20_000, "X: 1\r\n" * 101]
)
def test_53_a_flood_of_header_fields_is_refused_and_the_connection_ends(
    office: Office, path: str, fields: str
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"

    assert raw(office, request.encode() + SMUGGLED) == [b"431"]


def test_53_a_head_without_end_does_not_make_the_house_grow(office: Office) -> None:
    (process,) = office.processes
    before = _resident(process.pid)
    with socket.create_connection(("127.0.0.1", office.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
        with suppress(ConnectionError):  # a refused one is heard for two more seconds
            for _ in range(3_000):
                connection.sendall(b"x" * 100_000)

    assert _resident(process.pid) - before < 30_000_000
    assert httpx.get(f"{office.origin}/verify").status_code == 200


def _resident(pid: int) -> int:
    """Bytes of memory that the process holds (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
