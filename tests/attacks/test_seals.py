"""Attacks on seals (49, 50): one person alone, another time, another template, two at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from certificates.errors import ContentChanged
from certificates.models import drafts
from certificates.rules import DraftState
from foundation.database import Database
from foundation.errors import Refused, YinzhengError
from keys import Keys, SigningRequest
from keys.custody.backends.software import SoftwareBackend
from keys.errors import KeyDamaged, OrderRefused
from keys.models import key_uses
from keys.models import keys as stored_keys
from signing import Approval, Seal
from signing.errors import (
    ApprovalFromFuture,
    ContentNotApproved,
    FourEyesViolated,
    SealNotUsable,
)
from tests.certificates.conftest import (
    FOOD,
    LI,
    WANG,
    batches,
    certificates,
    jobs,
    renderer,
    seals,
    types,
)
from tests.keys.orders import order
from tests.signing.conftest import BOX, KEEPER, House, house_on_each_database
from tests.signing.pages import page

__all__ = [
    "batches",
    "certificates",
    "house_on_each_database",
    "jobs",
    "renderer",
    "seals",
    "types",
]

MINUTE = timedelta(minutes=1)


@pytest.fixture
def office(house_on_each_database: House) -> House:
    return house_on_each_database


@pytest.fixture
def seal(office: House) -> Seal:
    return office.register()


def uses(database: Database) -> int:
    with database.read() as tx:
        return len(tx.execute(select(key_uses.c.id)).all())


# ── one person alone ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "door",
    [
        lambda keys, use, _: keys.sign(use, b"anything"),
        lambda keys, use, _: keys.sign_der(use, b"anything"),
        lambda keys, use, _: keys.jws(use, {"sub": "anyone"}, typ="dc+sd-jwt"),
        lambda keys, use, now: keys.sign_many(
            use, [SigningRequest(b"1", order(now)), SigningRequest(b"2")]
        ),
        lambda keys, use, now: keys.sign(use, b"x", order=order(now, approver="wang")),
        lambda keys, use, now: keys.sign(use, b"x", order=order(now, approver="")),
        lambda keys, use, now: keys.jws(use, {}, typ="x", order=order(now, drafter="li")),
    ],
    ids=["sign", "sign_der", "jws", "one of many", "same person", "nobody", "jws, same person"],
)
def test_49_no_door_to_a_seal_key_opens_for_one_person(
    office: House, seal: Seal, door: Callable[..., object]
) -> None:
    with pytest.raises(OrderRefused):
        door(office.keys, seal.use, office.clock())

    assert uses(office.database) == 0


def test_49_the_seal_refuses_one_person_before_the_key_is_asked(office: House, seal: Seal) -> None:
    alone = Approval("content", "li", "li", office.clock() - MINUTE)

    with pytest.raises(FourEyesViolated):
        office.signing.seal_pdf(
            seal, page(), alone, content_digest="content", now=office.clock(), box=BOX
        )


def test_49_a_seal_key_is_not_used_under_the_name_of_a_token_key(
    office: House, seal: Seal, master_key: bytes
) -> None:
    """Whoever can write the database gives the seal's key a use that needs no order."""
    with office.database.write() as tx:
        tx.execute(
            update(stored_keys).where(stored_keys.c.use == seal.use).values(use="idp.tokens")
        )
    robbed = Keys(office.database, SoftwareBackend(master_key), office.clock)

    with pytest.raises(KeyDamaged):
        robbed.sign("idp.tokens", b"a licence nobody approved")


def test_49_a_seal_of_another_department_is_not_taken(office: House, seal: Seal) -> None:
    stranger = replace(KEEPER, organisation="11350100003605199X")

    with (
        pytest.raises(YinzhengError, match="no such seal") as refused,
        office.database.write() as tx,
    ):
        office.seals.permits.ask(
            tx,
            seal.id,
            purpose="x",
            quota=1,
            by=stranger,
            now=office.clock(),
            until=office.clock() + MINUTE,
        )
    assert refused.value.status == 404


