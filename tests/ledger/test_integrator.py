"""Many writers, several integrators, sudden death: numbers stay whole and nothing is lost."""

import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import Executable, delete, insert, select, update

from foundation.actor import SYSTEM
from foundation.database import Database
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from ledger import Entry, Ledger, verify_proof
from ledger.errors import LedgerDamaged
from ledger.models import ledger_checkpoints, ledger_entries, ledger_outbox, ledger_tiles
from ledger.proofs import Proof


def entry(clock, **more):
    at = clock.advance(timedelta(milliseconds=1))
    return Entry(kind="verification", actor=SYSTEM, at=at, **{"subject": "5b" * 32, **more})


def append(ledger, database, clock, count=1):
    with database.write() as tx:
        return [ledger.append(tx, entry(clock)) for _ in range(count)]


def numbers(database):
    query = select(ledger_entries.c.seq, ledger_entries.c.entry_id).order_by(ledger_entries.c.seq)
    with database.read() as tx:
        return [tuple(row) for row in tx.execute(query)]


def test_numbers_are_contiguous_whatever_the_batch(ledger, database, clock):
    append(ledger, database, clock, 700)

    taken = [ledger.integrate(limit=255) for _ in range(4)]

    assert taken == [255, 255, 190, 0]
    assert [seq for seq, _ in numbers(database)] == list(range(700))
    assert ledger.fsck().checkpoints == 3


def test_an_entry_that_commits_late_still_gets_a_number(ledger, database, clock):
    early = entry(clock)
    (later,) = append(ledger, database, clock)
    ledger.integrate()

    with database.write() as tx:
        ref = ledger.append(tx, early)
    ledger.integrate()

    assert ref.id < later.id
    assert numbers(database) == [(0, later.id), (1, ref.id)]
    assert ledger.fsck().ok


def test_a_clock_that_steps_back_harms_nothing(ledger, database, clock):
    append(ledger, database, clock, 3)
    ledger.integrate()
    clock.advance(timedelta(days=-400))
    append(ledger, database, clock, 3)
    ledger.integrate()

    assert ledger.fsck().size == 6
    assert ledger.fsck().ok


def test_several_integrators_make_one_history(ledger, keys, database, clock):
    """Three processes' worth of integrators while writers write; both lanes of one database."""
    ledgers = [Ledger(database, keys, clock, ledger.origin) for _ in range(3)]
    writing, failures = threading.Event(), []

    def integrate(own):
        try:
            while not writing.is_set() or own.integrate(limit=20):
                own.integrate(limit=20)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=integrate, args=[own]) for own in ledgers]
    for thread in threads:
        thread.start()
    refs = [ref for _ in range(60) for ref in append(ledger, database, clock, 5)]
    writing.set()
    for thread in threads:
        thread.join()

    assert failures == []
    ledger.integrate_all()
    assert [seq for seq, _ in numbers(database)] == list(range(300))
    assert {entry_id for _, entry_id in numbers(database)} == {ref.id for ref in refs}
    assert ledger.fsck().ok


def test_another_integrators_work_is_checked_before_it_is_continued(ledger, keys, database, clock):
    other = Ledger(database, keys, clock, ledger.origin)
    for own in (ledger, other, ledger, other):
        append(ledger, database, clock, 130)
        assert own.integrate() == 130

    assert ledger.fsck().ok


