"""Questions to the table of applications for purposes; every function takes the caller's
transaction.

The state that an act begins from stands in the statement that takes it: of two people who decide at
once, one is second.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update

from exchange.models import (
    PurposeApplication,
    PurposeForm,
    purpose_applications,
    purposes,
)
from foundation.database import Tx

_FORM = tuple(each.name for each in fields(PurposeForm))


def add(tx: Tx, application_id: str, form: PurposeForm, *, by: str, now: datetime) -> None:
    """Add an application that nobody has decided about."""
    values = asdict(form) | {"id": application_id, "state": "applied", "reason": ""}
    tx.execute(
        insert(purpose_applications).values(
            **{name: _written(value) for name, value in values.items()},
            applied_by=by,
            applied_at=now,
        )
    )


def find(tx: Tx, application_id: str) -> PurposeApplication | None:
    """The application with this id."""
    query = select(purpose_applications).where(purpose_applications.c.id == application_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _application(row)


def all_in(tx: Tx, state: str, organisation: str) -> Sequence[PurposeApplication]:
    """Applications in a state and of a department, newest first; "" is any."""
    table = purpose_applications
    query = select(table).order_by(table.c.applied_at.desc(), table.c.id)
    if state:
        query = query.where(table.c.state == state)
    if organisation:
        query = query.where(table.c.organisation == organisation)
    return [_application(row) for row in tx.execute(query).mappings()]


def move(
    tx: Tx, application_id: str, begins: str, to: str, changed: Mapping[str, Any], reason: str
) -> bool:
    """Take one act; False when the application is not in the state where it `begins`."""
    table = purpose_applications
    moving = update(table).where(table.c.id == application_id, table.c.state == begins)
    return tx.execute(moving.values(state=to, reason=reason, **changed)).rowcount == 1


def take_back(tx: Tx, application_id: str) -> int:
    """Delete what an application granted: the next question finds nothing. Answers how many."""
    return tx.execute(delete(purposes).where(purposes.c.application == application_id)).rowcount


def _application(row: RowMapping) -> PurposeApplication:
    values = dict(row)
    form = {name: values.pop(name) for name in _FORM}
    read: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in form.items()
    }
    return PurposeApplication(form=PurposeForm(**read), **values)


def _written(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
