"""`Batches`: many certificates at once, under the same four eyes as one.

    upload (dry run) → submit → approve (second officer) → chunks of 100 rows → done

* The dry run issues nothing; a batch with errors cannot be submitted.
* What the second officer approves is one digest over the content digests of all rows.
* Rows are issued in small transactions: certificate, renditions, ledger entries, the legal act that
  already ended it in its register, and the row's own mark are one commit. A process killed at any
  moment leaves a row entirely issued or entirely waiting.
* A chunk may run twice, on two machines at the same time: the row's mark is a compare-and-set, and
  the unique constraint on (batch, row) stands behind it.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from certificates import identifier as identifiers
from certificates import rules, store
from certificates.batch import (
    KEPT,
    CheckedRow,
    ColumnMapping,
    DryRun,
    RowError,
    RowNotice,
    dry_run,
    mapping_for,
    read_mapping,
)
from certificates.catalogue import CertificateType
from certificates.errors import (
    BatchHasErrors,
    BatchNotFound,
    ContentChanged,
    InvalidCatalogue,
    LayoutOverflow,
    MissingGlyph,
    WrongState,
)
from certificates.issuing import Made, Order
from certificates.models import (
    Content,
    batch_chunks,
    batch_rows,
    batches,
    certificates,
    new_id,
)
from certificates.rules import State
from certificates.service import Certificates, content_of
from certificates.sheets import write_sheet
from certificates.status import choose_slots
from foundation.actor import Actor, ActorKind
from foundation.canonical import b64url, digest
from foundation.database import Tx, is_unique_violation
from foundation.errors import Invalid, YinzhengError
from foundation.paging import MAX_LIMIT, Page, decode_cursor, page_of
from ledger import Entry
from signing.models import Approval

ISSUING = "certificates.batch"
CHUNK = 100  # rows a job
STEP = 20  # rows a transaction
_LONG_ROW = 500  # characters; only rows this long are drawn in the dry run to see whether they fit
_RECENT = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """A bulk upload and where it is. `errors` and `notices` hold the first thousand of each."""

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
        return self.rows - self.issued - self.failed


class Batches:
    """Bulk issuing for the authorities of one house."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._database = certificates.database
        self._ledger = certificates.ledger
        self._jobs = certificates.jobs
        self._clock = certificates.clock
        self._jobs.register(
            ISSUING, lambda payload: self.issue_chunk(payload["batch"], payload["first"])
        )

    # ── before anything is issued ────────────────────────────────────────────────────────────

    def upload(
        self, actor: Actor, type_name: str, mapping: str, data: bytes, filename: str
    ) -> Batch:
        """Dry-run a file and keep the result. `mapping` names a mapping file, "" the type's own
        columns. Raises `UnreadableFile`, `UploadTooLarge`, `NoSeal`, `RoleMissing`.
        """
        rules.check_role(actor, "drafter")
        kind, now = self._certificates.type(type_name), self._clock()
        columns = _mapping(kind, mapping)
        run = self._dry_run(actor, kind, columns, data, now)
        batch_id = new_id(now, secrets.token_bytes(10))
        seal = self._certificates.usable_seal(actor.organisation)
        rows = (
            [] if run.errors else [self._row(batch_id, actor, kind, seal.id, r) for r in run.rows]
        )
        values = {
            "id": batch_id,
            "type": kind.name,
            "mapping": mapping,
            "authority": actor.organisation,
            "authority_name": actor.organisation_name,
            "seal_id": seal.id,
            "filename": filename[-120:],
            "file_digest": b64url(hashlib.sha256(data).digest()),
            "encoding": run.encoding,
            "rows": len(rows),
            "error_count": len(run.errors),
            "errors": [[e.row, e.column, e.rule, e.detail] for e in run.errors[:KEPT]],
            "notice_count": len(run.notices),
            "notices": [[n.row, n.column, n.code] for n in run.notices[:KEPT]],
            "state": "checked",
            "content_digest": _digest_of(rows) if rows else "",
            "drafter": actor.id,
            "drafter_name": actor.name,
            "created_at": now,
        }
        with self._database.write() as tx:
            tx.execute(insert(batches).values(**values))
            if rows:
                tx.execute(insert(batch_rows), rows)
            self._ledger.append(tx, self._entry("batch.checked", actor, batch_id, now, values))
            return self._must_find(tx, actor, batch_id)

    def submit(self, actor: Actor, batch_id: str) -> Batch:
        """Hand a batch without errors to a second officer. Raises `BatchHasErrors`."""
        rules.check_role(actor, "drafter")
        batch = self.get(actor, batch_id)
        if batch.error_count or not batch.rows:
            raise BatchHasErrors(
                f"the file has {batch.error_count} error(s)",
                next_step="correct the file and upload it again",
            )
        answering = {"drafter": actor.id, "drafter_name": actor.name}
        return self._move(
            actor, batch, ("checked", "returned"), "submitted", "submitted", **answering
        )

    def return_(self, actor: Actor, batch_id: str, reason: str) -> Batch:
        """Send a batch back without issuing anything."""
        batch = self.get(actor, batch_id)
        rules.check_approval(actor, batch.drafter, batch.authority)
        if not reason.strip():
            raise Invalid("a reason is needed", next_step="say what the drafter should change")
        return self._move(actor, batch, ("submitted",), "returned", "returned", note=reason)

    def approve(self, actor: Actor, batch_id: str, content_digest: str) -> Batch:
        """Agree to all rows of a batch; issuing starts as jobs of 100 rows.

        Raises `OwnDraft`, `OtherAuthority`, `RoleMissing`, and `ContentChanged` when the rows are
        not the ones that were looked at.
        """
        batch, now = self.get(actor, batch_id), self._clock()
        rules.check_approval(actor, batch.drafter, batch.authority)
        with self._database.write() as tx:
            row = self._lock(tx, batch)
            if row.state != "submitted":
                raise _wrong_state(row.state)
            stored = tx.execute(_digest_columns(batch.id)).mappings().all()
            if not content_digest == row.content_digest == _digest_of(stored):
                raise ContentChanged(
                    "the batch is not what you looked at", next_step="open the batch again"
                )
            self._refuse_swapped_template(tx, row)
            self._set(
                tx,
                batch.id,
                state="running",
                approver=actor.id,
                approver_name=actor.name,
                approved_at=now,
                started_at=now,
            )
            tx.execute(insert(batch_chunks), _chunks(batch.id, stored))
            self._enqueue(tx, batch.id, 0)
            self._ledger.append(tx, self._entry("batch.approved", actor, batch.id, now, row))
            return self._must_find(tx, actor, batch.id)

    # ── while it runs ────────────────────────────────────────────────────────────────────────

    def pause(self, actor: Actor, batch_id: str) -> Batch:
        """Stop after the rows in hand; nothing is lost."""
        rules.check_role(actor, "approver")
        return self._move(actor, self.get(actor, batch_id), ("running",), "paused", "paused")

    def resume(self, actor: Actor, batch_id: str) -> Batch:
        """Go on, and try failed rows again."""
        rules.check_role(actor, "approver")
        batch, now = self.get(actor, batch_id), self._clock()
        with self._database.write() as tx:
            row = self._lock(tx, batch)
            failed = _failed(tx, batch.id)
            if not (row.state == "paused" or (row.state == "done" and failed)):
                raise _wrong_state(row.state)
            again = update(batch_rows).where(
                batch_rows.c.batch_id == batch.id, batch_rows.c.state == "failed"
            )
            tx.execute(again.values(state="waiting", problem=""))
            tx.execute(
                update(batch_chunks).where(batch_chunks.c.batch_id == batch.id).values(failed=0)
            )
            self._set(tx, batch.id, state="running", finished_at=None, round=row.round + 1)
            self._enqueue(tx, batch.id, row.round + 1)
            self._ledger.append(tx, self._entry("batch.resumed", actor, batch.id, now, row))
            return self._must_find(tx, actor, batch.id)

    def issue_chunk(self, batch_id: str, first: int) -> None:
        """The job: issue the rows of one chunk that still wait. May run any number of times."""
        while True:
            with self._database.read() as tx:
                batch = tx.execute(select(batches).where(batches.c.id == batch_id)).first()
                rows = _waiting(tx, batch_id, first)
            if batch is None or batch.state != "running":
                return
            if not rows:
                break
            self._issue_rows(batch, first, rows)
        self._finish(batch_id)

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def get(self, actor: Actor, batch_id: str) -> Batch:
        """A batch of the actor's own authority. Raises `BatchNotFound`."""
        with self._database.read() as tx:
            return self._must_find(tx, actor, batch_id)

    def list(self, actor: Actor, *, after: str | None = None, limit: int = 50) -> Page[Batch]:
        """The batches of the actor's authority, newest first."""
        before = decode_cursor(after, str)[0] if after else None
        limit = min(max(limit, 1), MAX_LIMIT)
        query = select(batches).where(batches.c.authority == actor.organisation)
        if before is not None:
            query = query.where(batches.c.id < before)
        with self._database.read() as tx:
            found = tx.execute(query.order_by(batches.c.id.desc()).limit(limit + 1)).all()
        return page_of([_batch(row) for row in found], limit, lambda batch: (batch.id,))

    def progress(self, batch_id: str) -> Progress:
        """Counts, rate, remaining time, the latest rows. Costs the same at any size."""
        with self._database.read() as tx:
            batch = tx.execute(select(batches).where(batches.c.id == batch_id)).first()
            if batch is None:
                raise BatchNotFound("there is no such batch")
            issued, failed, last = _counts(tx, batch_id)
            recent, failures = _latest(tx, batch_id), _failures(tx, batch_id)
        end = batch.finished_at or (last if batch.state == "paused" else self._clock())
        seconds = (end - batch.started_at).total_seconds() if batch.started_at and end else 0.0
        rate = (issued + failed) / seconds if seconds > 0 else 0.0
        left = batch.rows - issued - failed
        eta = round(left / rate) if rate and batch.state == "running" else None
        return Progress(
            batch.state, batch.rows, issued, failed, rate, eta, tuple(recent), tuple(failures)
        )

    def error_file(self, actor: Actor, batch_id: str) -> bytes:
        """The errors as CSV: row, column, rule, what is wrong, what to do. Holds no values."""
        batch = self.get(actor, batch_id)
        rows = [(str(e.row), e.column, e.rule, e.detail, e.fix) for e in batch.errors]
        return write_sheet(("row", "column", "rule", "detail", "fix"), rows)

    def template_file(self, type_name: str) -> bytes:
        """An empty upload of a type: the column names and one example row."""
        kind = self._certificates.type(type_name)
        return write_sheet(list(kind.fields), [[each.example for each in kind.fields.values()]])

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _dry_run(
        self,
        actor: Actor,
        kind: CertificateType,
        columns: ColumnMapping,
        data: bytes,
        now: datetime,
    ) -> DryRun:
        def taken(numbers: Sequence[str]) -> set[str]:
            with self._database.read() as tx:
                return store.taken_numbers(tx, actor.organisation, numbers)

        return dry_run(
            kind,
            columns,
            data,
            authority=actor.organisation,
            today=rules.civil_date(now),
            taken=taken,
            unprintable=lambda fields: self._unprintable(kind, actor, fields, now),
        )

    def _unprintable(
        self, kind: CertificateType, actor: Actor, fields: Mapping[str, str], now: datetime
    ) -> tuple[str, str]:
        renderer = self._certificates.renderer
        text = "".join(fields.values())
        if missing := renderer.undrawable(text):
            return "missing_glyph", MissingGlyph(missing).detail
        if len(text) > _LONG_ROW:
            content = self._content(kind, actor.organisation, "", fields, "", "", "")
            try:
                renderer.pdf(kind, content, now, None)
            except LayoutOverflow as problem:
                return problem.code, problem.detail
        return "", ""

    def _row(
        self, batch_id: str, actor: Actor, kind: CertificateType, seal_id: str, row: CheckedRow
    ) -> dict[str, Any]:
        serial, token = identifiers.new_serial(), secrets.token_urlsafe(16)
        identifier = str(identifiers.compose(kind.code, actor.organisation, serial))
        content = self._content(
            kind,
            actor.organisation,
            actor.organisation_name,
            row.fields,
            identifier,
            token,
            seal_id,
        )
        return {
            "batch_id": batch_id,
            "row": row.row,
            "number": row.number,
            "identifier": identifier,
            "qr_token": token,
            "fields": dict(row.fields),
            "content_digest": content.digest,
            "outcome": row.outcome.value,
            "outcome_on": row.outcome_on,
            "state": "waiting",
        }

    def _content(
        self,
        kind: CertificateType,
        authority: str,
        authority_name: str,
        fields: Mapping[str, str],
        identifier: str,
        token: str,
        seal_id: str,
    ) -> Content:
        return content_of(
            kind,
            fields,
            identifier=identifier,
            qr_token=token,
            authority=authority,
            authority_name=authority_name,
            seal_id=seal_id,
            template_hash=self._certificates.renderer.template_hash,
        )

    def _order(self, batch: Row[Any], row: Row[Any]) -> Order:
        kind = self._certificates.type(batch.type)
        content = self._content(
            kind,
            batch.authority,
            batch.authority_name,
            row.fields,
            row.identifier,
            row.qr_token,
            batch.seal_id,
        )
        return Order(
            kind,
            content,
            Approval(row.content_digest, batch.drafter, batch.approver, batch.approved_at),
            batch.approver_name,
            batch_id=batch.id,
            batch_row=row.row,
            outcome=State(row.outcome),
            outcome_on=row.outcome_on,
        )

    def _issue_rows(self, batch: Row[Any], first: int, rows: Sequence[Row[Any]]) -> None:
        """Issue up to `STEP` rows: make them all, then keep them in one transaction."""
        now = self._clock()
        seal = self._certificates.seals.get(batch.seal_id)
        slots = choose_slots(self._database, len(rows), now)
        made: list[Made] = []
        for row, slot in zip(rows, slots, strict=True):
            try:
                order = self._order(batch, row)
                made.append(self._certificates.issuer.make(order, seal, slot, now))
            except (LayoutOverflow, MissingGlyph, ContentChanged) as problem:
                self._fail(batch.id, first, row.row, problem)
        if made:
            self._keep(batch, first, made, now)

    def _keep(self, batch: Row[Any], first: int, made: Sequence[Made], now: datetime) -> None:
        numbers = [made_row.order.batch_row for made_row in made]
        try:
            with self._database.write() as tx:
                marked = _mark(tx, batch.id, numbers, state="issued")
                if marked != len(made):  # another worker has some of them: look again
                    tx.rollback()
                    return
                self._certificates.issuer.keep(tx, made)
                _count(tx, batch.id, first, now, issued=marked)
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            self._refuse_taken(batch, first, made)

    def _refuse_taken(self, batch: Row[Any], first: int, made: Sequence[Made]) -> None:
        """A unique violation: fail the rows whose number was used meanwhile; others come again."""
        for each in made:
            number = each.order.content.number
            with self._database.read() as tx:
                taken = store.number_in_use(tx, batch.authority, number)
                ours = tx.execute(
                    select(certificates.c.id).where(
                        certificates.c.batch_id == batch.id,
                        certificates.c.batch_row == each.order.batch_row,
                    )
                ).first()
            if taken and ours is None and each.order.batch_row is not None:
                self._mark_failed(batch.id, first, each.order.batch_row, "number_taken")

    def _fail(self, batch_id: str, first: int, row: int, problem: YinzhengError) -> None:
        self._mark_failed(batch_id, first, row, problem.code)

    def _mark_failed(self, batch_id: str, first: int, row: int, code: str) -> None:
        with self._database.write() as tx:
            if _mark(tx, batch_id, [row], state="failed", problem=code):
                _count(tx, batch_id, first, self._clock(), failed=1)

    def _finish(self, batch_id: str) -> None:
        """Close a batch once no row waits; whoever finds that first writes the entry."""
        now = self._clock()
        with self._database.write() as tx:
            issued, failed, _ = _counts(tx, batch_id)
            done = (
                update(batches)
                .where(
                    batches.c.id == batch_id,
                    batches.c.state == "running",
                    batches.c.rows == issued + failed,
                )
                .values(state="done", finished_at=now)
                .returning(batches)
            )
            row = tx.execute(done).first()
            if row is None:
                return
            actor = Actor(
                ActorKind.PERSON,
                row.approver,
                name=row.approver_name,
                organisation=row.authority,
                organisation_name=row.authority_name,
            )
            entry = self._entry("batch.finished", actor, batch_id, now, row)
            counts = {"issued": str(issued), "failed": str(failed)}
            details = dict(entry.details) | counts
            self._ledger.append(tx, Entry(kind=entry.kind, actor=actor, at=now, details=details))

    def _refuse_swapped_template(self, tx: Tx, batch: Row[Any]) -> None:
        """Type and templates must be those of the dry run; one row shows it for all."""
        row = tx.execute(
            select(batch_rows)
            .where(batch_rows.c.batch_id == batch.id)
            .order_by(batch_rows.c.row)
            .limit(1)
        ).first()
        if row is None or self._order_digest(batch, row) != row.content_digest:
            raise ContentChanged(
                "the type or its page changed since the dry run", next_step="upload the file again"
            )

    def _order_digest(self, batch: Row[Any], row: Row[Any]) -> str:
        kind = self._certificates.type(batch.type)
        return self._content(
            kind,
            batch.authority,
            batch.authority_name,
            row.fields,
            row.identifier,
            row.qr_token,
            batch.seal_id,
        ).digest

    def _move(
        self,
        actor: Actor,
        batch: Batch,
        states: Sequence[str],
        to: str,
        word: str,
        note: str = "",
        **values: Any,
    ) -> Batch:
        now = self._clock()
        with self._database.write() as tx:
            row = self._lock(tx, batch)
            if row.state not in states:
                raise _wrong_state(row.state)
            self._set(tx, batch.id, state=to, **values)
            self._ledger.append(tx, self._entry(f"batch.{word}", actor, batch.id, now, row, note))
            return self._must_find(tx, actor, batch.id)

    def _lock(self, tx: Tx, batch: Batch) -> Row[Any]:
        return tx.execute(select(batches).where(batches.c.id == batch.id).with_for_update()).one()

    def _set(self, tx: Tx, batch_id: str, **values: Any) -> None:
        tx.execute(update(batches).where(batches.c.id == batch_id).values(**values))

    def _enqueue(self, tx: Tx, batch_id: str, round_number: int) -> None:
        """One job for each chunk that is not finished."""
        open_chunks = select(batch_chunks.c.first).where(
            batch_chunks.c.batch_id == batch_id,
            batch_chunks.c.issued < batch_chunks.c.rows,
        )
        for first in tx.execute(open_chunks.order_by(batch_chunks.c.first)).scalars().all():
            key = f"{ISSUING}/{batch_id}/{first}/{round_number}"
            self._jobs.enqueue(tx, ISSUING, {"batch": batch_id, "first": first}, key=key)

    def _must_find(self, tx: Tx, actor: Actor, batch_id: str) -> Batch:
        row = tx.execute(select(batches).where(batches.c.id == batch_id)).first()
        if row is None or not actor.organisation or row.authority != actor.organisation:
            raise BatchNotFound("there is no such batch in your authority")
        return _batch(row)

    def _entry(
        self, kind: str, actor: Actor, batch_id: str, now: datetime, facts: Any, note: str = ""
    ) -> Entry:
        known = facts if isinstance(facts, dict) else facts._asdict()
        details = {"batch": batch_id, "type": known["type"], "rows": str(known["rows"])}
        if known["content_digest"]:
            details["content_digest"] = known["content_digest"]
        private = {"note": note.strip()[:500]} if note else {}
        return Entry(kind=kind, actor=actor, at=now, details=details, private=private)


