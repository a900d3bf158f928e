"""What is asked to hold the register's rows against each other."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, and_, exists, select

from certificates.models import batch_rows, certificates, drafts, renditions
from foundation.canonical import b64url
from foundation.database import Tx

_ENOUGH = 500


def files_of(tx: Tx, certificate_ids: Sequence[str]) -> dict[str, dict[str, bool]]:
    """Of each certificate: its formats, and whether the file is the one that was kept."""
    query = select(renditions).where(renditions.c.certificate_id.in_(certificate_ids))
    files: dict[str, dict[str, bool]] = {}
    for row in tx.execute(query):
        same = b64url(sha256(row.data).digest()) == row.digest
        files.setdefault(row.certificate_id, {})[row.format] = same
    return files


def wrong_origins(tx: Tx) -> Iterator[tuple[str, str, bool]]:
    """identifier, state, and whether there is a certificate, of the drafts and batch rows that say
    the opposite.
    """
    for table, origin, made in (
        (drafts, certificates.c.draft_id == drafts.c.id, "sealed"),
        (batch_rows, _OF_ROW, "issued"),
    ):
        says_so, is_there = table.c.state == made, exists().where(origin)
        for row in _some(tx, table, and_(says_so, ~is_there)):
            yield row.identifier, row.state, False
        for row in _some(tx, table, and_(~says_so, is_there)):
            yield row.identifier, row.state, True


_OF_ROW = and_(
    certificates.c.batch_id == batch_rows.c.batch_id,
    certificates.c.batch_row == batch_rows.c.row,
)


def _some(tx: Tx, table: Table, wrong: ColumnElement[bool]) -> Sequence[Row[Any, Any]]:
    query = select(table.c.identifier, table.c.state).where(wrong)
    return tx.execute(query.limit(_ENOUGH)).all()
