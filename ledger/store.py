"""Questions to the ledger's tables; every function takes the caller's transaction."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    Table,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)

from foundation.batching import Rows
from foundation.database import Database, Tx, try_advisory_lock
from ledger import models
from ledger.errors import LedgerDamaged
from ledger.merkle import HASH_BYTES
from ledger.notes import Checkpoint
from ledger.tiles import WIDTH

outbox = models.ledger_outbox
entries = models.ledger_entries
tiles = models.ledger_tiles
checkpoints = models.ledger_checkpoints
accesses = models.ledger_accesses
openings = models.ledger_openings
status_acts = models.ledger_status_acts

_add_waiting = Rows(outbox, "entry_id", "leaf")
_add_concerned = Rows(accesses, "entry_id", "subject", "certificate", "erased")
_add_sealed = Rows(openings, "entry_id", "sealed")
_add_numbered = Rows(entries, "seq", "entry_id", "leaf")
_add_acts = Rows(status_acts, "record", "ordinal", "entry_id", "tag")

_POLL_SECONDS = 0.002
_STREAMED: Final = 4_096

LAST_ACT: Final[Mapping[str, ColumnElement[Any]]] = {
    "act_ordinal": status_acts.c.ordinal,
    "act_entry": status_acts.c.entry_id,
    "act_tag": status_acts.c.tag,
}
"""What is known of the last act on a record's status, in a query of `with_last_act`."""


# ── writing entries ──────────────────────────────────────────────────────────────────────────────


def add_entries(
    tx: Tx,
    waiting: Sequence[tuple[str, bytes]],
    concerned: Sequence[tuple[str, str, str]],
    sealed: Sequence[tuple[str, bytes]],
) -> None:
    """Rows for the outbox (entry id, leaf), the accesses (entry id, subject, certificate) and the
    openings (entry id, sealed), one insert each.
    """
    _add_waiting(tx, waiting)
    _add_concerned(tx, [(*each, False) for each in concerned])
    _add_sealed(tx, sealed)


# ── the last act on a certificate's status ───────────────────────────────────────────────────────


def add_acts(tx: Tx, rows: Sequence[tuple[str, int, str, str]]) -> None:
    """First acts: (record, ordinal, entry id, tag)."""
    _add_acts(tx, rows)


def put_act(tx: Tx, row: tuple[str, int, str, str]) -> None:
    """Put an act in the place of the one before it, or where there is none."""
    tx.execute(delete(status_acts).where(status_acts.c.record == row[0]))
    _add_acts(tx, [row])


def with_last_act(records: FromClause, name: ColumnElement[str]) -> FromClause:
    """The registry's `records`, known here by their column `name`, with the columns `LAST_ACT`;
    all None where no act is kept. So that reading both stays one query.
    """
    return records.outerjoin(status_acts, status_acts.c.record == name)


def count_stray_acts(tx: Tx, name: ColumnElement[str]) -> int:
    """How many acts are about records that are not there, by the registry's column `name`."""
    known = exists().where(name == status_acts.c.record)
    return tx.execute(select(func.count()).select_from(status_acts).where(~known)).scalar_one()


# ── the integrator ───────────────────────────────────────────────────────────────────────────────


def integrate_alone(tx: Tx) -> None:
    """Wait until this transaction is the only integrator; it stays so until it ends.

    Raised isolation would read a head from before the wait; `write()` reads committed rows.
    """
    while not try_advisory_lock(tx, "ledger.integrate"):
        time.sleep(_POLL_SECONDS)


def is_waiting(tx: Tx) -> bool:
    """Whether some entry has no number yet."""
    return tx.execute(select(outbox.c.entry_id).limit(1)).first() is not None


def take_waiting(tx: Tx, limit: int) -> list[tuple[str, bytes]]:
    """Remove the oldest waiting entries from the outbox: (entry id, leaf), in order of id."""
    oldest = select(outbox.c.entry_id).order_by(outbox.c.entry_id).limit(limit)
    taken = delete(outbox).where(outbox.c.entry_id.in_(oldest)).returning(*outbox.c)
    return sorted((entry_id, bytes(leaf)) for entry_id, leaf in tx.execute(taken))


