"""The QR text: round trips, the examples of RFC 9285, and everything that must not verify."""

import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as some

from foundation.errors import Malformed
from keys import Keys
from signing.errors import CredentialRefused
from signing.formats.cwt_qr import base45, code
from tests.signing.conftest import House

USE = "certificates.qr"
CLAIMS = {"id": "1.2.156.3005.2.1", "holder": "好味道餐饮有限公司", "status": ["https://x/1", 5]}


@pytest.fixture
def keys(house: House) -> Keys:
    house.keys.ensure(USE)
    return house.keys


@pytest.fixture
def text(house: House, keys: Keys) -> str:
    now = house.clock()
    return code.issue(keys, USE, CLAIMS, iss="agency", iat=now, exp=now + timedelta(days=30))


def refused(house: House, text: str, **more: Any) -> str:
    arguments = {"key_for": code.trusted(house.keys, USE), "now": house.clock()} | more
    with pytest.raises(CredentialRefused) as refusal:
        code.verify(text, **arguments)
    return refusal.value.reason


def packed(signed: bytes) -> str:
    return code.PREFIX + base45.encode(zlib.compress(signed))


def unpacked(text: str) -> bytes:
    return zlib.decompress(base45.decode(text.removeprefix(code.PREFIX)))


def signed_by_hand(
    keys: Keys, payload: bytes, protect: Callable[[bytes], bytes] = lambda header: header
) -> str:
    """A correctly signed text around any payload and header."""
    kid = code.short_id(keys.active(USE).kid)
    header = protect(cbor2.dumps({1: -7, 4: kid}, canonical=True))
    signature = keys.sign(USE, cbor2.dumps(["Signature1", header, b"", payload])).value
    return packed(cbor2.dumps(cbor2.CBORTag(18, [header, {}, payload, signature])))


def content(house: House, **more: Any) -> dict[Any, Any]:
    at = int(house.clock().timestamp())
    return {1: "agency", 6: at, code.CLAIMS: CLAIMS} | more


def test_a_text_verifies_and_says_what_was_issued(house: House, text: str) -> None:
    verified = code.verify(text, key_for=code.trusted(house.keys, USE), now=house.clock())

    assert verified.claims == CLAIMS
    assert verified.iss == "agency"
    assert verified.issued_at == house.clock()


def test_a_text_is_a_cose_sign1_that_others_can_read(keys: Keys, text: str) -> None:
    structure = cbor2.loads(unpacked(text))

    protected, unprotected, payload, signature = structure.value
    assert structure.tag == 18
    assert cbor2.loads(protected)[1] == -7
    assert not unprotected
    assert cbor2.loads(payload)[1] == "agency"
    assert len(signature) == 64


def test_a_hand_made_text_verifies_when_it_is_what_we_would_write(house: House, keys: Keys) -> None:
    text = signed_by_hand(keys, cbor2.dumps(content(house), canonical=True))

    assert code.verify(text, key_for=code.trusted(keys, USE), now=house.clock()).claims == CLAIMS


def test_an_expired_text_is_refused(house: House, text: str) -> None:
    assert refused(house, text, now=house.clock() + timedelta(days=31)) == "expired"


def test_a_text_from_the_future_is_refused(house: House, text: str) -> None:
    assert refused(house, text, now=house.clock() - timedelta(days=1)) == "issued_in_future"


def test_a_key_of_another_use_is_not_trusted(house: House, text: str) -> None:
    house.keys.ensure("other")

    assert refused(house, text, key_for=code.trusted(house.keys, "other")) == "untrusted_key"


def test_a_text_stays_valid_while_its_key_is_retiring(house: House, text: str) -> None:
    house.keys.rotate(USE, at_once=True)

    assert code.verify(text, key_for=code.trusted(house.keys, USE), now=house.clock())


@pytest.mark.parametrize("place", range(0, 300, 7))
def test_a_changed_byte_never_verifies(house: House, text: str, place: int) -> None:
    signed = bytearray(unpacked(text))
    signed[place % len(signed)] ^= 0x01

    assert refused(house, packed(bytes(signed)))


