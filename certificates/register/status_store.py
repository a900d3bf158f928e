"""Questions to the tables of status lists; every function takes the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from certificates.models import certificates, status_changes, status_lists
from foundation.database import Database, Tx

_AT_ONCE = 500


def newest_list(tx: Tx) -> int | None:
    """The number of the list opened last; None before the first."""
    return tx.execute(select(func.max(status_lists.c.id))).scalar()


def open_list(tx: Tx, database: Database, list_id: int, size: int, now: datetime) -> None:
    """Open a list, unless another process did."""
    opening = {"id": list_id, "size": size, "version": 0, "opened_at": now}
    tx.execute(database.insert_or_ignore(status_lists).values(**opening))


def taken_slots(tx: Tx, list_id: int, indexes: Sequence[int]) -> set[int]:
    """Which of these places of a list belong to a certificate already."""
    taken: set[int] = set()
    for start in range(0, len(indexes), _AT_ONCE):
        query = select(certificates.c.status_index).where(
            certificates.c.status_list == list_id,
            certificates.c.status_index.in_(indexes[start : start + _AT_ONCE]),
        )
        taken.update(tx.execute(query).scalars())
    return taken


def add_change(tx: Tx, list_id: int, slot: int, value: int, at: datetime) -> int:
    """Take a list's next version and append a change to its history; answers the version."""
    taking = (
        update(status_lists)
        .where(status_lists.c.id == list_id)
        .values(version=status_lists.c.version + 1)
        .returning(status_lists.c.version)
    )
    version = int(tx.execute(taking).scalar_one())
    change = {"list_id": list_id, "version": version, "slot": slot, "value": value}
    tx.execute(insert(status_changes).values(**change, at=at))
    return version


def changes(tx: Tx, list_id: int, after: int, last: int | None) -> Iterable[Any]:
    """version, slot, value of the changes after one version, up to another if it is named."""
    query = (
        select(status_changes.c.version, status_changes.c.slot, status_changes.c.value)
        .where(status_changes.c.list_id == list_id, status_changes.c.version > after)
        .order_by(status_changes.c.version)
    )
    if last is not None:
        query = query.where(status_changes.c.version <= last)
    return tx.execute(query)


def list_ids(tx: Tx) -> Sequence[int]:
    """The numbers of all lists, the oldest first."""
    return tx.execute(select(status_lists.c.id).order_by(status_lists.c.id)).scalars().all()


def versions(tx: Tx, ids: Sequence[int]) -> Mapping[int, int]:
    """The latest version of each of some lists (a `Loader` fetch function)."""
    query = select(status_lists.c.id, status_lists.c.version)
    return {row.id: row.version for row in tx.execute(query.where(status_lists.c.id.in_(ids)))}


def opened_at(tx: Tx, list_id: int) -> datetime | None:
    """When the list was opened; None when there is no such list."""
    return tx.execute(select(status_lists.c.opened_at).where(status_lists.c.id == list_id)).scalar()


def last_change_before(tx: Tx, list_id: int, moment: datetime) -> tuple[int | None, Any]:
    """Version and time of a list's last change before a moment; None when there was none."""
    c = status_changes.c
    query = select(func.max(c.version), func.max(c.at))
    version, at = tx.execute(query.where(c.list_id == list_id, c.at < moment)).one()
    return version, at


def first_change_after(tx: Tx, list_id: int, version: int) -> datetime | None:
    """When a list changed for the first time after one of its versions."""
    c = status_changes.c
    query = select(func.min(c.at)).where(c.list_id == list_id, c.version > version)
    return tx.execute(query).scalar()


def histories(tx: Tx) -> list[tuple[int, int, int, int]]:
    """Of every list: id, version, how many changes its history has, and the version of the last."""
    return [(row.id, row.version, *_extent(tx, row.id)) for row in tx.execute(select(status_lists))]


def _extent(tx: Tx, list_id: int) -> tuple[int, int]:
    query = select(func.count(), func.coalesce(func.max(status_changes.c.version), 0))
    count, last = tx.execute(query.where(status_changes.c.list_id == list_id)).one()
    return count, last