def add_numbered(tx: Tx, first_seq: int, rows: Iterable[tuple[str, bytes]]) -> None:
    """Add entries, each as (entry id, leaf), under the numbers from `first_seq` on."""
    _add_numbered(tx, [(seq, *row) for seq, row in enumerate(rows, first_seq)])


def put_tiles(tx: Tx, database: Database, changed: Mapping[tuple[int, int], bytes]) -> None:
    """Write tiles, {(level, number): their hashes}, over what was stored before."""
    new = text("excluded.hashes")
    put = database.upsert(tiles, ["level", "number"], {"hashes": new})
    tx.execute(
        put,
        [
            {"level": level, "number": number, "hashes": hashes}
            for (level, number), hashes in changed.items()
        ],
    )


def add_checkpoint(tx: Tx, head: Checkpoint, note: str, at: datetime) -> None:
    """Add a signed tree head and the note that signs it."""
    tx.execute(insert(checkpoints).values(size=head.size, root=head.root, note=note, at=at))


# ── reading the log ──────────────────────────────────────────────────────────────────────────────


def head(tx: Tx) -> Row[Any] | None:
    """The latest checkpoint: size, root, note, at."""
    return tx.execute(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)).first()


def entry_count(tx: Tx) -> int:
    """One more than the highest number given."""
    last = tx.execute(select(func.max(entries.c.seq))).scalar()
    return 0 if last is None else last + 1


def seq_of(tx: Tx, entry_id: str) -> int | None:
    """The number of an entry; None while it waits or when there is none."""
    query = select(entries.c.seq).where(entries.c.entry_id == entry_id)
    return tx.execute(query).scalar()


def tile(tx: Tx, level: int, number: int, width: int) -> bytes:
    """The first `width` hashes of a tile. Raises `LedgerDamaged` when they are not there."""
    hashes = tile_hashes(tx, level, number)
    if len(hashes) < width * HASH_BYTES:
        raise LedgerDamaged(f"tile {level}/{number} has fewer than {width} hashes")
    return hashes[: width * HASH_BYTES]


def tile_hashes(tx: Tx, level: int, number: int) -> bytes:
    """All hashes a tile has so far; none when there is no such tile."""
    query = select(tiles.c.hashes).where(tiles.c.level == level, tiles.c.number == number)
    return bytes(tx.execute(query).scalar() or b"")


def leaves(tx: Tx, first: int, count: int) -> list[tuple[int, str, bytes]]:
    """(seq, entry id, leaf) of up to `count` entries from number `first` on."""
    query = (
        select(entries.c.seq, entries.c.entry_id, entries.c.leaf)
        .where(entries.c.seq >= first, entries.c.seq < first + count)
        .order_by(entries.c.seq)
    )
    return [(seq, entry_id, bytes(leaf)) for seq, entry_id, leaf in tx.execute(query)]


def bundle(tx: Tx, number: int, width: int) -> list[bytes]:
    """The first `width` leaves of entry bundle `number`, in order (C2SP tlog-tiles)."""
    return [leaf for _, _, leaf in leaves(tx, number * WIDTH, width)]


def all_leaves(tx: Tx) -> Iterator[bytes]:
    """Every leaf there is, with a number or still waiting for one; never all in memory."""
    for table in (entries, outbox):
        query = select(table.c.leaf).execution_options(yield_per=_STREAMED)
        for (leaf,) in tx.execute(query):
            yield bytes(leaf)


def waiting_leaves(tx: Tx) -> Iterator[bytes]:
    """The leaves that have no number yet."""
    for (leaf,) in tx.execute(select(outbox.c.leaf)):
        yield bytes(leaf)


def all_checkpoints(tx: Tx) -> Iterable[Row[Any]]:
    """Every tree head that was signed, the smallest first: size, root, note, at."""
    query = select(checkpoints).order_by(checkpoints.c.size)
    return tx.execute(query, execution_options={"yield_per": _STREAMED})


# ── whom entries concern ─────────────────────────────────────────────────────────────────────────


