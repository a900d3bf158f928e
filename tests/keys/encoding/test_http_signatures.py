"""RFC 9421 and RFC 9530: the standard's own examples, other people's program, and strictness."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)
from hypothesis import given
from hypothesis import strategies as st

from keys.encoding.algorithms import ALGORITHMS
from keys.encoding.http_signatures import (
    Expected,
    Message,
    claimed_signature,
    content_digest,
    sign,
    signature_base,
    verify,
)
from keys.encoding.jose import VerificationKey, jwk_of, thumbprint
from keys.errors import (
    ContentDigestMismatch,
    ContentDigestMissing,
    MessageSignatureRefused,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureKeyUnknown,
    SignatureMalformed,
    SignatureMissing,
    SignatureStale,
)

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
URL = "https://id.example.gov.cn/api/v1/verifications?wait=proof"
BODY = b'{"number":"JY1"}'
COVERED = ("@method", "@target-uri", "authorization", "content-digest")
EXPECTED = Expected(tag="test", components=("@method", "@target-uri", "authorization"))
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "PS256": rsa.generate_private_key(65537, 2048),
}


def trusted(private: Any, *names: str) -> VerificationKey:
    public = private.public_key() if hasattr(private, "public_key") else private
    return VerificationKey(public, names, thumbprint(jwk_of(public)))


def message(body: bytes = BODY, **headers: str) -> Message:
    digest = sha256(body).digest()
    given = {"authorization": "Bearer x", "content-digest": content_digest(digest), **headers}
    return Message(method="POST", target_uri=URL, headers=given, content_sha256=digest)


def signed(
    of: Message | None = None,
    components: tuple[str, ...] = COVERED,
    algorithm: str = "ES256",
    now: datetime = NOW,
    nonce: str = "n-1",
    tag: str = "test",
) -> Message:
    of = of or message()
    row = ALGORITHMS[algorithm]
    headers = sign(
        of, components, tag=tag, keyid=algorithm, nonce=nonce, now=now,
        signer=lambda base: row.to_jose(row.sign(KEYS[algorithm], base)),
    )  # fmt: skip
    return replace(of, headers={**of.headers, **headers})


def key_for(keyid: str) -> VerificationKey | None:
    return trusted(KEYS[keyid], keyid) if keyid in KEYS else None


def edited(of: Message, name: str, old: str, new: str) -> Message:
    assert old in of.headers[name]
    return replace(of, headers={**of.headers, name: of.headers[name].replace(old, new)})


# ── RFC 9421 Appendix B.2: the request and the response of B.2, the public keys of B.1 ───────────

RFC_REQUEST = Message(
    method="POST",
    target_uri="https://example.com/foo?param=Value&Pet=dog",
    headers={
        "host": "example.com",
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "content-type": "application/json",
        "content-digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7B"
        "NNyealdVLvRwEmTHWXvJwew==:",
        "content-length": "18",
    },
)
RFC_RESPONSE = Message(
    status=200,
    headers={
        "date": "Tue, 20 Apr 2021 02:07:56 GMT",
        "content-type": "application/json",
        "content-digest": "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wW"
        "dXymyU0rjJuahq4l5aGgfLQ==:",
        "content-length": "23",
    },
)
RFC_CASES: Mapping[str, tuple[Message, str, str, str]] = {
    "B.2.1 minimal, RSA-PSS": (
        RFC_REQUEST,
        '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
        "test-key-rsa-pss",
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtR"
        "xf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhz"
        "x2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP"
        "5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
    ),
    "B.2.3 everything, RSA-PSS": (
        RFC_REQUEST,
        '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" '
        '"content-length");created=1618884473;keyid="test-key-rsa-pss"',
        "test-key-rsa-pss",
        "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRp"
        "RRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH"
        "1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui"
        "9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
    ),
    "B.2.4 a response, ECDSA P-256": (
        RFC_RESPONSE,
        '("@status" "content-type" "content-digest" "content-length");created=1618884473'
        ';keyid="test-key-ecc-p256"',
        "test-key-ecc-p256",
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
    ),
    "B.2.6 Ed25519": (
        RFC_REQUEST,
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"',
        "test-key-ed25519",
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    ),
}
RFC_KEYS: Mapping[str, str] = {
    "test-key-rsa-pss": "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2"
    "+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+"
    "oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq"
    "gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W"
    "Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4"
    "aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI"
    "2wIDAQAB",
    "test-key-ecc-p256": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf"
    "w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==",
    "test-key-ed25519": "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=",
}


def rfc_key(name: str) -> Any:
    pem = f"-----BEGIN PUBLIC KEY-----\n{RFC_KEYS[name]}\n-----END PUBLIC KEY-----\n"
    return serialization.load_pem_public_key(pem.encode())


@pytest.mark.parametrize("case", RFC_CASES.values(), ids=RFC_CASES.keys())
def test_the_examples_of_the_standard_verify(case: tuple[Message, str, str, str]) -> None:
    """RSA-PSS with SHA-512 is no algorithm of ours: there `cryptography` checks our base."""
    of, inner, keyid, signature = case
    headers = {"signature-input": f'sig={inner};tag="t"', "signature": f"sig=:{signature}:"}
    claimed = claimed_signature(headers, "t")
    base = signature_base(of, claimed.components, inner)
    key = rfc_key(keyid)

    if isinstance(key, rsa.RSAPublicKey):
        salted = padding.PSS(padding.MGF1(hashes.SHA512()), 64)
        key.verify(claimed.signature, base, salted, hashes.SHA512())
        return
    row = ALGORITHMS["EdDSA" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256"]
    assert row.verify(key, row.from_jose(claimed.signature), base)
    assert not row.verify(key, row.from_jose(claimed.signature), base + b" ")


def test_the_base_of_the_ed25519_example_is_the_printed_one() -> None:
    of, inner, _, _ = RFC_CASES["B.2.6 Ed25519"]
    names = re.findall(r'"([^"]+)"', inner.partition(")")[0])

    assert signature_base(of, tuple(names), inner).decode() == (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@method": POST\n"@path": /foo\n'
        '"@authority": example.com\n"content-type": application/json\n"content-length": 18\n'
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" '
        '"content-length");created=1618884473;keyid="test-key-ed25519"'
    )


@pytest.mark.parametrize(
    ("uri", "component", "value"),
    [
        ("https://www.example.com/path?param=value", "@authority", "www.example.com"),
        ("https://WWW.Example.com:443/path", "@authority", "www.example.com"),
        ("http://www.example.com:8000/path", "@authority", "www.example.com:8000"),
        ("https://www.example.com/path?param=value&foo=bar", "@query", "?param=value&foo=bar"),
        ("https://www.example.com/path", "@query", "?"),
        ("https://www.example.com/path?queryString", "@query", "?queryString"),
        ("https://www.example.com/path?param=value", "@path", "/path"),
        ("https://www.example.com", "@path", "/"),
    ],
)
def test_derived_components_are_those_of_section_2_2(uri: str, component: str, value: str) -> None:
    of = Message(method="GET", target_uri=uri, headers={})

    assert signature_base(of, (component,), "").startswith(f'"{component}": {value}\n'.encode())


# ── another implementation ───────────────────────────────────────────────────────────────────────


class Parcel:
    """A message as the other program takes it."""

    def __init__(self, of: Message) -> None:
        self.method, self.url, self.headers = of.method, of.target_uri, dict(of.headers)


THEIRS = {"ES256": algorithms.ECDSA_P256_SHA256, "EdDSA": algorithms.ED25519}


@pytest.mark.parametrize("algorithm", THEIRS)
def test_another_program_believes_what_we_sign(algorithm: str) -> None:
    keys = MappingKeyResolver(
        public_keys={algorithm: KEYS[algorithm].public_key()}, private_keys={}
    )
    reader = HTTPMessageVerifier(signature_algorithm=THEIRS[algorithm], key_resolver=keys)
    ours = signed(algorithm=algorithm, now=datetime.now(UTC))

    (read,) = reader.verify(Parcel(ours), expect_tag="test", require_components=COVERED)

    assert read.parameters["nonce"] == "n-1"
    with pytest.raises(InvalidSignature):
        reader.verify(Parcel(edited(ours, "authorization", "x", "y")), expect_tag="test")


@pytest.mark.parametrize("algorithm", THEIRS)
@pytest.mark.parametrize("include_alg", [True, False])
def test_we_believe_what_another_program_signs(algorithm: str, include_alg: bool) -> None:
    keys = MappingKeyResolver(public_keys={}, private_keys={algorithm: KEYS[algorithm]})
    signer = HTTPMessageSigner(signature_algorithm=THEIRS[algorithm], key_resolver=keys)
    parcel = Parcel(message())
    del parcel.headers["content-digest"]  # it makes one of its own, from the body
    signer.sign(
        parcel, key_id=algorithm, created=NOW, expires=NOW + timedelta(seconds=30), nonce="their-1",
        tag="test", include_alg=include_alg, covered_component_ids=COVERED[:3], body=BODY,
    )  # fmt: skip
    headers = {name.lower(): value for name, value in parcel.headers.items()}

    verified = verify(replace(message(), headers=headers), EXPECTED, key_for, NOW)

    assert (verified.keyid, verified.nonce, verified.created) == (algorithm, "their-1", NOW)


# ── what is refused, by its own name ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_good_signature_is_believed(algorithm: str) -> None:
    verified = verify(signed(algorithm=algorithm), EXPECTED, key_for, NOW)

    assert verified.thumbprint == trusted(KEYS[algorithm], algorithm).thumbprint
    assert verified.until > NOW + EXPECTED.lifetime + EXPECTED.leeway


Edit = Callable[[Message], Message]
FORMS: Mapping[str, Edit] = {
    "white space twice": lambda m: edited(m, "signature-input", '" "', '"  "'),
    "a space after the semicolon": lambda m: edited(m, "signature-input", ";nonce", "; nonce"),
    "a parameter twice": lambda m: edited(m, "signature-input", ";nonce", ";created=1;nonce"),
    "an unknown parameter": lambda m: edited(m, "signature-input", ";nonce", ";level=1;nonce"),
    "a flag": lambda m: edited(m, "signature-input", ";nonce", ";flag;nonce"),
    "created as text": lambda m: edited(m, "signature-input", "created=17", 'created="1";x=17'),
    "created with a sign": lambda m: edited(m, "signature-input", "created=", "created=-"),
    "created with a point": lambda m: edited(m, "signature-input", ";keyid", ".0;keyid"),
    "created with a zero before": lambda m: edited(m, "signature-input", "created=", "created=0"),
    "a component with a parameter": lambda m: edited(
        m, "signature-input", '"@method"', '"@method";req'
    ),
    "a component twice": lambda m: edited(
        m, "signature-input", '"@method"', '"@method" "@method"'
    ),
    "capital letters": lambda m: edited(m, "signature-input", "authorization", "Authorization"),
    "an escape": lambda m: edited(m, "signature-input", "n-1", "n\\\\1"),
    "another label": lambda m: edited(m, "signature", "sig=", "gis="),
    "the label twice": lambda m: edited(m, "signature", "sig=", "sig=:AA==:, sig="),
    "no list": lambda m: replace(m, headers={**m.headers, "signature-input": "sig=1"}),
    "bytes with spare bits": lambda m: replace(m, headers={**m.headers, "signature": "sig=:AB==:"}),
    "bytes that are none": lambda m: replace(m, headers={**m.headers, "signature": "sig=:A:"}),
    "endless": lambda m: edited(m, "signature-input", "n-1", "n" * 5_000),
    "something behind": lambda m: edited(m, "signature-input", 'tag="test"', 'tag="test",'),
}  # fmt: skip


@pytest.mark.parametrize("edit", FORMS.values(), ids=FORMS.keys())
def test_a_signature_in_another_form_is_malformed(edit: Edit) -> None:
    with pytest.raises(SignatureMalformed):
        verify(edit(signed()), EXPECTED, key_for, NOW)


WRONG: Mapping[str, tuple[type[MessageSignatureRefused], Callable[[], Message]]] = {
    "no signature": (SignatureMissing, message),
    "another tag": (SignatureMissing, lambda: signed(tag="other")),
    "the method is not covered": (SignatureIncomplete, lambda: signed(components=COVERED[1:])),
    "the address is not covered": (SignatureIncomplete, lambda: signed(components=COVERED[::2])),
    "the digest is not covered": (SignatureIncomplete, lambda: signed(components=COVERED[:3])),
    "no nonce": (SignatureIncomplete, lambda: signed(nonce="")),
    "an endless nonce": (SignatureIncomplete, lambda: signed(nonce="n" * 257)),
    "a minute and more ago": (SignatureStale, lambda: signed(now=NOW - timedelta(seconds=71))),
    "ahead": (SignatureStale, lambda: signed(now=NOW + timedelta(seconds=11))),
    "another key": (
        SignatureInvalid,
        lambda: edited(signed(), "signature-input", '"ES256"', '"EdDSA"'),
    ),
    "an unknown key": (
        SignatureKeyUnknown,
        lambda: edited(signed(), "signature-input", '"ES256"', '"../key"'),
    ),
    "no key": (
        SignatureKeyUnknown,
        lambda: edited(signed(), "signature-input", ';keyid="ES256"', ""),
    ),
    "another method": (SignatureInvalid, lambda: replace(signed(), method="PUT")),
    "another address": (SignatureInvalid, lambda: replace(signed(), target_uri=URL + "&x=1")),
    "another token": (SignatureInvalid, lambda: edited(signed(), "authorization", "x", "y")),
    "a shorter signature": (
        SignatureInvalid,
        lambda: replace(signed(), headers={**signed().headers, "signature": "sig=:AAAA:"}),
    ),
    "a field that was taken out": (
        SignatureMalformed,
        lambda: replace(
            signed(message(x="1"), (*COVERED, "x")),
            headers={
                k: v for k, v in signed(message(x="1"), (*COVERED, "x")).headers.items() if k != "x"
            },
        ),
    ),
    "other content": (
        ContentDigestMismatch,
        lambda: replace(signed(), content_sha256=sha256(b"x").digest()),
    ),
    "no content any more": (
        ContentDigestMismatch,
        lambda: replace(signed(), content_sha256=sha256(b"").digest()),
    ),
}


@pytest.mark.parametrize(("refused", "make"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_has_a_name(
    refused: type[MessageSignatureRefused], make: Callable[[], Message]
) -> None:
    with pytest.raises(refused) as told:
        verify(make(), EXPECTED, key_for, NOW)

    assert told.value.status == 401


def test_content_without_a_digest_is_refused_although_it_is_signed() -> None:
    naked = message()
    naked = replace(naked, headers={"authorization": "Bearer x"})

    with pytest.raises(ContentDigestMissing):
        verify(signed(naked, COVERED[:3]), EXPECTED, key_for, NOW)


def test_a_signed_digest_of_another_algorithm_is_no_digest_here() -> None:
    other = message(**{"content-digest": "sha-512=:AAAA:"})

    with pytest.raises(ContentDigestMismatch):
        verify(signed(other), EXPECTED, key_for, NOW)


@pytest.mark.parametrize("alg", ["ed25519", "rsa-pss-sha512", "hmac-sha256", "ES256", "none"])
def test_the_message_does_not_choose_the_algorithm(alg: str) -> None:
    twisted = edited(signed(), "signature-input", ";nonce", f';alg="{alg}";nonce')

    with pytest.raises(SignatureInvalid):
        verify(twisted, EXPECTED, key_for, NOW)


def test_a_key_that_may_be_used_with_two_algorithms_is_none() -> None:
    key = trusted(KEYS["PS256"], "PS256", "RS256")

    with pytest.raises(SignatureKeyUnknown):
        verify(signed(algorithm="PS256"), EXPECTED, lambda _: key, NOW)


def test_a_signature_that_says_when_it_expires_is_held_to_it() -> None:
    of = message()
    inner = (
        f'("@method" "@target-uri" "authorization" "content-digest");created={int(NOW.timestamp())}'
    )
    inner += f';expires={int(NOW.timestamp()) + 5};keyid="EdDSA";nonce="n";tag="test"'
    base = signature_base(of, COVERED, inner)
    row = ALGORITHMS["EdDSA"]
    signature = row.sign(KEYS["EdDSA"], base)
    headers = {
        "signature-input": f"a={inner}",
        "signature": content_digest(signature).replace("sha-256", "a"),
    }
    made = replace(of, headers={**of.headers, **headers})

    assert verify(made, EXPECTED, key_for, NOW + timedelta(seconds=4)).keyid == "EdDSA"
    with pytest.raises(SignatureStale):
        verify(made, EXPECTED, key_for, NOW + timedelta(seconds=5))


def test_signatures_for_others_may_stand_beside_ours_but_two_with_our_tag_are_none() -> None:
    def beside(ours: Message, other: Message) -> Message:
        joined = {
            name: f"{ours.headers[name]}, {other.headers[name].replace('sig=', 'other=')}"
            for name in ("signature-input", "signature")
        }
        return replace(ours, headers={**ours.headers, **joined})

    assert verify(beside(signed(), signed(tag="proxy")), EXPECTED, key_for, NOW)
    with pytest.raises(SignatureMissing):
        verify(beside(signed(), signed(nonce="n-2")), EXPECTED, key_for, NOW)


def test_a_response_is_signed_with_its_status_and_never_with_a_method() -> None:
    answer = Message(status=200, headers={"content-type": "text/plain"})

    assert signature_base(answer, ("@status",), "") == b'"@status": 200\n"@signature-params": '
    with pytest.raises(SignatureMalformed):
        signature_base(answer, ("@method",), "")
    with pytest.raises(SignatureMalformed):
        signature_base(message(), ("@status",), "")


_PIECES = st.lists(
    st.sampled_from(
        ["sig=", "a=", "(", ")", '"@method"', '"x"', '"', " ", ", ", ";", "created=", "1", "-", "é",
         'tag="test"', "keyid=", '"ES256"', "nonce=", ":", "AA==", "=", "?1", "\\", "\n", "9" * 16]
    )
).map("".join)  # fmt: skip


@given(_PIECES, _PIECES)
def test_whatever_the_headers_say_the_answer_is_a_refusal_and_never_a_fault(
    inputs: str, signatures: str
) -> None:
    headers = {"signature-input": inputs, "signature": signatures, "x": "é\n"}

    with pytest.raises(MessageSignatureRefused):
        verify(replace(message(), headers=headers), EXPECTED, key_for, NOW)


@given(st.sampled_from(["signature-input", "signature", "content-digest"]), st.data())
def test_no_changed_character_is_overlooked(name: str, data: st.DataObject) -> None:
    whole = signed(algorithm="EdDSA")
    text = whole.headers[name]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != text[at])
    )

    changed = replace(whole, headers={**whole.headers, name: text[:at] + other + text[at + 1 :]})

    with pytest.raises(MessageSignatureRefused):
        verify(changed, EXPECTED, key_for, NOW)
