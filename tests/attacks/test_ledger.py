"""Attacks on the ledger (47) and on what it remembers: whoever kept one checkpoint notices.

The attacker here is the strongest there is: whoever runs the house, with its database and its keys.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from foundation.actor import SYSTEM, Actor, ActorKind
from ledger import Entry, Ledger, verify_proof
from ledger.entries import read_leaf, write_leaf
from ledger.errors import EntryRefused, EvidenceInvalid, LogAltered, LogForked, LogRewound
from ledger.merkle import leaf_hash
from ledger.models import (
    ledger_accesses,
    ledger_checkpoints,
    ledger_entries,
    ledger_openings,
    ledger_tiles,
)
from ledger.monitor import audit, follow
from ledger.tiles import TilePath, decode_bundle, encode_bundle

HOLDER = "5b" * 32


def grow(ledger, database, clock, count, **more):
    refs = []
    with database.write() as tx:
        for _ in range(count):
            at = clock.advance(timedelta(milliseconds=1))
            refs.append(
                ledger.append(
                    tx,
                    Entry(kind="verification", actor=SYSTEM, at=at, **{"subject": HOLDER, **more}),
                )
            )
    ledger.integrate_all()
    return refs


def served(ledger: Ledger) -> Callable[[str], bytes]:
    """The log as anybody reads it."""

    def read(path: str) -> bytes:
        if path == "checkpoint":
            return ledger.checkpoint().encode()
        return ledger.resource(TilePath.parse(path.removeprefix("tile/")))

    return read


def lying(read: Callable[[str], bytes], path: str, lie: Callable[[bytes], bytes]):
    """The same log, one resource of which says something else."""
    return lambda asked: lie(read(asked)) if asked == path else read(asked)


def set_back(database, refs, size):
    """Restore a backup: everything after `size` entries never happened."""
    lost = [ref.id for ref in refs[size:]]
    with database.write() as tx:
        first_tile = tx.execute(
            select(ledger_tiles.c.hashes).where(
                ledger_tiles.c.level == 0, ledger_tiles.c.number == 0
            )
        ).scalar()[: size * 32]
        tx.execute(delete(ledger_entries).where(ledger_entries.c.seq >= size))
        tx.execute(delete(ledger_checkpoints).where(ledger_checkpoints.c.size > size))
        tx.execute(delete(ledger_accesses).where(ledger_accesses.c.entry_id.in_(lost)))
        tx.execute(delete(ledger_openings).where(ledger_openings.c.entry_id.in_(lost)))
        tx.execute(
            delete(ledger_tiles).where((ledger_tiles.c.level > 0) | (ledger_tiles.c.number > 0))
        )
        tx.execute(update(ledger_tiles).values(hashes=first_tile))


@pytest.fixture
def log(ledger, database, clock):
    """300 entries in two steps; answers the refs and the checkpoint between them."""
    refs = grow(ledger, database, clock, 200)
    between = ledger.checkpoint()
    return refs + grow(ledger, database, clock, 100), between


def test_an_honest_log_is_followed_and_audited_from_any_checkpoint(ledger, log):
    keys, read = ledger.verifier_keys(), served(ledger)

    whole = audit(read, keys)
    rest = audit(read, keys, log[1])
    nothing = audit(read, keys, whole.note)

    assert (whole.size, whole.entries) == (300, 300)
    assert (rest.size, rest.entries) == (300, 100)
    assert (nothing.size, nothing.entries) == (300, 0)


def test_47_a_rewound_log_is_noticed(ledger, database, log):
    keys, kept = ledger.verifier_keys(), ledger.checkpoint()
    set_back(database, log[0], 200)

    for look in (follow, audit):
        with pytest.raises(LogRewound):
            look(served(ledger), keys, kept)


def test_47_a_fork_after_a_restore_is_noticed(ledger, keys, database, clock, log):
    """The office restores yesterday's backup, goes on, and signs another history."""
    vkeys, kept = ledger.verifier_keys(), ledger.checkpoint()
    set_back(database, log[0], 200)
    restored = Ledger(database, keys, clock, ledger.origin)
    grow(restored, database, clock, 150)

    assert restored.fsck().ok, "inside there is nothing left to see"
    for look in (follow, audit):
        with pytest.raises(LogForked):
            look(served(restored), vkeys, kept)
    restored.close()


def test_47_a_split_view_shows_when_two_readers_compare(ledger, keys, database, clock, log):
    """One reader is shown one tree, another a different one of the same size."""
    vkeys, shown_to_one = ledger.verifier_keys(), ledger.checkpoint()
    set_back(database, log[0], 200)
    other_view = Ledger(database, keys, clock, ledger.origin)
    grow(other_view, database, clock, 100)
    read = served(other_view)

    assert follow(read, vkeys, log[1]), "alone the second reader sees nothing wrong"
    for look in (follow, audit):
        with pytest.raises(LogForked):
            look(read, vkeys, log[1], others=[shown_to_one])
    other_view.close()


