"""Certificates and revocation lists, read by cryptography, asn1crypto and openssl."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from foundation.database import Database
from foundation.errors import Malformed
from keys import Keys
from keys.custody import store
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import ALGORITHMS
from keys.encoding.x509 import RevocationReason
from keys.errors import NoActiveKey, UnknownCertificate
from keys.models import KeyCertificate, key_certificates
from keys.pki.profiles import OAUTH_STATUS_SIGNING, PROFILES
from tests.simulators.clock import MovableClock

BUREAU = {
    "country_name": "CN",
    "organization_name": "上海市浦东新区市场监督管理局",
    "organization_identifier": "11310115MB2F30123X",
    "common_name": "上海市浦东新区市场监督管理局",
}
CODE = BUREAU["organization_identifier"]
SEAL = "seal/4711"
DAY = timedelta(days=1)
LEAF_PROFILES = sorted(name for name, profile in PROFILES.items() if not profile.authority)


@pytest.fixture
def certify(keys: Keys, database: Database) -> Callable[..., KeyCertificate]:
    """A new key of a use with its certificate."""

    def make(
        use: str = "seal/4711", profile: str = "seal", algorithm: str = "ES256", **more: Any
    ) -> KeyCertificate:
        keys.ensure(use, algorithm)
        with database.write() as tx:
            return keys.authority.certificate_for(tx, use, profile, BUREAU, **more)

    return make


def parsed(certificates: list[bytes]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(each) for each in certificates]


def extended_usage(certificate: x509.Certificate) -> list[str]:
    extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    return [oid.dotted_string for oid in extension.value]


def test_a_chain_goes_from_leaf_to_root(keys: Keys, certify: Callable[..., Any]) -> None:
    certify()

    leaf, issuing, root = parsed(keys.chain("seal/4711"))

    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert leaf.public_key() == keys.active("seal/4711").public_key
    assert leaf.not_valid_after_utc <= issuing.not_valid_after_utc <= root.not_valid_after_utc


@pytest.mark.parametrize("profile", LEAF_PROFILES)
def test_a_profile_says_what_a_certificate_is_for(
    keys: Keys, certify: Callable[..., Any], profile: str
) -> None:
    certify("some.use", profile)
    leaf = parsed(keys.chain("some.use"))[0]
    expected = {
        "seal": ["1.3.6.1.5.5.7.3.36"],
        "qr": ["1.3.6.1.5.5.7.3.36"],
        "receipt": ["1.3.6.1.5.5.7.3.36"],
        "timestamp": ["1.3.6.1.5.5.7.3.8"],
        "status": [OAUTH_STATUS_SIGNING],
        "ocsp": ["1.3.6.1.5.5.7.3.9"],
    }[profile]

    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)

    assert extended_usage(leaf) == expected
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not constraints.value.ca
    critical = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).critical
    assert critical == (profile == "timestamp"), "RFC 3161 §2.3 wants it critical"


def test_a_certificate_names_its_holder_in_chinese(certify: Callable[..., Any]) -> None:
    certificate = x509.load_der_x509_certificate(certify().der)

    values = {attribute.oid.dotted_string: attribute.value for attribute in certificate.subject}
    assert values == {
        "2.5.4.6": "CN",
        "2.5.4.10": BUREAU["organization_name"],
        "2.5.4.97": "11310115MB2F30123X",
        "2.5.4.3": BUREAU["common_name"],
    }


def test_pointers_lead_to_the_published_issuer_and_list(certify: Callable[..., Any]) -> None:
    certificate = x509.load_der_x509_certificate(certify().der)
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)

    places = [each.access_location.value for each in access.value]
    assert "https://id.example.gov.cn/pki/issuing-1.crt" in places
    assert [point.full_name[0].value for point in points.value] == [
        "https://id.example.gov.cn/pki/crl/issuing-1.crl"
    ]


def test_a_certificate_is_reused_until_its_subject_changes_or_its_end_is_near(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    first = certify()
    clock.advance(365 * DAY)
    again = certify()
    clock.advance(4 * 365 * DAY)

    renewed = certify()

    assert again == first
    assert renewed.number == 2
    assert renewed.not_after > first.not_after
    with database.write() as tx:
        moved = keys.authority.certificate_for(
            tx, "seal/4711", "seal", {**BUREAU, "locality_name": "浦东"}
        )
    assert moved.number == 3


def test_no_certificate_outlives_its_issuer(
    certify: Callable[..., Any], keys: Keys, clock: MovableClock
) -> None:
    keys.establish()
    clock.advance(13 * 365 * DAY)

    certificate = certify()

    assert (
        certificate.not_after
        == parsed([keys.authority.certificate("issuing")])[0].not_valid_after_utc
    )


def test_a_seal_may_end_earlier(certify: Callable[..., Any], clock: MovableClock) -> None:
    end = clock() + 100 * DAY

    assert certify(not_after=end).not_after == end


def test_a_use_without_a_key_is_not_certified(keys: Keys, database: Database) -> None:
    with pytest.raises(NoActiveKey), database.write() as tx:
        keys.authority.certificate_for(tx, "seal/none", "seal", BUREAU)


@pytest.mark.parametrize(
    "subject",
    [
        {},
        {"common_name": ""},
        {"common_name": "x" * 201},
        {"common_name": "two\nlines"},
        {"common_name": "right\u202eleft"},
        {"country_name": "中"},
        {"e_mail": "a@b"},
    ],
)
def test_a_subject_that_would_mislead_is_refused(
    keys: Keys, database: Database, subject: dict[str, str]
) -> None:
    keys.ensure("seal/4711")

    with pytest.raises(Malformed), database.write() as tx:
        keys.authority.certificate_for(tx, "seal/4711", "seal", subject)


def test_processes_that_start_at_once_share_one_authority(
    database: Database, backend: SoftwareBackend, clock: MovableClock
) -> None:
    houses = [Keys(database, backend, clock) for _ in range(4)]
    threads = [threading.Thread(target=house.establish) for house in houses]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read() as tx:
        profiles = sorted(tx.execute(select(key_certificates.c.profile)).scalars())
    assert profiles == ["issuing", "root", "timestamp"]


def test_a_revocation_and_its_list_are_one_transaction(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    certificate = certify()
    before = x509.load_der_x509_crl(keys.authority.crl("issuing"))

    with database.write() as tx:
        keys.authority.revoke(tx, certificate.serial, RevocationReason.KEY_COMPROMISE, clock())

    after = x509.load_der_x509_crl(keys.authority.crl("issuing"))
    entry = after.get_revoked_certificate_by_serial_number(int(certificate.serial, 16))
    assert len(list(before)) == 0
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason == x509.ReasonFlags.key_compromise
    assert entry.revocation_date_utc == clock()
    numbers = [
        each.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for each in (before, after)
    ]
    assert numbers == [1, 2]


def test_the_first_revocation_stands(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    serial = certify().serial
    with database.write() as tx:
        keys.authority.revoke(tx, serial, RevocationReason.SUPERSEDED, clock())
        first = clock()
        clock.advance(DAY)

        again = keys.authority.revoke(tx, serial, RevocationReason.KEY_COMPROMISE, clock())

    assert (again.reason, again.revoked_at) == (RevocationReason.SUPERSEDED, first)


def test_a_revoked_certificate_is_no_longer_in_the_chain(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    serial = certify().serial
    with database.write() as tx:
        keys.authority.revoke(tx, serial, RevocationReason.SUPERSEDED, clock())

    with pytest.raises(UnknownCertificate):
        keys.chain("seal/4711")


def test_revocations_at_the_same_time_are_all_listed(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    serials = [certify(f"seal/{number}").serial for number in range(6)]

    def revoke(serial: str) -> None:
        with database.write() as tx:
            keys.authority.revoke(tx, serial, RevocationReason.SUPERSEDED, clock())

    threads = [threading.Thread(target=revoke, args=(serial,)) for serial in serials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    listed = {
        f"{each.serial_number:x}" for each in x509.load_der_x509_crl(keys.authority.crl("issuing"))
    }
    assert listed == set(serials)


def test_a_list_is_renewed_before_it_ends(keys: Keys, clock: MovableClock) -> None:
    keys.establish()
    first = keys.authority.crl("issuing")

    assert keys.authority.crl("issuing") == first
    clock.advance(2 * DAY)
    second = x509.load_der_x509_crl(keys.authority.crl("issuing"))

    assert second.last_update_utc == clock()
    assert second.next_update_utc == clock() + 7 * DAY


def test_a_reason_that_says_nothing_is_left_out(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    serial = certify().serial

    with database.write() as tx:
        keys.authority.revoke(tx, serial, RevocationReason.UNSPECIFIED, clock())

    listed = asn1_crl.CertificateList.load(keys.authority.crl("issuing"), strict=True)
    entries = listed["tbs_cert_list"]["revoked_certificates"]
    assert [f"{entry['user_certificate'].native:x}" for entry in entries] == [serial]
    assert entries[0]["crl_entry_extensions"].native is None


@pytest.mark.parametrize("name", ["", "leaf", "root-99", "issuing-0", "../root", "root-1.crl"])
def test_an_authority_nobody_knows(keys: Keys, name: str) -> None:
    keys.establish()

    with pytest.raises(UnknownCertificate):
        keys.authority.crl(name)
    with pytest.raises(UnknownCertificate):
        keys.authority.certificate(name)


def test_a_rotated_key_has_its_certificate_before_it_signs(
    keys: Keys, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    certify()
    old = keys.chain("seal/4711")

    keys.rotate("seal/4711", at_once=True)

    new = parsed(keys.chain("seal/4711"))
    assert new[0].public_key() == keys.active("seal/4711").public_key
    assert new[0].subject == parsed(old)[0].subject
    new[0].verify_directly_issued_by(new[1])


def test_a_rotated_issuing_authority_signs_new_certificates_and_lists_old_ones(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    old = certify("seal/1")
    keys.rotate("ca.issuing", at_once=True)

    certify("seal/2")
    with database.write() as tx:
        keys.authority.revoke(tx, old.serial, RevocationReason.SUPERSEDED, clock())

    leaf, issuing, root = parsed(keys.chain("seal/2"))
    leaf.verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    assert issuing.subject.rfc4514_string() == "CN=Yinzheng Issuing CA 2,O=Yinzheng"
    listed = x509.load_der_x509_crl(keys.authority.crl("issuing-1"))
    assert f"{next(iter(listed)).serial_number:x}" == old.serial
    assert len(list(x509.load_der_x509_crl(keys.authority.crl("issuing-2")))) == 0


def test_a_compromised_key_is_on_the_list(
    keys: Keys, database: Database, certify: Callable[..., Any]
) -> None:
    old = certify()

    keys.compromised("seal/4711")

    listed = x509.load_der_x509_crl(keys.authority.crl("issuing"))
    assert listed.get_revoked_certificate_by_serial_number(int(old.serial, 16)) is not None
    assert len(keys.chain("seal/4711")) == 3


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_asn1crypto_reads_certificates_strictly(
    certify: Callable[..., Any], algorithm: str
) -> None:
    certificate = asn1_x509.Certificate.load(certify(algorithm=algorithm).der, strict=True)

    rebuilt = asn1_x509.Certificate(
        certificate.native
        and {
            "tbs_certificate": certificate["tbs_certificate"].copy(),
            "signature_algorithm": certificate["signature_algorithm"].copy(),
            "signature_value": certificate["signature_value"].copy(),
        }
    )
    assert rebuilt.dump(force=True) == certificate.dump()
    assert certificate.subject.native["organization_identifier"] == "11310115MB2F30123X"


@pytest.mark.openssl
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_openssl_verifies_the_chain_and_honours_the_list(
    keys: Keys,
    database: Database,
    clock: MovableClock,
    certify: Callable[..., Any],
    openssl: Callable[..., Any],
    tmp_path: Path,
    algorithm: str,
) -> None:
    certificate = certify(algorithm=algorithm)
    chain = parsed(keys.chain("seal/4711"))
    for name, each in zip(("leaf", "issuing", "root"), chain, strict=True):
        (tmp_path / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    at = str(int((clock() + timedelta(hours=1)).replace(tzinfo=UTC).timestamp()))
    verify = (
        *("verify", "-x509_strict", "-attime", at, "-CAfile", "root.pem"),
        *("-untrusted", "issuing.pem"),
    )

    plain = openssl(*verify, "leaf.pem")
    with database.write() as tx:
        keys.authority.revoke(tx, certificate.serial, RevocationReason.KEY_COMPROMISE, clock())
    for name in ("issuing", "root"):
        (tmp_path / f"{name}.crl").write_bytes(keys.authority.crl(name))
        checked = openssl(
            *("crl", "-inform", "DER", "-in", f"{name}.crl", "-CAfile", f"{name}.pem"),
            *("-out", f"{name}.crl.pem"),
        )
        assert "verify OK" in checked.stderr
    revoked = openssl(*verify, "-crl_check", "-CRLfile", "issuing.crl.pem", "leaf.pem")

    assert plain.returncode == 0, plain.stderr
    assert revoked.returncode == 2
    assert "certificate revoked" in revoked.stderr


def test_the_nightly_job_renews_what_nobody_has_to_decide(
    keys: Keys, database: Database, clock: MovableClock, certify: Callable[..., Any]
) -> None:
    seal = certify("seal/4711", "seal")
    status = certify("certificates.status", "status")
    clock.advance(4.8 * 365 * DAY)

    keys.rotate_due()
    keys.rotate_due()

    def numbers(kid: str) -> list[int]:
        with database.read() as tx:
            return [each.number for each in store.certificates_of(tx, kid)]

    assert numbers(seal.kid) == [1], "its keeper decides"
    assert numbers(status.kid) == [1, 2]


def test_dates_are_whole_seconds(certify: Callable[..., Any], clock: MovableClock) -> None:
    clock.now = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)

    certificate = certify()

    assert x509.load_der_x509_certificate(certificate.der).not_valid_before_utc == (
        certificate.not_before
    )


@pytest.fixture
def sealed_by_department(keys: Keys, database: Database) -> KeyCertificate:
    """A seal's certificate under its department's own authority."""
    keys.ensure(SEAL)
    with database.write() as tx:
        under = keys.authority.department(tx, CODE, BUREAU["organization_name"])
        return keys.authority.certificate_for(tx, SEAL, "seal", BUREAU, under=under)


def test_a_department_has_an_authority_of_its_own(
    keys: Keys, database: Database, sealed_by_department: KeyCertificate
) -> None:
    _, department, root = parsed(keys.chain(SEAL))

    assert department.issuer == root.subject
    assert department.subject != parsed([keys.authority.certificate("issuing")])[0].subject
    assert parsed([keys.authority.certificate(f"department-{CODE}-1")]) == [department]
    with database.write() as tx:
        again = keys.authority.department(tx, CODE, "another name")
        assert keys.authority.certificate_for(tx, SEAL, "seal", BUREAU, under=again) == (
            sealed_by_department
        )


@pytest.mark.parametrize("code", ["", "1131", "1131/../root", "root-1", "1131011\n", "例" * 18])
def test_a_department_without_a_code_gets_no_authority(
    keys: Keys, database: Database, code: str
) -> None:
    with database.write() as tx, pytest.raises(Malformed):
        keys.authority.department(tx, code, "某局")


def test_a_department_authority_is_renewed_under_its_own_name(
    keys: Keys, database: Database, sealed_by_department: KeyCertificate
) -> None:
    keys.rotate(f"ca.department-{CODE}", at_once=True)
    with database.write() as tx:
        renewed = keys.authority.certificate_for(
            tx, SEAL, "seal", {**BUREAU, "common_name": "新"}, under=f"ca.department-{CODE}"
        )

    old, new = (parsed([keys.authority.certificate(f"department-{CODE}-{n}")])[0] for n in (1, 2))
    common = [cert.subject.rfc4514_string() for cert in (old, new)]
    assert common[0].replace("CA 1", "CA 2") == common[1]
    parsed([sealed_by_department.der])[0].verify_directly_issued_by(old)
    parsed([renewed.der])[0].verify_directly_issued_by(new)


def test_authorities_get_successors_before_they_cut_a_seal_short(
    keys: Keys, clock: MovableClock, sealed_by_department: KeyCertificate
) -> None:
    uses = ("ca.issuing", f"ca.department-{CODE}")
    clock.advance(9.9 * 365 * DAY)
    keys.rotate_due()
    assert [keys.active(use).version for use in uses] == [1, 1]

    clock.advance(0.2 * 365 * DAY)
    keys.rotate_due()
    keys.rotate_due()

    assert [keys.active(use).version for use in uses] == [2, 2]
    clock.advance(14 * 365 * DAY)  # the root ends as soon as any successor would
    for _ in range(3):
        keys.rotate_due()
    assert [keys.active(use).version for use in uses] == [2, 2]


@pytest.mark.openssl
def test_openssl_verifies_a_department_chain_and_its_revocation_with_reason(
    keys: Keys,
    database: Database,
    clock: MovableClock,
    openssl: Callable[..., Any],
    tmp_path: Path,
    sealed_by_department: KeyCertificate,
) -> None:
    for name, each in zip(("leaf", "department", "root"), parsed(keys.chain(SEAL)), strict=True):
        (tmp_path / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    at = str(int((clock() + timedelta(hours=1)).timestamp()))
    verify = (
        *("verify", "-x509_strict", "-attime", at, "-CAfile", "root.pem"),
        *("-untrusted", "department.pem"),
    )
    assert openssl(*verify, "leaf.pem").returncode == 0

    with database.write() as tx:
        keys.authority.revoke(
            tx, sealed_by_department.serial, RevocationReason.AFFILIATION_CHANGED, clock()
        )
    (tmp_path / "crl").write_bytes(keys.authority.crl(f"department-{CODE}-1"))
    listed = openssl("crl", "-inform", "DER", "-in", "crl", "-text", "-out", "crl.pem")
    checked = openssl(*verify, "-crl_check", "-CRLfile", "crl.pem", "leaf.pem")

    assert "Affiliation Changed" in listed.stdout + openssl("crl", "-in", "crl.pem", "-text").stdout
    assert "certificate revoked" in checked.stderr