def _mapping(kind: CertificateType, name: str) -> ColumnMapping:
    if not name:
        return mapping_for(kind)
    mapping = read_mapping(name)
    if mapping.type != kind.name:
        raise InvalidCatalogue(f"the mapping {name} is for {mapping.type}, not for {kind.name}")
    return mapping


def _batch(row: Row[Any]) -> Batch:
    values = {name: getattr(row, name) for name in Batch.__dataclass_fields__}
    values["errors"] = tuple(RowError(*each) for each in row.errors)
    values["notices"] = tuple(RowNotice(*each) for each in row.notices)
    return Batch(**values)


def _digest_columns(batch_id: str) -> Any:
    names = ("row", "content_digest", "outcome", "outcome_on")
    query = select(*(batch_rows.c[name] for name in names))
    return query.where(batch_rows.c.batch_id == batch_id).order_by(batch_rows.c.row)


def _digest_of(rows: Sequence[Any]) -> str:
    """One digest over what every row would become."""
    total = hashlib.sha256()
    for row in rows:
        since = row["outcome_on"].isoformat() if row["outcome_on"] else ""
        total.update(f"{row['row']}\t{row['content_digest']}\t{row['outcome']}\t{since}\n".encode())
    return digest({"rows": len(rows), "sha256": total.hexdigest()})


