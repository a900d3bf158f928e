"""The authorities of a house, made once a process of tests and copied afterwards.

Making them takes six keys and as many certificates. Every test whose subject is something else may
begin with the rows that the first one made: same master key, same hour, its own database.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from foundation.database import Database, metadata
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from tests.simulators.clock import MovableClock

_made: dict[tuple[bytes, datetime], sqlite3.Connection] = {}


def establish(keys: Keys, database: Database, clock: MovableClock, master_key: bytes) -> None:
    """`keys.establish()`, or a copy of what it made before in an SQLite database like this one.

    Keys that are kept elsewhere, another engine and a database with rows in it get their own.
    """
    if database.dialect != "sqlite" or not isinstance(keys._custody._backend, SoftwareBackend):
        keys.establish()
        return
    name = (master_key, clock())
    with _opened(database) as live:
        is_new = _is_empty(live)
        if is_new and name in _made:
            _made[name].backup(live)
            return
    keys.establish()
    if is_new:
        _made[name] = sqlite3.connect(":memory:", check_same_thread=False)
        with _opened(database) as live:
            live.backup(_made[name])


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
