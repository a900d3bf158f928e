"""Statements that are compiled once and run on the driver's own cursor.

SQLAlchemy spends about ninety microseconds on a statement before the database sees it; SQLite
answers a look-up in four. So what the fast lane asks is written with SQLAlchemy like everything
else, compiled at its first use, and from then on handed to the driver as text and values. Column
types still convert both ways.

    _by_hash = Prepared(select(codes).where(codes.c.hash.in_(KEYS)))
    rows = _by_hash(tx, hashes)                       # named tuples; one query for all hashes

    _add = Rows(outbox, "entry_id", "leaf")
    _add(tx, [("01…", b"…"), ("02…", b"…")])          # one statement for many rows

They join the caller's transaction like any other statement.
"""

from collections import namedtuple
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import BindParameter, Boolean, Dialect, LargeBinary, Table, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import Select
from sqlalchemy.types import TypeEngine

from foundation.database import Tx

# The list of keys in a statement: `column.in_(KEYS)`.
KEYS: Final[BindParameter[Any]] = bindparam("keys", expanding=True)

_IN_KEYS = "IN (__[POSTCOMPILE_keys])"
_LARGEST_INSERT = 256

Convert = Callable[[Any], Any] | None


class Prepared:
    """A SELECT, UPDATE or DELETE; `column.in_(KEYS)` may stand in it once."""

    def __init__(self, statement: Select[Any] | UpdateBase) -> None:
        self._statement = statement
        self._compiled: WeakKeyDictionary[Dialect, _Compiled] = WeakKeyDictionary()

    def __call__(self, tx: Tx, keys: Collection[Any] = (), **values: Any) -> list[Any]:
        """The rows, with the columns as attributes. No keys are asked for means no rows."""
        compiled = self._compiled.get(tx.dialect)
        if compiled is None:
            made = self._statement.compile(dialect=tx.dialect)
            compiled = self._compiled[tx.dialect] = _Compiled(made, tx.dialect)
        if compiled.has_keys and not keys:
            return []
        found = _run(tx, *compiled.call(list(keys), values), answers=compiled.answers)
        return compiled.rows(found)


class _Compiled:
    """The text of a statement for one dialect, and how values go in and come out."""

    def __init__(self, made: SQLCompiler, dialect: Dialect) -> None:
        self._text = str(made)
        self.has_keys = _IN_KEYS in self._text
        self._positions = made.positiontup
        self._texts: dict[int, str] = {}
        if self._positions is None:  # named values: PostgreSQL, which takes an array
            self._text = self._text.replace(_IN_KEYS, "= ANY(%(keys)s)")
        self._bind: dict[str, Convert] = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in made.binds.items()
        }
        self._fixed: dict[str, Any] = {
            name: bind.value for name, bind in made.binds.items() if name != "keys"
        }
        columns = _answered(made.statement)
        self.answers = bool(columns)
        self._row: Any = namedtuple("Row", [column.name for column in columns])  # type: ignore[misc]
        converters = [
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns
        ]
        self._convert = [(at, each) for at, each in enumerate(converters) if each is not None]

    def call(self, keys: list[Any], values: Mapping[str, Any]) -> tuple[str, Any]:
        """Text and parameters for the driver."""
        known = {name: self._in(name, value) for name, value in {**self._fixed, **values}.items()}
        if self._positions is None:
            # PostgreSQL has no text with a NUL in it: asked for one, it refuses the whole batch.
            askable = [key for key in keys if not (isinstance(key, str) and "\0" in key)]
            return self._text, known | {"keys": askable}
        parameters: list[Any] = []
        size = _padded(len(keys))
        for name in self._positions:
            if name == "keys":
                parameters += keys + keys[-1:] * (size - len(keys))
            else:
                parameters.append(known[name])
        return self._sized(size), parameters

    def rows(self, found: Sequence[tuple[Any, ...]]) -> list[Any]:
        make = self._row._make
        if not self._convert:
            return [make(values) for values in found]
        rows = []
        for values in found:
            changed = list(values)
            for at, convert in self._convert:
                changed[at] = convert(changed[at])
            rows.append(make(changed))
        return rows

    def _in(self, name: str, value: Any) -> Any:
        convert = self._bind[name]
        return value if convert is None else convert(value)

    def _sized(self, size: int) -> str:
        """Few sizes, so that the driver finds a statement it has prepared before."""
        text = self._texts.get(size)
        if text is None:
            marks = "IN (" + ", ".join("?" * size) + ")"
            text = self._texts[size] = self._text.replace(_IN_KEYS, marks)
        return text


