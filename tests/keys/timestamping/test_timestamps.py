"""RFC 3161 tokens, read by asn1crypto and verified by openssl."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.database import Database
from foundation.errors import Malformed
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from keys.encoding.algorithms import ALGORITHMS
from keys.timestamping.timestamps import POLICY
from tests.simulators.clock import MovableClock

DIGEST = hashlib.sha256(b"a licence").digest()


def request(algorithm: str = "sha256", digest: bytes = DIGEST, **more: Any) -> bytes:
    return tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {
                "hash_algorithm": {"algorithm": algorithm},
                "hashed_message": digest,
            },
            **more,
        }
    ).dump()


def signed_data(token: bytes) -> cms.SignedData:
    return cms.ContentInfo.load(token, strict=True)["content"]


def tst_info(token: bytes) -> dict[str, Any]:
    return signed_data(token)["encap_content_info"]["content"].parsed.native


class Answer(core.Sequence):
    """TimeStampResp as RFC 3161 §2.4.2 has it: the token is optional."""

    _fields: ClassVar = [  # type: ignore[misc]
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


def failure(response: bytes) -> set[str]:
    answer = Answer.load(response, strict=True)
    assert answer["status"]["status"].native == "rejection"
    assert answer["time_stamp_token"].native is None
    return answer["status"]["fail_info"].native


def test_a_token_says_what_existed_when(keys: Keys, clock: MovableClock) -> None:
    info = tst_info(keys.timestamps.stamp(DIGEST, clock(), nonce=2**63))

    assert info["version"] == "v1"
    assert info["policy"] == POLICY
    assert info["message_imprint"]["hash_algorithm"]["algorithm"] == "sha256"
    assert info["message_imprint"]["hashed_message"] == DIGEST
    assert info["gen_time"] == clock()
    assert info["accuracy"]["seconds"] == 1
    assert info["nonce"] == 2**63


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_is_signed_as_cms_wants_it(
    keys: Keys, database: Database, clock: MovableClock, algorithm: str
) -> None:
    with database.write() as tx:
        keys.create(tx, "tsa", algorithm)
    row = ALGORITHMS[algorithm]

    data = signed_data(keys.timestamps.stamp(DIGEST, clock()))

    (signer,) = data["signer_infos"]
    leaf = keys.chain("tsa")[0]
    attributes = signer["signed_attrs"]
    content = data["encap_content_info"]["content"].contents
    named = {each["type"].native: each["values"][0] for each in attributes}
    assert named["content_type"].native == "tst_info"
    assert named["message_digest"].native == getattr(hashlib, row.digest)(content).digest()
    assert named["signing_certificate_v2"]["certs"][0]["cert_hash"].native == (
        hashlib.sha256(leaf).digest()
    )
    assert signer["sid"].chosen["serial_number"].native == (
        asn1_x509.Certificate.load(leaf).serial_number
    )
    assert row.verify(
        keys.active("tsa").public_key,
        signer["signature"].native,
        b"\x31" + attributes.dump()[1:],
    )


def test_signed_attributes_are_in_the_order_of_a_set(keys: Keys, clock: MovableClock) -> None:
    (signer,) = signed_data(keys.timestamps.stamp(DIGEST, clock()))["signer_infos"]
    encodings = [each.dump() for each in signer["signed_attrs"]]

    assert encodings == sorted(encodings)


def test_serial_numbers_never_repeat(keys: Keys, clock: MovableClock) -> None:
    serials = {
        tst_info(keys.timestamps.stamp(DIGEST, clock()))["serial_number"] for _ in range(200)
    }

    assert len(serials) == 200
    assert min(serials) >= 2**126


def test_the_certificate_of_the_time_stamp_authority(keys: Keys, clock: MovableClock) -> None:
    keys.timestamps.stamp(DIGEST, clock())

    leaf = x509.load_der_x509_certificate(keys.chain("tsa")[0])

    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert usage.critical
    assert [oid.dotted_string for oid in usage.value] == ["1.3.6.1.5.5.7.3.8"]


def test_a_request_is_answered_with_what_it_asked(keys: Keys, clock: MovableClock) -> None:
    bare = tsp.TimeStampResp.load(keys.timestamps.respond(request()), strict=True)
    full = tsp.TimeStampResp.load(
        keys.timestamps.respond(
            request("sha512", hashlib.sha512(b"x").digest(), nonce=-7, cert_req=True)
        ),
        strict=True,
    )

    assert bare["status"]["status"].native == full["status"]["status"].native == "granted"
    assert bare["time_stamp_token"]["content"]["certificates"].native is None
    assert len(full["time_stamp_token"]["content"]["certificates"]) == 2
    info = tst_info(full["time_stamp_token"].dump())
    assert info["nonce"] == -7
    assert info["message_imprint"]["hash_algorithm"]["algorithm"] == "sha512"


@pytest.mark.parametrize("policy", [POLICY])
def test_our_own_policy_may_be_asked_for(keys: Keys, policy: str) -> None:
    answer = tsp.TimeStampResp.load(keys.timestamps.respond(request(req_policy=policy)))

    assert answer["status"]["status"].native == "granted"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (request("sha1", bytes(20)), "bad_alg"),
        (request("md5", bytes(16)), "bad_alg"),
        (request(req_policy="1.2.3.4"), "unaccepted_policy"),
        (request(digest=bytes(31)), "bad_data_format"),
        (request("sha512", bytes(32)), "bad_data_format"),
        (request(nonce=2**520), "bad_data_format"),
        (request() + b"\x00", "bad_data_format"),
        (request()[:-1], "bad_data_format"),
        (b"", "bad_data_format"),
        (b"\x30\x00", "bad_data_format"),
        (b"not DER at all", "bad_data_format"),
        (b"\x30\x80" + request()[2:] + b"\x00\x00", "bad_data_format"),
        (request().replace(b"\x02\x01\x01", b"\x02\x01\x02", 1), "bad_request"),
        (b"\x30\x82\x20\x00" + bytes(8192), "bad_request"),
    ],
)
def test_a_bad_request_gets_the_failure_that_names_it(keys: Keys, bad: bytes, reason: str) -> None:
    assert failure(keys.timestamps.respond(bad)) == {reason}


def test_an_extension_is_refused_not_ignored(keys: Keys) -> None:
    extension = bytes.fromhex("a00b3009060355 1d1104023000".replace(" ", ""))
    inner = request()[2:] + extension

    asked = bytes((0x30, len(inner))) + inner

    assert failure(keys.timestamps.respond(asked)) == {"unaccepted_extensions"}


def test_fields_out_of_order_or_twice_are_refused(keys: Keys) -> None:
    nonce, wanted = core.Integer(5).dump(), core.Boolean(True).dump()
    for tail in (wanted + nonce, nonce + nonce, b"\x13\x01a"):
        inner = request()[2:] + tail
        asked = bytes((0x30, len(inner))) + inner

        assert failure(keys.timestamps.respond(asked)) == {"bad_data_format"}


def test_arbitrary_bytes_are_always_answered(
    sqlite_database: Database, backend: SoftwareBackend, clock: MovableClock
) -> None:
    keys = Keys(sqlite_database, backend, clock)
    valid = request(nonce=77, cert_req=True)

    @given(st.integers(0, len(valid) - 1), st.integers(0, 255), st.binary(max_size=60))
    @settings(max_examples=150, deadline=None, database=None)
    def answer(place: int, value: int, junk: bytes) -> None:
        altered = valid[:place] + bytes((value,)) + valid[place + 1 :]
        for each in (altered, junk):
            answered = Answer.load(keys.timestamps.respond(each), strict=True)
            assert answered["status"]["status"].native in {"granted", "rejection"}

    answer()


def test_a_digest_of_the_wrong_length_is_a_programming_error(
    keys: Keys, clock: MovableClock
) -> None:
    with pytest.raises(Malformed):
        keys.timestamps.stamp(DIGEST[:-1], clock())


def test_a_rotated_authority_stamps_with_its_new_certificate(
    keys: Keys, clock: MovableClock
) -> None:
    old = signed_data(keys.timestamps.stamp(DIGEST, clock()))

    keys.rotate("tsa", at_once=True)

    new = signed_data(keys.timestamps.stamp(DIGEST, clock()))
    assert old["signer_infos"][0]["sid"] != new["signer_infos"][0]["sid"]


# `openssl ts` itself verifies only ECDSA and RSA PKCS #1 (openssl issues 7904 and 28774).
@pytest.mark.openssl
@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_openssl_verifies_our_answers(
    keys: Keys,
    database: Database,
    clock: MovableClock,
    openssl: Callable[..., Any],
    tmp_path: Path,
    algorithm: str,
    digest: str,
) -> None:
    with database.write() as tx:
        keys.create(tx, "tsa", algorithm)
    keys.establish()
    clock.advance(timedelta(minutes=1))
    (tmp_path / "data").write_bytes(b"a licence")
    for name, certificate in zip(("tsa", "issuing", "root"), keys.chain("tsa"), strict=True):
        pem = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
        (tmp_path / f"{name}.pem").write_bytes(pem)
    query = openssl("ts", "-query", "-data", "data", f"-{digest}", "-cert", "-out", "query")
    assert query.returncode == 0, query.stderr

    (tmp_path / "reply").write_bytes(keys.timestamps.respond((tmp_path / "query").read_bytes()))

    verify = (
        *("ts", "-verify", "-queryfile", "query", "-in", "reply", "-CAfile", "root.pem"),
        *("-untrusted", "issuing.pem", "-attime", str(int(clock().timestamp()))),
    )
    good = openssl(*verify)
    assert "Verification: OK" in good.stdout, good.stderr
    openssl("ts", "-query", "-data", "root.pem", f"-{digest}", "-cert", "-out", "query")
    assert "Verification: FAILED" in openssl(*verify).stdout


@pytest.mark.openssl
@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "RS256"])
def test_openssl_reads_a_token_as_the_cms_message_it_is(
    keys: Keys,
    database: Database,
    clock: MovableClock,
    openssl: Callable[..., Any],
    tmp_path: Path,
    algorithm: str,
) -> None:
    with database.write() as tx:
        keys.create(tx, "tsa", algorithm)
    token = keys.timestamps.stamp(DIGEST, clock())
    (tmp_path / "token").write_bytes(token)
    root = x509.load_der_x509_certificate(keys.chain("tsa")[-1])
    (tmp_path / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))

    verified = openssl(
        *("cms", "-verify", "-cades", "-inform", "DER", "-in", "token", "-CAfile", "root.pem"),
        *("-purpose", "timestampsign", "-attime", str(int(clock().timestamp())), "-out", "info"),
    )

    assert verified.returncode == 0, verified.stderr
    assert tsp.TSTInfo.load((tmp_path / "info").read_bytes()).native["gen_time"] == clock()


def test_the_policy_and_every_identifier_is_readable_by_asn1crypto() -> None:
    assert core.ObjectIdentifier(POLICY).dotted == POLICY
    assert algos.DigestAlgorithmId("sha256").dotted == "2.16.840.1.101.3.4.2.1"
