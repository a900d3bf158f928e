"""Questions to the table of permits; every function takes the caller's transaction.

The conditions of a change stand in the statement that makes it: however many processes change one
permit at once, each sees what the others did.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select, update

from foundation.database import Tx
from signing.models import Permit, seal_permits


def add(
    tx: Tx,
    permit_id: str,
    seal_id: str,
    purpose: str,
    quota: int,
    *,
    by: str,
    now: datetime,
    until: datetime,
) -> None:
    """Add a permit that somebody asks for; nobody has decided about it."""
    tx.execute(
        insert(seal_permits).values(
            id=permit_id,
            seal_id=seal_id,
            purpose=purpose,
            quota=quota,
            used=0,
            asked_by=by,
            asked_at=now,
            valid_until=until,
        )
    )


def find(tx: Tx, permit_id: str) -> Permit | None:
    """The permit with this id."""
    row = tx.execute(select(seal_permits).where(seal_permits.c.id == permit_id)).mappings()
    found = row.one_or_none()
    return None if found is None else Permit(**found)


def of_seal(tx: Tx, seal_id: str) -> Sequence[Permit]:
    """Every permit of a seal, newest first."""
    query = select(seal_permits).where(seal_permits.c.seal_id == seal_id)
    rows = tx.execute(query.order_by(seal_permits.c.asked_at.desc(), seal_permits.c.id))
    return [Permit(**row) for row in rows.mappings()]


def approve(tx: Tx, permit_id: str, *, by: str, now: datetime) -> bool:
    """Approve a permit; False when it was approved or withdrawn before."""
    undecided = (
        seal_permits.c.id == permit_id,
        seal_permits.c.approved_at.is_(None),
        seal_permits.c.withdrawn_at.is_(None),
    )
    approving = update(seal_permits).where(*undecided).values(approved_by=by, approved_at=now)
    return tx.execute(approving).rowcount == 1


def withdraw(tx: Tx, permit_id: str, *, by: str, now: datetime) -> bool:
    """Withdraw a permit; False when it was withdrawn before."""
    ended = tx.execute(
        update(seal_permits)
        .where(seal_permits.c.id == permit_id, seal_permits.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now, withdrawn_by=by)
    )
    return bool(ended.rowcount)


def spend(
    tx: Tx, seal_id: str, permit_id: str, *, purpose: str, count: int, now: datetime, by: str | None
) -> bool:
    """Use a permit `count` times; False unless it is in force at `now`, of this seal, for this
    purpose, with so many uses left, and asked for by `by` (whoever it was, for None).
    """
    asked_by = seal_permits.c.asked_by if by is None else by
    spent = tx.execute(
        update(seal_permits)
        .where(
            seal_permits.c.id == permit_id,
            seal_permits.c.seal_id == seal_id,
            seal_permits.c.asked_by == asked_by,
            seal_permits.c.purpose == purpose,
            seal_permits.c.approved_at.is_not(None),
            seal_permits.c.withdrawn_at.is_(None),
            seal_permits.c.valid_until >= now,
            seal_permits.c.used + count <= seal_permits.c.quota,
        )
        .values(used=seal_permits.c.used + count)
    )
    return spent.rowcount == 1