class Rows:
    """Inserts many rows of `columns` at once; with `ignore`, those that exist stay as they are."""

    def __init__(self, table: Table, *columns: str, ignore: bool = False) -> None:
        self._table = table
        self._columns = columns
        self._tail = " ON CONFLICT DO NOTHING" if ignore else ""
        self._bind: WeakKeyDictionary[Dialect, list[Convert]] = WeakKeyDictionary()
        self._texts: dict[int, str] = {}

    def __call__(self, tx: Tx, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows, values in the order of `columns`; without rows nothing is sent."""
        if not rows:
            return
        bind = self._bind.get(tx.dialect)
        if bind is None:
            types = [self._table.c[name].type for name in self._columns]
            bind = self._bind[tx.dialect] = [_binder(each, tx.dialect) for each in types]
        if any(bind):
            rows = [
                [
                    value if each is None else each(value)
                    for each, value in zip(bind, row, strict=True)
                ]
                for row in rows
            ]
        if tx.dialect.name == "sqlite":
            self._by_values(tx, rows)
        else:
            _run(tx, self._by_arrays(tx.dialect), [list(each) for each in zip(*rows, strict=True)])

    def _by_values(self, tx: Tx, rows: Sequence[Sequence[Any]]) -> None:
        """VALUES (…), (…) in a few sizes: one step for many rows, and texts the driver knows."""
        at = 0
        while at < len(rows):
            size = min(_LARGEST_INSERT, 1 << (len(rows) - at).bit_length() - 1)
            text = self._texts.get(size)
            if text is None:
                row = "(" + ", ".join("?" * len(self._columns)) + ")"
                text = self._texts[size] = self._insert("VALUES " + ", ".join([row] * size))
            _run(tx, text, [value for row in rows[at : at + size] for value in row])
            at += size

    def _by_arrays(self, dialect: Dialect) -> str:
        """SELECT unnest(…): one array for each column, the same text for any number of rows."""
        text = self._texts.get(0)
        if text is None:
            types = [self._table.c[name].type.compile(dialect) for name in self._columns]
            arrays = ", ".join(f"%s::{each}[]" for each in types)
            text = self._texts[0] = self._insert(f"SELECT * FROM unnest({arrays})")  # noqa: S608 - types
        return text

    def _insert(self, source: str) -> str:
        names = ", ".join(f'"{name}"' for name in self._columns)
        return f'INSERT INTO "{self._table.name}" ({names}) {source}{self._tail}'


def _binder(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    """How a value goes in; both drivers take bytes and truth values as they are."""
    if isinstance(kind, LargeBinary | Boolean):
        return None
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _answered(statement: Any) -> Sequence[Any]:
    """The columns that a statement answers: those of a SELECT, or of RETURNING."""
    columns = getattr(statement, "selected_columns", None)
    return list(statement._returning if columns is None else columns)  # noqa: SLF001


def _run(tx: Tx, text: str, parameters: Any, *, answers: bool = False) -> Sequence[tuple[Any, ...]]:
    """Hand a statement to the driver; its errors rise as SQLAlchemy's, without the values."""
    cursor = tx.connection.cursor()
    try:
        for listen in tx.dispatch.before_cursor_execute:  # as for SQLAlchemy's own statements
            listen(tx, cursor, text, parameters, None, False)
        cursor.execute(text, parameters)
        return cursor.fetchall() if answers else ()
    except tx.dialect.loaded_dbapi.Error as error:
        base = tx.dialect.loaded_dbapi.Error
        raise DBAPIError.instance(text, None, error, base, hide_parameters=True) from error
    finally:
        cursor.close()


def _padded(count: int) -> int:
    """The next power of two."""
    return 1 << max(count - 1, 0).bit_length()
