"""Messages that have to reach somebody: a row for each, and what came of its attempts.

A table of such rows has `id`, `attempts`, `problem`, `given_up_at` and a column of its own for the
time when the message arrived, which is named at each call.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Row, select, update

from foundation.database import Tx


def waiting(tx: Tx, arrived: Column[datetime], message_id: str) -> Row[Any] | None:
    """The message, unless it arrived or was given up."""
    table = arrived.table
    query = select(table).where(
        table.c.id == message_id, arrived.is_(None), table.c.given_up_at.is_(None)
    )
    return tx.execute(query).first()


def begin_again(tx: Tx, arrived: Column[datetime], message_id: str) -> bool:
    """Let a message that was given up be sent again, as if it were new; False if it was not."""
    table = arrived.table
    given_up = table.c.id == message_id, arrived.is_(None), table.c.given_up_at.is_not(None)
    again = update(table).where(*given_up).values(given_up_at=None, attempts=0)
    return bool(tx.execute(again).rowcount)


def attempted(
    tx: Tx,
    arrived: Column[datetime],
    message_id: str,
    now: datetime,
    problem: str,
    *,
    given_up: bool,
) -> None:
    """Count an attempt. `problem` says why the message did not arrive; "" when it did."""
    table = arrived.table
    outcome: dict[str, Any] = {"attempts": table.c.attempts + 1, "problem": problem}
    if not problem:
        outcome[arrived.name] = now
    if given_up:
        outcome["given_up_at"] = now
    tx.execute(update(table).where(table.c.id == message_id).values(**outcome))
