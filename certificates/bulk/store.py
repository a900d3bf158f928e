"""Questions to the database about batches, and what is shown of them.

The states of a batch: checked → submitted → running ⇄ paused → done, or returned to its drafter. A
row waits until it is issued or failed; a chunk is the work of one job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from certificates.bulk.columns import UnknownColumn
from certificates.bulk.dry_run import KEPT, CheckedRow, RowError, RowNotice, doubtful
from certificates.bulk.sheets import is_guess
from certificates.errors import WrongState
from certificates.models import batch_chunks, batch_rows, batches, certificates
from certificates.rules import State
from foundation.canonical import digest
from foundation.database import Tx

CHUNK = 100  # rows a job
STEP = 20  # rows a transaction
_RECENT = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """A bulk upload and where it is. `errors` and `notices` hold the first thousand of each; an
    unknown column counts as an error until it is waived. `strange_rows` are those to judge a
    guessed encoding by.
    """

    id: str
    type: str
    mapping: str
    authority: str
    authority_name: str
    filename: str
    file_digest: str
    encoding: str
    rows: int
    error_count: int
    errors: tuple[RowError, ...]
    notice_count: int
    notices: tuple[RowNotice, ...]
    unknown_columns: tuple[UnknownColumn, ...]
    waived_columns: tuple[str, ...]
    strange_rows: tuple[int, ...]
    state: str
    content_digest: str
    drafter: str
    drafter_name: str
    approver: str | None
    approver_name: str
    approved_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime

    @property
    def guessed(self) -> bool:
        """Is the encoding a guess, which two people must confirm?"""
        return is_guess(self.encoding)

    @property
    def unwaived(self) -> tuple[UnknownColumn, ...]:
        """The unknown columns that still are errors."""
        return tuple(each for each in self.unknown_columns if each.name not in self.waived_columns)

    @property
    def faults(self) -> int:
        """How many errors no waiver helps against: the file must be corrected."""
        return self.error_count - len(self.unwaived)


@dataclass(frozen=True, slots=True)
class StrangeRow:
    """A row to judge a guessed encoding by: the fields that look least like what somebody meant."""

    row: int
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recent:
    """A row that was issued just now."""

    row: int
    identifier: str
    number: str
    state: State


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A row that could not be issued, and the stable code of what stopped it."""

    row: int
    number: str
    problem: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is. `rate` is rows a second, `eta_seconds` None when nothing moves."""

    state: str
    rows: int
    issued: int
    failed: int
    rate: float
    eta_seconds: int | None
    recent: tuple[Recent, ...]
    failures: tuple[FailedRow, ...]

    @property
    def waiting(self) -> int:
        """How many rows are neither issued nor failed."""
        return self.rows - self.issued - self.failed


def add(tx: Tx, values: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add a batch and its rows, both as columns; a file with errors has no rows."""
    tx.execute(insert(batches).values(**values))
    if rows:
        tx.execute(insert(batch_rows), list(rows))


def find(tx: Tx, batch_id: str) -> Row[Any] | None:
    """The row of a batch."""
    return tx.execute(select(batches).where(batches.c.id == batch_id)).first()


def lock(tx: Tx, batch_id: str) -> Row[Any]:
    """The row of a batch, locked until the transaction ends."""
    return tx.execute(select(batches).where(batches.c.id == batch_id).with_for_update()).one()


def change(tx: Tx, batch_id: str, **values: Any) -> None:
    """Set some columns of a batch."""
    tx.execute(update(batches).where(batches.c.id == batch_id).values(**values))


def page(tx: Tx, authority: str, before: str | None, limit: int) -> list[Batch]:
    """An authority's batches, newest first."""
    query = select(batches).where(batches.c.authority == authority)
    if before is not None:
        query = query.where(batches.c.id < before)
    rows = tx.execute(query.order_by(batches.c.id.desc()).limit(limit))
    return [batch(row) for row in rows]


def first_row(tx: Tx, batch_id: str) -> Row[Any] | None:
    """The first row of a batch in the order of its file."""
    query = select(batch_rows).where(batch_rows.c.batch_id == batch_id)
    return tx.execute(query.order_by(batch_rows.c.row).limit(1)).first()


