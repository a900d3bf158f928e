"""Certificate status, asked and read by cryptography and by openssl."""

import base64
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from foundation.database import Database
from foundation.errors import Malformed
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import ES256
from keys.encoding.x509 import RevocationReason
from keys.models import KeyCertificate, key_ocsp_answers
from keys.models import keys as stored_keys
from tests.simulators.clock import MovableClock

USE = "seal/4711"
DAY = timedelta(days=1)
Unsuccessful = ocsp.OCSPResponseStatus


@pytest.fixture
def certificate(keys: Keys, database: Database) -> KeyCertificate:
    keys.ensure(USE)
    with database.write() as tx:
        return keys.authority.certificate_for(tx, USE, "seal", {"common_name": "某局"})


@pytest.fixture
def revoke(keys: Keys, database: Database, clock: MovableClock) -> Callable[..., None]:
    def act(serial: str, reason: RevocationReason = RevocationReason.KEY_COMPROMISE) -> None:
        with database.write() as tx:
            keys.authority.revoke(tx, serial, reason, clock())

    return act


def parsed(keys: Keys, use: str = USE) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(each) for each in keys.chain(use)]


def question(
    leaf: x509.Certificate,
    issuer: x509.Certificate,
    digest: Any = SHA256,
    nonce: bytes = b"",
) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, digest())
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def ask(keys: Keys, request: bytes) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response(keys.ocsp.respond(request))


def check_signature(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    (responder,) = answer.certificates
    responder.verify_directly_issued_by(issuer)
    usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING in usage
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert ES256.verify(responder.public_key(), answer.signature, answer.tbs_response_bytes)


@pytest.mark.parametrize("digest", [SHA1, SHA256])
def test_a_good_certificate_is_good(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock, digest: Any
) -> None:
    leaf, issuer, _ = parsed(keys)

    answer = ask(keys, question(leaf, issuer, digest))

    assert answer.certificate_status == ocsp.OCSPCertStatus.GOOD
    assert answer.serial_number == leaf.serial_number
    assert answer.this_update_utc == answer.produced_at_utc == clock()
    assert answer.next_update_utc == clock() + timedelta(hours=12)
    check_signature(answer, issuer)


def test_a_revocation_is_told_at_once(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock, revoke: Callable[..., None]
) -> None:
    leaf, issuer, _ = parsed(keys)
    asked = question(leaf, issuer)
    clock.advance(timedelta(minutes=10))
    assert ask(keys, asked).certificate_status == ocsp.OCSPCertStatus.GOOD

    revoke(certificate.serial)

    answer = ask(keys, asked)
    assert answer.certificate_status == ocsp.OCSPCertStatus.REVOKED
    assert answer.revocation_time_utc == clock() == answer.this_update_utc
    assert answer.revocation_reason == x509.ReasonFlags.key_compromise
    check_signature(answer, issuer)


def test_a_serial_number_we_never_gave_is_unknown_not_good(
    keys: Keys, certificate: KeyCertificate
) -> None:
    leaf, issuer, _ = parsed(keys)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        ocsp.load_der_ocsp_request(question(leaf, issuer)).issuer_name_hash,
        ocsp.load_der_ocsp_request(question(leaf, issuer)).issuer_key_hash,
        12_345,
        SHA256(),
    )

    answer = ask(keys, builder.build().public_bytes(Encoding.DER))

    assert answer.certificate_status == ocsp.OCSPCertStatus.UNKNOWN


def test_within_the_hour_one_signature_serves_all(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock
) -> None:
    leaf, issuer, _ = parsed(keys)
    clock.advance(timedelta(hours=2))
    first = keys.ocsp.respond(question(leaf, issuer))

    clock.advance(timedelta(minutes=30))
    second = keys.ocsp.respond(question(leaf, issuer))
    clock.advance(timedelta(minutes=30))
    third = keys.ocsp.respond(question(leaf, issuer))

    assert first == second != third


def test_a_nonce_comes_back_under_a_fresh_signature(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock
) -> None:
    leaf, issuer, _ = parsed(keys)
    clock.advance(timedelta(minutes=7))

    answers = [ask(keys, question(leaf, issuer, nonce=bytes((n,)) * 32)) for n in (1, 2)]

    for number, answer in enumerate(answers, 1):
        nonce = answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        assert nonce == bytes((number,)) * 32
        assert answer.this_update_utc == clock()
        check_signature(answer, issuer)


def test_who_asks_about_another_authority_is_told_we_do_not_know_it(
    keys: Keys, certificate: KeyCertificate
) -> None:
    leaf, issuer, root = parsed(keys)

    assert ask(keys, question(leaf, root)).response_status == Unsuccessful.UNAUTHORIZED
    # The root keeps no responder: the issuing authority's status is on the root's list.
    assert ask(keys, question(issuer, root)).response_status == Unsuccessful.UNAUTHORIZED


