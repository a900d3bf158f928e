"""Every row of the algorithm table, by its own sign and verify and by others'."""

import hashlib

import jwt.algorithms
import pytest
from asn1crypto import algos
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given
from hypothesis import strategies as st

from keys.encoding.algorithms import ALGORITHMS, ES256, Algorithm, der_from_raw, raw_from_der
from keys.encoding.jose import jwk_of, public_key_of, thumbprint
from keys.errors import MalformedJwk

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_numbers = st.integers(1, P256_ORDER - 1) | st.integers(1, 2**200) | st.integers(1, 255)


@given(_numbers, _numbers)
def test_der_becomes_64_bytes_whatever_the_leading_zeros(r: int, s: int) -> None:
    raw = raw_from_der(encode_dss_signature(r, s))

    assert raw == r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert decode_dss_signature(der_from_raw(raw)) == (r, s)


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_a_row_verifies_what_it_signed_and_nothing_else(row: Algorithm) -> None:
    private_key = row.key_type.generate()
    public_key = private_key.public_key()

    signature = row.from_jose(row.to_jose(row.sign(private_key, b"a licence")))

    assert row.accepts(public_key)
    assert row.verify(public_key, signature, b"a licence")
    assert not row.verify(public_key, signature, b"another licence")
    assert not row.verify(public_key, bytes(len(signature)), b"a licence")


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_a_signature_is_good_for_pyjwt(row: Algorithm) -> None:
    private_key = row.key_type.generate()
    oracle = jwt.algorithms.get_default_algorithms()[row.name]

    signature = row.to_jose(row.sign(private_key, b"message"))

    assert oracle.verify(b"message", private_key.public_key(), signature)


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_identifiers_are_what_asn1crypto_reads(row: Algorithm) -> None:
    expected = {
        "ES256": ("sha256_ecdsa", "sha256"),
        "EdDSA": ("ed25519", "sha512"),
        "PS256": ("rsassa_pss", "sha256"),
        "RS256": ("sha256_rsa", "sha256"),
    }[row.name]

    x509 = algos.SignedDigestAlgorithm.load(row.x509_identifier)
    digest = algos.DigestAlgorithm.load(row.digest_identifier)

    assert (x509["algorithm"].native, digest["algorithm"].native) == expected
    assert digest["algorithm"].native == row.digest
    if row.name == "PS256":
        assert x509["parameters"]["salt_length"].native == 32
        assert x509["parameters"]["hash_algorithm"]["algorithm"].native == "sha256"


@pytest.mark.parametrize("row", ALGORITHMS.values(), ids=lambda row: row.name)
def test_a_public_key_survives_its_jwk(row: Algorithm) -> None:
    public_key = row.key_type.generate().public_key()

    assert public_key_of(jwk_of(public_key)) == public_key


def test_a_key_of_one_kind_is_not_accepted_by_another_row() -> None:
    keys = {name: row.key_type.generate().public_key() for name, row in ALGORITHMS.items()}

    accepted = {
        (row.name, name)
        for row in ALGORITHMS.values()
        for name, key in keys.items()
        if row.accepts(key) and row.key_type is not ALGORITHMS[name].key_type
    }

    assert accepted == set()


def test_the_thumbprint_is_the_one_of_rfc_7638() -> None:
    # RFC 7638 §3.1, the worked example.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"
        "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F"
        "DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vM"
        "QFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def _p256() -> dict[str, str]:
    return jwk_of(ES256.key_type.generate().public_key())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"d": "AA"}, "private"),
        ({"x": "AA"}, "32 bytes"),
        ({"x": hashlib.sha256(b"x").hexdigest()[:42] + "A"}, "not on P-256"),
        ({"x": 7}, "no x"),
        ({"kty": "oct", "k": "AAAA"}, "private"),
        ({"kty": "oct"}, "not accepted"),
        ({"crv": "secp256k1"}, "not accepted"),
        ({"crv": "P-384"}, "not accepted"),
        ({"kty": "RSA", "crv": "", "n": "AQAB", "e": "AQAB"}, "2048"),
        ({"kty": "RSA", "crv": "", "n": "_" * 341 + "w", "e": "Aw"}, "65537"),
    ],
)
def test_a_jwk_we_cannot_trust_is_refused(change: dict[str, object], why: str) -> None:
    with pytest.raises(MalformedJwk, match=why):
        public_key_of({**_p256(), **change})


def test_rsa_keys_have_the_size_of_their_algorithm():
    sizes = {name: ALGORITHMS[name].generate().key_size for name in ("PS256", "RS256")}

    assert sizes == {"PS256": 3072, "RS256": 2048}
