"""Attack 37: requests of departments that sign them, changed or repeated on the way (RFC 9421).

A real server, a client registered to sign, signatures by somebody else's library. Everybody below
has a token that is good: what is refused is refused for its signature.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.sandbox import seeds
from server.sandbox.visitors import Program
from tests.simulators.department import ALWAYS, TAG, WITH_CONTENT, Department
from tests.simulators.office import Office, open_office

ASKED = {
    "number": "JY19900010000013",
    "purpose": "food-inspection",
    "legal_basis": "《中华人民共和国食品安全法》第一百一十条",
    "case_ref": "2026-检-0037",
}
PURPOSES = "/api/v1/purposes"
VALIDATE = "/api/v1/documents/validate"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with open_office(tmp_path_factory.mktemp("messages")) as office:
        yield office


@pytest.fixture(scope="module")
def department(office: Office) -> Iterator[Department]:
    """A program of the market bureau that must sign, registered as a keeper would do it."""
    department = Department(office.origin, "shili-signing")
    register(office, department)
    yield department
    department.close()


def register(office: Office, department: Department) -> None:
    client = {
        "client_id": department.client_id,
        "name": {"zh-Hans": "检查系统", "zh-Hant": "檢查系統", "en": "Inspections"},
        "purpose": {"zh-Hans": "检查", "zh-Hant": "檢查", "en": "Inspect"},
        "organisation": seeds.MARKET.code,
        "organisation_name": seeds.MARKET.name,
        "profile": "standard",
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["client_credentials"],
        "scopes": ["certificates.verify"],
        "jwks": department.jwks,
        "require_signed_requests": True,
    }
    file = Path(office.folder, f"{department.client_id}.json")
    file.write_text(json.dumps(client))
    department.sign_in(office.json("idp", "clients", "register", str(file))["client_secret"])


def refused(answer: httpx.Response, code: str) -> None:
    """401, a problem with this code, and what should have been signed."""
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next_step"]
    assert f'error="{code}"' in answer.headers["www-authenticate"]
    assert f'tag="{TAG}"' in answer.headers["accept-signature"]


@pytest.mark.parametrize("key", ["p256", "ed25519"])
def test_37_what_is_signed_is_answered_and_the_record_names_the_key(
    department: Department, key: str
) -> None:
    answer = department.send(department.signed(department.question(ASKED), key=key))
    receipt = department.http.build_request(
        "GET", f"/api/v1/receipts/{answer.json()['receipt_id']}"
    )
    file = department.send(department.signed(receipt))

    assert answer.status_code == 200
    assert len(json.loads(file.json()["entries"][0]["entry"])["actor"]["signed_by"]) == 43


@pytest.mark.parametrize("left_out", WITH_CONTENT)
def test_37_a_component_that_decides_must_be_covered(department: Department, left_out: str) -> None:
    covered = tuple(name for name in WITH_CONTENT if name != left_out)

    answer = department.send(department.signed(department.question(ASKED), covered=covered))

    refused(answer, "signature_incomplete")
    assert left_out in answer.json()["detail"]
    assert f'"{left_out}"' in answer.headers["accept-signature"]


def test_37_an_idempotency_key_is_covered_or_refused(department: Department) -> None:
    question = department.question(ASKED, **{"idempotency-key": "k-37"})
    uncovered = department.send(department.signed(question))
    question = department.question(ASKED, **{"idempotency-key": "k-37"})
    covered = department.signed(question, covered=(*WITH_CONTENT, "idempotency-key"))

    refused(uncovered, "signature_incomplete")
    assert department.send(covered).status_code == 200


@pytest.mark.parametrize("tag", ["", "fapi-2-request", "yinzheng-request-2", TAG.upper()])
def test_37_a_signature_made_for_something_else_is_none(department: Department, tag: str) -> None:
    refused(
        department.send(department.signed(department.question(ASKED), tag=tag)),
        "signature_missing",
    )


@pytest.mark.parametrize("age", [75, 3600, -15, -3600])
def test_37_a_signature_from_another_time_is_refused(department: Department, age: float) -> None:
    refused(
        department.send(department.signed(department.question(ASKED), age=age)), "signature_stale"
    )


@pytest.mark.parametrize("age", [50, -5])
def test_37_a_clock_that_is_a_little_wrong_does_no_harm(department: Department, age: float) -> None:
    answer = department.send(department.signed(department.question(ASKED), age=age))

    assert answer.status_code == 200


def test_37_a_nonce_counts_once(department: Department) -> None:
    request = department.signed(department.question(ASKED), nonce="once-only")
    first = department.send(request)

    assert first.status_code == 200
    refused(department.send(request), "signature_replayed")
    other = department.question({**ASKED, "case_ref": "2026-检-0038"})
    refused(department.send(department.signed(other, nonce="once-only")), "signature_replayed")
    elsewhere = department.http.build_request("GET", PURPOSES)
    refused(department.send(department.signed(elsewhere, nonce="once-only")), "signature_replayed")


def test_37_of_ten_copies_at_once_one_is_answered(department: Department) -> None:
    request = department.signed(department.question(ASKED))
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: department.send(request), range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9


def test_37_a_refused_signature_does_not_use_up_its_nonce(department: Department) -> None:
    thief = department.signed(department.question(ASKED), key="own", keyid="p256", nonce="mine")

    refused(department.send(thief), "signature_invalid")
    mine = department.signed(department.question(ASKED), nonce="mine")
    assert department.send(mine).status_code == 200


def test_37_content_needs_a_digest(department: Department) -> None:
    without = department.signed(department.question(ASKED), digest=False)

    refused(department.send(without), "content_digest_missing")


def test_37_a_digest_that_is_not_covered_protects_nothing(department: Department) -> None:
    request = department.signed(department.question(ASKED), digest=False)
    other = department.signed(department.question(ASKED))
    request.headers["content-digest"] = other.headers["content-digest"]

    refused(department.send(request), "signature_incomplete")


def test_37_content_changed_on_the_way_is_refused(department: Department) -> None:
    request = department.signed(department.question(ASKED))
    changed = department.question({**ASKED, "number": "JY19900010000021"})
    changed.headers.update(request.headers)

    refused(department.send(changed), "content_digest_mismatch")


CHANGES: dict[str, Callable[[httpx.Request], Any]] = {
    "another address": lambda r: setattr(r, "url", r.url.copy_with(path=r.url.path + "/batch")),
    "another query": lambda r: setattr(r, "url", r.url.copy_with(query=b"wait=proof")),
    "another type": lambda r: r.headers.update({"content-type": "application/json; charset=x"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_37_what_is_covered_cannot_be_changed(
    department: Department, change: Callable[[httpx.Request], Any]
) -> None:
    request = department.signed(department.question(ASKED))
    change(request)

    refused(department.send(request), "signature_invalid")


def test_37_a_signature_by_another_key_is_refused(department: Department) -> None:
    swapped = department.signed(department.question(ASKED), key="own", keyid="p256")
    unknown = department.signed(department.question(ASKED), key="own")

    refused(department.send(swapped), "signature_invalid")
    refused(department.send(unknown), "signature_key_unknown")


def test_37_a_key_of_another_client_is_no_key(office: Office, department: Department) -> None:
    other = Department(office.origin, "shili-signing-2")
    register(office, other)
    department_token = department.http.headers["authorization"]
    other.http.headers["authorization"] = department_token

    refused(other.send(other.signed(other.question(ASKED))), "signature_invalid")
    other.close()


def test_37_nothing_is_answered_unsigned_at_any_door(department: Department) -> None:
    """The fast lane, the ordinary lane, an upload, and a person's userinfo share one check."""
    build = department.http.build_request
    for request in (
        department.question(ASKED),
        build("POST", "/api/v1/verifications/batch", json={"numbers": [], **ASKED}),
        build("GET", PURPOSES),
        build("GET", "/api/v1/receipts/x"),
        build("POST", VALIDATE, files={"document": b"%PDF-1.7"}),
    ):
        refused(department.send(request), "signature_missing")


