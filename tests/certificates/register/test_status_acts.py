"""What a witness is worth, and which entry of the log is the last act: plain values."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import delete, update

from certificates.errors import StatusContradicted
from certificates.models import Certificate
from certificates.register import acts, status_store, store
from certificates.rules import State
from foundation.encryption import FieldCipher, Undecryptable
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Entry, Ledger, StatusAct, add_acts, certificate_index
from ledger.entries import read_leaf, seal_openings, write_leaf
from ledger.models import ledger_accesses, ledger_entries
from tests.certificates.conftest import LI
from tests.certificates.register.rows import add_rows

CIPHER = FieldCipher(b"k" * 32)
OTHER = FieldCipher(b"o" * 32)
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NAME = "1.2.156.3005.2.1"


def a_certificate(act: StatusAct | None = None, **changes: Any) -> Certificate:
    """In force since NOW; with `act`, witnessed by it."""
    given: dict[str, Any] = {each.name: "" for each in fields(Certificate)} | {
        "id": "row-1",
        "identifier": NAME,
        "valid_from": date(2026, 1, 1),
        "valid_until": date(2030, 12, 31),
        "state": State.ACTIVE,
        "state_since": NOW,
        "act_ordinal": act and act.ordinal,
        "act_entry": act and act.entry_id,
        "act_tag": act and act.tag(CIPHER),
        "cipher": CIPHER,
    }
    return Certificate(**given | changes)


ACT = StatusAct(NAME, 3, State.ACTIVE, NOW, "", "entry-3")


# ── the witness ──────────────────────────────────────────────────────────────────────────────


def test_a_status_is_witnessed_by_the_act_that_left_it():
    assert acts.is_witnessed(a_certificate(ACT)) is True
    assert acts.next_ordinal(a_certificate(ACT)) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"identifier": "1.2.156.3005.2.2"},
        {"state": State.SUSPENDED},
        {"state_since": NOW + SECOND},
        {"state_reason": "other"},
        {"act_ordinal": 2},
        {"act_entry": "entry-2"},
        {"act_tag": "x"},
        {"act_ordinal": None},
        {"act_entry": None},
        {"act_tag": None},
        {"cipher": OTHER},
    ],
    ids=str,
)
def test_a_status_that_says_something_else_is_not_and_nothing_is_built_on_it(changes):
    certificate = a_certificate(ACT, **changes)

    assert acts.is_witnessed(certificate) is False
    with pytest.raises(StatusContradicted) as refused:
        acts.next_ordinal(certificate)
    assert certificate.identifier in refused.value.detail
    assert "certificates settle" in refused.value.next_step


@pytest.mark.parametrize(
    ("logged", "agrees"),
    [
        (ACT, True),
        (None, True),
        (replace(ACT, state=State.REVOKED), False),
        (replace(ACT, since=NOW + SECOND), False),
        (replace(ACT, reason="other"), False),
        (replace(ACT, ordinal=4), False),
        (replace(ACT, entry_id="entry-4"), False),
    ],
)
def test_row_witness_and_log_say_the_same_or_do_not(logged, agrees):
    assert acts.agrees(a_certificate(ACT), logged) is agrees


def test_a_log_that_agrees_is_no_witness():
    assert acts.agrees(a_certificate(), ACT) is False
    assert acts.agrees(a_certificate(), None) is False
    assert acts.agrees(a_certificate(ACT, act_tag="x"), ACT) is False


# ── the last act in the log ──────────────────────────────────────────────────────────────────


def facts(kind, at=NOW, **details):
    return {"kind": f"certificate.{kind}", "at": at.isoformat(), "id": f"{kind} {at:%H%M%S}"} | (
        {"details": details} if details else {}
    )


ISSUED = facts("issued")
SUSPENDED = facts("suspended", NOW + SECOND, act="2", reason="under_investigation")
RESTORED = facts("restored", NOW + SECOND, act="3", reason="suspension_lifted")


@pytest.mark.parametrize("entries", [[ISSUED, SUSPENDED, RESTORED], [RESTORED, ISSUED, SUSPENDED]])
def test_acts_count_by_their_number(entries):
    assert acts._last(NAME, entries) == StatusAct(
        NAME, 3, State.ACTIVE, NOW + SECOND, "suspension_lifted", RESTORED["id"]
    )


def test_the_first_act_is_the_issue():
    assert acts._last(NAME, [ISSUED]) == StatusAct(NAME, 1, State.ACTIVE, NOW, "", ISSUED["id"])


def test_acts_without_a_number_come_by_their_time_and_after_the_issue():
    old = facts("suspended", NOW, reason="under_investigation")
    older = facts("revoked", NOW - SECOND, reason="serious_violation")

    last = acts._last(NAME, [older, old, facts("issued", NOW + SECOND)])

    assert last == StatusAct(NAME, 3, State.SUSPENDED, NOW, "under_investigation", old["id"])
    assert acts._last(NAME, [old, facts("revoked", NOW, act="2")]).state is State.REVOKED


def test_of_acts_at_one_time_the_later_name_counts():
    one, other = (facts("revoked") | {"id": name} for name in "ab")

    assert acts._last(NAME, [other, one]).entry_id == "b"


def test_an_act_counts_from_its_day_where_it_names_one():
    last = acts._last(NAME, [facts("revoked", effective_on="2006-01-02")])

    assert last.since == datetime(2006, 1, 1, 16, tzinfo=UTC)


# ── an entry about a certificate ─────────────────────────────────────────────────────────────


def test_an_entry_counts_when_its_sealed_opening_says_so():
    entry = Entry(
        kind="certificate.revoked", actor=LI, at=NOW, subject="p_subject", certificate=NAME
    )
    written = write_leaf(entry)
    sealed = seal_openings(CIPHER, written.id, written.openings)
    row = SimpleNamespace(entry_id=written.id, sealed=sealed)
    said = read_leaf(written.leaf)
    other = write_leaf(entry)

    assert acts._is_about(CIPHER, row, said, NAME) is True
    for cipher, row_, said_, name in (
        (OTHER, row, said, NAME),
        (CIPHER, row, said, NAME + "2"),
        (CIPHER, row, said | {"id": other.id}, NAME),
        (CIPHER, row, said | {"commitments": read_leaf(other.leaf)["commitments"]}, NAME),
        (CIPHER, SimpleNamespace(entry_id=other.id, sealed=sealed), said, NAME),
        (CIPHER, SimpleNamespace(entry_id=written.id, sealed=None), said, NAME),
        (CIPHER, SimpleNamespace(entry_id=written.id, sealed=b"x" * 64), said, NAME),
    ):
        assert acts._is_about(cipher, row_, said_, name) is False
    without = {"subject": written.openings["subject"]}
    bare = SimpleNamespace(entry_id=written.id, sealed=seal_openings(CIPHER, written.id, without))
    assert acts._is_about(CIPHER, bare, said, NAME) is False


# ── a row's own word ─────────────────────────────────────────────────────────────────────────

OVER = datetime(2030, 12, 31, 16, tzinfo=UTC)


@pytest.mark.parametrize("state", [State.ACTIVE, State.SUSPENDED])
def test_a_row_that_says_in_force_is_not_believed_but_for_one_that_ran_out_in_an_upgrade(state):
    certificate = a_certificate(state=state)

    assert acts._believed(certificate) is None
    assert acts._believed(certificate, NOW) is None
    assert acts._believed(certificate, OVER - SECOND) is None
    ran_out = acts._believed(certificate, OVER)
    assert ran_out == StatusAct(NAME, 1 if state is State.ACTIVE else 2, state, NOW, "", "")


@pytest.mark.parametrize("now", [None, NOW, OVER])
def test_a_row_that_says_ended_is_believed_with_the_number_it_has(now):
    ended = a_certificate(state=State.REVOKED, state_reason="serious_violation")
    counted = replace(ended, act_ordinal=5, act_entry="entry-5")

    assert acts._believed(ended, now) == StatusAct(
        NAME, 2, State.REVOKED, NOW, "serious_violation", ""
    )
    assert acts._believed(counted, now) == StatusAct(
        NAME, 5, State.REVOKED, NOW, "serious_violation", "entry-5"
    )


def test_a_row_of_a_witness_names_row_number_entry_and_tag():
    row = acts._row(CIPHER, a_certificate(), ACT)

    assert row == ("row-1", 3, "entry-3", ACT.tag(CIPHER))


def test_names_that_open_under_another_key_are_told():
    with pytest.raises(Undecryptable, match="this master key opens none of them") as refused:
        acts._must_open(a_certificate(sealed_holder_name=b"x" * 64))

    assert "server migrate" in refused.value.next_step


# ── against the log ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def signing(sqlite_database, master_key, clock):
    return Keys(sqlite_database, SoftwareBackend(master_key), clock)


@pytest.fixture
def log(sqlite_database, signing, clock):
    """The ledger, and the first status list."""
    with sqlite_database.write() as tx:
        status_store.open_list(tx, sqlite_database, 1, 1 << 20, NOW)
    ledger = Ledger(sqlite_database, signing, clock, "yinzheng.test/log")
    yield ledger
    ledger.close()


@pytest.fixture
def kept(sqlite_database, log):
    """Keeps a certificate's row, and an entry for each act that the log shall know of it."""

    def keep(name, *logged, **row):
        written = []
        with sqlite_database.write() as tx:
            place = int(name.rpartition(".")[2])
            given = {"id": f"01 {name}", "identifier": name, "state_since": NOW}
            given |= {"status_index": place}
            add_rows(tx, given | row)
            for number, kind in enumerate(logged, 1):
                about = {"subject": f"p_{name}", "certificate": name}
                entry = Entry(
                    kind=f"certificate.{kind}", actor=LI, at=NOW + number * SECOND,
                    details={"act": str(number), "reason": f"reason {number}"}, **about,
                )  # fmt: skip
                written.append(log.append(tx, entry).id)
        return written

    return keep