DAMAGES: dict[str, list[Executable]] = {
    "altered tile": [
        update(ledger_tiles).where(ledger_tiles.c.level == 0).values(hashes=bytes(96))
    ],
    "missing tile": [delete(ledger_tiles)],
    "rewound checkpoints": [delete(ledger_checkpoints).where(ledger_checkpoints.c.size == 3)],
    "no checkpoint": [delete(ledger_checkpoints)],
    "forged checkpoint": [update(ledger_checkpoints).values(note="yinzheng.test/log\n3\nAAAA\n")],
    "other root": [update(ledger_checkpoints).values(root=bytes(32))],
    "lost entries": [delete(ledger_entries).where(ledger_entries.c.seq == 2)],
    "smuggled entry": [insert(ledger_entries).values(seq=3, entry_id="smuggled", leaf=b"{}")],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_is_signed_on_top_of(damage, ledger, keys, database, clock):
    append(ledger, database, clock, 2)
    ledger.integrate()
    append(ledger, database, clock)
    ledger.integrate()
    with database.write() as tx:
        for statement in DAMAGES[damage]:
            tx.execute(statement)
    append(ledger, database, clock)

    restarted = Ledger(database, keys, clock, ledger.origin)
    with pytest.raises(LedgerDamaged) as refusal:
        restarted.integrate()

    assert "fsck" in refusal.value.next_step
    with database.read() as tx:
        assert len(tx.execute(select(ledger_outbox)).all()) == 1, "what waits keeps waiting"


def test_a_database_set_back_under_a_running_integrator_is_refused(ledger, database, clock):
    append(ledger, database, clock, 2)
    ledger.integrate()
    append(ledger, database, clock)
    ledger.integrate()
    with database.write() as tx:
        tx.execute(delete(ledger_entries).where(ledger_entries.c.seq == 2))
        tx.execute(delete(ledger_checkpoints).where(ledger_checkpoints.c.size == 3))
    append(ledger, database, clock)

    with pytest.raises(LedgerDamaged, match="set back to 2"):
        ledger.integrate()


def test_a_failed_integration_leaves_everything_waiting(ledger, database, clock):
    append(ledger, database, clock, 5)
    ledger.integrate()
    append(ledger, database, clock, 300)
    with database.write() as tx:  # stands in the way of checkpoint 305
        row = {"size": 305, "root": b"", "note": "", "at": clock()}
        tx.execute(insert(ledger_checkpoints).values(row))

    with pytest.raises(LedgerDamaged):
        ledger.integrate()
    with database.write() as tx:
        tx.execute(delete(ledger_checkpoints).where(ledger_checkpoints.c.size == 305))

    assert ledger.integrate() == 300
    assert ledger.fsck().ok


@pytest.mark.slow
def test_everything_acknowledged_survives_kill_9(
    tmp_path, sqlite_template, master_key, cipher, clock
):
    """A process that records and integrates is killed five times at unlucky moments."""
    path, said = tmp_path / "yinzheng.db", tmp_path / "acknowledged"
    path.write_bytes(sqlite_template.read_bytes())
    said.touch()
    for _ in range(5):
        _live_and_die(path, said, master_key)

    database = Database(f"sqlite:///{path}", cipher)
    keys = Keys(database, SoftwareBackend(master_key), clock)
    ledger = Ledger(database, keys, clock, "kill.test")
    ledger.integrate_all()
    acknowledged = said.read_text().split()
    kept = {entry_id for _, entry_id in numbers(database)}

    assert ledger.fsck().problems == ()
    assert len(acknowledged) >= 5 * _PER_LIFE
    assert set(acknowledged) <= kept
    for entry_id in (acknowledged[0], acknowledged[-1]):
        text = ledger.proof(entry_id, with_entry=True)
        assert verify_proof(Proof.parse(text).extra, text, ledger.verifier_keys())
    ledger.close()
    database.close()


_PER_LIFE = 150


def _live_and_die(path, said, master_key):
    """Run the writer until it said enough, then kill it in the middle of whatever it does."""
    enough = said.stat().st_size + _PER_LIFE * len("018f0000-0000-7000-8000-000000000000\n")
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.writer", str(path), str(said)],
        stdin=subprocess.PIPE,
    )
    writer.stdin.write(master_key)
    writer.stdin.close()
    while said.stat().st_size < enough and writer.poll() is None:
        time.sleep(0.001)
    writer.kill()
    assert writer.wait() == -signal.SIGKILL
