"""What many tests begin with, made once a process of tests and copied afterwards.

The authorities of a house take six keys and as many certificates, a seal two more. Every test whose
subject is something else may begin with the rows that the first one made: same master key, same
hour, its own database.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from foundation.database import Database, Tx, metadata
from keys import Keys
from keys.custody.backends.software import SoftwareBackend
from tests.simulators.clock import MovableClock


@dataclass
class _Rows:
    """The rows of a PostgreSQL database, by table as COPY writes them, and its counters."""

    tables: Mapping[str, bytes]
    counters: Sequence[tuple[str, int]]


_made: dict[tuple[str, str, bytes, datetime], sqlite3.Connection | _Rows] = {}


def once(
    name: str,
    make: Callable[[], object],
    *,
    keys: Keys,
    database: Database,
    clock: MovableClock,
    master_key: bytes,
) -> None:
    """`make()`, or a copy of what it made before in a database like this one.

    `name` says what it makes, in the database and nowhere else. Keys that are kept elsewhere and a
    database with rows in it get their own.
    """
    if not isinstance(keys._custody._backend, SoftwareBackend) or not _is_empty(database):
        make()
        return
    known = (name, database.dialect, master_key, clock())
    if known in _made:
        _fill(database, _made[known])
    else:
        make()
        _made[known] = _copied(database)


def _is_empty(database: Database) -> bool:
    tables = (f'EXISTS (SELECT 1 FROM "{each.name}")' for each in metadata.sorted_tables)
    with database.read() as tx:
        return not tx.exec_driver_sql(f"SELECT {' OR '.join(tables)}").scalar_one()


def _copied(database: Database) -> sqlite3.Connection | _Rows:
    if database.dialect == "sqlite":
        kept = sqlite3.connect(":memory:", check_same_thread=False)
        with _opened(database) as live:
            live.backup(kept)
        return kept
    with database.read() as tx:
        return _rows(tx)


def _fill(database: Database, made: sqlite3.Connection | _Rows) -> None:
    if isinstance(made, sqlite3.Connection):
        with _opened(database) as live:
            made.backup(live)
        return
    with database.write() as tx:
        tx.exec_driver_sql("SET LOCAL session_replication_role = replica")  # in any order
        cursor = tx.connection.cursor()
        for table, rows in made.tables.items():
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                copy.write(rows)
        for counter, value in made.counters:
            cursor.execute("SELECT setval(%s::regclass, %s)", (counter, value))


def _rows(tx: Tx) -> _Rows:
    cursor = tx.connection.cursor()
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    tables = {}
    for (table,) in cursor.fetchall():
        with cursor.copy(f"COPY {table} TO STDOUT") as copy:
            rows = b"".join(copy)
        if rows:
            tables[table] = rows
    cursor.execute("SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL")
    return _Rows(tables, cursor.fetchall())


@contextmanager
def _opened(database: Database) -> Iterator[sqlite3.Connection]:
    pooled = database.engine.raw_connection()
    try:
        assert isinstance(pooled.driver_connection, sqlite3.Connection)
        yield pooled.driver_connection
    finally:
        pooled.close()
