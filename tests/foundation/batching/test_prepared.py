"""Statements on the driver's own cursor say what SQLAlchemy's would, on both databases."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from foundation.batching.prepared import KEYS, Prepared, Rows
from foundation.columns import UtcDateTime
from foundation.database import Database, is_unique_violation

NOON = datetime(2026, 11, 24, 12, 0, 0, 123_456, tzinfo=UTC)
EVENING = datetime(2026, 11, 24, 18, tzinfo=UTC)

things = Table(
    "test_things",
    MetaData(),  # not the product's own: the schema tests compare that one
    Column("name", Text, primary_key=True),
    Column("data", LargeBinary),
    Column("good", Boolean, nullable=False),
    Column("size", Integer),
    Column("at", UtcDateTime),
    Column("day", Date),
)

add = Rows(things, "name", "data", "good", "size", "at", "day")
by_name = Prepared(select(things).where(things.c.name.in_(KEYS)))


@pytest.fixture(autouse=True)
def table(database: Database) -> Iterator[None]:
    things.create(database.engine)
    yield
    things.drop(database.engine)


def fill(database: Database, count: int) -> None:
    rows = [
        (f"thing-{at:04}", bytes([at % 256]), at % 2 == 0, at, NOON, None) for at in range(count)
    ]
    with database.write() as tx:
        add(tx, rows)


def test_rows_come_back_as_they_went_in(database: Database) -> None:
    row = ("印证", b"\x00\xff", True, None, NOON, date(2026, 11, 24))
    with database.write() as tx:
        add(tx, [row])

    with database.read() as tx:
        (found,) = by_name(tx, ["印证"])
        assert tuple(tx.execute(select(things)).one()) == row

    assert (found.name, bytes(found.data), found.size, found.at) == (
        "印证",
        b"\x00\xff",
        None,
        NOON,
    )
    assert found.good is True
    assert found.day == date(2026, 11, 24)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 100, 300, 1000])
def test_any_number_of_rows_and_keys_fits(database: Database, count: int) -> None:
    fill(database, count)

    with database.read() as tx:
        wanted = [f"thing-{at:04}" for at in range(0, count, 2)]
        found = by_name(tx, {*wanted, "no such thing"})

    assert sorted(row.name for row in found) == wanted
    assert all(row.good for row in found)


def test_no_keys_are_no_question(database: Database) -> None:
    fill(database, 3)

    with database.read() as tx:
        assert by_name(tx, []) == []


def test_what_is_there_already_stays_as_it_is_or_stops_everything(database: Database) -> None:
    fill(database, 2)
    again = [
        ("thing-0001", b"other", True, 7, EVENING, None),
        ("thing-0002", b"", True, 2, EVENING, None),
    ]

    with pytest.raises(IntegrityError) as refused, database.write() as tx:
        add(tx, again)
    assert is_unique_violation(refused.value)
    assert "other" not in str(refused.value)
    with database.write() as tx:
        Rows(things, "name", "data", "good", "size", "at", "day", ignore=True)(tx, again)

    with database.read() as tx:
        sizes = {row.name: row.size for row in by_name(tx, ["thing-0001", "thing-0002"])}
    assert sizes == {"thing-0001": 1, "thing-0002": 2}


def test_an_update_answers_the_rows_it_changed(database: Database) -> None:
    fill(database, 4)
    mark = Prepared(
        update(things)
        .where(things.c.name.in_(KEYS), things.c.at == bindparam("before"))
        .values(at=bindparam("after"))
        .returning(things.c.name, things.c.at)
    )

    with database.write() as tx:
        first = mark(tx, ["thing-0001", "thing-0003"], before=NOON, after=EVENING)
        second = mark(tx, ["thing-0001"], before=NOON, after=EVENING)

    assert sorted((row.name, row.at) for row in first) == [
        ("thing-0001", EVENING),
        ("thing-0003", EVENING),
    ]
    assert second == []


def test_a_delete_without_returning_is_silent(database: Database) -> None:
    fill(database, 3)

    with database.write() as tx:
        assert Prepared(delete(things).where(things.c.name.in_(KEYS)))(tx, ["thing-0001"]) == []

    with database.read() as tx:
        assert len(tx.execute(select(things)).all()) == 2


def test_a_prepared_statement_is_undone_with_its_transaction(database: Database) -> None:
    def fail() -> None:
        with database.write() as tx:
            add(tx, [("lost", b"", True, 0, NOON, None)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    with database.read() as tx:
        assert by_name(tx, ["lost"]) == []
