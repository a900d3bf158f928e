"""From an uploaded file to the rows of a batch: dry run, identity and digest of each.

Reads the register for numbers that are taken, and draws what may not fit on its page; writes
nothing.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from certificates import identifier as identifiers
from certificates import rules
from certificates.bulk.columns import ColumnMapping
from certificates.bulk.dry_run import KEPT, CheckedRow, DryRun, dry_run
from certificates.catalogue import CertificateType
from certificates.errors import LayoutOverflow, MissingGlyph
from certificates.issuing.drafting import content_of
from certificates.register import store
from certificates.service import Certificates
from foundation.actor import Actor
from signing import Seal

_LONG_ROW: Final = 500  # characters; only rows this long are drawn to see whether they fit


class Uploads:
    """Checks the files of one installation's officers."""

    def __init__(self, certificates: Certificates) -> None:
        self._database = certificates.database
        self._renderer = certificates.renderer

    def check(
        self,
        actor: Actor,
        kind: CertificateType,
        columns: ColumnMapping,
        data: bytes,
        now: datetime,
    ) -> DryRun:
        """The dry run of a file. Raises `UnreadableFile`, `UploadTooLarge`."""

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
            unprintable=lambda fields: self._unprintable(kind, fields, now),
        )

    def rows(
        self, run: DryRun, batch_id: str, kind: CertificateType, seal: Seal, authority_name: str
    ) -> list[dict[str, Any]]:
        """The rows of a batch as columns; none when the file has errors."""
        if run.errors:
            return []
        return [self._row(batch_id, kind, seal, authority_name, row) for row in run.rows]

    def _row(
        self, batch_id: str, kind: CertificateType, seal: Seal, name: str, row: CheckedRow
    ) -> dict[str, Any]:
        """A checked row with the identity it will have, and the digest of what it becomes."""
        identity = {
            "identifier": str(identifiers.compose(kind.code, seal.owner, identifiers.new_serial())),
            "qr_token": secrets.token_urlsafe(16),
        }
        content = content_of(
            kind,
            row.fields,
            authority=seal.owner,
            authority_name=name,
            seal_id=seal.id,
            template_hash=self._renderer.template_hash,
            **identity,
        )
        return identity | {
            "batch_id": batch_id,
            "row": row.row,
            "number": row.number,
            "fields": dict(row.fields),
            "content_digest": content.digest,
            "outcome": row.outcome.value,
            "outcome_on": row.outcome_on,
            "state": "waiting",
        }

    def _unprintable(
        self, kind: CertificateType, fields: Mapping[str, str], now: datetime
    ) -> tuple[str, str]:
        text = "".join(fields.values())
        if missing := self._renderer.undrawable(text):
            return MissingGlyph.code, MissingGlyph(missing).detail
        if len(text) > _LONG_ROW:
            content = content_of(
                kind,
                fields,
                identifier="",
                qr_token="",
                authority="",
                authority_name="",
                seal_id="",
                template_hash=self._renderer.template_hash,
            )
            try:
                self._renderer.pdf(kind, content, now, None)
            except LayoutOverflow as problem:
                return problem.code, problem.detail
        return "", ""


def told(run: DryRun) -> dict[str, Any]:
    """What a batch keeps of its dry run, as columns."""
    return {
        "encoding": run.encoding,
        "error_count": len(run.errors),
        "errors": [[e.row, e.column, e.rule, e.detail] for e in run.errors[:KEPT]],
        "notice_count": len(run.notices),
        "notices": [[n.row, n.column, n.code] for n in run.notices[:KEPT]],
        "strange_rows": list(run.strange),
        "unknown_columns": [[u.name, u.field, u.tells_state] for u in run.unknown],
    }