def concerning(
    tx: Tx, who: ColumnElement[bool], before: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Newest first: entry_id, seq (None while waiting), leaf, sealed (None when erased)."""
    query = _access_rows().where(who).order_by(accesses.c.entry_id.desc()).limit(limit)
    if before is not None:
        query = query.where(accesses.c.entry_id < before)
    return tx.execute(query).all()


def about_entry(tx: Tx, entry_id: str) -> Row[Any] | None:
    """The row of `concerning` about one entry; None when it concerns nobody."""
    return next(iter(concerning(tx, accesses.c.entry_id == entry_id, None, 1)), None)


def by_subject(subject: str) -> ColumnElement[bool]:
    """The condition for `concerning`: entries about this subject."""
    return accesses.c.subject == subject


def by_certificate(index: str) -> ColumnElement[bool]:
    """The condition for `concerning`: entries about the certificate with this blind index."""
    return accesses.c.certificate == index


def of_certificates(tx: Tx, indexes: Collection[str]) -> Sequence[Row[Any]]:
    """certificate (the index), entry_id, leaf, sealed of every entry about some certificates."""
    query = _access_rows().add_columns(accesses.c.certificate)
    return tx.execute(query.where(accesses.c.certificate.in_(set(indexes)))).all()


def forget(tx: Tx, entry_id: str, kept: bytes | None) -> None:
    """Blank whom the entry concerned; replace its openings by `kept`, or delete them."""
    tx.execute(
        update(accesses)
        .where(accesses.c.entry_id == entry_id)
        .values(subject="", certificate="", erased=True)
    )
    if kept is None:
        tx.execute(delete(openings).where(openings.c.entry_id == entry_id))
    else:
        tx.execute(update(openings).where(openings.c.entry_id == entry_id).values(sealed=kept))


# ── holding rows against each other ──────────────────────────────────────────────────────────────


def entries_after(tx: Tx, last: int, limit: int) -> list[Row[Any]]:
    """Entries by number, from the one after `last`: seq, entry_id, leaf; whom each concerns:
    access (the id, None without a row), subject, certificate, erased; and sealed.
    """
    query = (
        select(
            *entries.c,
            accesses.c.entry_id.label("access"),
            accesses.c.subject,
            accesses.c.certificate,
            accesses.c.erased,
            openings.c.sealed,
        )
        .outerjoin(accesses, accesses.c.entry_id == entries.c.entry_id)
        .outerjoin(openings, openings.c.entry_id == entries.c.entry_id)
        .order_by(entries.c.seq)
        .limit(limit)
    )
    return list(tx.execute(query.where(entries.c.seq > last)))


def count(tx: Tx, table: Table) -> int:
    """How many rows one of these tables has."""
    return tx.execute(select(func.count()).select_from(table)).scalar_one()


def count_erased(tx: Tx) -> int:
    """How many entries do not say any more whom they concern."""
    return tx.execute(select(func.count()).where(accesses.c.erased)).scalar_one()


def first_stray(tx: Tx, table: Table) -> str | None:
    """The first row of accesses or openings whose entry is nowhere."""
    return _first_id(tx, table, ~_is_in(entries, table) & ~_is_in(outbox, table))


def first_double(tx: Tx) -> str | None:
    """The first entry that waits although it has a number."""
    return _first_id(tx, outbox, _is_in(entries, outbox))


def _is_in(table: Table, other: Table) -> ColumnElement[bool]:
    return exists().where(table.c.entry_id == other.c.entry_id)


def _first_id(tx: Tx, table: Table, wrong: ColumnElement[bool]) -> str | None:
    query = select(table.c.entry_id).where(wrong).order_by(table.c.entry_id).limit(1)
    return tx.execute(query).scalar()


def _access_rows() -> Select[Any]:
    return (
        select(
            accesses.c.entry_id,
            entries.c.seq,
            func.coalesce(entries.c.leaf, outbox.c.leaf).label("leaf"),
            openings.c.sealed,
        )
        .outerjoin(entries, entries.c.entry_id == accesses.c.entry_id)
        .outerjoin(outbox, outbox.c.entry_id == accesses.c.entry_id)
        .outerjoin(openings, openings.c.entry_id == accesses.c.entry_id)
    )
