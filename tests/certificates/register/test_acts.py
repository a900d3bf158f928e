"""Every act on a status leaves its witness, and the log can make the witnesses again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from certificates.models import certificates as table
from certificates.register import acts, store
from certificates.rules import State
from foundation.database import Database
from foundation.encryption import FieldCipher, Undecryptable
from ledger import Entry
from ledger import store as ledger_store
from ledger.models import ledger_status_acts
from server import migrations
from tests.certificates.bulk.test_batches import few, run_through, written
from tests.certificates.conftest import FOOD, LI, WANG


def witnesses(database):
    """Of each certificate: is it witnessed, and by its how-manieth act?"""
    with database.read() as tx:
        found = store.after(tx, "", 500)
    return {each.number: (acts.is_witnessed(each), each.act_ordinal) for each in found}


def without_witnesses(database, *changes):
    """A database as it was before there were any."""
    with database.write() as tx:
        tx.execute(delete(ledger_status_acts))
        for change in changes:
            tx.execute(change)


@pytest.fixture
def another(certificates):
    draft = certificates.submit(WANG, certificates.draft(WANG, "food-business-licence", FOOD).id)
    certificates.approve(LI, draft.id, draft.content_digest)
    return certificates.issue(draft.id)


def test_each_act_counts_one_further(certificates, database, ledger, issued):
    for to, reason in (
        (State.SUSPENDED, "under_investigation"),
        (State.ACTIVE, "suspension_lifted"),
        (State.REVOKED, "serious_violation"),
    ):
        certificates.change_state(LI, issued.identifier, to, reason)

    assert witnesses(database) == {issued.number: (True, 4)}
    numbers = [each.details.get("act") for each in ledger.history(issued.identifier)]
    assert sorted(number for number in numbers if number) == ["2", "3", "4"]


def test_a_batch_leaves_a_witness_for_each_row_ended_ones_included(
    batches, jobs, certificates, database
):
    rows = few()
    rows[0]["LICENSE STATUS"], rows[0]["LICENSE STATUS CHANGE DATE"] = "REV", "01/02/2006"
    run_through(batches, jobs, written(rows))

    found = witnesses(database)

    assert len(found) == len(rows)
    assert found.pop(rows[0]["ID"]) == (True, 2)
    assert {witnessed for witnessed, _ in found.values()} == {True}
    assert certificates.fsck().ok


def test_an_act_that_fails_leaves_no_witness(certificates, database, issued):
    def fail(*_):
        raise OSError("the disk is full")

    certificates.followers.append(fail)
    with pytest.raises(OSError, match="full"):
        certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")

    assert witnesses(database) == {issued.number: (True, 1)}


# ── an upgrade ───────────────────────────────────────────────────────────────────────────────


def test_an_upgrade_makes_the_witnesses_from_the_log(certificates, database, issued, another):
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    without_witnesses(database)
    with database.write() as tx:
        migrations.fill(tx, "0001", certificates.clock())

    assert witnesses(database) == {issued.number: (True, 2), another.number: (True, 1)}
    assert certificates.fsck().ok


def test_imported_certificates_are_witnessed_by_the_day_of_their_act(
    batches, jobs, certificates, database
):
    rows = few()
    rows[0]["LICENSE STATUS"], rows[0]["LICENSE STATUS CHANGE DATE"] = "REV", "01/02/2006"
    run_through(batches, jobs, written(rows))
    without_witnesses(database)
    with database.write() as tx:
        migrations.fill(tx, "0001", certificates.clock())

    assert witnesses(database)[rows[0]["ID"]] == (True, 2)
    assert certificates.fsck().ok


def test_an_upgrade_does_not_believe_a_row_against_the_log(certificates, database, issued, another):
    certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    mine = table.c.id == issued.id
    without_witnesses(database, update(table).where(mine).values(state="active", state_reason=""))
    with database.write() as tx:
        migrations.fill(tx, "0001", certificates.clock())

    assert witnesses(database) == {issued.number: (False, 2), another.number: (True, 1)}
    assert any(issued.identifier in problem for problem in certificates.fsck().problems)


def test_an_upgrade_under_another_key_makes_nothing(certificates, database, issued):
    """A key service on the house's database has a master key of its own, and starts first."""
    without_witnesses(database)
    url = database.engine.url.render_as_string(hide_password=False)
    other = Database(url, FieldCipher(b"o" * 32))
    with pytest.raises(Undecryptable), other.write() as tx:
        migrations.fill(tx, "0001", certificates.clock())
    other.close()

    assert witnesses(database) == {issued.number: (False, None)}


def test_later_upgrades_make_no_witness_and_a_new_database_needs_none(
    certificates, database, issued
):
    without_witnesses(database)
    with database.write() as tx:
        for before in (None, "0003", "0012"):
            migrations.fill(tx, before, certificates.clock())

    assert witnesses(database) == {issued.number: (False, None)}


def test_acts_from_before_they_were_numbered_are_taken_in_the_order_of_their_time(
    certificates, database, ledger, clock, issued
):
    def act(kind, reason):
        now = clock.advance(timedelta(days=1))
        about = {"subject": issued.subject, "certificate": issued.identifier}
        with database.write() as tx:
            entry = Entry(kind=kind, actor=LI, at=now, details={"reason": reason}, **about)
            ledger.append(tx, entry)
        return now

    act("certificate.suspended", "under_investigation")
    restored = act("certificate.restored", "suspension_lifted")

    with database.read() as tx:
        last = acts.in_log(tx, [issued.identifier])[issued.identifier]

    assert (last.state, last.since, last.ordinal) == (State.ACTIVE, restored, 3)


@pytest.mark.parametrize(
    ("state", "upgrade", "settled"),
    [("revoked", (True, 2), {}), ("active", (False, None), {"unknown": 1})],
)
def test_where_the_holder_was_forgotten_a_row_is_believed_only_when_it_is_not_in_force(
    certificates, database, ledger, clock, issued, state, upgrade, settled
):
    if state == "revoked":
        certificates.change_state(LI, issued.identifier, State.REVOKED, "serious_violation")
    with database.write() as tx:
        ledger.erase(tx, issued.subject, LI)
    without_witnesses(database)
    with database.write() as tx:
        migrations.fill(tx, "0001", clock())

    assert witnesses(database) == {issued.number: upgrade}
    outcomes = certificates.settle_statuses()
    assert {outcome: len(found) for outcome, found in outcomes.items()} == settled


def test_an_upgrade_believes_a_forgotten_holder_s_row_that_ran_out_and_settling_does_not(
    certificates, database, ledger, clock, issued
):
    clock.advance(issued.valid_until - issued.valid_from + timedelta(days=400))
    with database.write() as tx:
        ledger.erase(tx, issued.subject, LI)
    without_witnesses(database)
    assert certificates.settle_statuses() == {"unknown": [issued.identifier]}
    with database.write() as tx:
        migrations.fill(tx, "0001", clock())

    assert witnesses(database) == {issued.number: (True, 1)}


def test_a_tag_binds_every_word_of_an_act(certificates, database, clock, issued):
    with database.read() as tx:
        act = acts.in_log(tx, [issued.identifier])[issued.identifier]
        stored = tx.execute(select(ledger_store.status_acts.c.tag)).scalar_one()

    assert act.is_witnessed(database.cipher, stored)
    for changed in (
        {"certificate": "1.2.156.3005.2.Y"},
        {"ordinal": 2},
        {"state": "revoked"},
        {"since": clock() + timedelta(microseconds=1)},
        {"reason": "other"},
        {"entry_id": "another"},
    ):
        assert not replace(act, **changed).is_witnessed(database.cipher, stored)
