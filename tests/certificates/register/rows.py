"""Rows of the register without the way to them, for questions that look at a few columns only."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Column, Table, insert

from certificates.models import HOLDER_NAME, batches, certificates
from foundation.columns import UtcDateTime, cipher_of
from foundation.database import Tx

MOMENT = datetime(2026, 11, 24, 8, tzinfo=UTC)
_NUMBERS = count(1)


def add_rows(tx: Tx, *rows: Mapping[str, Any]) -> None:
    """Certificates in the first status list, in force; each row says what else is to be known."""
    batch = f"batch-{next(_NUMBERS)}"
    tx.execute(insert(batches).values(_filled(batches, id=batch, state="checked")))
    name = cipher_of(tx.dialect).encrypt(b"name", HOLDER_NAME)
    for number, row in enumerate(rows):
        known = {
            "status_list": 1,
            "status_index": number,
            "state": "active",
            "holder_name": name,
            "batch_id": batch,
            "batch_row": number,
        }
        tx.execute(insert(certificates).values(_filled(certificates, **known | dict(row))))


def _filled(table: Table, **known: Any) -> dict[str, Any]:
    """A row with something in every column that needs something."""
    return {
        column.name: _something(column)
        for column in table.c
        if column.name not in known and not column.nullable and column.default is None
    } | known


def _something(column: Column[Any]) -> Any:
    if isinstance(column.type, UtcDateTime):
        return MOMENT
    others = {"INTEGER": 0, "BLOB": b"x", "DATE": MOMENT.date()}
    return others.get(str(column.type), f"{column.name}-{next(_NUMBERS)}")