def rows(tx: Tx, batch_id: str, after: int, limit: int) -> list[CheckedRow]:
    """Rows as they were checked, in the order of the file."""
    names = ("row", "number", "fields", "outcome", "outcome_on")
    query = select(*(batch_rows.c[name] for name in names)).where(
        batch_rows.c.batch_id == batch_id, batch_rows.c.row > after
    )
    found = tx.execute(query.order_by(batch_rows.c.row).limit(limit))
    return [
        CheckedRow(each.row, each.number, each.fields, State(each.outcome), each.outcome_on)
        for each in found
    ]


def strange_rows(tx: Tx, batch_id: str, numbers: Sequence[int]) -> list[StrangeRow]:
    """The rows with these numbers, each with the fields to judge its encoding by."""
    query = select(batch_rows.c.row, batch_rows.c.fields).where(
        batch_rows.c.batch_id == batch_id, batch_rows.c.row.in_(numbers)
    )
    found = tx.execute(query.order_by(batch_rows.c.row))
    return [StrangeRow(each.row, doubtful(each.fields)) for each in found]


def row_of(tx: Tx, batch_id: str, row: int) -> Row[Any] | None:
    """One row of a batch, by its number in the file."""
    query = select(batch_rows).where(batch_rows.c.batch_id == batch_id, batch_rows.c.row == row)
    return tx.execute(query).first()


def unfinished_chunks(tx: Tx, batch_id: str) -> Sequence[int]:
    """The first rows of the chunks that still have something to issue."""
    query = select(batch_chunks.c.first).where(
        batch_chunks.c.batch_id == batch_id, batch_chunks.c.issued < batch_chunks.c.rows
    )
    return tx.execute(query.order_by(batch_chunks.c.first)).scalars().all()


def wait_again(tx: Tx, batch_id: str) -> None:
    """Let failed rows wait once more."""
    failed = batch_rows.c.batch_id == batch_id, batch_rows.c.state == "failed"
    tx.execute(update(batch_rows).where(*failed).values(state="waiting", problem=""))
    tx.execute(update(batch_chunks).where(batch_chunks.c.batch_id == batch_id).values(failed=0))


def close_if_done(tx: Tx, batch_id: str, now: datetime) -> tuple[Row[Any], int, int] | None:
    """Close a running batch when no row waits; None when it is not so, or somebody was faster."""
    issued, failed, _ = counts(tx, batch_id)
    closing = (
        update(batches)
        .where(
            batches.c.id == batch_id,
            batches.c.state == "running",
            batches.c.rows == issued + failed,
        )
        .values(state="done", finished_at=now)
        .returning(batches)
    )
    row = tx.execute(closing).first()
    return (row, issued, failed) if row is not None else None


def is_issued(tx: Tx, batch_id: str, row: int) -> bool:
    """Whether a certificate was issued from this row."""
    query = select(certificates.c.id).where(
        certificates.c.batch_id == batch_id, certificates.c.batch_row == row
    )
    return tx.execute(query).first() is not None


def wrong_state(state: str) -> WrongState:
    """The error for an act that a batch in this state does not allow."""
    return WrongState(f"the batch is {state}", next_step="open the batch again", state=state)


def batch(row: Row[Any]) -> Batch:
    """The value of a row."""
    values = {name: getattr(row, name) for name in Batch.__dataclass_fields__}
    unknown = tuple(UnknownColumn(*each) for each in row.unknown_columns)
    open_ = [each for each in unknown if each.name not in row.waived_columns]
    told = [RowError(1, each.name, "unknown_column", each.detail) for each in open_]
    values["unknown_columns"] = unknown
    values["waived_columns"] = tuple(row.waived_columns)
    values["strange_rows"] = tuple(row.strange_rows)
    values["error_count"] = row.error_count + len(told)
    values["errors"] = (*told, *(RowError(*each) for each in row.errors))
    values["notices"] = tuple(RowNotice(*each) for each in row.notices)
    return Batch(**values)


def digested_rows(tx: Tx, batch_id: str) -> Sequence[Any]:
    """What `digest_of` needs of every row, in order."""
    names = ("row", "content_digest", "outcome", "outcome_on")
    query = select(*(batch_rows.c[name] for name in names))
    query = query.where(batch_rows.c.batch_id == batch_id).order_by(batch_rows.c.row)
    return tx.execute(query).mappings().all()