def rows(database):
    with database.read() as tx:
        return {each.identifier: each for each in store.after(tx, "", 500)}


def in_log(database, *names):
    with database.read() as tx:
        return acts.in_log(tx, names)


ONE, TWO, THREE = (f"1.2.156.3005.2.{number}" for number in (1, 2, 3))


def said(number, state):
    """What the row says of its status when it says what the log's act of this number left."""
    return {
        "state": state,
        "state_since": NOW + number * SECOND,
        "state_reason": f"reason {number}",
    }


def test_the_log_knows_the_last_act_of_each_certificate_and_other_entries_are_none(
    sqlite_database, kept
):
    _, suspended = kept(ONE, "issued", "suspended")
    issued, _, _ = kept(TWO, "issued", "shown", "status_settled")
    kept(THREE, "shown")

    assert in_log(sqlite_database, ONE, TWO, THREE) == {
        ONE: StatusAct(ONE, 2, State.SUSPENDED, NOW + 2 * SECOND, "reason 2", suspended),
        TWO: StatusAct(TWO, 1, State.ACTIVE, NOW + SECOND, "reason 1", issued),
    }
    assert set(in_log(sqlite_database, TWO)) == {TWO}
    assert in_log(sqlite_database) == {}


def test_an_entry_that_is_lost_is_no_act(sqlite_database, log, kept):
    issued, suspended = kept(ONE, "issued", "suspended")
    log.integrate_all()
    with sqlite_database.write() as tx:
        tx.execute(delete(ledger_entries).where(ledger_entries.c.entry_id == suspended))

    assert in_log(sqlite_database, ONE)[ONE].entry_id == issued


