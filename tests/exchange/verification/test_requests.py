"""What a department sends, and how each mistake is named."""

import base64

import orjson
import pytest

from exchange.errors import IncompleteVerification
from exchange.models import VerificationRequest
from exchange.verification.requests import (
    MAX_DOCUMENT,
    BatchRequest,
    checked,
    checked_batch,
    read_batch,
    read_request,
)
from foundation.batching.routes import HotRequest
from foundation.errors import Malformed, TooLarge
from tests.exchange.conftest import asking

WHY = {"purpose": "food-inspection", "legal_basis": "law", "case_ref": "7"}


def post(body: object, content_type: str = "application/json") -> HotRequest:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return HotRequest("POST", "/", headers={"content-type": content_type}, body=data)


def taken(request: HotRequest) -> VerificationRequest:
    return checked(read_request(request))


def taken_batch(body: bytes) -> BatchRequest:
    return checked_batch(read_batch(body))


def mistakes(body: object) -> list[tuple[str, str]]:
    with pytest.raises(IncompleteVerification) as refused:
        taken(post(body))
    assert refused.value.status == 422
    return [(error.pointer, error.code) for error in refused.value.errors]


@pytest.mark.parametrize("missing", ["purpose", "legal_basis", "case_ref"])
def test_a_missing_reason_is_named(missing):
    body = {"number": "JY1", **WHY}
    del body[missing]

    assert mistakes(body) == [(f"/{missing}", "required")]


def test_everything_missing_is_named_at_once():
    assert mistakes({}) == [
        ("/number", "required"),
        ("/purpose", "required"),
        ("/legal_basis", "required"),
        ("/case_ref", "required"),
    ]


def test_white_space_is_not_a_reason():
    assert mistakes({"number": "JY1", **WHY, "case_ref": " \u3000 "}) == [("/case_ref", "required")]


def test_number_and_code_exclude_each_other():
    assert mistakes({"number": "JY1", "qr": "YZ1:A", **WHY}) == [("/qr", "only_one")]


def test_an_unknown_member_is_refused():
    with pytest.raises(IncompleteVerification, match="unknown field"):
        taken(post({"number": "JY1", "pupose": "x", **WHY}))


def test_a_wrong_type_is_named_by_its_place():
    assert mistakes({"number": 7, **WHY}) == [("/number", "wrong_type")]
    with pytest.raises(IncompleteVerification) as refused:
        taken_batch(orjson.dumps({"numbers": ["a", 7], **WHY}))
    assert refused.value.errors[0].pointer == "/numbers/1"


def test_what_is_not_json_is_malformed():
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        with pytest.raises((Malformed, IncompleteVerification)):
            taken(post(body))


@pytest.mark.parametrize("hidden", ["\x00", "\x1b[2J", "\u202e", "\u200b", "\n"])
def test_characters_nobody_sees_are_refused(hidden):
    found = mistakes({"number": "JY1", **WHY, "case_ref": f"7{hidden}8"})

    assert found == [("/case_ref", "invisible_character")]


def test_a_purpose_is_a_code():
    assert mistakes({"number": "JY1", **WHY, "purpose": "../admin"}) == [("/purpose", "not_a_code")]


def test_a_document_arrives_as_base64():
    asked = taken(post({"document": base64.b64encode(b"%PDF-").decode(), **WHY}))

    assert asked.document == b"%PDF-"
    assert mistakes({"document": "%%%", **WHY}) == [("/document", "not_base64")]


def form(*parts: tuple[str, str, bytes], boundary: str = "line") -> HotRequest:
    body = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return post(body, f"multipart/form-data; boundary={boundary}")


def reasons() -> list[tuple[str, str, bytes]]:
    return [(name, "", value.encode()) for name, value in WHY.items()]


def test_a_document_arrives_as_a_form():
    asked = taken(form(("document", "a.pdf", b"%PDF-\r\n\x00"), *reasons()))

    assert asked.document == b"%PDF-\r\n\x00"
    assert asked.case_ref == "7"


def test_a_form_with_a_part_twice_is_malformed():
    with pytest.raises(Malformed):
        taken(form(*reasons(), ("purpose", "", b"loan-application")))


def test_a_form_with_a_foreign_part_is_refused():
    with pytest.raises(IncompleteVerification):
        taken(form(*reasons(), ("actor", "", b"police")))
    with pytest.raises(IncompleteVerification):
        taken(form(*reasons(), ("number", "n.txt", b"JY1")))


def test_a_broken_form_is_malformed():
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=other"):
        with pytest.raises((Malformed, IncompleteVerification)):
            taken(post(b"--line\r\nx", content_type))


def test_a_document_beyond_the_limit_is_too_large():
    with pytest.raises(TooLarge):
        checked(asking(document=b"x" * (MAX_DOCUMENT + 1)))


def test_a_batch_beyond_the_limit_is_too_large():
    with pytest.raises(TooLarge):
        taken_batch(orjson.dumps({"numbers": ["JY1"] * 101, **WHY}))


def test_an_empty_number_in_a_batch_is_named():
    with pytest.raises(IncompleteVerification) as refused:
        taken_batch(orjson.dumps({"numbers": ["JY1", " "], **WHY}))
    assert [error.pointer for error in refused.value.errors] == ["/numbers/1"]


def test_open_purposes_need_no_case():
    assert checked(asking("JY1", purpose="public-check", legal_basis="", case_ref=""))


def test_texts_are_normalised():
    assert checked(asking(" JY1 ", case_ref="e\u0301")).case_ref == "\u00e9"