@pytest.mark.parametrize("bad", [b"", b"junk", b"\x30\x00", b"\x30\x02\x30\x00", b"\x30" * 5_000])
def test_what_is_no_request_is_malformed(keys: Keys, bad: bytes) -> None:
    keys.establish()

    assert ask(keys, bad).response_status == Unsuccessful.MALFORMED_REQUEST


def test_arbitrary_changes_to_a_request_are_always_answered(
    sqlite_database: Database, backend: SoftwareBackend, clock: MovableClock
) -> None:
    keys = Keys(sqlite_database, backend, clock)
    keys.establish()
    leaf, issuer, _ = parsed(keys, "tsa")
    valid = question(leaf, issuer, nonce=b"12345678")

    @given(st.integers(0, len(valid) - 1), st.integers(0, 255), st.binary(max_size=60))
    @settings(max_examples=400, deadline=None, database=None)
    def answer(place: int, value: int, junk: bytes) -> None:
        altered = valid[:place] + bytes((value,)) + valid[place + 1 :]
        for each in (altered, junk):
            assert ask(keys, each).response_status in set(Unsuccessful)

    answer()


def test_an_older_authority_still_answers_for_what_it_issued(
    keys: Keys, certificate: KeyCertificate, revoke: Callable[..., None]
) -> None:
    leaf, old_issuer, _ = parsed(keys)
    keys.rotate("ca.issuing", at_once=True)
    keys.establish()

    revoke(certificate.serial, RevocationReason.CESSATION_OF_OPERATION)

    answer = ask(keys, question(leaf, old_issuer))
    assert answer.certificate_status == ocsp.OCSPCertStatus.REVOKED
    check_signature(answer, old_issuer)


def test_the_responder_renews_its_own_certificate(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock
) -> None:
    leaf, issuer, _ = parsed(keys)
    first = ask(keys, question(leaf, issuer)).certificates[0]

    clock.advance(350 * DAY)
    second = ask(keys, question(leaf, issuer)).certificates[0]

    assert second.public_key() == first.public_key()
    assert second.not_valid_after_utc > first.not_valid_after_utc


def test_an_answer_to_embed_is_fresh(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock, database: Database
) -> None:
    clock.advance(timedelta(minutes=13))

    answer = ocsp.load_der_ocsp_response(keys.ocsp.about(certificate, clock()))

    assert answer.certificate_status == ocsp.OCSPCertStatus.GOOD
    assert answer.this_update_utc == clock()
    check_signature(answer, parsed(keys)[1])
    with database.read() as tx:
        issuing = keys.authority.chain_of(tx, certificate.kid)[1]
    with pytest.raises(Malformed):
        keys.ocsp.about(issuing, clock())


def test_a_certificate_says_where_its_status_is(keys: Keys, certificate: KeyCertificate) -> None:
    leaf, issuer, _ = parsed(keys)
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value

    places = {each.access_method._name: each.access_location.value for each in access}
    assert places["OCSP"] == "https://id.example.gov.cn/pki/ocsp"
    above = issuer.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [each.access_method._name for each in above] == ["caIssuers"]


def test_the_status_over_http_by_post_and_by_get(keys: Keys, certificate: KeyCertificate) -> None:
    from tests.keys.test_http import Door

    door = Door(keys)
    leaf, issuer, _ = parsed(keys)
    asked = question(leaf, issuer, SHA1)

    posted = door(
        "POST", "/pki/ocsp", content=asked, headers={"content-type": "application/ocsp-request"}
    )
    path = quote(base64.b64encode(asked).decode(), safe="")
    got = door("GET", f"/pki/ocsp/{path}")

    assert posted.headers["content-type"] == got.headers["content-type"]
    assert posted.headers["content-type"] == "application/ocsp-response"
    assert posted.content == got.content == keys.ocsp.respond(asked)
    assert door("GET", "/pki/ocsp/%00").content == b"\x30\x03\x0a\x01\x01"
    assert door("POST", "/pki/ocsp", content=asked).status_code == 415