def test_an_entry_that_was_hung_on_another_certificate_is_no_act_of_it(sqlite_database, kept):
    issued, _ = kept(ONE, "issued", "shown")
    _, revoked = kept(TWO, "issued", "revoked")
    mine = certificate_index(sqlite_database.cipher, ONE)
    with sqlite_database.write() as tx:
        theirs = update(ledger_accesses).where(ledger_accesses.c.entry_id == revoked)
        tx.execute(theirs.values(certificate=mine))

    assert in_log(sqlite_database, ONE)[ONE].entry_id == issued
    assert in_log(sqlite_database, TWO)[TWO].state is State.ACTIVE


def adopted(database, now=NOW):
    with database.write() as tx:
        acts.adopt(tx, now)
    return {
        name: (acts.is_witnessed(each), each.act_ordinal) for name, each in rows(database).items()
    }


def test_an_upgrade_witnesses_what_the_log_says_and_keeps_the_witnesses_there_are(
    sqlite_database, kept
):
    kept(ONE, "issued", "revoked", **said(2, "revoked"))
    kept(TWO, "issued", "revoked", **said(1, "active"))
    assert adopted(sqlite_database) == {ONE: (True, 2), TWO: (False, 2)}
    kept(THREE, "issued", **said(1, "active"))

    assert adopted(sqlite_database) == {ONE: (True, 2), TWO: (False, 2), THREE: (True, 1)}


def test_an_upgrade_believes_rows_where_the_log_is_silent_and_they_are_not_in_force(
    sqlite_database, kept
):
    kept(ONE, state="revoked", state_reason="x")
    kept(TWO)
    kept(THREE, valid_from=date(2020, 1, 1), valid_until=date(2026, 11, 23))

    assert adopted(sqlite_database) == {ONE: (True, 2), TWO: (False, None), THREE: (True, 1)}


def test_an_upgrade_without_certificates_does_nothing(sqlite_database, log):
    assert adopted(sqlite_database) == {}


def test_an_upgrade_under_a_key_that_opens_nothing_stops(sqlite_database, kept):
    kept(ONE, "issued", holder_name=b"x" * 64)

    with pytest.raises(Undecryptable, match="this master key opens none of them"):
        adopted(sqlite_database)


