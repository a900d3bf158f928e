"""Every way in which registry, ledger and status lists can differ is found and named."""

import pytest
from sqlalchemy import delete, update

from certificates.models import (
    batch_rows,
    certificates,
    drafts,
    renditions,
    status_changes,
    status_lists,
)
from certificates.register.status import Slot, record_change
from certificates.rules import State
from ledger.models import ledger_entries, ledger_outbox
from tests.certificates.bulk.test_batches import CHICAGO, few, written
from tests.certificates.conftest import FOOD, LI, WANG


@pytest.fixture
def room(request, issued):
    """A room with a certificate in force and a revoked one."""
    room = request.getfixturevalue("certificates")
    draft = room.submit(WANG, room.draft(WANG, "food-business-licence", FOOD).id)
    room.approve(LI, draft.id, draft.content_digest)
    other = room.issue(draft.id)
    room.change_state(LI, other.identifier, State.REVOKED, "serious_violation")
    assert room.fsck().problems == ()
    assert room.fsck().certificates == 2
    return room


def only_problem(room, database, *statements):
    with database.write() as tx:
        for statement in statements:
            assert tx.execute(statement).rowcount
    [problem] = room.fsck().problems
    return problem


def of(issued):
    return certificates.c.id == issued.id


def test_a_record_that_was_changed(room, database, issued):
    later = update(certificates).where(of(issued)).values(valid_until=None)

    assert "is not what was issued" in only_problem(room, database, later)


def test_fields_that_were_swapped_with_another_s(room, database, issued):
    theirs = update(certificates).where(of(issued)).values(fields=b"x" * 40)

    assert "is not what was issued" in only_problem(room, database, theirs)


def test_a_file_that_was_changed_or_lost(room, database, issued):
    mine = renditions.c.certificate_id == issued.id
    pdf = mine & (renditions.c.format == "pdf")

    assert "the pdf of" in only_problem(
        room, database, update(renditions).where(pdf).values(data=b"%PDF-")
    )
    problem = only_problem(room, database, delete(renditions).where(mine))
    assert "(and 2 more)" in problem


def test_a_certificate_the_ledger_never_saw_issued(room, database, ledger, issued):
    ledger.integrate_all()
    entry = next(a for a in ledger.history(issued.identifier) if a.kind == "certificate.issued")
    lost = delete(ledger_entries).where(ledger_entries.c.entry_id == entry.entry_id)

    assert "0 times" in only_problem(room, database, lost)


def test_a_certificate_that_was_issued_twice_by_the_ledger(room, database, ledger, issued):
    entry = next(a for a in ledger.history(issued.identifier) if a.kind == "certificate.issued")
    with database.write() as tx:
        leaf = tx.execute(
            ledger_outbox.select().where(ledger_outbox.c.entry_id == entry.entry_id)
        ).one()
        tx.execute(ledger_outbox.insert().values(entry_id="again", leaf=leaf.leaf))

    assert "2 times" in room.fsck().problems[0]


def test_a_certificate_that_is_gone(room, database, issued):
    problem = only_problem(
        room,
        database,
        delete(renditions).where(renditions.c.certificate_id == issued.id),
        delete(certificates).where(of(issued)),
        delete(drafts).where(drafts.c.identifier == issued.identifier),
    )

    assert "is not there" in problem


def test_a_state_that_the_list_does_not_know(room, database, issued):
    quietly = update(certificates).where(of(issued)).values(state="revoked")

    assert "its list says 0" in only_problem(room, database, quietly)


def test_a_mark_on_nobody_s_slot(room, database, issued, clock):
    with database.write() as tx:
        record_change(tx, Slot(issued.status_list, issued.status_index ^ 1), 1, clock())

    assert "nobody's" in room.fsck().problems[0]


def test_a_history_with_a_gap(room, database):
    assert "has a gap" in only_problem(room, database, update(status_lists).values(version=7))
    unmarked = delete(status_changes)
    with database.write() as tx:
        tx.execute(unmarked)
        tx.execute(update(status_lists).values(version=0))
    assert "its list says 0" in room.fsck().problems[0]


def test_a_draft_that_is_sealed_without_a_certificate_or_the_other_way_round(
    room, database, issued
):
    mine = drafts.c.identifier == issued.identifier

    problem = only_problem(room, database, update(drafts).where(mine).values(state="approved"))

    assert "although there is a certificate" in problem


def test_a_row_that_says_issued_and_is_not(room, database, batches):
    batch = batches.upload(WANG, CHICAGO, "chicago", written(few()), "a.csv")
    said = update(batch_rows).where(batch_rows.c.batch_id == batch.id).values(state="issued")

    assert "without a certificate" in only_problem(room, database, said)
