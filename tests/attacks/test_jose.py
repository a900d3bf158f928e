"""Attacks 15–18 and 21: tokens that try to choose how they are verified.

Each test holds a forged token against a verifier that trusts exactly the keys of one use, the way
every room of the house verifies.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.database import Database
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import ALGORITHMS, ES256
from keys.encoding.jose import VerifiedSignatures, assemble, jwk_of, verify_compact
from keys.errors import (
    AlgorithmNotAllowed,
    InvalidJws,
    MalformedJws,
    SignatureMismatch,
    UnsupportedHeader,
    UntrustedKey,
)
from tests.simulators.clock import MovableClock

USE = "idp.tokens"
CLAIMS = {"sub": "citizen", "roles": ["drafter"]}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_token(header: bytes | dict[str, Any], payload: bytes, signature: bytes) -> str:
    encoded = header if isinstance(header, bytes) else orjson.dumps(header)
    return f"{b64(encoded)}.{b64(payload)}.{b64(signature)}"


@pytest.fixture
def keys(sqlite_database: Database, master_key: bytes, clock: MovableClock) -> Keys:
    keys = Keys(sqlite_database, SoftwareBackend(master_key), clock)
    keys.ensure(USE)
    return keys


@pytest.fixture(params=["uncached", "cached"])
def verify(request: pytest.FixtureRequest, keys: Keys) -> Callable[[str], Any]:
    """The verifier, with and without the cache of verified signatures."""
    cache = VerifiedSignatures() if request.param == "cached" else None
    return lambda token: verify_compact(token, typ="at+jwt", key_for=keys.trusted(USE), cache=cache)


@pytest.fixture
def sign_raw(keys: Keys) -> Callable[[bytes, bytes], str]:
    """Our own key signing a header and a payload byte for byte: the attacker owns the signer."""

    def sign(header: bytes, payload: bytes) -> str:
        prefix = f"{b64(header)}.".encode()
        return assemble(prefix, payload, lambda message: keys.sign(USE, message).value)

    return sign


def header_of(keys: Keys, **more: Any) -> dict[str, Any]:
    return {"alg": "ES256", "kid": keys.active(USE).kid, "typ": "at+jwt", **more}


def test_a_good_token_verifies_so_that_the_refusals_below_mean_something(
    keys: Keys, verify: Callable[[str], Any], sign_raw: Callable[[bytes, bytes], str]
) -> None:
    token = keys.jws(USE, CLAIMS, typ="at+jwt")
    by_hand = sign_raw(orjson.dumps(header_of(keys)), orjson.dumps(CLAIMS))

    assert verify(token).claims["sub"] == verify(token).claims["sub"] == "citizen"
    assert verify(by_hand).claims["sub"] == "citizen"


# 15 — alg none, None, nOnE, empty signature


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", " none", "none\x00", "NoNe"])
@pytest.mark.parametrize("signature", [b"", b"\x00" * 64, b"x"])
def test_alg_none_in_any_spelling_is_refused(
    keys: Keys, verify: Callable[[str], Any], alg: str, signature: bytes
) -> None:
    token = raw_token(header_of(keys, alg=alg), orjson.dumps(CLAIMS), signature)

    with pytest.raises(AlgorithmNotAllowed):
        verify(token)


@pytest.mark.parametrize("alg", [None, 0, ["ES256"], {"ES256": 1}, True])
def test_an_alg_that_is_no_string_is_refused(
    keys: Keys, verify: Callable[[str], Any], alg: object
) -> None:
    with pytest.raises(MalformedJws):
        verify(raw_token(header_of(keys, alg=alg), b"{}", b"x" * 64))


def test_a_token_without_alg_is_refused(keys: Keys, verify: Callable[[str], Any]) -> None:
    header = {"kid": keys.active(USE).kid, "typ": "at+jwt"}

    with pytest.raises(MalformedJws):
        verify(raw_token(header, b"{}", b"x" * 64))


@pytest.mark.parametrize(
    "signature", [b"", b"\x00" * 64, b"\xff" * 64, b"\x00" * 63, b"\x00" * 65, b"\x30\x06"]
)
def test_an_empty_or_trivial_signature_is_refused(
    keys: Keys, verify: Callable[[str], Any], signature: bytes
) -> None:
    with pytest.raises(SignatureMismatch):
        verify(raw_token(header_of(keys), orjson.dumps(CLAIMS), signature))


def test_a_stripped_signature_is_refused_even_after_the_token_was_cached(
    keys: Keys, verify: Callable[[str], Any]
) -> None:
    token = keys.jws(USE, CLAIMS, typ="at+jwt")
    verify(token)
    head, body, _ = token.split(".")

    for stripped in (f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}..", f"{token}."):
        with pytest.raises(InvalidJws):
            verify(stripped)


def test_a_der_signature_is_no_jose_signature(keys: Keys, verify: Callable[[str], Any]) -> None:
    head = f"{b64(orjson.dumps(header_of(keys)))}.{b64(b'{}')}"

    with pytest.raises(SignatureMismatch):
        verify(f"{head}.{b64(keys.sign_der(USE, head.encode()))}")


# 16 — algorithm confusion


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["pem", "der", "jwk", "raw"])
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_public_key_is_never_an_hmac_secret(
    sqlite_database: Database,
    master_key: bytes,
    clock: MovableClock,
    alg: str,
    form: str,
    algorithm: str,
) -> None:
    keys = Keys(sqlite_database, SoftwareBackend(master_key), clock)
    key = keys.ensure(f"confused.{algorithm}", algorithm)
    secret = {
        "pem": key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(dict(key.public_jwk)).encode(),
        "raw": b"".join(str(value).encode() for value in jwk_of(key.public_key).values()),
    }[form]
    header = b64(orjson.dumps({"alg": alg, "kid": key.kid, "typ": "at+jwt"}))
    signed = f"{header}.{b64(orjson.dumps(CLAIMS))}"
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
    forged = f"{signed}.{b64(hmac.new(secret, signed.encode(), digest).digest())}"

    with pytest.raises(AlgorithmNotAllowed):
        verify_compact(forged, typ="at+jwt", key_for=keys.trusted(key.use))


@pytest.mark.parametrize("alg", ["ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "es256"])
def test_a_key_is_used_only_with_its_own_algorithm(
    keys: Keys,
    verify: Callable[[str], Any],
    sign_raw: Callable[[bytes, bytes], str],
    alg: str,
) -> None:
    token = sign_raw(orjson.dumps(header_of(keys, alg=alg)), orjson.dumps(CLAIMS))

    with pytest.raises(AlgorithmNotAllowed):
        verify(token)


def test_an_rsa_key_for_pss_does_not_verify_pkcs1(
    sqlite_database: Database, master_key: bytes, clock: MovableClock
) -> None:
    keys = Keys(sqlite_database, SoftwareBackend(master_key), clock)
    key = keys.ensure("pss.only", "PS256")
    header = b64(orjson.dumps({"alg": "RS256", "kid": key.kid, "typ": "at+jwt"}))
    token = f"{header}.{b64(b'{}')}.{b64(bytes(384))}"

    with pytest.raises(AlgorithmNotAllowed):
        verify_compact(token, typ="at+jwt", key_for=keys.trusted("pss.only"))


# 17 — kid injection


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/proc/self/environ",
        "' UNION SELECT 'secret' --",
        "1; DROP TABLE keys",
        "https://attacker.example/jwks.json",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "| sleep 5",
        "\u0000",
        "",
        "A" * 50_000,
        "A" * 43,
        "%2e%2e%2f",
        "键" * 43,
    ],
)
def test_a_kid_finds_a_key_or_nothing(
    keys: Keys, verify: Callable[[str], Any], sign_raw: Callable[[bytes, bytes], str], kid: str
) -> None:
    header = json.dumps(header_of(keys, kid=kid)).encode()

    with pytest.raises(InvalidJws) as raised:
        verify(sign_raw(header, orjson.dumps(CLAIMS)))

    assert kid == "" or kid not in str(raised.value)


@pytest.mark.parametrize("kid", [None, 7, ["x"], {"x": 1}])
def test_a_kid_that_is_no_string_is_refused(
    keys: Keys, verify: Callable[[str], Any], kid: object
) -> None:
    with pytest.raises(MalformedJws):
        verify(raw_token(header_of(keys, kid=kid), b"{}", b"x" * 64))


def test_a_duplicate_kid_is_refused(
    keys: Keys, verify: Callable[[str], Any], sign_raw: Callable[[bytes, bytes], str]
) -> None:
    kid = keys.active(USE).kid
    header = f'{{"alg":"ES256","typ":"at+jwt","kid":"other","kid":"{kid}"}}'

    with pytest.raises(MalformedJws, match="twice"):
        verify(sign_raw(header.encode(), b"{}"))


def test_the_kid_of_another_use_is_not_trusted(keys: Keys, verify: Callable[[str], Any]) -> None:
    keys.ensure("exchange.receipts")

    with pytest.raises(UntrustedKey):
        verify(keys.jws("exchange.receipts", CLAIMS, typ="at+jwt"))


# 18 — jku, x5u, jwk, x5c


def attackers_token(keys: Keys, **header: Any) -> str:
    private_key = ES256.key_type.generate()
    own = jwk_of(private_key.public_key())
    offered = {key: (own if value is ... else value) for key, value in header.items()}
    prefix = f"{b64(orjson.dumps(header_of(keys, **offered)))}.".encode()
    return assemble(
        prefix,
        orjson.dumps(CLAIMS),
        lambda message: ES256.to_jose(ES256.sign(private_key, message)),
    )


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": ...},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5u": "https://attacker.example/chain.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA", "x5t#S256": "AAAA"},
        {"jwk": ..., "jku": "http://127.0.0.1/", "x5u": "file:///etc/passwd"},
    ],
)
def test_a_key_that_a_token_brings_along_is_ignored(
    keys: Keys, verify: Callable[[str], Any], header: dict[str, Any]
) -> None:
    with pytest.raises(SignatureMismatch):
        verify(attackers_token(keys, **header))


def test_a_key_brought_along_does_not_help_an_unknown_kid(
    keys: Keys, verify: Callable[[str], Any]
) -> None:
    with pytest.raises(UntrustedKey):
        verify(attackers_token(keys, jwk=..., kid="A" * 43))


def test_our_own_certificate_in_the_header_of_a_forged_token_proves_nothing(
    keys: Keys, verify: Callable[[str], Any], sqlite_database: Database
) -> None:
    with sqlite_database.write() as tx:
        keys.authority.certificate_for(tx, USE, "receipt", {"common_name": "tokens"})
    chain = keys.chain(USE)
    assert x509.load_der_x509_certificate(chain[0])

    with pytest.raises(SignatureMismatch):
        verify(attackers_token(keys, x5c=[base64.b64encode(each).decode() for each in chain]))


# 21 — crit, b64, duplicate members, nesting


@pytest.mark.parametrize(
    "more",
    [
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"crit": []},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["unknown"], "unknown": True},
        {"crit": "b64"},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A256GCM"},
    ],
)
def test_a_header_parameter_that_changes_the_meaning_is_refused(
    keys: Keys,
    verify: Callable[[str], Any],
    sign_raw: Callable[[bytes, bytes], str],
    more: dict[str, Any],
) -> None:
    with pytest.raises(UnsupportedHeader):
        verify(sign_raw(orjson.dumps(header_of(keys, **more)), orjson.dumps(CLAIMS)))


@pytest.mark.parametrize(
    "payload",
    [
        b'{"sub":"citizen","sub":"officer"}',
        b'{"sub":"citizen","\\u0073ub":"officer"}',
        b'{"cnf":{"jkt":"a","jkt":"b"}}',
    ],
)
def test_a_claim_that_appears_twice_is_refused(
    keys: Keys,
    verify: Callable[[str], Any],
    sign_raw: Callable[[bytes, bytes], str],
    payload: bytes,
) -> None:
    with pytest.raises(MalformedJws, match="twice"):
        verify(sign_raw(orjson.dumps(header_of(keys)), payload))


def test_a_token_inside_a_token_is_refused(
    keys: Keys, verify: Callable[[str], Any], sign_raw: Callable[[bytes, bytes], str]
) -> None:
    inner = keys.jws(USE, CLAIMS, typ="at+jwt").encode()

    for payload in (inner, b'"' + inner + b'"'):
        with pytest.raises(MalformedJws):
            verify(sign_raw(orjson.dumps(header_of(keys)), payload))


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"7", b"\xff", b'{"a":1}{"b":2}'])
def test_claims_that_are_no_object_are_refused(
    keys: Keys,
    verify: Callable[[str], Any],
    sign_raw: Callable[[bytes, bytes], str],
    payload: bytes,
) -> None:
    with pytest.raises(MalformedJws):
        verify(sign_raw(orjson.dumps(header_of(keys)), payload))


def test_one_signature_has_one_spelling(keys: Keys, verify: Callable[[str], Any]) -> None:
    token = keys.jws(USE, CLAIMS, typ="at+jwt")
    verify(token)
    head, body, signature = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]

    for spelled in (
        f"{head}.{body}.{twin}",
        f"{head}.{body}.{signature}==",
        f"{head}.{body}.{signature}\n",
        f" {token}",
        f"{head}.{body}.{signature.replace('-', '+').replace('_', '/')} ",
        f"{head}=.{body}.{signature}",
        f"{token}\u0000",
        token.replace(".", "。", 1),
    ):
        with pytest.raises(InvalidJws):
            verify(spelled)


def test_the_json_serialisations_are_not_accepted(keys: Keys, verify: Callable[[str], Any]) -> None:
    head, body, signature = keys.jws(USE, CLAIMS, typ="at+jwt").split(".")
    flattened = {"protected": head, "payload": body, "signature": signature}

    with pytest.raises(InvalidJws):
        verify(json.dumps(flattened))


def test_a_token_of_another_type_is_refused(keys: Keys, verify: Callable[[str], Any]) -> None:
    for typ in ("JWT", "id_token", "logout+jwt", "yinzheng-receipt+jwt", "statuslist+jwt"):
        with pytest.raises(UnsupportedHeader):
            verify(keys.jws(USE, CLAIMS, typ=typ))


def test_a_token_without_a_type_is_refused(
    keys: Keys, verify: Callable[[str], Any], sign_raw: Callable[[bytes, bytes], str]
) -> None:
    header = {"alg": "ES256", "kid": keys.active(USE).kid}

    with pytest.raises(UnsupportedHeader):
        verify(sign_raw(orjson.dumps(header), b"{}"))


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_a_huge_token_is_refused_before_it_is_read(
    keys: Keys, verify: Callable[[str], Any], size: int
) -> None:
    with pytest.raises(MalformedJws):
        verify(f"{'A' * size}.{'A' * size}.AAAA")


def test_a_header_of_nested_arrays_does_not_exhaust_the_stack(
    keys: Keys, verify: Callable[[str], Any]
) -> None:
    depth = 20_000
    header = b'{"alg":"ES256","x":' + b"[" * depth + b"]" * depth + b"}"

    with pytest.raises(InvalidJws):
        verify(raw_token(header, b"{}", b"x" * 64))


def test_there_is_no_symmetric_or_unsecured_row_in_the_table() -> None:
    assert set(ALGORITHMS) == {"ES256", "EdDSA", "PS256", "RS256"}


def test_pyjwt_as_a_second_opinion_refuses_what_we_refuse(keys: Keys) -> None:
    """The forged tokens above are real forgeries: a sound outside library refuses them too."""
    key = keys.active(USE)
    forged = [
        raw_token(header_of(keys, alg="none"), orjson.dumps(CLAIMS), b""),
        raw_token(header_of(keys), orjson.dumps(CLAIMS), b"\x00" * 64),
        attackers_token(keys, jwk=...),
    ]

    for token in forged:
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(token, key.public_key, algorithms=["ES256"])
