"""Strict JWS: what verifies, what others accept of ours, and what the cache may remember."""

import json

import jwt
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.encoding.algorithms import ALGORITHMS, ES256, Algorithm
from keys.encoding.jose import (
    VerificationKey,
    VerifiedSignatures,
    assemble,
    encoded_header,
    jwk_of,
    parse_object,
    thumbprint,
    unverified_header,
    verification_key,
    verify_compact,
)
from keys.errors import InvalidJws, MalformedJwk, MalformedJws, UnsupportedHeader, UntrustedKey

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_claims = st.dictionaries(st.text(max_size=10), _json, max_size=8)
PRIVATE = ES256.key_type.generate()
PUBLIC = verification_key({**jwk_of(PRIVATE.public_key()), "alg": "ES256"})


def sign(payload: bytes, row: Algorithm = ES256, private_key: object = PRIVATE, **header) -> str:
    prefix = encoded_header({"alg": row.name, "typ": "test+jwt", **header})
    return assemble(prefix, payload, lambda m: row.to_jose(row.sign(private_key, m)))


@given(_claims)
@settings(max_examples=60)
def test_pyjwt_and_we_read_the_same_claims(claims: dict[str, object]) -> None:
    token = sign(orjson.dumps(claims))

    ours = verify_compact(token, typ="test+jwt", key_for=lambda _: PUBLIC)
    theirs = jwt.api_jws.decode_complete(token, PUBLIC.public_key, algorithms=["ES256"])

    assert dict(ours.claims) == claims == json.loads(theirs["payload"])
    assert dict(ours.header) == theirs["header"]


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_a_token_of_pyjwt_verifies_here(row: Algorithm) -> None:
    private_key = row.key_type.generate()
    token = jwt.encode(
        {"sub": "citizen"}, private_key, algorithm=row.name, headers={"typ": "test+jwt"}
    )
    key = verification_key(jwk_of(private_key.public_key()))

    verified = verify_compact(token, typ="test+jwt", key_for=lambda _: key)

    assert verified.claims["sub"] == "citizen"


def test_the_es256_example_of_rfc_7515_verifies() -> None:
    # RFC 7515 appendix A.3
    token = (
        "eyJhbGciOiJFUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn"
        "VlfQ"
        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }

    verified = verify_compact(token, typ=None, key_for=lambda _: verification_key(jwk))

    assert verified.claims["iss"] == "joe"


@given(st.integers(0, 10_000), st.characters(codec="ascii"))
@settings(max_examples=200)
def test_a_token_with_one_other_character_never_verifies(place: int, character: str) -> None:
    token = sign(b'{"sub":"citizen"}')
    place %= len(token)
    altered = token[:place] + character + token[place + 1 :]

    if altered == token:
        return
    with pytest.raises(InvalidJws):
        verify_compact(altered, typ="test+jwt", key_for=lambda _: PUBLIC)


def test_the_type_is_compared_without_case_and_without_application() -> None:
    token = sign(b"{}", typ="application/TEST+jwt")

    assert verify_compact(token, typ="test+jwt", key_for=lambda _: PUBLIC).payload == b"{}"
    for other in ("at+jwt", "jwt", "est+jwt"):
        with pytest.raises(UnsupportedHeader):
            verify_compact(token, typ=other, key_for=lambda _: PUBLIC)


def test_nobody_answering_to_the_header_is_an_untrusted_key() -> None:
    with pytest.raises(UntrustedKey):
        verify_compact(sign(b"{}"), typ=None, key_for=lambda _: None)


def test_a_payload_that_is_not_json_verifies_only_when_asked_for() -> None:
    token = sign(b"plain text")

    verified = verify_compact(token, typ=None, key_for=lambda _: PUBLIC, json_claims=False)

    assert (verified.payload, dict(verified.claims)) == (b"plain text", {})
    with pytest.raises(MalformedJws):
        verify_compact(token, typ=None, key_for=lambda _: PUBLIC)


def test_a_remembered_signature_says_the_same() -> None:
    cache, token = VerifiedSignatures(), sign(b'{"sub":"citizen"}')

    first = verify_compact(token, typ=None, key_for=lambda _: PUBLIC, cache=cache)
    second = verify_compact(token, typ=None, key_for=lambda _: PUBLIC, cache=cache)

    assert first == second
    with pytest.raises(TypeError):
        first.claims["sub"] = "another"  # type: ignore[index]


def test_a_remembered_signature_does_not_outlive_trust_in_its_key() -> None:
    cache, token = VerifiedSignatures(), sign(b"{}")
    verify_compact(token, typ=None, key_for=lambda _: PUBLIC, cache=cache)

    with pytest.raises(UntrustedKey):
        verify_compact(token, typ=None, key_for=lambda _: None, cache=cache)


def test_a_remembered_signature_is_not_good_under_another_key() -> None:
    cache, token = VerifiedSignatures(), sign(b"{}")
    verify_compact(token, typ=None, key_for=lambda _: PUBLIC, cache=cache)
    other = verification_key(jwk_of(ES256.key_type.generate().public_key()))

    with pytest.raises(InvalidJws):
        verify_compact(token, typ=None, key_for=lambda _: other, cache=cache)


def test_a_remembered_token_is_not_good_where_another_type_is_expected() -> None:
    cache, token = VerifiedSignatures(), sign(b"{}")
    verify_compact(token, typ="test+jwt", key_for=lambda _: PUBLIC, cache=cache)

    with pytest.raises(UnsupportedHeader):
        verify_compact(token, typ="JWT", key_for=lambda _: PUBLIC, cache=cache)


def test_the_cache_never_holds_more_than_its_capacity() -> None:
    cache = VerifiedSignatures(capacity=3)

    for number in range(10):
        token = sign(b'{"n":%d}' % number)
        verify_compact(token, typ=None, key_for=lambda _: PUBLIC, cache=cache)

    assert len(cache) == 3


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":1}}',
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":"\\ud800"}',
        "[]",
        '"text"',
        "",
        "{",
        '{"a":1}x',
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' + "9" * 5_000 + "}",
        '{"a": 18446744073709551616}',
        '{"a": -1e999}',
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(MalformedJws):
        parse_object(text.encode())


def test_json_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(MalformedJws):
        parse_object(b'{"a":"\xff"}')


def test_a_header_can_be_read_before_anyone_is_trusted() -> None:
    assert unverified_header(sign(b"{}", kid="client-1"))["kid"] == "client-1"


@pytest.mark.parametrize(
    "change",
    [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": 5}, {"alg": "ES384"}, {"alg": "HS256"}],
)
def test_a_jwk_for_something_else_does_not_verify_signatures(change: dict[str, object]) -> None:
    with pytest.raises(MalformedJwk):
        verification_key({**jwk_of(PRIVATE.public_key()), **change})


def test_the_allow_list_narrows_what_an_rsa_key_may_do() -> None:
    jwk = jwk_of(ALGORITHMS["PS256"].key_type.generate().public_key())

    assert verification_key(jwk).algorithms == ("PS256", "RS256")
    assert verification_key(jwk, ("PS256", "ES256")).algorithms == ("PS256",)
    assert verification_key({**jwk, "alg": "RS256"}).algorithms == ("RS256",)


def test_a_verification_key_knows_its_thumbprint() -> None:
    expected = VerificationKey(
        PRIVATE.public_key(), ("ES256",), thumbprint(jwk_of(PRIVATE.public_key()))
    )

    assert expected == PUBLIC