@pytest.mark.openssl
def test_openssl_asks_and_believes(
    keys: Keys,
    certificate: KeyCertificate,
    clock: MovableClock,
    revoke: Callable[..., None],
    openssl: Callable[..., Any],
    tmp_path: Path,
) -> None:
    for name, each in zip(("leaf", "issuer", "root"), parsed(keys), strict=True):
        (tmp_path / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    clock.advance(timedelta(minutes=1))
    common = ("ocsp", "-no_nonce", "-issuer", "issuer.pem", "-cert", "leaf.pem")
    believing = (
        *("-respin", "reply", "-CAfile", "root.pem", "-verify_other", "issuer.pem"),
        *("-attime", str(int(clock().timestamp())), "-validity_period", "99999999"),
    )

    def reply_to(request: str) -> None:
        answer = keys.ocsp.respond((tmp_path / request).read_bytes())
        (tmp_path / "reply").write_bytes(answer)

    def asked() -> Any:
        openssl(*common, "-reqout", "request")
        reply_to("request")
        return openssl(*common, *believing)

    good = asked()
    revoke(certificate.serial)
    revoked = asked()

    assert "Response verify OK" in good.stderr, good.stderr
    assert "leaf.pem: good" in good.stdout
    assert "Response verify OK" in revoked.stderr
    assert "leaf.pem: revoked" in revoked.stdout
    assert "Reason: keyCompromise" in revoked.stdout

    openssl("ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-reqout", "with_nonce")
    reply_to("with_nonce")
    nonce = openssl("ocsp", "-reqin", "with_nonce", *believing)
    assert "Response verify OK" in nonce.stderr
    assert "nonce" not in nonce.stderr.lower()


def test_answers_are_signed_before_anybody_asks(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock, database: Database
) -> None:
    leaf, issuer, _ = parsed(keys)
    keys.rotate_due()
    for use in ("ca.issuing", "ocsp/issuing-1"):
        forget_private_half(database, use)
    stranger = Keys(database, SoftwareBackend(bytes(32)), clock)  # cannot open a single key

    for digest in (SHA1, SHA256):
        answer = ask(stranger, question(leaf, issuer, digest))
        assert answer.certificate_status == ocsp.OCSPCertStatus.GOOD
        check_signature(answer, issuer)
    assert ask(stranger, question(leaf, issuer, nonce=b"1" * 16)).response_status == (
        Unsuccessful.TRY_LATER
    )


def forget_private_half(database: Database, use: str) -> None:
    with database.write() as tx:
        tx.execute(stored_keys.update().where(stored_keys.c.use == use).values(handle=b""))


def test_a_revocation_is_told_at_once_although_an_answer_was_signed_before(
    keys: Keys, certificate: KeyCertificate, revoke: Callable[..., None], clock: MovableClock
) -> None:
    leaf, issuer, _ = parsed(keys)
    keys.rotate_due()
    clock.advance(timedelta(minutes=1))

    revoke(certificate.serial, RevocationReason.SUPERSEDED)

    for _ in ("signed now", "signed before"):
        answer = ask(keys, question(leaf, issuer))
        assert answer.certificate_status == ocsp.OCSPCertStatus.REVOKED
        assert answer.revocation_reason == x509.ReasonFlags.superseded
        keys.rotate_due()


def test_signed_answers_are_replaced_before_they_end_and_never_served_after(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock
) -> None:
    leaf, issuer, _ = parsed(keys)
    keys.rotate_due()
    first = keys.ocsp.respond(question(leaf, issuer))

    clock.advance(timedelta(hours=5))
    keys.rotate_due()
    assert keys.ocsp.respond(question(leaf, issuer)) == first
    clock.advance(timedelta(hours=2))
    keys.rotate_due()
    second = keys.ocsp.respond(question(leaf, issuer))
    clock.advance(timedelta(hours=13))
    third = ask(keys, question(leaf, issuer))

    assert second != first
    assert third.this_update_utc <= clock() < third.next_update_utc


@pytest.mark.openssl
def test_openssl_believes_an_answer_of_a_department_signed_before(
    keys: Keys,
    database: Database,
    clock: MovableClock,
    openssl: Callable[..., Any],
    tmp_path: Path,
) -> None:
    keys.ensure("seal/9")
    with database.write() as tx:
        under = keys.authority.department(tx, "11310115MB2F30123X", "某局")
        keys.authority.certificate_for(tx, "seal/9", "seal", {"common_name": "某局"}, under=under)
    keys.rotate_due()
    for name, each in zip(("leaf", "issuer", "root"), parsed(keys, "seal/9"), strict=True):
        (tmp_path / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    asked = ("ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-no_nonce")
    openssl(*asked, "-reqout", "request")
    (tmp_path / "answer").write_bytes(keys.ocsp.respond((tmp_path / "request").read_bytes()))

    believed = openssl(
        *(*asked, "-respin", "answer", "-CAfile", "root.pem", "-verify_other", "issuer.pem"),
        *("-attime", str(int(clock().timestamp())), "-validity_period", "999999999"),
    )

    assert "Response verify OK" in believed.stderr + believed.stdout, believed.stderr
    assert "leaf.pem: good" in believed.stdout


def test_nothing_is_signed_again_while_the_answers_hold(
    keys: Keys, certificate: KeyCertificate, clock: MovableClock, database: Database
) -> None:
    keys.rotate_due()
    before = answers(database)

    clock.advance(timedelta(hours=1))
    keys.rotate_due()

    assert answers(database) == before
    assert len(before) >= 2, "SHA-1 and SHA-256 for each certificate"


def answers(database: Database) -> list[bytes]:
    with database.read() as tx:
        query = select(key_ocsp_answers.c.der).order_by(key_ocsp_answers.c.question)
        return [bytes(der) for der in tx.execute(query).scalars()]
