"""`Batches`: many certificates at once, under the same four eyes as one.

    upload (dry run) → submit → approve (second officer) → chunks of 100 rows → done

* The dry run issues nothing; a batch with errors cannot be submitted.
* Whoever submits waives each unknown column by its name; whoever submits and whoever approves
  confirms an encoding that is a guess.
* What the second officer approves is one digest over the content digests of all rows and over what
  was waived and guessed.
* A process killed at any moment leaves a row entirely issued or entirely waiting (`batch_worker`).
"""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from certificates import rules
from certificates.bulk import store as batch_store
from certificates.bulk.columns import ColumnMapping, mapping_named, mappings, waivers
from certificates.bulk.dry_run import CheckedRow
from certificates.bulk.sheets import confirm_encoding, write_sheet
from certificates.bulk.store import Batch, Progress, StrangeRow, wrong_state
from certificates.bulk.uploads import Uploads, told
from certificates.bulk.worker import BatchWorker, entry
from certificates.catalogue.fields import checked_note
from certificates.errors import (
    BatchHasErrors,
    BatchNotFound,
    ContentChanged,
)
from certificates.models import new_id
from certificates.service import Certificates
from foundation.actor import Actor
from foundation.canonical import b64url
from foundation.database import Tx
from foundation.jobs import Trouble
from foundation.paging import MAX_LIMIT, Page, decode_cursor, page_of

ISSUING = "certificates.batch"


