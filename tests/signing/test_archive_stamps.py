"""Strangers' files as their archives keep them: a document time-stamp behind signature and evidence
(PAdES B-LTA), and time-stamps whose authority hashed with more than SHA-256."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import tsp, x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation import validate_pdf_timestamp
from pyhanko_certvalidator import ValidationContext

from keys.timestamping.timestamps import TimestampAuthority
from signing import Seal
from signing.models import Validation
from tests.signing import readers
from tests.signing.conftest import House
from tests.signing.foreign.test_sealing import letter, seal_it
from tests.signing.validation.test_service import plain, signed_by

DIGESTS = ["sha256", "sha384", "sha512"]


class Authority(TimeStamper):
    """Our own time-stamp authority, asked by somebody else's program as RFC 3161 has it.

    `stamped` is what it is asked to stamp instead of what the program wanted: a mistaken or forged
    imprint under an honest signature.
    """

    def __init__(self, house: House, stamped: bytes = b"") -> None:
        super().__init__()
        self._house = house
        self._stamped = stamped

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        if self._stamped:
            req["message_imprint"]["hashed_message"] = self._stamped
        authority = self._house.keys.time
        assert isinstance(authority, TimestampAuthority)
        return tsp.TimeStampResp.load(authority.respond(req.dump()))


def archived(house: House, data: bytes, digest: str = "sha512", stamped: bytes = b"") -> bytes:
    """The file with a document time-stamp at its end."""
    writer = IncrementalPdfFileWriter(io.BytesIO(data))
    done = PdfTimeStamper(Authority(house, stamped)).timestamp_pdf(writer, digest)
    return bytes(done.getvalue())


@pytest.fixture
def with_evidence(house: House, stranger: SimpleSigner) -> bytes:
    """Signed by a stranger, with a time-stamp and the certificates: PAdES B-LT."""
    root = x509.Certificate.load(house.keys.authority.certificate("root"))
    context = ValidationContext(
        trust_roots=[stranger.signing_cert, root], allow_fetching=False, moment=house.clock()
    )
    more = {"embed_validation_info": True, "validation_context": context}
    return signed_by(stranger, plain(), timestamper=Authority(house), **more)


def integrity(found: Validation) -> tuple[str, str]:
    check = found.check("integrity")
    return check.result, check.code


@pytest.mark.parametrize("digest", DIGESTS)
def test_a_document_time_stamp_behind_a_signature_is_evidence_and_no_change(
    house: House, with_evidence: bytes, digest: str
) -> None:
    found = house.signing.validate(archived(house, with_evidence, digest))

    assert integrity(found) == ("pass", "evidence_added")
    assert found.signatures == 2
    assert [(one.coverage, one.changes) for one in found.details] == [
        ("revision", "maintenance"),
        ("file", "none"),
    ]


def test_an_archive_that_was_renewed_is_no_change_either(
    house: House, with_evidence: bytes
) -> None:
    twice = archived(house, archived(house, with_evidence, "sha256"), "sha512")

    assert integrity(house.signing.validate(twice)) == ("pass", "evidence_added")


@pytest.mark.poppler
@pytest.mark.qpdf
def test_other_readers_call_the_same_file_good(
    house: House, with_evidence: bytes, saved: Callable[[bytes], Path]
) -> None:
    data = archived(house, with_evidence)
    stamp = PdfFileReader(io.BytesIO(data)).embedded_timestamp_signatures[-1]
    assert readers.qpdf(saved(data)) == ""
    assert readers.pdfsig(saved(data)).endswith("whole")

    status = validate_pdf_timestamp(stamp, ValidationContext(trust_roots=[], allow_fetching=False))

    assert status.intact
    assert status.valid


def test_a_time_stamp_of_something_else_does_not_cover_the_file(
    house: House, with_evidence: bytes
) -> None:
    forged = archived(house, with_evidence, "sha512", stamped=b"\x01" * 64)

    assert integrity(house.signing.validate(forged)) == ("fail", "digest_mismatch")


def test_a_byte_changed_under_a_document_time_stamp_is_told(
    house: House, with_evidence: bytes
) -> None:
    data = bytearray(archived(house, with_evidence))
    place = data.rindex(b"/Type /DocTimeStamp")
    data[place - 3] ^= 1  # within the time-stamp's own revision: only its imprint covers this

    assert house.signing.validate(bytes(data)).check("integrity").result == "fail"


def test_an_imprint_put_right_by_a_forger_is_not_what_the_authority_signed(
    house: House, with_evidence: bytes
) -> None:
    """The file is changed, and the imprint with it: the signature over the TSTInfo tells."""
    forged = archived(house, with_evidence, "sha512", stamped=b"\x01" * 64)
    right = PdfFileReader(io.BytesIO(forged)).embedded_timestamp_signatures[-1].compute_digest()
    data = forged.replace((b"\x01" * 64).hex().encode(), right.hex().encode())
    assert data != forged

    assert integrity(house.signing.validate(data)) == ("fail", "digest_mismatch")


@pytest.mark.parametrize("digest", DIGESTS)
def test_a_signature_s_time_stamp_may_have_hashed_with_more_than_sha256(
    house: House, stranger: SimpleSigner, digest: str
) -> None:
    data = signed_by(stranger, plain(), timestamper=Authority(house), md_algorithm=digest)

    time = house.signing.validate(data).check("time")

    assert (time.result, time.code) == ("pass", "time_stamped")


def test_behind_our_own_seal_even_a_time_stamp_is_a_change(
    house: House, seal: Seal, sealed: bytes
) -> None:
    """Ours bring their evidence with them, and allow nothing behind."""
    for data in (sealed, seal_it(house, seal, letter()).data):
        found = house.signing.validate(archived(house, data))
        assert integrity(found) == ("fail", "changed_after_sealing")
