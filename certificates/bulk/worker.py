"""Issues the rows of an approved batch, a chunk a job, whatever happens to the process.

One step is up to `STEP` rows: everything is made first, then one transaction keeps certificates,
renditions, ledger entries, the legal acts that already ended some, and the rows' own marks. The
mark is a compare-and-set, so two workers on one chunk cannot issue a row twice; the unique
constraint on (batch, row) stands behind it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.exc import IntegrityError

from certificates.bulk import store as batch_store
from certificates.bulk.sheets import is_guess
from certificates.errors import ContentChanged, LayoutOverflow, MissingGlyph
from certificates.issuing.drafting import content_of
from certificates.issuing.making import MadeCertificate, Order
from certificates.models import Content
from certificates.register import store
from certificates.register.status import Slot, choose_slots
from certificates.rules import State
from certificates.service import Certificates
from foundation.actor import Actor, ActorKind
from foundation.database import is_unique_violation
from ledger import Entry
from signing import (
    Approval,
    Seal,
    SealNotUsable,
)


class BatchWorker:
    """The part of `Batches` that works while nobody looks."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._database = certificates.database
        self._clock = certificates.clock

    def issue_chunk(self, batch_id: str, first: int) -> None:
        """The job: issue the rows of one chunk that still wait. May run any number of times."""
        while True:
            with self._database.read() as tx:
                batch = batch_store.find(tx, batch_id)
                rows = batch_store.waiting(tx, batch_id, first)
            if batch is None or batch.state != "running":
                return
            if not rows:
                break
            self._issue_rows(batch, first, rows)
        self._finish(batch_id)

    def content(self, batch: Row[Any], row: Row[Any]) -> Content:
        """What a row becomes, by today's types and templates."""
        return content_of(
            self._certificates.type(batch.type),
            row.fields,
            identifier=row.identifier,
            qr_token=row.qr_token,
            authority=batch.authority,
            authority_name=batch.authority_name,
            seal_id=batch.seal_id,
            template_hash=self._certificates.renderer.template_hash,
        )

    def _order(self, batch: Row[Any], row: Row[Any]) -> Order:
        return Order(
            self._certificates.type(batch.type),
            self.content(batch, row),
            Approval(
                row.content_digest,
                batch.drafter,
                batch.approver,
                batch.approved_at,
                reference=f"{batch.id}/{row.row}",
            ),
            batch.approver_name,
            batch_id=batch.id,
            batch_row=row.row,
            outcome=State(row.outcome),
            outcome_on=row.outcome_on,
        )

    def _issue_rows(self, batch: Row[Any], first: int, rows: Sequence[Row[Any]]) -> None:
        now = self._clock()
        seal = self._certificates.seals.get(batch.seal_id)
        slots = choose_slots(self._database, len(rows), now)
        made: list[MadeCertificate] = []
        for row, result in zip(rows, self._make_all(batch, rows, slots, seal, now), strict=True):
            if isinstance(result, MadeCertificate):
                made.append(result)
            else:
                self._fail(batch.id, first, row.row, result)
        if made:
            self._keep(batch, first, made, now)

    def _make_all(
        self,
        batch: Row[Any],
        rows: Sequence[Row[Any]],
        slots: Sequence[Slot],
        seal: Seal,
        now: datetime,
    ) -> list[MadeCertificate | str]:
        """What became of each row: a certificate, or the code of why there cannot be one.

        Pages are drawn in threads, because drawing is most of the work and holds no lock (ADR 10).
        Any other failure ends the step, and rows that nobody has begun are not begun: what lies
        outside (a key, a clock) is no row's fault, and the job is tried again.
        """

        def make(row: Row[Any], slot: Slot) -> MadeCertificate | str:
            try:
                return self._certificates.maker.make(self._order(batch, row), seal, slot, now)
            except (LayoutOverflow, MissingGlyph, ContentChanged, SealNotUsable) as problem:
                if problem.passing:
                    raise
                return problem.code

        if "pdf" not in self._certificates.type(batch.type).formats:
            return list(map(make, rows, slots))
        with ThreadPoolExecutor(self._certificates.renderer.at_once) as drawers:
            return list(drawers.map(make, rows, slots))

    def _keep(
        self, batch: Row[Any], first: int, made: Sequence[MadeCertificate], now: datetime
    ) -> None:
        numbers = [each.order.batch_row for each in made]
        try:
            with self._database.write() as tx:
                marked = batch_store.mark(tx, batch.id, numbers, state="issued")
                if marked != len(made):  # another worker has some of them: look again
                    tx.rollback()
                    return
                self._certificates.maker.keep(tx, made)
                self._certificates.completion.later(tx, made)
                batch_store.count(tx, batch.id, first, now, issued=marked)
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            self._fail_taken(batch, first, made)

    def _fail_taken(self, batch: Row[Any], first: int, made: Sequence[MadeCertificate]) -> None:
        """After a unique violation: fail rows whose number was used meanwhile; others come again
        (a status slot that was lost in a race is simply drawn anew).
        """
        for each in made:
            row, number = each.order.batch_row, each.order.content.number
            with self._database.read() as tx:
                taken = row is not None and store.number_in_use(tx, batch.authority, number)
                ours = row is not None and batch_store.is_issued(tx, batch.id, row)
            if row is not None and taken and not ours:
                self._fail(batch.id, first, row, "number_taken")

    def _fail(self, batch_id: str, first: int, row: int, code: str) -> None:
        with self._database.write() as tx:
            if batch_store.mark(tx, batch_id, [row], state="failed", problem=code):
                batch_store.count(tx, batch_id, first, self._clock(), failed=1)

    def _finish(self, batch_id: str) -> None:
        """Close the batch once no row waits; whoever finds that first writes the entry."""
        now = self._clock()
        with self._database.write() as tx:
            closed = batch_store.close_if_done(tx, batch_id, now)
            if closed is None:
                return
            batch, issued, failed = closed
            actor = Actor(
                ActorKind.PERSON,
                batch.approver,
                name=batch.approver_name,
                organisation=batch.authority,
                organisation_name=batch.authority_name,
            )
            counts = {"issued": str(issued), "failed": str(failed)}
            self._certificates.ledger.append(tx, entry("batch.finished", actor, batch, now, counts))


def entry(
    kind: str,
    actor: Actor,
    batch: Row[Any],
    now: datetime,
    more: dict[str, str] | None = None,
    note: str = "",
) -> Entry:
    """The ledger entry of an act on a batch; it concerns no single holder.

    The names of waived columns are committed: a file may have anything in its first row.
    """
    details = {"batch": batch.id, "type": batch.type, "rows": str(batch.rows), **(more or {})}
    if batch.content_digest:
        details["content_digest"] = batch.content_digest
    private = {"note": note.strip()[:500]} if note.strip() else {}
    if is_guess(batch.encoding):
        details["guessed_encoding"] = batch.encoding
    if batch.waived_columns:
        details["waived_columns"] = str(len(batch.waived_columns))
        private["waived_columns"] = "\n".join(sorted(batch.waived_columns))
    return Entry(kind=kind, actor=actor, at=now, details=details, private=private)