def _chunks(batch_id: str, rows: Sequence[Any]) -> list[dict[str, Any]]:
    numbers = [row["row"] for row in rows]
    parts = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    return [
        {"batch_id": batch_id, "first": part[0], "last": part[-1], "rows": len(part)}
        for part in parts
    ]


def _waiting(tx: Tx, batch_id: str, first: int) -> Sequence[Row[Any]]:
    last = select(batch_chunks.c.last).where(
        batch_chunks.c.batch_id == batch_id, batch_chunks.c.first == first
    )
    query = select(batch_rows).where(
        batch_rows.c.batch_id == batch_id,
        batch_rows.c.row.between(first, last.scalar_subquery()),
        batch_rows.c.state == "waiting",
    )
    return tx.execute(query.order_by(batch_rows.c.row).limit(STEP)).all()


def _mark(tx: Tx, batch_id: str, rows: Sequence[int | None], **values: str) -> int:
    marking = update(batch_rows).where(
        batch_rows.c.batch_id == batch_id,
        batch_rows.c.row.in_(rows),
        batch_rows.c.state == "waiting",
    )
    return tx.execute(marking.values(**values)).rowcount


def _count(
    tx: Tx, batch_id: str, first: int, now: datetime, *, issued: int = 0, failed: int = 0
) -> None:
    tx.execute(
        update(batch_chunks)
        .where(batch_chunks.c.batch_id == batch_id, batch_chunks.c.first == first)
        .values(
            issued=batch_chunks.c.issued + issued,
            failed=batch_chunks.c.failed + failed,
            changed_at=now,
        )
    )


