"""PAdES levels: what is in the file, what is missing when something is silent, what comes later."""

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pyhanko.sign.validation.errors import NoDSSFoundError

from foundation.errors import Unavailable
from keys.encoding.x509 import RevocationReason
from signing import Seal
from signing.errors import PdfNotOurs, SealNotUsable
from signing.formats.pdf.layout import read_sealed
from signing.models import Level
from tests.signing import readers
from tests.signing.conftest import House
from tests.signing.pages import page

LEVELS: tuple[Level, ...] = ("B-B", "B-T", "B-LT")


@pytest.fixture
def no_time(house: House, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A time-stamp authority that does not answer; calling it ends the outage."""

    def dead(*_arguments: object) -> bytes:
        raise Unavailable("the time-stamp authority does not answer", retry_after=5)

    monkeypatch.setattr(house.keys.time, "stamp", dead)
    return lambda: monkeypatch.undo()


@pytest.mark.parametrize("level", LEVELS)
def test_a_file_reaches_the_level_that_was_asked_for(
    house: House, seal: Seal, level: Level
) -> None:
    document = house.sealed(seal, level=level)

    found = house.signing.validate_pdf(document.data)

    assert (document.level, found.level) == (level, level)
    assert not document.time_stamp_pending
    assert found.indication == ("unknown" if level == "B-B" else "valid")


def test_the_file_carries_everything_a_verifier_needs_later(house: House, seal: Seal) -> None:
    with pikepdf.open(io.BytesIO(house.sealed(seal).data)) as document:
        store = document.Root.DSS
        certificates = {bytes(each.read_raw_bytes()) for each in store.Certs}
        lists = [bytes(each.read_raw_bytes()) for each in store.CRLs]

    keys = house.keys
    assert certificates == {*keys.chain(seal.use), *keys.chain("tsa")}
    assert lists == keys.revocation_lists(seal.use, "tsa")


def test_the_evidence_lies_inside_what_is_signed(house: House, seal: Seal) -> None:
    """No later revision is needed, so anything that follows the seal is a change."""
    data = house.sealed(seal).data

    assert data.count(b"%%EOF") == 2
    assert read_sealed(data).field.evidence.lists


def test_a_revoked_certificate_is_on_the_list_of_the_next_seal(house: House, seal: Seal) -> None:
    other = house.register(code="3501000054321")
    before = read_sealed(house.sealed(seal).data).field.evidence
    with house.database.write() as tx:
        house.keys.authority.revoke_key(tx, other.kid, RevocationReason.SUPERSEDED, house.clock())
    house.clock.advance(timedelta(minutes=6))

    after = read_sealed(house.sealed(seal).data).field.evidence

    assert before.certificates == after.certificates
    assert before.lists != after.lists


def test_a_certificate_revoked_before_sealing_is_never_valid(house: House, seal: Seal) -> None:
    good = house.sealed(seal).data
    house.clock.advance(timedelta(minutes=1))
    with house.database.write() as tx:
        house.keys.authority.revoke_key(
            tx, seal.kid, RevocationReason.KEY_COMPROMISE, house.clock()
        )
    house.clock.advance(timedelta(seconds=10))

    bad = house.sealed(seal).data  # a process that still has everything at hand
    house.clock.advance(timedelta(minutes=5))
    with pytest.raises(SealNotUsable):
        house.sealed(seal)

    assert house.signing.validate_pdf(good).indication == "valid"
    found = house.signing.validate_pdf(bad)
    assert found.indication == "invalid"
    assert found.check("authority").code == "certificate_revoked"


def test_years_later_the_level_still_holds(house: House, seal: Seal) -> None:
    data = house.sealed(seal).data
    house.clock.advance(timedelta(days=365 * 8))

    found = house.signing.validate_pdf(data)

    assert (found.level, found.indication) == ("B-LT", "valid")


def test_pyhanko_needs_nothing_but_the_file_and_the_root(house: House, seal: Seal) -> None:
    """Revocation is required for every certificate on both paths; the network is not there."""
    root, now = house.keys.authority.certificate("root"), house.clock()

    status = readers.pyhanko_long_term(house.sealed(seal).data, root, now)

    assert status.bottom_line
    assert status.trusted
    assert status.timestamp_validity.trusted
    with pytest.raises(NoDSSFoundError):  # a file without evidence has none to offer
        readers.pyhanko_long_term(house.sealed(seal, level="B-T").data, root, now)


# --- a time-stamp that comes later ------------------------------------------------------------


def test_a_silent_authority_lowers_the_level_and_says_so(
    house: House, seal: Seal, no_time: Callable[[], None]
) -> None:
    document = house.sealed(seal)

    assert document.level == "B-B"
    assert document.time_stamp_pending
    found = house.signing.validate_pdf(document.data)
    assert found.indication == "unknown"
    assert found.check("time").code == "time_only_claimed"


def test_the_time_stamp_comes_later_and_changes_no_signed_byte(
    house: House, seal: Seal, no_time: Callable[[], None]
) -> None:
    pending = house.sealed(seal)
    no_time()
    house.clock.advance(timedelta(hours=3))

    done = house.signing.complete_pdf(pending.data, now=house.clock())

    assert (done.level, done.kid, done.time_stamp_pending) == ("B-LT", seal.kid, False)
    assert len(done.data) == len(pending.data)
    before, after = read_sealed(pending.data), read_sealed(done.data)
    assert before.section == after.section
    found = house.signing.validate_pdf(done.data)
    assert (found.indication, found.signed_at) == ("valid", house.clock())
    status = readers.pyhanko(done.data, house.keys.authority.certificate("root"), house.clock())
    assert status.bottom_line
    assert status.timestamp_validity.trusted


def test_while_the_authority_is_silent_nothing_changes(
    house: House, seal: Seal, no_time: Callable[[], None]
) -> None:
    pending = house.sealed(seal)

    again = house.signing.complete_pdf(pending.data, now=house.clock())

    assert again.data == pending.data
    assert again.time_stamp_pending


def test_completing_twice_is_completing_once(house: House, seal: Seal) -> None:
    document = house.sealed(seal)

    again = house.signing.complete_pdf(document.data, now=house.clock())

    assert again.data == document.data
    assert not again.time_stamp_pending


def test_a_changed_file_gets_no_time_stamp(
    house: House, seal: Seal, no_time: Callable[[], None]
) -> None:
    data = bytearray(house.sealed(seal).data)
    no_time()
    data[5000] ^= 1

    with pytest.raises(PdfNotOurs):
        house.signing.complete_pdf(bytes(data), now=house.clock())
    with pytest.raises(PdfNotOurs):
        house.signing.complete_pdf(page(), now=house.clock())


def test_lists_older_than_the_time_stamp_make_no_long_term_level(
    house: House, seal: Seal, no_time: Callable[[], None]
) -> None:
    """The lists in the file end after a week; a time-stamp of a later day is B-T, and says so."""
    pending = house.sealed(seal)
    no_time()
    house.clock.advance(timedelta(days=30))

    done = house.signing.complete_pdf(pending.data, now=house.clock())

    found = house.signing.validate_pdf(done.data)
    assert (done.level, found.level, found.indication) == ("B-T", "B-T", "valid")


def test_a_time_stamp_after_the_seal_s_revocation_does_not_help(
    house: House, seal: Seal, no_time: Callable[[], None]
) -> None:
    """Nobody can prove then that the signature is older than the revocation."""
    from tests.signing.conftest import KEEPER

    pending = house.sealed(seal)
    no_time()
    house.clock.advance(timedelta(hours=1))
    with house.database.write() as tx:
        house.seals.revoke(tx, seal.id, by=KEEPER, now=house.clock(), reason="reorganised")
    house.clock.advance(timedelta(hours=1))

    done = house.signing.complete_pdf(pending.data, now=house.clock())

    found = house.signing.validate_pdf(done.data)
    assert found.indication == "invalid"
    assert found.check("seal").code == "seal_revoked"


def test_a_list_nobody_can_sign_now_lowers_the_level(
    house: House, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_arguments: Any, **_more: Any) -> list[bytes]:
        raise Unavailable("the key store does not answer", retry_after=5)

    monkeypatch.setattr(house.keys, "revocation_lists", dead)

    document = house.sealed(seal)

    assert document.level == "B-T"
    assert house.signing.validate_pdf(document.data).indication == "valid"


@pytest.mark.qpdf
@pytest.mark.poppler
@pytest.mark.parametrize("level", LEVELS)
def test_poppler_and_qpdf_take_every_level(
    house: House, seal: Seal, saved: Callable[[bytes], Path], level: Level
) -> None:
    path = saved(house.sealed(seal, level=level).data)

    assert readers.pdfsig(path) == "Signature is Valid. whole"
    assert readers.qpdf(path) == ""