@pytest.mark.parametrize("place", ["first new", "last"])
def test_47_an_altered_entry_is_noticed(ledger, database, log, place):
    """In the database, where everybody reads from."""
    seq = {"first new": 200, "last": 299}[place]
    with database.write() as tx:
        leaf = tx.execute(select(ledger_entries.c.leaf).where(ledger_entries.c.seq == seq)).scalar()
        altered = bytes(leaf).replace(b"verification", b"verificatioN")
        tx.execute(update(ledger_entries).where(ledger_entries.c.seq == seq).values(leaf=altered))

    with pytest.raises(LogAltered, match=str(seq)):
        audit(served(ledger), ledger.verifier_keys(), log[1])


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
def test_47_an_altered_tile_is_noticed(ledger, log, path):
    read = lying(served(ledger), path, lambda tile: tile[:-1] + bytes([tile[-1] ^ 1]))

    with pytest.raises(EvidenceInvalid):
        audit(read, ledger.verifier_keys(), log[1])


@pytest.mark.parametrize(
    "lie",
    [
        lambda leaves: leaves[:-1],
        lambda leaves: [*leaves, leaves[-1]],
        lambda leaves: [leaves[0], *leaves[:-1]],
        lambda leaves: leaves[::-1],
        lambda leaves: [b"{}"] * len(leaves),
    ],
    ids=["one too few", "one too many", "one twice", "another order", "nothing"],
)
def test_47_a_bundle_that_lies_is_noticed(ledger, log, lie):
    read = lying(
        served(ledger),
        "tile/entries/001.p/44",
        lambda bundle: encode_bundle(lie(decode_bundle(bundle))),
    )

    with pytest.raises(LogAltered):
        audit(read, ledger.verifier_keys(), log[1])


def test_47_an_entry_that_stands_there_twice_is_noticed(ledger, database, clock):
    """The database allows no second row of an id; whoever drops that rule signs it twice."""
    [ref] = grow(ledger, database, clock, 1)
    forged = ref.leaf.replace(b'"kind"', b'"kind" ')  # the same id, other bytes
    grown, changed = ledger._grown[1].grow([leaf_hash(forged)])
    with database.write() as tx:
        tx.execute(ledger_entries.insert().values(seq=1, entry_id="other", leaf=forged))
        tx.execute(update(ledger_tiles).values(hashes=changed[0, 0]))
        ledger._sign_head(tx, grown, grown.root())

    with pytest.raises(LogAltered, match="twice"):
        audit(served(ledger), ledger.verifier_keys())


def test_47_another_s_signature_is_not_the_log_s(ledger, keys, clock, database, log):
    impostor = Ledger(database, keys, clock, "somebody.test/log")

    with pytest.raises(EvidenceInvalid):
        follow(served(ledger), impostor.verifier_keys())
    impostor.close()


@pytest.mark.parametrize(
    "text", ["x\ny", "x\r\n\r\n— yinzheng.test/log AAAA", '"},{"id":"', "\u2028", "\x1b[31m"]
)
def test_47_no_text_forges_a_line_an_entry_or_a_signature(ledger, database, clock, text):
    refs = grow(ledger, database, clock, 1, purpose=text, legal_basis=text)

    assert b"\n" not in refs[0].leaf
    assert read_leaf(refs[0].leaf)["purpose"] == text
    assert audit(served(ledger), ledger.verifier_keys()).entries == 1


def test_a_person_who_is_forgotten_leaves_every_proof_whole(ledger, database, clock):
    """Erasure against the append-only log: salts go, leaves stay, nothing can be guessed back."""
    who = "110101199003070011"
    citizen = Actor(ActorKind.PERSON, "citizen-7", name="张建国")
    refs = grow(ledger, database, clock, 5, private={"asked": who}, certificate="CERT-7")
    with database.write() as tx:
        shown = Entry(kind="certificate.shown", actor=citizen, at=clock(), subject=HOLDER)
        refs.append(ledger.append(tx, shown))
    ledger.integrate_all()
    before = {ref.id: ledger.proof(ref.id) for ref in refs}
    kept = ledger.checkpoint()

    with database.write() as tx:
        assert ledger.erase(tx, HOLDER) == 6
    ledger.integrate_all()

    keys = ledger.verifier_keys()
    for ref in refs:
        for proof in (before[ref.id], ledger.proof(ref.id)):
            assert verify_proof(ref.leaf, proof, keys).leaf_hash == ref.leaf_hash
    assert audit(served(ledger), keys, kept).entries == 1
    assert ledger.fsck([kept]).ok
    assert ledger.about([HOLDER]).items == ()
    assert ledger.history("CERT-7") == []
    with database.read() as tx:
        left = str(
            [tx.execute(table.select()).all() for table in (ledger_accesses, ledger_openings)]
        )
    assert HOLDER not in left
    leaves = b"".join(ref.leaf for ref in refs)
    for secret in (who, HOLDER, "CERT-7", "citizen-7", "张建国"):
        assert secret.encode() not in leaves


def test_the_salt_that_hides_a_value_is_not_the_same_twice(clock):
    """Otherwise one opened entry would open all others about the same holder."""
    entries = [
        write_leaf(Entry(kind="verification", actor=SYSTEM, at=clock(), subject=HOLDER))
        for _ in range(50)
    ]

    commitments = {read_leaf(ref.leaf)["commitments"]["subject"] for ref in entries}

    assert len(commitments) == 50


def test_an_entry_cannot_name_its_holder_in_the_open(clock):
    for place in ("purpose", "legal_basis", "verdict"):
        with pytest.raises(EntryRefused):
            write_leaf(
                Entry(
                    kind="verification",
                    actor=SYSTEM,
                    at=clock(),
                    subject=HOLDER,
                    **{place: f"about {HOLDER}"},
                )
            )