def digest_of(rows: Sequence[Any], encoding: str, waived: Sequence[str] = ()) -> str:
    """One digest over what every row would become, and over what people let pass: an encoding that
    is a guess, columns that are used nowhere. Without any it is the digest of the rows alone.
    """
    total = sha256()
    for row in rows:
        since = row["outcome_on"].isoformat() if row["outcome_on"] else ""
        total.update(f"{row['row']}\t{row['content_digest']}\t{row['outcome']}\t{since}\n".encode())
    whole: dict[str, Any] = {"rows": len(rows), "sha256": total.hexdigest()}
    if is_guess(encoding):
        whole["guessed_encoding"] = encoding
    if waived:
        whole["waived_columns"] = sorted(waived)
    return digest(whole)


def add_chunks(tx: Tx, batch_id: str, rows: Sequence[Any]) -> None:
    """Write the work list of a batch: `CHUNK` rows a job."""
    numbers = [row["row"] for row in rows]
    parts = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    chunks = [
        {"batch_id": batch_id, "first": part[0], "last": part[-1], "rows": len(part)}
        for part in parts
    ]
    tx.execute(insert(batch_chunks), chunks)


def waiting(tx: Tx, batch_id: str, first: int) -> Sequence[Row[Any]]:
    """The next rows of a chunk that wait."""
    last = select(batch_chunks.c.last).where(
        batch_chunks.c.batch_id == batch_id, batch_chunks.c.first == first
    )
    query = select(batch_rows).where(
        batch_rows.c.batch_id == batch_id,
        batch_rows.c.row.between(first, last.scalar_subquery()),
        batch_rows.c.state == "waiting",
    )
    return tx.execute(query.order_by(batch_rows.c.row).limit(STEP)).all()


def mark(tx: Tx, batch_id: str, rows: Sequence[int | None], **values: str) -> int:
    """Mark waiting rows; answers how many did wait (compare and set)."""
    marking = update(batch_rows).where(
        batch_rows.c.batch_id == batch_id,
        batch_rows.c.row.in_(rows),
        batch_rows.c.state == "waiting",
    )
    return tx.execute(marking.values(**values)).rowcount


def count(
    tx: Tx, batch_id: str, first: int, now: datetime, *, issued: int = 0, failed: int = 0
) -> None:
    """Add to the counts of a chunk."""
    tx.execute(
        update(batch_chunks)
        .where(batch_chunks.c.batch_id == batch_id, batch_chunks.c.first == first)
        .values(
            issued=batch_chunks.c.issued + issued,
            failed=batch_chunks.c.failed + failed,
            changed_at=now,
        )
    )


def counts(tx: Tx, batch_id: str) -> tuple[int, int, datetime | None]:
    """Issued, failed, and when something last happened."""
    query = select(
        func.coalesce(func.sum(batch_chunks.c.issued), 0),
        func.coalesce(func.sum(batch_chunks.c.failed), 0),
        func.max(batch_chunks.c.changed_at),
    ).where(batch_chunks.c.batch_id == batch_id)
    issued, failed, last = tx.execute(query).one()
    return int(issued), int(failed), last


def latest(tx: Tx, batch_id: str) -> list[Recent]:
    """The rows issued last."""
    columns = ("batch_row", "identifier", "number", "state")
    query = select(*(certificates.c[name] for name in columns))
    latest = query.where(certificates.c.batch_id == batch_id)
    rows = tx.execute(latest.order_by(certificates.c.batch_row.desc()).limit(_RECENT))
    return [Recent(row.batch_row, row.identifier, row.number, State(row.state)) for row in rows]


def failures(tx: Tx, batch_id: str) -> list[FailedRow]:
    """The first rows that could not be issued."""
    query = select(batch_rows.c.row, batch_rows.c.number, batch_rows.c.problem).where(
        batch_rows.c.batch_id == batch_id, batch_rows.c.state == "failed"
    )
    rows = tx.execute(query.order_by(batch_rows.c.row).limit(KEPT))
    return [FailedRow(row.row, row.number, row.problem) for row in rows]
