"""CMS signatures: what we write is what asn1crypto and openssl read, and we read nothing odd."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import cms as asn1_cms
from asn1crypto import core
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.errors import Malformed
from keys.encoding.algorithms import ALGORITHMS, algorithm
from keys.encoding.der import (
    explicit,
    integer,
    octet_string,
    read,
    read_all,
    sequence,
    tlv,
)
from signing import Seal, cms
from signing.trust.certificates import Doubt, verify_signer, verify_stamp
from tests.signing import readers
from tests.signing.conftest import House

CONTENT = "临江市市场监督管理局".encode() * 50


def signed(house: House, seal: Seal, content: bytes = CONTENT, *, stamped: bool = True) -> bytes:
    """A detached signature over `content` by a seal's key."""
    name = house.keys.active(seal.use).algorithm
    template = cms.SignerTemplate.of(house.keys.chain(seal.use), name)
    attributes = template.signed_attributes(hashlib.new(algorithm(name).digest, content).digest())
    signature = house.sign(seal, attributes)
    stamp = house.keys.timestamps.stamp
    token = stamp(hashlib.sha256(signature).digest(), house.clock()) if stamped else b""
    return template.assemble(attributes, signature, token)


@pytest.fixture(params=ALGORITHMS)
def sealer(request: pytest.FixtureRequest, house: House) -> Seal:
    return house.register(algorithm=request.param)


@pytest.fixture
def naked(house: House, seal: Seal) -> bytes:
    """A signature without a time-stamp: every byte of it is the seal's."""
    return signed(house, seal, stamped=False)


def test_asn1crypto_reads_what_we_write(house: House, sealer: Seal) -> None:
    body = asn1_cms.ContentInfo.load(signed(house, sealer), strict=True)["content"]

    assert body["version"].native == "v1"
    assert body["encap_content_info"]["content"].native is None
    assert len(body["certificates"]) == 2  # the seal and its issuer; the root is for the verifier
    (signer,) = body["signer_infos"]
    assert {attribute["type"].native for attribute in signer["signed_attrs"]} == {
        "content_type",
        "message_digest",
        "signing_certificate_v2",
        "cms_algorithm_protection",
    }
    assert [attribute["type"].native for attribute in signer["unsigned_attrs"]] == [
        "signature_time_stamp_token"
    ]
    for sets in (body["certificates"], signer["signed_attrs"]):
        encodings = [element.dump() for element in sets]
        assert encodings == sorted(encodings)  # DER: SET OF in ascending order (X.690 §11.6)


def test_the_certificate_is_named_by_its_digest(house: House, sealer: Seal) -> None:
    body = asn1_cms.ContentInfo.load(signed(house, sealer))["content"]
    (signer,) = body["signer_infos"]
    named = {
        attribute["type"].native: attribute["values"][0] for attribute in signer["signed_attrs"]
    }

    (ess,) = named["signing_certificate_v2"]["certs"]

    leaf = house.keys.chain(sealer.use)[0]
    assert ess["cert_hash"].native == hashlib.sha256(leaf).digest()


def test_the_digest_and_the_algorithms_protect_each_other(house: House, sealer: Seal) -> None:
    """RFC 6211: the signed attributes repeat the algorithms that stand outside them."""
    (signer,) = asn1_cms.ContentInfo.load(signed(house, sealer))["content"]["signer_infos"]
    named = {
        attribute["type"].native: attribute["values"][0] for attribute in signer["signed_attrs"]
    }

    protection = named["cms_algorithm_protection"]

    assert protection["digest_algorithm"].dump() == signer["digest_algorithm"].dump()
    theirs = protection["signature_algorithm"]
    assert theirs["algorithm"].native == signer["signature_algorithm"]["algorithm"].native, (
        "the [1] IMPLICIT tag differs, the content does not"
    )


@pytest.mark.openssl
def test_openssl_verifies_the_signature_and_refuses_other_content(
    house: House, sealer: Seal, tmp_path: Path
) -> None:
    if house.keys.active(sealer.use).algorithm == "EdDSA":
        pytest.skip("openssl 3.0 verifies no Ed25519 in CMS")
    root = house.keys.authority.certificate("root")
    (tmp_path / "root.pem").write_text(readers.pem(root))
    (tmp_path / "signature").write_bytes(signed(house, sealer))
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "other").write_bytes(CONTENT + b"!")
    at = str(int(house.clock().timestamp()) + 60)
    verify = ("cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "signature")
    trust = ("-CAfile", "root.pem", "-purpose", "any", "-attime", at, "-out", "/dev/null")

    good = readers.openssl(*verify, *trust, "-content", "content", folder=tmp_path)
    bad = readers.openssl(*verify, *trust, "-content", "other", folder=tmp_path)

    assert good.returncode == 0, good.stderr
    assert bad.returncode != 0


def test_we_read_what_we_write(house: House, sealer: Seal) -> None:
    found = cms.read_signed_data(signed(house, sealer))

    leaf, issuer, _root = house.keys.chain(sealer.use)
    digest = hashlib.new(found.algorithm.digest, CONTENT).digest()
    assert verify_signer(found, cms.DATA, digest) == leaf
    assert set(found.certificates) == {leaf, issuer}
    token = found.unsigned[cms.SIGNATURE_TIME_STAMP]
    assert verify_stamp(token, found.signature).at == house.clock()


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_content_verifies_and_no_other(house: House, seal: Seal, content: bytes) -> None:
    found = cms.read_signed_data(signed(house, seal, content, stamped=False))

    verify_signer(found, cms.DATA, hashlib.sha256(content).digest())
    with pytest.raises(Doubt, match="content"):
        verify_signer(found, cms.DATA, hashlib.sha256(content + b"x").digest())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), difference=st.integers(1, 255))