# ── a time that is not now ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ago", [6 * MINUTE, timedelta(days=400), -2 * MINUTE], ids=str)
def test_49_nobody_seals_in_the_past_or_the_future(
    office: House, seal: Seal, ago: timedelta
) -> None:
    office.clock.advance(timedelta(days=500))
    then = office.clock() - ago
    approval = Approval("content", "wang", "li", then - MINUTE)

    with pytest.raises((OrderRefused, SealNotUsable)):
        office.signing.seal_pdf(seal, page(), approval, content_digest="content", now=then, box=BOX)
    assert uses(office.database) == 0


def test_49_an_approval_that_is_yet_to_come_seals_nothing(office: House, seal: Seal) -> None:
    now = office.clock()
    with pytest.raises(ApprovalFromFuture):
        office.signing.seal_pdf(
            seal,
            page(),
            Approval("content", "wang", "li", now + 5 * MINUTE),
            content_digest="content",
            now=now,
            box=BOX,
        )
    with pytest.raises(OrderRefused, match="after the signature"):
        office.keys.sign(seal.use, b"x", order=order(now, approved_at=now + 5 * MINUTE))


# ── something else than was approved ─────────────────────────────────────────────────────────


def test_49_another_content_than_the_approved_is_not_sealed(office: House, seal: Seal) -> None:
    approval = Approval("approved", "wang", "li", office.clock() - MINUTE)

    with pytest.raises(ContentNotApproved):
        office.signing.seal_pdf(
            seal, page(), approval, content_digest="swapped", now=office.clock(), box=BOX
        )


def test_49_a_template_exchanged_between_approval_and_sealing_seals_nothing(
    certificates, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = approved(certificates)
    monkeypatch.setattr(certificates.renderer, "template_hash", "another template")

    with pytest.raises(ContentChanged):
        certificates.issue(draft)
    certificates.jobs.run_pending()

    assert certificates.find_draft(WANG, draft).state is DraftState.RETURNED
    assert uses(database) == 0, "the seal's key was not touched"


def test_49_fields_exchanged_in_the_database_after_approval_seal_nothing(
    certificates, database: Database
) -> None:
    draft = approved(certificates)
    with database.write() as tx:
        stored = tx.execute(select(drafts.c.fields).where(drafts.c.id == draft)).scalar_one()
        other = dict(stored) | {"operator_name": "示例市新街面馆有限公司"}
        tx.execute(update(drafts).where(drafts.c.id == draft).values(fields=other))

    with pytest.raises(ContentChanged):
        certificates.issue(draft)

    assert uses(database) == 0


def test_49_the_database_itself_keeps_two_names_on_an_approved_draft(
    certificates, database: Database
) -> None:
    draft = approved(certificates)

    with pytest.raises(IntegrityError), database.write() as tx:
        tx.execute(update(drafts).where(drafts.c.id == draft).values(drafter="li"))


def approved(certificates) -> str:
    draft = certificates.draft(WANG, "food-business-licence", FOOD)
    submitted = certificates.submit(WANG, draft.id)
    certificates.approve(LI, submitted.id, submitted.content_digest)
    return submitted.id


# ── two at once ──────────────────────────────────────────────────────────────────────────────


def test_50_a_seal_revoked_while_others_seal_has_no_signature_after_its_revocation(
    office: House, seal: Seal
) -> None:
    """Whatever was sealed is valid exactly when the registry says the seal was in force then."""
    sealed: list[bytes] = []
    go = threading.Event()

    def work() -> None:
        go.wait()
        for _ in range(6):
            try:
                sealed.append(office.sealed(office.seals.get(seal.id)).data)
            except (SealNotUsable, Refused):
                return

    def revoke() -> None:
        go.wait()
        office.clock.advance(timedelta(seconds=2))
        with office.database.write() as tx:
            office.seals.revoke(
                tx, seal.id, by=KEEPER, now=office.clock(), reason="while others seal"
            )
        office.clock.advance(timedelta(seconds=2))

    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(each) for each in (work, work, revoke)]
        go.set()
    for each in running:
        each.result()  # whoever came too late was told so, in no other words
    with pytest.raises(SealNotUsable):
        office.sealed(office.seals.get(seal.id))

    revoked = office.seals.history(seal.id)[-1].since
    for data in sealed:
        validation = office.signing.validate_pdf(data)
        in_time = validation.signed_at < revoked.replace(microsecond=0)
        assert (validation.indication == "valid") is in_time, (validation.signed_at, revoked)
