"""Signatures beside a file: CAdES for openssl, a detached JWS for everybody's JOSE library."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.canonical import b64url
from foundation.errors import Unavailable
from keys.encoding import der
from keys.encoding.algorithms import ALGORITHMS
from signing import Approval, Seal, SealedDocument, Validation, cms
from signing.errors import ContentNotApproved, DocumentTooLarge, FourEyesViolated
from signing.formats import cades
from signing.trust.certificates import Doubt
from signing.validation.reasons import etsi
from signing.validation.report import to_lines
from tests.signing import readers
from tests.signing.conftest import House

DATA = b"id,name\r\n1,\xe5\xbc\xa0\xe6\x99\x93\xe6\x98\x8e\r\n" * 30
FORMS = ("cms", "jws")


def approved(house: House, data: bytes = DATA, **changed: Any) -> Approval:
    values = {
        "content_digest": b64url(hashlib.sha256(data).digest()),
        "drafter": "drafter-1",
        "approver": "approver-1",
        "approved_at": house.clock() - timedelta(minutes=5),
    }
    return Approval(**(values | changed))


def signed(house: House, seal: Seal, form: Any, data: bytes = DATA) -> SealedDocument:
    return house.signing.seal_file(seal, data, approved(house, data), now=house.clock(), form=form)


def codes(found: Validation) -> dict[str, str]:
    return {check.name: check.code for check in found.checks}


@pytest.fixture(params=ALGORITHMS)
def sealer(request: pytest.FixtureRequest, house: House) -> Seal:
    return house.register(algorithm=request.param)


def test_a_cms_signature_is_valid_beside_its_file(house: House, sealer: Seal) -> None:
    document = signed(house, sealer, "cms")

    found = house.signing.validate(DATA, document.data)

    assert document.level == "B-T"
    assert (found.format, found.indication, found.level) == ("cms", "valid", "B-T")
    assert etsi(found) == ("TOTAL-PASSED", "")
    assert found.seal is not None
    assert (found.seal.seal_id, found.seal.state) == (sealer.id, "active")
    assert found.digest == approved(house).content_digest


def test_a_jws_signature_is_intact_beside_its_file_but_its_time_is_only_claimed(
    house: House, sealer: Seal
) -> None:
    document = signed(house, sealer, "jws")

    found = house.signing.validate(DATA, document.data)

    assert document.level == "B-B"
    assert (found.format, found.indication, found.level) == ("jws", "unknown", "B-B")
    assert codes(found)["integrity"] == "intact"
    assert codes(found)["time"] == "time_only_claimed"
    assert etsi(found) == ("INDETERMINATE", "NO_POE")
    assert found.signed_at == house.clock()


@pytest.mark.parametrize("form", FORMS)
def test_another_file_is_a_mismatch(house: House, seal: Seal, form: str) -> None:
    found = house.signing.validate(DATA + b"\n", signed(house, seal, form).data)

    assert found.indication == "invalid"
    assert codes(found)["integrity"] == "digest_mismatch"
    assert etsi(found) == ("TOTAL-FAILED", "HASH_FAILURE")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), difference=st.integers(1, 255))
@pytest.mark.parametrize("form", FORMS)
def test_a_changed_signature_is_never_valid(
    house: House, both: dict[str, bytes], form: str, where: float, difference: int
) -> None:
    signature = both[form]
    place = int(where * len(signature))
    changed = signature[:place] + bytes((signature[place] ^ difference,)) + signature[place + 1 :]

    found = house.signing.validate(DATA, changed)

    assert found.indication != "valid"
    if form == "jws" and changed.strip() != signature:
        assert found.check("integrity").result == "fail"


@pytest.fixture
def both(house: House, seal: Seal) -> dict[str, bytes]:
    return {form: signed(house, seal, form).data for form in FORMS}


# --- by other people's tools ------------------------------------------------------------------


@pytest.mark.openssl
def test_openssl_verifies_the_cms_as_cades(house: House, sealer: Seal, tmp_path: Path) -> None:
    if house.keys.active(sealer.use).algorithm == "EdDSA":
        pytest.skip("openssl 3.0 verifies no Ed25519 in CMS")
    root = house.keys.authority.certificate("root")
    (tmp_path / "root.pem").write_text(readers.pem(root))
    (tmp_path / "file.p7s").write_bytes(signed(house, sealer, "cms").data)
    (tmp_path / "file").write_bytes(DATA)
    at = str(int(house.clock().timestamp()) + 60)
    command = ("cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "file.p7s")
    trust = ("-CAfile", "root.pem", "-purpose", "any", "-attime", at, "-out", "/dev/null")

    done = readers.openssl(*command, *trust, "-content", "file", folder=tmp_path)

    assert done.returncode == 0, done.stderr


@pytest.mark.openssl
def test_the_time_stamp_inside_is_one_for_openssl(house: House, seal: Seal, tmp_path: Path) -> None:
    found = cms.read_signed_data(signed(house, seal, "cms").data)
    (tmp_path / "root.pem").write_text(readers.pem(house.keys.authority.certificate("root")))
    (tmp_path / "token").write_bytes(found.unsigned[cms.SIGNATURE_TIME_STAMP])
    (tmp_path / "stamped").write_bytes(found.signature)
    at = str(int(house.clock().timestamp()) + 60)

    done = readers.openssl(
        *("ts", "-verify", "-in", "token", "-token_in", "-data", "stamped"),
        *("-CAfile", "root.pem", "-attime", at),
        folder=tmp_path,
    )

    assert "Verification: OK" in done.stdout, done.stderr


def test_pyjwt_verifies_the_detached_jws(house: House, sealer: Seal) -> None:
    text = signed(house, sealer, "jws").data.decode()
    header = jwt.get_unverified_header(text)
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))

    found = jwt.PyJWS().decode_complete(
        text, key=leaf.public_key(), algorithms=[header["alg"]], detached_payload=DATA
    )

    assert found["payload"] == DATA
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.PyJWS().decode_complete(
            text, key=leaf.public_key(), algorithms=[header["alg"]], detached_payload=DATA + b"!"
        )


@pytest.mark.openssl
def test_a_cms_made_by_openssl_with_its_content_inside_is_read(
    house: House, tmp_path: Path
) -> None:
    """A stranger's: intact, but nobody here knows the authority."""
    (tmp_path / "file").write_bytes(DATA)
    make = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    readers.openssl(
        *(*make, "-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=stranger", "-days", "900"),
        folder=tmp_path,
    )
    sign = ("cms", "-sign", "-cades", "-binary", "-in", "file", "-signer", "c.pem", "-inkey")
    for form in ("DER", "PEM"):
        done = readers.openssl(
            *sign, "k.pem", "-nodetach", "-outform", form, "-out", form, folder=tmp_path
        )
        assert done.returncode == 0, done.stderr

        found = house.signing.validate((tmp_path / form).read_bytes())

        assert found.format == "cms"
        assert found.indication == "unknown"
        assert codes(found)["integrity"] == "intact"
        assert codes(found)["authority"] == "authority_unknown"
        assert etsi(found) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


