"""Sealing PDFs that somebody else made: at the same levels, or refused with a reason."""

import hashlib
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pyhanko.sign import SimpleSigner
from pyhanko.sign.fields import MDPPerm

from foundation.canonical import b64url
from foundation.errors import Unavailable
from keys.errors import KeyStoreUnavailable
from signing import Approval, Seal, SealedDocument
from signing.errors import (
    ContentNotApproved,
    DocumentNotSealable,
    DocumentTooLarge,
    PdfNotOurs,
)
from signing.formats import SealPlace
from signing.models import Level
from signing.rules import MAX_DOCUMENT
from tests.attacks.test_pdf_bombs import (
    a_million_pages,
    a_table_that_is_its_own_predecessor,
)
from tests.signing import readers
from tests.signing.conftest import House
from tests.signing.pages import page
from tests.signing.validation.test_service import signed_by

BOX = (400.0, 100.0, 119.0)
LEVELS: tuple[Level, ...] = ("B-B", "B-T", "B-LT")


def letter(pages: int = 1, **more: Any) -> bytes:
    """A PDF that our renderer did not make: cross-reference and object streams, several pages."""
    document = pikepdf.new()
    for _ in range(pages):
        document.add_blank_page(page_size=(595, 842))
    out = io.BytesIO()
    streams = pikepdf.ObjectStreamMode.generate
    document.save(out, object_stream_mode=streams, **more)
    return out.getvalue()


def seal_it(house: House, seal: Seal, data: bytes, **more: Any) -> SealedDocument:
    digest = b64url(hashlib.sha256(data).digest())
    approval = Approval(digest, "drafter-1", "approver-1", house.clock() - timedelta(minutes=5))
    place = SealPlace(more.pop("box", BOX), more.pop("page", 0))
    values = {"now": house.clock(), "form": "pdf", "place": place} | more
    return house.signing.seal_file(seal, data, approval, **values)


@pytest.mark.parametrize("level", LEVELS)
def test_a_foreign_file_reaches_the_same_levels(house: House, seal: Seal, level: Level) -> None:
    document = seal_it(house, seal, letter(), level=level)

    found = house.signing.validate(document.data)

    assert (document.level, found.level) == (level, level)
    assert found.indication == ("unknown" if level == "B-B" else "valid")
    assert found.covers_whole_file
    assert not found.ours
    assert found.seal is not None
    assert found.seal.seal_id == seal.id


@pytest.mark.poppler
@pytest.mark.qpdf
@pytest.mark.parametrize("pages", [1, 12])
def test_other_readers_agree(
    house: House, seal: Seal, saved: Callable[[bytes], Path], pages: int
) -> None:
    data = seal_it(house, seal, letter(pages), page=pages - 1, reason="公函").data
    root, now = house.keys.authority.certificate("root"), house.clock()

    assert readers.pdfsig(saved(data)) == "Signature is Valid. whole"
    assert readers.qpdf(saved(data)) == ""
    status = readers.pyhanko_long_term(data, root, now)
    assert status.bottom_line
    assert status.coverage.name == "ENTIRE_FILE"


def test_the_original_stays_in_front_and_the_seal_is_on_the_chosen_page(
    house: House, seal: Seal
) -> None:
    original = letter(3)

    data = seal_it(house, seal, original, page=1).data

    assert data.startswith(original)
    with pikepdf.open(io.BytesIO(data)) as document:
        assert ["/Annots" in each for each in document.pages] == [False, True, False]
        (widget,) = document.pages[1].Annots
        assert [float(value) for value in widget.Rect] == [400.0, 100.0, 519.0, 219.0]
        assert widget.AP.N.read_raw_bytes() in seal.picture


def test_a_page_of_our_own_renderer_can_go_this_way_too(house: House, seal: Seal) -> None:
    assert house.signing.validate(seal_it(house, seal, page()).data).indication == "valid"