def test_a_changed_byte_is_malformed_or_does_not_verify(
    naked: bytes, where: float, difference: int
) -> None:
    """Only the embedded certificates may differ unnoticed: no path leads through them then."""
    place = int(where * len(naked))
    changed = naked[:place] + bytes((naked[place] ^ difference,)) + naked[place + 1 :]

    try:
        found = cms.read_signed_data(changed)
        verify_signer(found, cms.DATA, hashlib.sha256(CONTENT).digest())
    except (Malformed, Doubt):
        return
    assert found.certificates != cms.read_signed_data(naked).certificates


# --- odd signatures ---------------------------------------------------------------------------


def taken_apart(encoded: bytes) -> list[bytes]:
    """The parts of the SignedData; the SignerInfo set is the last one."""
    body = read_all(read(read_all(read(encoded)[1])[1][1])[1])
    return [whole for _tag, _content, whole in body]


def put_together(parts: list[bytes]) -> bytes:
    return sequence(cms.SIGNED_DATA, explicit(0, sequence(*parts)))


def with_signer(encoded: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    parts = taken_apart(encoded)
    (signer,) = [whole for _tag, _content, whole in read_all(read(parts[-1])[1])]
    inner = [whole for _tag, _content, whole in read_all(read(signer)[1])]
    return put_together([*parts[:-1], tlv(0x31, sequence(*change(inner)))])


def repeated_attribute(parts: list[bytes]) -> list[bytes]:
    attributes = [whole for _t, _c, whole in read_all(read(parts[3])[1])]
    return [*parts[:3], tlv(0xA0, b"".join([*attributes, attributes[0]])), *parts[4:]]


def two_values(parts: list[bytes]) -> list[bytes]:
    attributes = [whole for _t, _c, whole in read_all(read(parts[3])[1])]
    kind, values = (whole for _t, _c, whole in read_all(read(attributes[0])[1]))
    doubled = sequence(kind, tlv(0x31, read(values)[1] * 2))
    return [*parts[:3], tlv(0xA0, b"".join([doubled, *attributes[1:]])), *parts[4:]]


def without_attributes(parts: list[bytes]) -> list[bytes]:
    return [*parts[:3], *parts[4:]]


def another_algorithm(parts: list[bytes]) -> list[bytes]:
    md5_with_rsa = core.ObjectIdentifier("1.2.840.113549.1.1.4").dump()
    return [*parts[:4], sequence(md5_with_rsa), *parts[5:]]


@pytest.mark.parametrize(
    "change", [repeated_attribute, two_values, without_attributes, another_algorithm]
)
def test_a_signer_with_something_odd_is_malformed(
    house: House, seal: Seal, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    with pytest.raises(Malformed):
        cms.read_signed_data(with_signer(signed(house, seal), change))


def two_signers(parts: list[bytes]) -> list[bytes]:
    return [*parts[:-1], tlv(0x31, read(parts[-1])[1] * 2)]


def no_signer(parts: list[bytes]) -> list[bytes]:
    return [*parts[:-1], tlv(0x31, b"")]


def another_version(parts: list[bytes]) -> list[bytes]:
    return [integer(3), *parts[1:]]


def no_digest_algorithm(parts: list[bytes]) -> list[bytes]:
    return [parts[0], tlv(0x31, b""), *parts[2:]]


@pytest.mark.parametrize("change", [two_signers, no_signer, another_version, no_digest_algorithm])
def test_a_container_with_something_odd_is_malformed(
    house: House, seal: Seal, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    with pytest.raises(Malformed):
        cms.read_signed_data(put_together(change(taken_apart(signed(house, seal)))))


def test_a_signature_without_its_certificate_is_malformed(house: House, seal: Seal) -> None:
    parts = taken_apart(signed(house, seal))
    naked = put_together([*parts[:3], parts[-1]])

    with pytest.raises(Malformed, match="certificate"):
        cms.read_signed_data(naked).signer_certificate()


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x80\x00\x00", b"\x04\x02ab", b"\x30\x00"])
def test_bytes_that_are_no_signature_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        cms.read_signed_data(data)


def test_a_token_over_something_else_is_no_time_stamp(house: House, seal: Seal) -> None:
    token = house.keys.timestamps.stamp(hashlib.sha256(b"another").digest(), house.clock())

    with pytest.raises(Doubt, match="something else"):
        verify_stamp(token, b"this")


def test_a_seal_cannot_pass_as_a_time_stamp(house: House, seal: Seal) -> None:
    """A certificate that is not for time-stamping stamps nothing (RFC 3161 §2.3)."""

    token = house.keys.timestamps.stamp(hashlib.sha256(b"this").digest(), house.clock())
    info = cms.read_signed_data(token).content
    assert info is not None
    template = cms.SignerTemplate.of(house.keys.chain(seal.use), "ES256")
    plain = template.signed_attributes(hashlib.sha256(info).digest())
    others = [whole for _t, _c, whole in read_all(read(plain)[1]) if cms.DATA not in whole]
    kind = sequence(cms.CONTENT_TYPE, tlv(0x31, cms.TST_INFO))
    attributes = tlv(0x31, b"".join(sorted([*others, kind])))
    signature = house.sign(seal, attributes)
    parts = taken_apart(template.assemble(attributes, signature))
    wrapped = sequence(cms.TST_INFO, explicit(0, octet_string(info)))
    forged = put_together([integer(3), parts[1], wrapped, *parts[3:]])

    with pytest.raises(Doubt, match="not for time-stamping"):
        verify_stamp(forged, b"this")
