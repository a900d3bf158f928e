"""SQLite or PostgreSQL behind one interface; no other file of the product knows which.

- `write()` is one transaction: committed when the block ends, rolled back when it raises. On SQLite
  it takes the write lock at its first statement (BEGIN IMMEDIATE), so two writers queue instead of
  one of them failing half-way.
- `read()` is one consistent snapshot that can change nothing.
- Uniqueness is a constraint of the schema; `insert_or_ignore` and `is_unique_violation` are how
  code meets it.
- Durable means durable: SQLite runs in WAL mode with synchronous=FULL, PostgreSQL with its default
  synchronous_commit.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import psycopg
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from foundation.encryption import FieldCipher
from foundation.errors import Unavailable

Tx = Connection
P = TypeVar("P")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA mmap_size=268435456",
)

_SQLITE_OUTAGES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)


class DatabaseUnavailable(Unavailable):
    """The database was silent; what was asked of it may or may not have been done."""

    code = "database_unavailable"


OUTAGES = (DBAPIError, PoolTimeout, psycopg.Error, sqlite3.Error)
"""What an outage may be raised as; `is_outage` decides."""


class Database:
    """One database, reached by URL ("sqlite:///path" or "postgresql+psycopg://…").

    `cipher` encrypts the columns that ask for it; it travels on this engine's dialect object, so
    two databases in one process never share it.
    """

    def __init__(self, url: str, cipher: FieldCipher, *, pool_size: int = 10) -> None:
        self.url = _with_driver(url)
        self.cipher = cipher
        self.engine = _engine(self.url, pool_size)
        self.engine.dialect.yinzheng_cipher = cipher  # type: ignore[attr-defined]
        self.dialect: Literal["sqlite", "postgresql"] = (
            "sqlite" if self.engine.dialect.name == "sqlite" else "postgresql"
        )
        self._snapshots = self.engine
        if self.dialect == "postgresql":  # said in BEGIN itself, so it costs no round trip
            self._snapshots = self.engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

        self._only: dict[Any, Any] = {}
        self._making = threading.Lock()

    @contextmanager
    def write(self, *, patience: float | None = None) -> Iterator[Tx]:
        """One read-write transaction.

        With `patience`, in seconds, it does not wait longer than that for a lock that somebody
        else's transaction holds, but fails (`gave_up_waiting`). On SQLite there are no such locks:
        who writes is alone.
        """
        with self.engine.connect() as connection:
            self._begin(connection, "BEGIN IMMEDIATE")
            try:
                if patience is not None and self.dialect == "postgresql":
                    milliseconds = int(patience * 1000)
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One read-only snapshot; anything written in it is rolled back."""
        with self._snapshots.connect() as connection:
            self._begin(connection, "BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    def reader(self) -> "Reader | None":
        """A kept connection for short reads on the event loop, where reading never waits.

        That is SQLite in WAL mode: no network, and no lock that a writer could hold against it.
        None elsewhere.
        """
        return Reader(self.engine) if self.dialect == "sqlite" else None

    def only(self, make: "Callable[[Database], P]") -> P:
        """What there is once for this database, such as its committer; made when first asked."""
        with self._making:
            if make not in self._only:
                self._only[make] = make(self)
            made: P = self._only[make]
            return made

    def insert_or_ignore(self, table: Table) -> Any:
        """INSERT … ON CONFLICT DO NOTHING; `rowcount` tells whether the row is new."""
        statement = self._insert(table).on_conflict_do_nothing()
        return statement.execution_options(preserve_rowcount=True)

    def upsert(
        self,
        table: Table,
        keys: Sequence[str],
        changed: Mapping[str, Any],
        where: ColumnElement[bool] | None = None,
    ) -> Any:
        """INSERT … ON CONFLICT (`keys`) DO UPDATE SET `changed`, for rows of which `where` is true;
        `rowcount` tells whether one was written."""
        statement = self._insert(table).on_conflict_do_update(
            index_elements=keys, set_=dict(changed), where=where
        )
        return statement.execution_options(preserve_rowcount=True)

    def ping(self) -> None:
        """Ask for nothing; raises when the database does not answer."""
        with self.read() as tx:
            tx.execute(text("SELECT 1")).scalar_one()

    def create_all(self) -> None:
        """Create every declared table (tests; the product migrates instead)."""
        metadata.create_all(self.engine)

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def _begin(self, connection: Connection, words: str) -> None:
        """Begin now: statements on the driver's own cursor (`prepared`) would begin nothing that
        SQLAlchemy knows of, and it commits only what it knows of."""
        if self.dialect == "sqlite":
            connection.exec_driver_sql(words)
        else:
            connection.begin()

    def _insert(self, table: Table) -> Any:
        return (sqlite if self.dialect == "sqlite" else postgresql).insert(table)


class Reader:
    """One kept connection; each `read` is a snapshot of its own. For one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One read-only snapshot; costs two words to the database beside what is asked."""
        with self._one_at_a_time:
            connection = self._connection
            if connection is None:
                connection = self._connection = self._engine.connect()
            driver: Any = connection.connection.dbapi_connection
            try:
                driver.execute("BEGIN")
                yield connection
            except BaseException:
                self._drop()
                raise
            connection.rollback()  # SQLAlchemy's, if a statement of its own began one
            driver.rollback()

    def close(self) -> None:
        """Close the kept connection, once a read that is running has ended."""
        with self._one_at_a_time:
            self._drop()

    def _drop(self) -> None:
        """A connection on which something failed is not used again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def is_unique_violation(error: IntegrityError) -> bool:
    """Whether a UNIQUE or PRIMARY KEY constraint was hit (and not a CHECK or a foreign key)."""
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return bool(state == "23505")
    return str(error.orig).startswith("UNIQUE constraint failed")


def is_outage(failure: BaseException) -> bool:
    """Whether the database could not be asked or could not finish: gone, busy, full, restarting.

    What asked wrongly is no outage; SQLite calls both an operational error.
    """
    if isinstance(failure, PoolTimeout):
        return True
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    if isinstance(cause, sqlite3.OperationalError):
        return cause.sqlite_errorcode & 0xFF in _SQLITE_OUTAGES
    return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)


def gave_up_waiting(failure: BaseException) -> bool:
    """Whether a lock was not to be had in time (`Database.write` with patience)."""
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    return isinstance(cause, psycopg.errors.LockNotAvailable)


def try_advisory_lock(tx: Tx, name: str) -> bool:
    """Be the only holder of `name` until this transaction ends, or learn that another is.

    SQLite has one writer at a time by nature, so a `write()` transaction already holds it.
    """
    if tx.dialect.name == "sqlite":
        return True
    query = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
    return bool(tx.execute(query, {"name": name}).scalar())


def wait_for_advisory_lock(tx: Tx, name: str) -> None:
    """Be the only holder of `name` until this transaction ends; waits for whoever is before us."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def _with_driver(url: str) -> str:
    """`postgresql://` means psycopg 3 here."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _engine(url: str, pool_size: int) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        hide_parameters=True,  # an error message must not quote what a citizen typed
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver opens no transaction; write() and read() do
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)