def test_hostile_texts_are_refused_by_name(house: House, keys: Keys, text: str) -> None:
    signed = unpacked(text)
    _protected, _none, payload, signature = cbor2.loads(signed).value
    header = cbor2.loads(signed).value[0]
    good = cbor2.dumps(content(house), canonical=True)
    deep: Any = 1
    for _ in range(12):
        deep = [deep]

    cases = {
        "no prefix": (text.removeprefix("YZ1:"), "not_a_qr_text"),
        "the health certificates' prefix": ("HC1:" + text[4:], "not_a_qr_text"),
        "too long": (text + "0" * 5000, "not_a_qr_text"),
        "not base45": ("YZ1:abc", "not_a_qr_text"),
        "not zlib": ("YZ1:" + base45.encode(b"hello"), "not_a_qr_text"),
        "cut off": ("YZ1:" + base45.encode(zlib.compress(signed)[:-5]), "not_a_qr_text"),
        "appended after zlib": (
            "YZ1:" + base45.encode(zlib.compress(signed) + b"x"),
            "not_a_qr_text",
        ),
        "bomb": (packed(b"\0" * 900_000), "too_large"),
        "appended after cose": (packed(signed + b"\x00"), "not_a_cose_sign1"),
        "no tag": (packed(signed[1:]), "not_a_cose_sign1"),
        "unprotected header": (
            packed(cbor2.dumps(cbor2.CBORTag(18, [header, {4: b"x"}, payload, signature]))),
            "not_a_cose_sign1",
        ),
        "long form length": (
            packed(b"\xd2\x84\x59\x00" + signed[2:3][:0] + bytes([len(header)]) + signed[3:]),
            "not_a_cose_sign1",
        ),
        "header with more": (
            signed_by_hand(keys, good, lambda _: cbor2.dumps({1: -7, 2: [1]})),
            "header_unexpected",
        ),
        "header with content type": (
            signed_by_hand(keys, good, lambda h: cbor2.dumps({**cbor2.loads(h), 3: 0})),
            "header_unexpected",
        ),
        "another algorithm": (
            signed_by_hand(
                keys,
                good,
                lambda h: cbor2.dumps({1: -8, 4: cbor2.loads(h)[4]}, canonical=True),
            ),
            "algorithm_not_allowed",
        ),
        "another key id": (
            signed_by_hand(keys, good, lambda _: cbor2.dumps({1: -7, 4: b"12345678"})),
            "untrusted_key",
        ),
        "short signature": (
            packed(cbor2.dumps(cbor2.CBORTag(18, [header, {}, payload, signature[:-1]]))),
            "signature_mismatch",
        ),
        "not cbor": (signed_by_hand(keys, b"\xff"), "cwt_malformed"),
        "not deterministic": (signed_by_hand(keys, b"\xbf" + good[1:] + b"\xff"), "cwt_malformed"),
        "a claim twice": (signed_by_hand(keys, b"\xa2\x01\x61a\x01\x61b"), "cwt_malformed"),
        "a list": (signed_by_hand(keys, b"\x80"), "cwt_malformed"),
        "the health certificates' claim": (
            signed_by_hand(keys, cbor2.dumps(content(house) | {-260: {}}, canonical=True)),
            "cwt_malformed",
        ),
        "no claims": (
            signed_by_hand(keys, cbor2.dumps({1: "a", 6: 1}, canonical=True)),
            "cwt_malformed",
        ),
        "no issuer": (
            signed_by_hand(keys, cbor2.dumps({6: 1, code.CLAIMS: {}}, canonical=True)),
            "cwt_malformed",
        ),
        "a boolean time": (
            signed_by_hand(keys, cbor2.dumps(content(house) | {6: True}, canonical=True)),
            "cwt_malformed",
        ),
        "a negative expiry": (
            signed_by_hand(keys, cbor2.dumps(content(house) | {4: -5}, canonical=True)),
            "cwt_malformed",
        ),
        "an expiry beyond time": (
            signed_by_hand(keys, cbor2.dumps(content(house) | {4: 1 << 60}, canonical=True)),
            "cwt_malformed",
        ),
        "a tag": (
            signed_by_hand(
                keys,
                cbor2.dumps(
                    content(house) | {code.CLAIMS: {"x": cbor2.CBORTag(35, "(a+)+")}},
                    canonical=True,
                ),
            ),
            "cwt_malformed",
        ),
        "a float": (
            signed_by_hand(
                keys,
                cbor2.dumps(content(house) | {code.CLAIMS: {"x": 1.5}}, canonical=True),
            ),
            "cwt_malformed",
        ),
        "too deep": (
            signed_by_hand(
                keys,
                cbor2.dumps(content(house) | {code.CLAIMS: {"x": deep}}, canonical=True),
            ),
            "cwt_malformed",
        ),
    }
    for name, (hostile, reason) in cases.items():
        assert refused(house, hostile) == reason, name


def test_claims_that_cannot_be_written_plainly_are_refused(house: House, keys: Keys) -> None:
    for odd in ({"x": 1.5}, {"x": house.clock()}, {1.5: "x"}, {"x": 1 << 70}):
        with pytest.raises(CredentialRefused):
            code.issue(keys, USE, odd, iss="a", iat=house.clock())


def test_what_does_not_fit_into_a_qr_code_is_refused(house: House, keys: Keys) -> None:
    import secrets

    with pytest.raises(CredentialRefused) as refusal:
        code.issue(keys, USE, {"x": secrets.token_bytes(4000)}, iss="a", iat=house.clock())
    assert refusal.value.reason == "too_long"


def test_base45_gives_the_examples_of_its_standard() -> None:
    examples = {
        b"AB": "BB8",
        b"Hello!!": "%69 VD92EX0",
        b"base-45": "UJCLQE7W581",
        b"ietf!": "QED8WEX0",
    }

    for data, text in examples.items():
        assert base45.encode(data) == text
        assert base45.decode(text) == data


@given(some.binary(max_size=200))
def test_base45_comes_back(data: bytes) -> None:
    assert base45.decode(base45.encode(data)) == data


@pytest.mark.parametrize("text", ["A", "AAAA", ":::", "::", "GGW", "abc", "é00"])
def test_base45_has_one_reading(text: str) -> None:
    with pytest.raises(Malformed):
        base45.decode(text)