def test_37_an_address_without_content_is_signed_without_a_digest(department: Department) -> None:
    answer = department.send(department.signed(department.http.build_request("GET", PURPOSES)))

    assert answer.status_code == 200
    assert answer.json()["items"]


def test_37_an_upload_is_checked_although_it_is_only_streamed(department: Department) -> None:
    def upload(content: bytes) -> httpx.Request:
        files = {"document": ("licence.pdf", content)}
        headers = {"content-type": "multipart/form-data; boundary=37"}
        return department.http.build_request("POST", VALIDATE, files=files, headers=headers)

    good = department.signed(upload(b"%PDF-1.7" + b" " * 300_000))
    changed = upload(b"%PDF-1.6" + b" " * 300_000)
    changed.headers.update(department.signed(upload(b"%PDF-1.7" + b" " * 300_000)).headers)

    assert department.send(good).status_code == 200
    refused(department.send(changed), "content_digest_mismatch")
    refused(
        department.send(department.signed(upload(b"x"), digest=False)), "content_digest_missing"
    )
    naked = department.signed(upload(b"x"), covered=ALWAYS)
    refused(department.send(naked), "signature_incomplete")


def test_37_clients_that_need_not_sign_notice_nothing(office: Office) -> None:
    plain = Program(office.origin, "shili-inspection", office.new_secret("shili-inspection"))
    answer = httpx.get(office.origin + PURPOSES)

    assert plain.verify(ASKED)["verdict"]
    assert answer.headers["www-authenticate"].startswith("Bearer, DPoP")
    assert "accept-signature" not in answer.headers
    plain.close()
