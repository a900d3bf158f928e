"""Every way to falsify the stored log is found, and the first bad place is named."""

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from foundation.actor import SYSTEM
from ledger import Entry, Ledger
from ledger.entries import seal_openings
from ledger.fsck import Fsck
from ledger.models import (
    ledger_accesses,
    ledger_checkpoints,
    ledger_entries,
    ledger_openings,
    ledger_outbox,
    ledger_tiles,
)

SUBJECT = "5b" * 32


def entry(clock, **more):
    at = clock.advance(timedelta(milliseconds=1))
    return Entry(kind="verification", actor=SYSTEM, at=at, **{"subject": SUBJECT, **more})


@pytest.fixture
def written(ledger, database, clock):
    """A log of 300 entries under four checkpoints; answers (refs, the checkpoints)."""
    refs, notes = [], []
    for count in (3, 200, 60, 37):
        with database.write() as tx:
            refs += [ledger.append(tx, entry(clock, certificate="CERT-0001")) for _ in range(count)]
        ledger.integrate()
        notes.append(ledger.checkpoint())
    report = ledger.fsck(notes)
    assert (report.ok, report.size, report.checkpoints) == (True, 300, 4)
    return refs, notes


def tamper(database, *statements):
    with database.write() as tx:
        for statement in statements:
            assert tx.execute(statement).rowcount


def only_problem(ledger, *words, witnessed=()):
    """The report's problems, of which one names `words`."""
    report = ledger.fsck(witnessed)
    assert not report.ok
    assert any(all(word in problem for word in words) for problem in report.problems), (
        report.problems
    )
    return report.problems


def test_an_altered_entry(ledger, database, written):
    altered = written[0][17].leaf.replace(b"verification", b"Verification")
    tamper(
        database,
        update(ledger_entries).where(ledger_entries.c.seq == 17).values(leaf=altered),
    )

    problems = only_problem(ledger, "root signed at 203", "and 2 more")
    assert any("tile 0/0" in problem for problem in problems)


def test_an_entry_that_is_no_json(ledger, database, written):
    tamper(database, update(ledger_entries).where(ledger_entries.c.seq == 17).values(leaf=b"{"))

    only_problem(ledger, "entry 17 cannot be read")


def test_two_entries_changed_places(ledger, database, written):
    refs, _ = written
    tamper(
        database,
        update(ledger_entries).where(ledger_entries.c.seq == 10).values(leaf=refs[11].leaf),
        update(ledger_entries).where(ledger_entries.c.seq == 11).values(leaf=refs[10].leaf),
    )

    only_problem(ledger, "entry 10 is stored under another entry's id", "1 more")


def test_a_missing_entry(ledger, database, written):
    tamper(database, delete(ledger_entries).where(ledger_entries.c.seq == 250))

    problems = only_problem(ledger, "entry 250 is missing: number 251")
    assert any("beyond entry 250" in problem for problem in problems)


def test_a_missing_last_entry(ledger, database, written):
    tamper(database, delete(ledger_entries).where(ledger_entries.c.seq == 299))

    only_problem(ledger, "the log ends at 299, but 300 entries were signed")


def test_a_number_given_twice_is_refused_by_the_database(database, written):
    with pytest.raises(IntegrityError):
        tamper(database, insert(ledger_entries).values(seq=299, entry_id="x", leaf=b"{}"))
    with pytest.raises(IntegrityError):
        tamper(
            database,
            insert(ledger_entries).values(seq=300, entry_id=written[0][0].id, leaf=b"{}"),
        )


def test_a_number_given_twice_where_somebody_dropped_the_constraint(ledger, database, written):
    ref = written[0][3]
    with database.write() as tx:
        tx.exec_driver_sql("CREATE TABLE unguarded AS SELECT * FROM ledger_entries")
        tx.exec_driver_sql("DROP TABLE ledger_entries")
        tx.exec_driver_sql("ALTER TABLE unguarded RENAME TO ledger_entries")
        tx.execute(insert(ledger_entries).values(seq=3, entry_id="twice", leaf=ref.leaf))

        report = Fsck(tx, database.cipher, ledger.origin, ledger.verifier_keys()).run()
        tx.rollback()

    assert "entry 4 is missing: number 3 stands there" in report.problems


def test_an_entry_under_no_checkpoint(ledger, database, written):
    tamper(database, insert(ledger_entries).values(seq=300, entry_id="late", leaf=b'{"id":"late"}'))

    only_problem(ledger, "entry 300 and those after it are under no checkpoint")


def test_an_altered_tile(ledger, database, written):
    query = select(ledger_tiles.c.hashes).where(
        ledger_tiles.c.level == 0, ledger_tiles.c.number == 1
    )
    with database.read() as tx:
        hashes = bytearray(tx.execute(query).scalar())
    hashes[-1] ^= 1
    tamper(
        database,
        update(ledger_tiles).where(ledger_tiles.c.number == 1).values(hashes=bytes(hashes)),
    )

    only_problem(ledger, "tile 0/1")


def test_a_tile_too_many_and_one_too_few(ledger, database, written):
    tamper(database, insert(ledger_tiles).values(level=0, number=2, hashes=bytes(32)))
    only_problem(ledger, "4 tiles are stored, the entries make 3")

    tamper(database, delete(ledger_tiles).where(ledger_tiles.c.number > 0))
    only_problem(ledger, "tile 0/1")


