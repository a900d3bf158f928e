"""Attack 45: pixels, codes and nested values that claim more than anybody should hold."""

import struct
import time
import zlib

import cbor2
import orjson
import pytest

from foundation.canonical import b64url
from keys.encoding.algorithms import ALGORITHMS
from keys.encoding.jose import parse_object
from keys.errors import MalformedJws
from portal.citizen.pictures import read_qr
from portal.frame.errors import PhotoTooLarge
from signing.errors import CredentialRefused
from signing.formats.cwt_qr import base45, code
from signing.formats.sd_jwt_vc import credential
from signing.formats.sd_jwt_vc.disclosures import digest_of
from tests.signing.conftest import House, house  # noqa: F401

USE = "certificates.qr"


def qr(content: bytes) -> str:
    return code.PREFIX + base45.encode(zlib.compress(content, 9))


def refusal(house: House, text: str) -> str:
    house.keys.ensure(USE)
    key_for = code.trusted(house.keys, USE)
    with pytest.raises(CredentialRefused) as refused:
        code.verify(text, key_for=key_for, now=house.clock())
    return refused.value.reason


def test_a_code_that_inflates_to_a_gigabyte_is_refused_after_sixteen_kilobytes(
    house: House,
) -> None:
    packed = zlib.compress(bytes(2_000_000), 9)
    text = code.PREFIX + base45.encode(packed)
    assert len(text) < code.LONGEST
    began = time.process_time()

    assert refusal(house, text) == "too_large"
    assert time.process_time() - began < 0.1


def test_a_text_longer_than_any_code_is_not_even_decoded(house: House) -> None:
    assert refusal(house, code.PREFIX + "0" * 100_000_000) == "not_a_qr_text"


@pytest.mark.parametrize("claimed", [b"\x9a\x3b\x9a\xca\x00", b"\x5b" + b"\xff" * 8, b"\xbf"])
def test_a_cbor_head_that_claims_a_billion_elements_is_refused(
    house: House, claimed: bytes
) -> None:
    assert refusal(house, qr(claimed)) == "not_a_cose_sign1"


def signed_payload(house: House, payload: bytes) -> str:
    """Our own key signs whatever it is: the payload's limits must hold by themselves."""
    house.keys.ensure(USE)
    key = house.keys.active(USE)
    protected = code._protected(ALGORITHMS[key.algorithm], code.short_id(key.kid))
    signature = house.keys.sign(USE, code._to_be_signed(protected, payload)).value
    parts = (code._bytes(protected), b"\xa0", code._bytes(payload), code._bytes(signature))
    return qr(b"\xd2\x84" + b"".join(parts))


@pytest.mark.parametrize("depth", [9, 100, 1000, 7000])
def test_values_nested_deeply_in_a_code_are_refused(house: House, depth: int) -> None:
    deep = b"\x81" * depth + b"\x00"
    payload = b"\xa3\x01\x61a\x06\x00\x3a\x00\x01\x00\x00" + b"\xa1\x61d" + deep

    assert refusal(house, signed_payload(house, payload)) in {"too_deep", "cwt_malformed"}


def test_a_huge_number_in_a_code_is_refused(house: House) -> None:
    bignum = cbor2.dumps({1: "a", 6: 0, code.CLAIMS: {"n": 1 << 20_000}}, canonical=True)

    assert refusal(house, signed_payload(house, bignum)) == "cwt_malformed"


@pytest.mark.parametrize("depth", [17, 1000, 20_000])
def test_json_nested_deeply_in_a_disclosure_is_refused(house: House, depth: int) -> None:
    house.keys.ensure(USE)
    deep = '["s","n",' + '{"a":' * depth + "1" + "}" * depth + "]"
    disclosure = b64url(deep.encode())
    digest = digest_of(disclosure.encode())
    body = {"vct": "x", "iat": 0, "_sd": [digest]}
    text = f"{house.keys.jws(USE, body, typ='dc+sd-jwt')}~{disclosure}~"

    with pytest.raises(CredentialRefused) as refused:
        credential.verify(text, key_for=house.keys.trusted(USE), now=house.clock())

    assert refused.value.reason in {"too_deep", "disclosure_malformed", "not_an_sd_jwt"}


def test_json_nested_deeply_in_a_payload_is_refused(house: House) -> None:
    house.keys.ensure(USE)
    payload = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    text = house.keys.jws(USE, payload, typ="dc+sd-jwt") + "~"

    with pytest.raises(CredentialRefused):
        credential.verify(text, key_for=house.keys.trusted(USE), now=house.clock())


def png_claiming(width: int, height: int) -> bytes:
    """A few bytes that say they are an image of this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [5_000, 40_000, 2_000_000_000])
def test_a_picture_that_claims_a_billion_pixels_is_not_opened(side: int) -> None:
    """A photo of a QR code: its claim is read before a single pixel is."""
    began = time.process_time()

    with pytest.raises(PhotoTooLarge):
        read_qr(png_claiming(side, side))

    assert time.process_time() - began < 2.0


def test_json_that_is_deep_is_refused_by_the_strict_reader() -> None:
    deep = orjson.dumps({"a": 1}).replace(b"1", b"[" * 100_000 + b"]" * 100_000)

    with pytest.raises(MalformedJws):
        parse_object(deep)
