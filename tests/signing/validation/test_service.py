"""Verdicts: which of the six questions fails, and under which stable code."""

import io
import re
from datetime import timedelta
from typing import Any

import pikepdf
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner, SimpleSigner, fields
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator import ValidationContext

from signing import MAX_DOCUMENT, Seal
from signing.errors import DocumentTooLarge, SealNotUsable
from tests.attacks.test_pdf_signatures import other_title
from tests.signing.conftest import BOX, KEEPER, House
from tests.signing.pages import page


class Careless(PdfSigner):
    """Signs although the document forbids it."""

    def _enforce_certification_constraints(self, reader: Any) -> None:
        pass


def signed_by(
    signer: SimpleSigner, data: bytes, timestamper: TimeStamper | None = None, **more: Any
) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(data), strict=more.pop("strict", True))
    metadata = PdfSignatureMetadata(
        field_name=more.pop("field_name", "Signature1"),
        subfilter=fields.SigSeedSubFilter.PADES,
        md_algorithm=more.pop("md_algorithm", "sha256"),
        **more,
    )
    done = Careless(metadata, signer=signer, timestamper=timestamper).sign_pdf(writer)
    return bytes(done.getvalue())


def codes(house: House, data: bytes) -> dict[str, str]:
    found = house.signing.validate_pdf(data)
    return {"indication": found.indication} | {check.name: check.code for check in found.checks}


# --- files without our seal -------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(2000)])
def test_a_file_that_is_no_pdf_says_so(house: House, data: bytes) -> None:
    found = house.signing.validate_pdf(data)

    assert (found.format, found.indication) == ("unknown", "invalid")
    assert found.check("integrity").code == "not_a_pdf"


def test_an_unsealed_page_is_not_sealed(house: House) -> None:
    assert codes(house, page())["integrity"] == "not_sealed"


def test_a_broken_pdf_is_unreadable(house: House) -> None:
    assert codes(house, b"%PDF-1.7\nnothing of the kind")["integrity"] == "unreadable"


@pytest.mark.parametrize("password", ["", "u"])
def test_an_encrypted_pdf_says_so(house: House, password: str) -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(page(standard="1.7"))) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="o", user=password))

    assert codes(house, out.getvalue())["integrity"] == "encrypted"


def test_a_document_above_fifty_megabytes_is_refused(house: House) -> None:
    with pytest.raises(DocumentTooLarge):
        house.signing.validate_pdf(bytes(MAX_DOCUMENT + 1))


def test_a_stranger_s_signature_is_intact_but_nobody_here_knows_them(
    house: House, stranger: SimpleSigner
) -> None:
    found = house.signing.validate_pdf(signed_by(stranger, page()))

    assert found.indication == "unknown"
    assert found.check("integrity").result == "pass"
    assert found.check("authority").code == "authority_unknown"
    assert found.check("seal").code == "seal_unknown"
    assert found.check("time").code == "time_only_claimed"
    assert found.signer == "陌生人"
    assert not found.ours


def test_a_stranger_s_signature_over_changed_bytes_is_invalid(
    house: House, stranger: SimpleSigner
) -> None:
    data = bytearray(signed_by(stranger, page()))
    place = data.index(b"stream\n") + 30
    data[place] ^= 1

    assert house.signing.validate_pdf(bytes(data)).indication == "invalid"


def test_a_second_signature_behind_ours_is_a_change(
    house: House, sealed: bytes, stranger: SimpleSigner
) -> None:
    """Our seal allows no change at all (DocMDP P=1), another signature is one."""
    twice = signed_by(stranger, sealed, field_name="Another")

    found = house.signing.validate_pdf(twice)

    assert found.indication == "invalid"
    assert found.check("integrity").code == "changed_after_sealing"


# --- files with our seal ----------------------------------------------------------------------


def test_a_seal_of_another_house_is_unknown_here(
    house: House, seal: Seal, sqlite_template: Any, tmp_path: Any, cipher: Any, master_key: bytes
) -> None:
    import shutil

    from foundation.database import Database

    shutil.copy(sqlite_template, tmp_path / "elsewhere.db")
    database = Database(f"sqlite:///{tmp_path}/elsewhere.db", cipher)
    elsewhere = House(database, master_key, house.clock)

    found = elsewhere.signing.validate_pdf(house.sealed(seal).data)

    assert found.indication == "unknown"
    assert found.check("integrity").result == "pass"
    assert found.check("authority").code == "authority_unknown"
    database.close()


def test_a_seal_made_while_suspended_is_invalid(house: House, seal: Seal) -> None:
    with house.database.write() as tx:
        house.seals.suspend(tx, seal.id, by=KEEPER, now=house.clock(), reason="audit")
    house.clock.advance(timedelta(hours=1))

    found = house.signing.validate_pdf(house.sealed(seal).data)  # a process with the old value

    assert found.indication == "invalid"
    assert found.check("seal").code == "seal_suspended"


def test_a_seal_used_within_the_second_of_its_making_is_valid(house: House) -> None:
    """Time-stamps have whole seconds, the register has finer ones."""
    house.clock.advance(timedelta(milliseconds=700))
    seal = house.register()
    house.clock.advance(timedelta(milliseconds=200))

    assert house.signing.validate_pdf(house.sealed(seal).data).indication == "valid"


