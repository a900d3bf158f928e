"""`Signing`: from an approved page to a sealed file, and back to a verdict."""

import json
from datetime import timedelta

import pytest

from signing import Approval, Seal, SealState
from signing.errors import (
    ApprovalFromFuture,
    ContentNotApproved,
    FourEyesViolated,
    SealNotUsable,
)
from signing.store import add_state
from tests.signing.conftest import APPROVER, BOX, KEEPER, House
from tests.signing.pages import RECORD, page


def test_a_sealed_page_is_valid(house: House, seal: Seal) -> None:
    document = house.sealed(seal)

    validation = house.signing.validate_pdf(document.data)

    assert document.level == "B-LT"
    assert [(check.name, check.result, check.code) for check in validation.checks] == [
        ("integrity", "pass", "intact"),
        ("seal", "pass", "seal_active"),
        ("authority", "pass", "authority_trusted"),
        ("time", "pass", "time_stamped"),
        ("status", "unknown", "status_not_asked"),
        ("validity", "unknown", "validity_not_asked"),
    ]
    assert validation.indication == "valid"
    assert validation.seal_id == seal.id
    assert validation.signed_at == house.clock()
    assert validation.signer == seal.name
    assert validation.digest == document.digest
    assert validation.ours
    assert validation.covers_whole_file


def test_the_attached_record_comes_back_with_the_validation(house: House, sealed: bytes) -> None:
    attachments = house.signing.validate_pdf(sealed).attachments

    assert json.loads(attachments["record.json"]) == RECORD


def test_the_drafter_cannot_approve(house: House, seal: Seal) -> None:
    alone = Approval("content", "officer-1", "officer-1", house.clock())

    with pytest.raises(FourEyesViolated):
        house.signing.seal_pdf(
            seal, page(), alone, content_digest="content", now=house.clock(), box=BOX
        )


def test_only_the_approved_content_is_sealed(house: House, seal: Seal) -> None:
    with pytest.raises(ContentNotApproved):
        house.signing.seal_pdf(
            seal, page(), house.approval(), content_digest="swapped", now=house.clock(), box=BOX
        )


def test_an_approval_cannot_follow_the_sealing(house: House, seal: Seal) -> None:
    late = Approval("content", "a", "b", house.clock() + timedelta(hours=1))

    with pytest.raises(ApprovalFromFuture):
        house.signing.seal_pdf(
            seal, page(), late, content_digest="content", now=house.clock(), box=BOX
        )


def test_a_suspended_seal_does_not_sign(house: House, seal: Seal) -> None:
    with house.database.write() as tx:
        suspended = house.seals.suspend(tx, seal.id, by=KEEPER, now=house.clock(), reason="audit")

    with pytest.raises(SealNotUsable):
        house.sealed(suspended)


def test_a_rotated_key_does_not_sign_for_the_old_certificate(house: House, seal: Seal) -> None:
    house.sealed(seal)

    house.keys.rotate(seal.use, at_once=True)

    with pytest.raises(SealNotUsable):
        house.sealed(seal)


def test_what_was_sealed_before_the_revocation_stays_valid(house: House, seal: Seal) -> None:
    before = house.sealed(seal).data
    house.clock.advance(timedelta(minutes=1))
    with house.database.write() as tx:
        house.seals.revoke(tx, seal.id, by=KEEPER, now=house.clock(), reason="reorganised")
    house.clock.advance(timedelta(minutes=1))

    with pytest.raises(SealNotUsable, match="stopped"):
        house.sealed(seal)  # a process that still holds the old value

    assert house.signing.validate_pdf(before).indication == "valid"


def test_a_seal_stopped_when_new_evidence_is_due_is_not_usable(house: House, seal: Seal) -> None:
    house.sealed(seal)
    house.clock.advance(timedelta(minutes=10))
    with house.database.write() as tx:
        house.seals.revoke(tx, seal.id, by=KEEPER, now=house.clock(), reason="reorganised")

    with pytest.raises(SealNotUsable, match="stopped"):
        house.sealed(seal)  # a process that still holds the old value


def test_what_was_sealed_after_the_revocation_is_not_valid(house: House, seal: Seal) -> None:
    house.clock.advance(timedelta(minutes=1))
    late = house.sealed(seal).data  # by somebody the registry could not reach
    with house.database.write() as tx:
        since = house.clock() - timedelta(seconds=30)
        add_state(tx, seal.id, SealState.REVOKED, since=since, by="keeper-1", reason="stolen")

    found = house.signing.validate_pdf(late)

    assert found.indication == "invalid"
    assert found.check("seal").code == "seal_revoked"


def test_a_renewed_seal_signs_with_its_new_version(house: House, seal: Seal) -> None:
    before = house.sealed(seal).data
    with house.database.write() as tx:
        renewed = house.seals.renew(tx, seal.id, by=KEEPER, approved_by=APPROVER, now=house.clock())

    after = house.sealed(renewed).data

    assert renewed.version == 2
    assert renewed.kid != seal.kid
    for data in (before, after):
        validation = house.signing.validate_pdf(data)
        assert (validation.indication, validation.seal_id) == ("valid", seal.id)