# --- what is refused --------------------------------------------------------------------------


def test_only_the_approved_file_is_signed(house: House, seal: Seal) -> None:
    with pytest.raises(ContentNotApproved):
        house.signing.seal_file(seal, DATA + b"!", approved(house), now=house.clock())


def test_nobody_approves_their_own_file(house: House, seal: Seal) -> None:
    alone = approved(house, drafter="a", approver="a")

    with pytest.raises(FourEyesViolated):
        house.signing.seal_file(seal, DATA, alone, now=house.clock())


def test_a_cms_without_its_file_asks_for_it(house: House, seal: Seal) -> None:
    found = house.signing.validate(signed(house, seal, "cms").data)

    assert codes(found)["integrity"] == "content_missing"
    assert found.indication == "unknown"
    assert etsi(found) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")


def test_a_signature_above_its_limit_is_refused(house: House) -> None:
    with pytest.raises(DocumentTooLarge):
        house.signing.validate(DATA, bytes(300_000))


@pytest.mark.parametrize(
    "signature", [b"hello", b"eyJ", b"eyJhbGciOiJub25lIn0..", b"-----BEGIN CMS-----\n!\n", b"0\x80"]
)
def test_what_is_no_signature_is_malformed(house: House, signature: bytes) -> None:
    found = house.signing.validate(DATA, signature)

    assert found.indication == "invalid"
    assert codes(found)["integrity"] == "signature_malformed"