def test_a_seal_used_within_the_second_of_its_end_is_not_valid(house: House, seal: Seal) -> None:
    """A time-stamp names a second; what came first within it nobody can tell, so the doubt counts
    against the seal."""
    house.clock.advance(timedelta(days=1, milliseconds=600))
    sealed = house.sealed(seal).data
    house.clock.advance(timedelta(milliseconds=100))
    with house.database.write() as tx:
        house.seals.revoke(tx, seal.id, by=KEEPER, now=house.clock(), reason="lost")
    house.clock.advance(timedelta(milliseconds=200))

    found = house.signing.validate_pdf(sealed)

    assert found.indication == "invalid"
    assert found.check("seal").code == "seal_revoked"
    assert found.check("authority").code == "certificate_revoked"


def test_a_revoked_seal_is_refused_by_a_process_that_starts_now(house: House, seal: Seal) -> None:
    with house.database.write() as tx:
        house.seals.revoke(tx, seal.id, by=KEEPER, now=house.clock(), reason="lost")

    with pytest.raises(SealNotUsable):  # although the value in hand still says "active"
        house.sealed(seal)


def test_a_seal_is_valid_years_after_its_certificate_ended(house: House, seal: Seal) -> None:
    sealed = house.sealed(seal).data
    house.clock.advance(timedelta(days=365 * 7))

    assert house.signing.validate_pdf(sealed).indication == "valid"


def test_a_time_stamp_from_the_future_is_undecided(house: House, seal: Seal) -> None:
    sealed = house.sealed(seal).data
    house.clock.advance(timedelta(hours=-1))

    found = house.signing.validate_pdf(sealed)

    assert found.indication == "unknown"
    assert (found.check("time").result, found.check("time").code) == ("unknown", "time_in_future")
    assert found.check("integrity").result == "pass"


def test_a_seal_before_its_certificate_began_is_undecided(house: House) -> None:
    """Back-dating: the clock of a machine, and with it the time-stamp's, was turned back."""
    seal = house.register()
    house.clock.advance(timedelta(days=-30))
    sealer = house.signing._sealer(seal)
    backdated, _level = sealer.seal(
        page(), lambda message: house.sign(seal, message), now=house.clock(), box=BOX
    )
    house.clock.advance(timedelta(days=30))

    found = house.signing.validate_pdf(backdated)

    assert found.indication == "unknown"
    assert found.check("seal").code == "seal_not_valid_then"
    assert found.check("authority").code == "certificate_not_yet_valid"
    assert {found.check(name).result for name in ("seal", "authority")} == {"unknown"}


# --- what may follow a signature --------------------------------------------------------------


@pytest.fixture
def with_later_evidence(house: House, stranger: SimpleSigner) -> bytes:
    """Signed, and saved again with a document security store and the time of saving."""
    context = ValidationContext(
        trust_roots=[stranger.signing_cert], allow_fetching=False, moment=house.clock()
    )
    return signed_by(stranger, plain(), embed_validation_info=True, validation_context=context)


def in_the_last_metadata(data: bytes, pattern: bytes, new: bytes) -> bytes:
    """The file with other words of the same length in its newest metadata, which nobody signed."""
    *_, found = re.finditer(pattern, data)
    return data[: found.start(1)] + new.ljust(len(found[1]))[: len(found[1])] + data[found.end(1) :]


DATED = rb'xmp:ModifyDate="([^"]*)"'


@pytest.mark.parametrize(
    "saved", [b"2026-11-24T08:00:01+00:00", b"2026-11-24T09:00:00+00:00"], ids=["first", "later"]
)
def test_evidence_that_was_added_later_is_no_change(
    house: House, with_later_evidence: bytes, saved: bytes
) -> None:
    """ISO 32000-2 table 257: a document security store is not a change to the document, and
    neither is the time at which it was saved with it."""
    data = in_the_last_metadata(with_later_evidence, DATED, saved)

    found = house.signing.validate_pdf(data)

    integrity = found.check("integrity")
    assert (integrity.result, integrity.code) == ("pass", "evidence_added")
    assert not found.covers_whole_file
    assert [(one.coverage, one.changes) for one in found.details] == [("revision", "maintenance")]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (DATED, b"approved by the minister"),
        (rb'xmlns:pdf="([^"]*)"', b"http://ns.adobe.com/pdf/1.4/"),
    ],
    ids=["words for a date", "another meaning"],
)
def test_metadata_that_say_something_else_are_a_change(
    house: House, with_later_evidence: bytes, pattern: bytes, words: bytes
) -> None:
    data = in_the_last_metadata(with_later_evidence, pattern, words)

    integrity = house.signing.validate_pdf(data).check("integrity")

    assert (integrity.result, integrity.code) == ("unknown", "description_changed")


def plain() -> bytes:
    """A page without metadata, which libraries like to bring up to date when they save."""
    out = io.BytesIO()
    document = pikepdf.new()
    document.add_blank_page(page_size=(595, 842))
    document.save(out)
    return out.getvalue()


def test_a_description_that_was_changed_later_is_never_green(
    house: House, stranger: SimpleSigner
) -> None:
    """The library would call it maintenance; a reader sees another title in the window."""
    data = other_title(signed_by(stranger, page("1.7")))

    found = house.signing.validate_pdf(data)

    assert found.indication != "valid"
    assert found.check("integrity").code == "description_changed"