def _counts(tx: Tx, batch_id: str) -> tuple[int, int, datetime | None]:
    query = select(
        func.coalesce(func.sum(batch_chunks.c.issued), 0),
        func.coalesce(func.sum(batch_chunks.c.failed), 0),
        func.max(batch_chunks.c.changed_at),
    ).where(batch_chunks.c.batch_id == batch_id)
    issued, failed, last = tx.execute(query).one()
    return int(issued), int(failed), last


def _failed(tx: Tx, batch_id: str) -> int:
    return _counts(tx, batch_id)[1]


def _latest(tx: Tx, batch_id: str) -> list[Recent]:
    columns = ("batch_row", "identifier", "number", "state")
    query = select(*(certificates.c[name] for name in columns))
    latest = query.where(certificates.c.batch_id == batch_id)
    rows = tx.execute(latest.order_by(certificates.c.batch_row.desc()).limit(_RECENT))
    return [Recent(row.batch_row, row.identifier, row.number, State(row.state)) for row in rows]


def _failures(tx: Tx, batch_id: str) -> list[FailedRow]:
    query = select(batch_rows.c.row, batch_rows.c.number, batch_rows.c.problem).where(
        batch_rows.c.batch_id == batch_id, batch_rows.c.state == "failed"
    )
    rows = tx.execute(query.order_by(batch_rows.c.row).limit(KEPT))
    return [FailedRow(row.row, row.number, row.problem) for row in rows]


def _wrong_state(state: str) -> WrongState:
    return WrongState(f"the batch is {state}", next_step="open the batch again", state=state)