class Batches:
    """Bulk issuing for the authorities of one installation."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._database = certificates.database
        self._ledger = certificates.ledger
        self._jobs = certificates.jobs
        self._clock = certificates.clock
        self._uploads = Uploads(certificates)
        self._worker = BatchWorker(certificates)
        self._jobs.register(ISSUING, lambda job: self.issue_chunk(job["batch"], job["first"]))

    # ── before anything is issued ────────────────────────────────────────────────────────────

    def upload(
        self, actor: Actor, type_name: str, mapping: str, data: bytes, filename: str
    ) -> Batch:
        """Dry-run a file and keep the result. `mapping` names a mapping file, "" the type's own
        columns. Raises `UnreadableFile`, `UploadTooLarge`, `NoSeal`, `RoleMissing`.
        """
        rules.check_role(actor, "drafter")
        kind, now = self._certificates.type(type_name), self._clock()
        columns = mapping_named(kind, mapping)
        seal = self._certificates.usable_seal(actor.organisation, now)
        run = self._uploads.check(actor, kind, columns, data, now)
        batch_id = new_id(now, secrets.token_bytes(10))
        name = actor.organisation_name or seal.owner_name
        rows = self._uploads.rows(run, batch_id, kind, seal, name)
        values = told(run) | {
            "id": batch_id,
            "type": kind.name,
            "mapping": mapping,
            "authority": actor.organisation,
            "authority_name": name,
            "seal_id": seal.id,
            "filename": filename[-120:],
            "file_digest": b64url(hashlib.sha256(data).digest()),
            "rows": len(rows),
            "state": "checked",
            "content_digest": batch_store.digest_of(rows, run.encoding) if rows else "",
            "drafter": actor.id,
            "drafter_name": actor.name,
            "created_at": now,
        }
        with self._database.write() as tx:
            batch_store.add(tx, values, rows)
            stored = batch_store.lock(tx, batch_id)
            self._ledger.append(tx, entry("batch.checked", actor, stored, now))
        return batch_store.batch(stored)

    def submit(
        self, actor: Actor, batch_id: str, *, waived: Sequence[str] = (), encoding: str = ""
    ) -> Batch:
        """Hand a batch without errors to a second officer. `waived` names the unknown columns that
        may be left out, `encoding` confirms one that is a guess. Raises `BatchHasErrors`,
        `UnknownColumns`, `EncodingNotConfirmed`.
        """
        rules.check_role(actor, "drafter")
        batch, now = self.get(actor, batch_id), self._clock()
        if batch.faults or not batch.rows:
            raise BatchHasErrors(
                f"the file has {batch.error_count} error(s)",
                next_step="correct the file and upload it again",
            )
        names = waivers(batch.unknown_columns, waived)
        confirm_encoding(batch.encoding, encoding)
        answering = {"drafter": actor.id, "drafter_name": actor.name}
        with self._database.write() as tx:
            row = batch_store.lock(tx, batch.id)
            if row.state not in ("checked", "returned"):
                raise wrong_state(row.state)
            stored = self._unchanged(tx, row)
            digest = batch_store.digest_of(stored, row.encoding, names)
            passed = {"waived_columns": names, "content_digest": digest}
            batch_store.change(tx, batch.id, state="submitted", **answering, **passed)
            row = batch_store.lock(tx, batch.id)
            self._ledger.append(tx, entry("batch.submitted", actor, row, now))
        return batch_store.batch(row)

    def return_(self, actor: Actor, batch_id: str, reason: str) -> Batch:
        """Send a batch back without issuing anything."""
        batch = self.get(actor, batch_id)
        rules.check_approval(actor, batch.drafter, batch.authority)
        note = checked_note(reason, "say what the drafter should change")
        return self._move(actor, batch, ("submitted",), "returned", note=note)

    def approve(
        self, actor: Actor, batch_id: str, content_digest: str, *, encoding: str = ""
    ) -> Batch:
        """Agree to all rows of a batch; issuing starts as jobs of 100 rows.

        Raises `OwnDraft`, `OtherAuthority`, `RoleMissing`, `EncodingNotConfirmed`, and
        `ContentChanged` when the rows are not the ones that were looked at, or the type or its page
        changed since.
        """
        batch, now = self.get(actor, batch_id), self._clock()
        with self._database.write() as tx:
            row = batch_store.lock(tx, batch.id)
            rules.check_approval(actor, row.drafter, row.authority)
            if row.state != "submitted":
                raise wrong_state(row.state)
            confirm_encoding(row.encoding, encoding)
            stored = self._unchanged(tx, row, content_digest)
            self._refuse_swapped_template(tx, row)
            approval = {"approver": actor.id, "approver_name": actor.name, "approved_at": now}
            batch_store.change(tx, batch.id, state="running", started_at=now, **approval)
            batch_store.add_chunks(tx, batch.id, stored)
            self._enqueue(tx, batch.id, 0)
            self._ledger.append(tx, entry("batch.approved", actor, row, now))
            return batch_store.batch(batch_store.lock(tx, batch.id))

    # ── while it runs ────────────────────────────────────────────────────────────────────────

    def pause(self, actor: Actor, batch_id: str) -> Batch:
        """Stop after the rows in hand; nothing is lost."""
        rules.check_role(actor, "approver")
        return self._move(actor, self.get(actor, batch_id), ("running",), "paused")

    def resume(self, actor: Actor, batch_id: str) -> Batch:
        """Go on, and try failed rows again."""
        rules.check_role(actor, "approver")
        batch, now = self.get(actor, batch_id), self._clock()
        with self._database.write() as tx:
            row = batch_store.lock(tx, batch.id)
            _, failed, _ = batch_store.counts(tx, batch.id)
            if not (row.state == "paused" or (row.state == "done" and failed)):
                raise wrong_state(row.state)
            batch_store.wait_again(tx, batch.id)
            next_round = row.round + 1
            batch_store.change(tx, batch.id, state="running", finished_at=None, round=next_round)
            self._enqueue(tx, batch.id, next_round)
            self._ledger.append(tx, entry("batch.resumed", actor, row, now))
            return batch_store.batch(batch_store.lock(tx, batch.id))

    def issue_chunk(self, batch_id: str, first: int) -> None:
        """The job: issue the rows of one chunk that still wait. May run any number of times."""
        self._worker.issue_chunk(batch_id, first)

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def get(self, actor: Actor, batch_id: str) -> Batch:
        """A batch of the actor's own authority. Raises `BatchNotFound`."""
        with self._database.read() as tx:
            return batch_store.batch(self._own(tx, actor, batch_id))

    def list(self, actor: Actor, *, after: str | None = None, limit: int = 50) -> Page[Batch]:
        """The batches of the actor's authority, newest first."""
        before = decode_cursor(after, str)[0] if after else None
        limit = min(max(limit, 1), MAX_LIMIT)
        with self._database.read() as tx:
            found = batch_store.page(tx, actor.organisation, before, limit + 1)
        return page_of(found, limit, lambda batch: (batch.id,))

    def rows(
        self, actor: Actor, batch_id: str, *, after: str | None = None, limit: int = 50
    ) -> Page[CheckedRow]:
        """What the rows of a batch say: what a second officer looks at before agreeing to them."""
        batch = self.get(actor, batch_id)
        start = decode_cursor(after, int)[0] if after else 0
        limit = min(max(limit, 1), MAX_LIMIT)
        with self._database.read() as tx:
            found = batch_store.rows(tx, batch.id, start, limit + 1)
        return page_of(found, limit, lambda each: (each.row,))

    def strange_rows(self, actor: Actor, batch_id: str) -> Sequence[StrangeRow]:
        """The rows that show best whether an encoding was guessed well; none when it is certain."""
        batch = self.get(actor, batch_id)
        with self._database.read() as tx:
            return batch_store.strange_rows(tx, batch.id, batch.strange_rows)

    def preview_png(self, actor: Actor, batch_id: str, row: int, ppi: float = 110) -> bytes:
        """The page that a row will become, as a picture. Raises `BatchNotFound`."""
        self.get(actor, batch_id)
        with self._database.read() as tx:
            batch, found = batch_store.find(tx, batch_id), batch_store.row_of(tx, batch_id, row)
        if batch is None or found is None:
            raise BatchNotFound("there is no such row in this batch")
        kind = self._certificates.type(batch.type)
        content = self._worker.content(batch, found)
        return self._certificates.renderer.png(kind, content, self._clock(), ppi)

    def mappings(self) -> Sequence[ColumnMapping]:
        """The mapping files there are: registers whose columns are known."""
        return mappings()

    def progress(self, actor: Actor, batch_id: str) -> Progress:
        """Counts, rate, remaining time, the latest rows, for the actor's own authority. Costs the
        same at any size. Raises `BatchNotFound`.
        """
        with self._database.read() as tx:
            batch = self._own(tx, actor, batch_id)
            issued, failed, last = batch_store.counts(tx, batch_id)
            recent = batch_store.latest(tx, batch_id)
            failures = batch_store.failures(tx, batch_id)
        end = batch.finished_at or (last if batch.state == "paused" else self._clock())
        seconds = (end - batch.started_at).total_seconds() if batch.started_at and end else 0.0
        rate = (issued + failed) / seconds if seconds > 0 else 0.0
        left = batch.rows - issued - failed
        eta = round(left / rate) if rate and batch.state == "running" else None
        return Progress(
            batch.state, batch.rows, issued, failed, rate, eta, tuple(recent), tuple(failures)
        )

    def trouble(self, actor: Actor, batch_id: str) -> Trouble | None:
        """Why a running batch does not go on, if an attempt of this round failed."""
        with self._database.read() as tx:
            batch = self._own(tx, actor, batch_id)
        if batch.state != "running":
            return None
        return next(iter(self._jobs.troubles(_round(batch.id, batch.round), limit=1)), None)

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

    def _own(self, tx: Tx, actor: Actor, batch_id: str) -> Row[Any]:
        row = batch_store.find(tx, batch_id)
        if row is None or not actor.organisation or row.authority != actor.organisation:
            raise BatchNotFound("there is no such batch in your authority")
        return row

    def _unchanged(self, tx: Tx, batch: Row[Any], looked_at: str = "") -> Sequence[Any]:
        """The rows of a batch, which are those of its digest, and that is the one looked at."""
        rows = batch_store.digested_rows(tx, batch.id)
        present = batch_store.digest_of(rows, batch.encoding, batch.waived_columns)
        if not (looked_at or present) == present == batch.content_digest:
            raise ContentChanged(
                "the batch is not what you looked at", next_step="open the batch again"
            )
        return rows

    def _refuse_swapped_template(self, tx: Tx, batch: Any) -> None:
        """Type and templates must be those of the dry run; one row shows it for all."""
        row = batch_store.first_row(tx, batch.id)
        if row is None or self._worker.content(batch, row).digest != row.content_digest:
            raise ContentChanged(
                "the type or its page changed since the dry run", next_step="upload the file again"
            )

    def _move(
        self,
        actor: Actor,
        batch: Batch,
        states: Sequence[str],
        to: str,
        note: str = "",
        **values: Any,
    ) -> Batch:
        now = self._clock()
        with self._database.write() as tx:
            row = batch_store.lock(tx, batch.id)
            if row.state not in states:
                raise wrong_state(row.state)
            batch_store.change(tx, batch.id, state=to, **values)
            self._ledger.append(tx, entry(f"batch.{to}", actor, row, now, note=note))
            return batch_store.batch(batch_store.lock(tx, batch.id))

    def _enqueue(self, tx: Tx, batch_id: str, round_number: int) -> None:
        """One job for each chunk that is not finished."""
        for first in batch_store.unfinished_chunks(tx, batch_id):
            key = f"{_round(batch_id, round_number)}{first}"
            self._jobs.enqueue(tx, ISSUING, {"batch": batch_id, "first": first}, key=key)


def _round(batch_id: str, number: int) -> str:
    """How the keys of the jobs of one round begin."""
    return f"{ISSUING}/{batch_id}/{number}/"
