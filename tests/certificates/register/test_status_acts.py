"""What a witness is worth, and which entry of the log is the last act: plain values."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from certificates.errors import StatusContradicted
from certificates.models import Certificate
from certificates.register import acts
from certificates.rules import State
from foundation.encryption import FieldCipher, Undecryptable
from ledger import Entry, StatusAct
from ledger.entries import read_leaf, seal_openings, write_leaf
from tests.certificates.conftest import LI

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
