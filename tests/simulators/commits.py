"""Counts what a database commits, whoever does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread

from sqlalchemy import event

from foundation.database import Database


@contextmanager
def counted_commits(database: Database) -> Iterator[list[str]]:
    """Inside, every COMMIT adds the name of its thread."""
    seen: list[str] = []

    def listen(_connection: object) -> None:
        seen.append(current_thread().name)

    event.listen(database.engine, "commit", listen)
    try:
        yield seen
    finally:
        event.remove(database.engine, "commit", listen)