def test_certificates_are_read_in_parts_and_each_once(sqlite_database, kept, monkeypatch):
    monkeypatch.setattr(acts, "_CHUNK", 2)
    for name in (ONE, TWO, THREE):
        kept(name, "issued", **said(1, "active"))

    with sqlite_database.read() as tx:
        found = [[each.identifier for each in part] for part in acts._chunks(tx)]
        left = [each.identifier for each in acts.unsettled(tx)]

    assert found == [[ONE, TWO], [THREE]]
    assert left == [ONE, TWO, THREE]
    assert len(adopted(sqlite_database)) == 3
    with sqlite_database.read() as tx:
        assert list(acts.unsettled(tx)) == []


def test_the_unsettled_are_those_that_do_not_agree(sqlite_database, kept):
    kept(ONE, "issued", "revoked", **said(2, "revoked"))
    kept(TWO, "issued", "revoked", **said(1, "active"))
    adopted(sqlite_database)
    kept(THREE, "issued", **said(1, "active"))

    with sqlite_database.read() as tx:
        assert [each.identifier for each in acts.unsettled(tx)] == [TWO, THREE]


def test_a_row_and_its_witness_that_were_put_back_together_do_not_agree(sqlite_database, kept):
    issued, _ = kept(ONE, "issued", "revoked", **said(1, "active"))
    old = StatusAct(ONE, 1, State.ACTIVE, NOW + SECOND, "reason 1", issued)
    with sqlite_database.write() as tx:
        add_acts(tx, [("01 " + ONE, 1, issued, old.tag(sqlite_database.cipher))])

    assert acts.is_witnessed(rows(sqlite_database)[ONE])
    with sqlite_database.read() as tx:
        assert [each.identifier for each in acts.unsettled(tx)] == [ONE]


def settled(database, log, name):
    with database.write() as tx:
        outcome = acts.settle(tx, log, store.lock(tx, name), NOW + 100 * SECOND)
    return outcome, rows(database)[name]


def changes(database):
    with database.read() as tx:
        return [(each.slot, each.value) for each in status_store.changes(tx, 1, 0, None)]


def entries(log, name):
    return [each for each in log.history(name) if each.kind == acts.SETTLED]


def test_a_row_that_says_what_the_log_says_is_witnessed_and_left_alone(sqlite_database, log, kept):
    kept(ONE, "issued", "revoked", **said(2, "revoked"))

    outcome, row = settled(sqlite_database, log, ONE)

    assert outcome == "witnessed"
    assert (acts.is_witnessed(row), row.act_ordinal) == (True, 2)
    assert (changes(sqlite_database), entries(log, ONE)) == ([], [])


@pytest.mark.parametrize(
    "wrong",
    [
        said(1, "active"),
        said(2, "revoked") | {"state_since": NOW},
        said(2, "revoked") | {"state_reason": "other"},
    ],
)
def test_a_row_that_says_something_else_is_set_back_in_the_list_and_the_log_too(
    sqlite_database, log, kept, wrong
):
    kept(ONE, "issued", "revoked", status_index=7, subject=f"p_{ONE}", **wrong)

    outcome, row = settled(sqlite_database, log, ONE)

    assert outcome == "restored"
    assert (row.state, row.state_since, row.state_reason) == (
        State.REVOKED,
        NOW + 2 * SECOND,
        "reason 2",
    )
    assert (acts.is_witnessed(row), row.act_ordinal) == (True, 2)
    assert changes(sqlite_database) == [(7, 1)]
    [entry] = entries(log, ONE)
    assert (entry.at, entry.actor_kind) == (NOW + 100 * SECOND, "system")
    assert entry.entry_id in {each.entry_id for each in log.about([f"p_{ONE}"]).items}
    assert entry.details == {"state": "revoked", "was": wrong["state"]}


def test_where_the_log_is_silent_a_row_is_settled_by_its_own_word_or_not(
    sqlite_database, log, kept
):
    kept(ONE, state="revoked", state_reason="x")
    kept(TWO)
    kept(THREE, valid_from=date(2020, 1, 1), valid_until=date(2026, 11, 23))

    outcomes = {name: settled(sqlite_database, log, name) for name in (ONE, TWO, THREE)}

    assert {name: outcome for name, (outcome, _) in outcomes.items()} == {
        ONE: "witnessed",
        TWO: "unknown",
        THREE: "unknown",
    }
    assert acts.is_witnessed(outcomes[ONE][1])
    assert outcomes[TWO][1].act_ordinal is None
    assert changes(sqlite_database) == []