def header_with(**changed: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda header: {k: v for k, v in (header | changed).items() if v is not None}


@pytest.mark.parametrize(
    "change",
    [
        header_with(alg="none"),
        header_with(alg="HS256"),
        header_with(b64=True),
        header_with(b64=None),
        header_with(crit=["b64", "exp"]),
        header_with(crit=None),
        header_with(kid="another"),
        header_with(x5c=[]),
        header_with(x5c=["!"]),
        header_with(x5c=["AAAA"]),
        header_with(jwk={}),
        header_with(iat="now"),
        header_with(iat=-1),
        header_with(typ="JWT"),
        header_with(**{"x5t#S256": "another"}),
    ],
)
def test_a_header_that_is_not_ours_is_malformed_before_any_signature_is_asked(
    house: House, seal: Seal, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    protected, _empty, signature = signed(house, seal, "jws").data.split(b".")
    header = json.loads(base64.urlsafe_b64decode(protected + b"=="))
    forged = b64url(json.dumps(change(header)).encode()).encode() + b".." + signature

    found = house.signing.validate(DATA, forged)

    assert found.indication == "invalid"
    assert codes(found)["integrity"] == "signature_malformed"


def test_a_jws_that_carries_its_payload_is_not_detached(house: House, seal: Seal) -> None:
    protected, _empty, signature = signed(house, seal, "jws").data.split(b".")

    found = house.signing.validate(DATA, protected + b".e30." + signature)

    assert codes(found)["integrity"] == "signature_malformed"


# --- a time-stamp that comes later ------------------------------------------------------------


def test_a_silent_authority_leaves_a_signature_that_can_be_completed(
    house: House, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_arguments: object) -> bytes:
        raise Unavailable("the time-stamp authority does not answer", retry_after=5)

    with monkeypatch.context() as outage:
        outage.setattr(house.keys.time, "stamp", dead)
        pending = signed(house, seal, "cms")

    done = cades.completed(pending.data, house.keys.timestamps.stamp, house.clock())

    assert (pending.level, pending.time_stamp_pending) == ("B-B", True)
    assert house.signing.validate(DATA, pending.data).indication == "unknown"
    assert house.signing.validate(DATA, done).indication == "valid"
    assert cades.completed(done, house.keys.timestamps.stamp, house.clock()) == done


def test_the_content_inside_must_be_the_file(house: House, seal: Seal) -> None:
    """A signature with a content of its own says nothing about the file beside it."""
    from keys.encoding.der import explicit, octet_string, sequence
    from signing import cms
    from tests.signing.test_cms import put_together, taken_apart

    parts = taken_apart(signed(house, seal, "cms").data)
    inside = sequence(cms.DATA, explicit(0, octet_string(DATA)))
    attached = put_together([*parts[:2], inside, *parts[3:]])

    assert cades.verify(attached, None).claimed == house.clock()
    with pytest.raises(Doubt, match="another content"):
        cades.verify(attached, DATA + b"!")


# --- certificates that nobody can read --------------------------------------------------------


def made_by(house: House, name: str, changed: tuple[str, str] = ("", "")) -> bytes:
    """A CMS signature over DATA by a key and a certificate of somebody's own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(house.clock() - timedelta(days=1))
        .not_valid_after(house.clock() + timedelta(days=900))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    old, new = (bytes.fromhex(part) for part in changed)
    assert old in certificate
    template = cms.SignerTemplate.of([certificate.replace(old, new)], "ES256", house.clock())
    attributes = template.signed_attributes(hashlib.sha256(DATA).digest())
    return template.assemble(attributes, key.sign(attributes, ec.ECDSA(hashes.SHA256())))


@pytest.mark.parametrize(
    "changed",
    [
        ("06082a8648ce3d030107", "06082a811ccf5501822d"),
        ("06072a8648ce3d0201", "06072a8648ce3d0207"),
        ("03420004", "03420005"),
        ("a003020102", "a003020109"),
        ("0c0178", "0c01ff"),
    ],
    ids=["SM2 curve", "unknown kind of key", "no point", "version 10", "a name that is no UTF-8"],
)
def test_a_certificate_that_nobody_can_read_is_a_reason_and_not_a_crash(
    house: House, changed: tuple[str, str]
) -> None:
    assert codes(house.signing.validate(DATA, made_by(house, "x")))["integrity"] == "intact"

    found = house.signing.validate(DATA, made_by(house, "x", changed))

    assert found.indication == "invalid"
    assert found.check("integrity").code == "signature_malformed"
    assert "certificate" in found.check("integrity").detail


def test_a_name_in_a_certificate_forges_no_line_on_a_terminal(house: House) -> None:
    found = house.signing.validate(DATA, made_by(house, "x\nVALID  TOTAL-PASSED\x1b[2J\u202e"))

    lines = to_lines(found)

    assert found.indication == "unknown"
    assert all(line.isprintable() for line in lines)


def test_a_signature_of_millions_of_parts_is_not_taken_apart(house: House) -> None:
    signer = der.sequence(der.integer(1), b"\x30\x00", b"\x30\x00")
    body = der.sequence(
        der.integer(1),
        der.tlv(0x31, b"\x05\x00" * 2_000),
        der.sequence(cms.DATA),
        der.tlv(0x31, signer),
    )
    found = house.signing.validate(der.sequence(cms.SIGNED_DATA, der.explicit(0, body)))

    assert found.check("integrity").code == "signature_malformed"
    assert "more than" in found.check("integrity").detail
