"""What many tests begin with, made once a process of tests and copied afterwards.

The authorities of a house take six keys and as many certificates, a seal two more. Every test whose
subject is something else may begin with the rows that the first one made: same master key, same
hour, its own database.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from foundation.database import Database, metadata
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from tests.simulators.clock import MovableClock

_made: dict[tuple[str, bytes, datetime], sqlite3.Connection] = {}


def once(
    name: str,
    make: Callable[[], object],
    *,
    keys: Keys,
    database: Database,
    clock: MovableClock,
    master_key: bytes,
) -> None:
    """`make()`, or a copy of what it made before in an SQLite database like this one.

    `name` says what it makes, in the database and nowhere else. Keys that are kept elsewhere,
    another engine and a database with rows in it get their own.
    """
    if database.dialect != "sqlite" or not isinstance(keys._custody._backend, SoftwareBackend):
        make()
        return
    known = (name, master_key, clock())
    with _opened(database) as live:
        is_new = _is_empty(live)
        if is_new and known in _made:
            _made[known].backup(live)
            return
    make()
    if is_new:
        _made[known] = sqlite3.connect(":memory:", check_same_thread=False)
        with _opened(database) as live:
            live.backup(_made[known])


@contextmanager
def _opened(database: Database) -> Iterator[sqlite3.Connection]:
    pooled = database.engine.raw_connection()
    try:
        assert isinstance(pooled.driver_connection, sqlite3.Connection)
        yield pooled.driver_connection
    finally:
        pooled.close()


def _is_empty(live: sqlite3.Connection) -> bool:
    tables = (f'EXISTS (SELECT 1 FROM "{each.name}")' for each in metadata.sorted_tables)
    return not live.execute(f"SELECT {' OR '.join(tables)}").fetchone()[0]