def test_behind_another_signature_the_seal_is_a_further_one(
    house: House, seal: Seal, stranger: SimpleSigner
) -> None:
    signed = signed_by(stranger, letter())

    found = house.signing.validate(seal_it(house, seal, signed).data)

    assert found.signatures == 2
    assert seal.kid in found.kids
    assert [one.coverage for one in found.details] == ["revision", "file"]
    assert found.check("integrity").result == "unknown"  # the first signer saw less than this
    assert found.check("integrity").code == "added_between_signatures"


# --- refused ----------------------------------------------------------------------------------


def refusal(house: House, seal: Seal, data: bytes, **more: Any) -> str:
    with pytest.raises(DocumentNotSealable) as refused:
        seal_it(house, seal, data, **more)
    assert refused.value.next_step
    return refused.value.reason


@pytest.mark.parametrize("allowed", [MDPPerm.NO_CHANGES, MDPPerm.FILL_FORMS, MDPPerm.ANNOTATE])
def test_a_document_that_forbids_a_further_field_is_not_sealed(
    house: House, seal: Seal, stranger: SimpleSigner, allowed: MDPPerm
) -> None:
    certified = signed_by(stranger, letter(), docmdp_permissions=allowed, certify=True)

    assert refusal(house, seal, certified) == "forbidden"


def test_an_encrypted_document_is_not_sealed(house: House, seal: Seal) -> None:
    locked = letter(encryption=pikepdf.Encryption(owner="o", user="u"))

    assert refusal(house, seal, locked) in {"encrypted", "unreadable"}


def test_what_is_no_pdf_is_not_sealed(house: House, seal: Seal) -> None:
    assert refusal(house, seal, b"hello") == "unreadable"


def test_a_place_that_is_not_there_is_told(house: House, seal: Seal) -> None:
    assert refusal(house, seal, letter(), page=1) == "page_missing"
    assert refusal(house, seal, letter(), box=(590.0, 10.0, 100.0)) == "outside_page"


@pytest.mark.parametrize(
    "bomb",
    [
        pytest.param(a_million_pages, marks=pytest.mark.slow),
        a_table_that_is_its_own_predecessor,
    ],
)
def test_a_bomb_is_refused(house: House, seal: Seal, bomb: Callable[[], bytes]) -> None:
    assert refusal(house, seal, bomb()) in {"too_complex", "unreadable", "outside_page"}


def test_more_than_fifty_megabytes_are_refused(house: House, seal: Seal) -> None:
    with pytest.raises(DocumentTooLarge):
        seal_it(house, seal, bytes(MAX_DOCUMENT + 1))


def test_only_the_approved_file_is_sealed(house: House, seal: Seal) -> None:
    with pytest.raises(ContentNotApproved):
        house.signing.seal_file(seal, letter(), house.approval(), now=house.clock(), form="pdf")


# --- when something is silent -----------------------------------------------------------------


def test_a_missing_time_stamp_comes_later(
    house: House, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_arguments: object) -> bytes:
        raise Unavailable("the time-stamp authority does not answer", retry_after=5)

    with monkeypatch.context() as outage:
        outage.setattr(house.keys.time, "stamp", dead)
        pending = seal_it(house, seal, letter())

    done = house.signing.complete_pdf(pending.data, now=house.clock())

    assert (pending.level, pending.time_stamp_pending) == ("B-B", True)
    assert (done.level, done.time_stamp_pending, done.kid) == ("B-LT", False, seal.kid)
    assert house.signing.validate(done.data).indication == "valid"
    changed = pending.data + b"% more\n"
    with pytest.raises(PdfNotOurs):
        house.signing.complete_pdf(changed, now=house.clock())


def test_a_key_store_that_stops_answering_leaves_nothing(
    house: House, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_arguments: object, **_more: object) -> bytes:
        raise KeyStoreUnavailable("the module does not answer", retry_after=5)

    monkeypatch.setattr(house.keys, "sign", silent)

    with pytest.raises(KeyStoreUnavailable):
        seal_it(house, seal, letter())