def test_an_altered_checkpoint(ledger, database, written):
    note = written[1][1].replace("\n203\n", "\n204\n")
    tamper(
        database,
        update(ledger_checkpoints).where(ledger_checkpoints.c.size == 203).values(note=note),
    )

    only_problem(ledger, "checkpoint 203: the signature by yinzheng.test/log is wrong")


def test_a_checkpoint_row_that_says_something_else(ledger, database, written):
    tamper(
        database,
        update(ledger_checkpoints).where(ledger_checkpoints.c.size == 263).values(root=bytes(32)),
    )

    only_problem(ledger, "checkpoint 263 says something else than its row")


def test_a_rewound_log_is_found_by_whoever_kept_a_checkpoint(ledger, database, clock, written):
    """Everything after the second checkpoint is cut off cleanly, tiles included."""
    refs, notes = written
    _rewind(database, refs, 203)

    assert ledger.fsck().ok, "inside there is nothing left to see"
    only_problem(ledger, "rewound", "300 entries", witnessed=[notes[3]])


def test_a_log_that_grew_differently_after_a_restore_is_a_fork(
    ledger, keys, database, clock, written
):
    refs, notes = written
    _rewind(database, refs, 203)
    restored = Ledger(database, keys, clock, ledger.origin)
    with database.write() as tx:
        for _ in range(97):
            restored.append(tx, entry(clock))
    restored.integrate()

    assert restored.fsck(notes[:2]).ok
    only_problem(restored, "forked", "263", "1 more", witnessed=notes)


def _rewind(database, refs, size):
    lost = [ref.id for ref in refs[size:]]
    query = select(ledger_tiles.c.hashes).where(
        ledger_tiles.c.level == 0, ledger_tiles.c.number == 0
    )
    with database.read() as tx:
        first_tile = tx.execute(query).scalar()[: size * 32]
    tamper(
        database,
        delete(ledger_entries).where(ledger_entries.c.seq >= size),
        delete(ledger_checkpoints).where(ledger_checkpoints.c.size > size),
        delete(ledger_accesses).where(ledger_accesses.c.entry_id.in_(lost)),
        delete(ledger_openings).where(ledger_openings.c.entry_id.in_(lost)),
        delete(ledger_tiles).where((ledger_tiles.c.level > 0) | (ledger_tiles.c.number > 0)),
        update(ledger_tiles).values(hashes=first_tile),
    )


def test_a_witnessed_note_that_we_never_signed(ledger, written):
    note = written[1][0].replace("yinzheng.test", "somebody.test")

    only_problem(ledger, "not ours", witnessed=[note])


def test_an_access_hidden_from_the_citizen(ledger, database, written):
    refs, _ = written
    tamper(
        database,
        delete(ledger_accesses).where(ledger_accesses.c.entry_id == refs[40].id),
    )

    only_problem(ledger, "entry 40 is hidden from those it concerns")


def test_an_access_filed_under_somebody_else(ledger, database, written):
    refs, _ = written
    tamper(
        database,
        update(ledger_accesses)
        .where(ledger_accesses.c.entry_id == refs[41].id)
        .values(subject="7c" * 32),
    )

    only_problem(ledger, "entry 41 is filed under somebody or something else")


def test_an_access_of_no_entry(ledger, database, written):
    tamper(
        database,
        insert(ledger_accesses).values(entry_id="ghost", subject=SUBJECT, certificate=""),
        insert(ledger_openings).values(entry_id="ghost", sealed=b""),
    )

    only_problem(ledger, "an access row belongs to no entry: ghost", "1 more")


def test_a_row_blanked_by_other_hands(ledger, database, written):
    refs, _ = written
    tamper(
        database,
        update(ledger_accesses)
        .where(ledger_accesses.c.entry_id == refs[42].id)
        .values(subject="", certificate="", erased=True),
        delete(ledger_openings).where(ledger_openings.c.entry_id == refs[42].id),
    )

    only_problem(ledger, "1 entries were blanked, the log says 0")


def test_an_erasure_that_kept_the_name(ledger, database, written):
    refs, _ = written
    with database.write() as tx:
        ledger.erase(tx, SUBJECT)
    assert ledger.fsck().ok
    tamper(
        database,
        update(ledger_accesses)
        .where(ledger_accesses.c.entry_id == refs[43].id)
        .values(subject=SUBJECT),
    )

    only_problem(ledger, "entry 43 is marked erased but still names its subject")


def test_openings_that_open_something_else(ledger, database, cipher, written):
    refs, _ = written
    other = {
        name: dataclasses.replace(opening, value="changed")
        for name, opening in refs[44].openings.items()
    }
    sealed = seal_openings(cipher, refs[44].id, other)
    at = ledger_openings.c.entry_id == refs[44].id
    tamper(database, update(ledger_openings).where(at).values(sealed=sealed))
    only_problem(ledger, "entry 44: the commitment certificate cannot be opened")

    moved = seal_openings(cipher, refs[45].id, refs[45].openings)
    tamper(database, update(ledger_openings).where(at).values(sealed=moved))
    only_problem(ledger, "the sealed values of entry 44 do not open")

    tamper(database, delete(ledger_openings).where(at))
    only_problem(ledger, "entry 44", "cannot be opened")


def test_an_entry_that_waits_although_it_has_a_number(ledger, database, written):
    ref = written[0][5]
    tamper(database, insert(ledger_outbox).values(entry_id=ref.id, leaf=ref.leaf))

    only_problem(ledger, "waits although it has a number")


def test_entries_that_still_wait_are_no_problem(ledger, database, clock, written):
    with database.write() as tx:
        ledger.append(tx, entry(clock))

    assert ledger.fsck().ok
