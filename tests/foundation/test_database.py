"""Both databases keep the same promises."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from foundation.columns import EncryptedJson, EncryptedText, JsonText, UtcDateTime
from foundation.database import Database, is_outage, is_unique_violation, try_advisory_lock
from foundation.encryption import Undecryptable

things = Table(
    "test_things",
    MetaData(),  # not the product's own: the schema tests compare that one
    Column("id", Integer, primary_key=True),
    Column("name", Text, unique=True),
    Column("at", UtcDateTime),
    Column("secret", EncryptedText("test_things.secret")),
    Column("values", JsonText),
    Column("secrets", EncryptedJson("test_things.secrets")),
)


@pytest.fixture(autouse=True)
def table(database: Database) -> Iterator[None]:
    things.create(database.engine)
    yield
    things.drop(database.engine)


def test_what_is_written_is_read_back(database: Database) -> None:
    at = datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=UTC)
    row = {"name": "𠮷", "at": at, "secret": "陈静怡", "values": {"b": 1, "a": [True]}}

    with database.write() as tx:
        tx.execute(insert(things).values(**row, secrets={"x": "y"}))

    with database.read() as tx:
        found = tx.execute(select(things)).one()
        stored = tx.exec_driver_sql(
            "SELECT secret, values FROM test_things".replace("values", '"values"')
        ).one()
    assert (found.name, found.at, found.secret) == ("𠮷", at, "陈静怡")
    assert found.values == {"a": [True], "b": 1}
    assert found.secrets == {"x": "y"}
    assert "陈静怡".encode() not in bytes(stored[0])
    assert stored[1] == '{"a":[true],"b":1}'


def test_an_exception_rolls_everything_back(database: Database) -> None:
    def write_half() -> None:
        with database.write() as tx:
            tx.execute(insert(things).values(name="half"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()

    with database.read() as tx:
        assert tx.execute(select(things)).all() == []


def test_a_read_changes_nothing(database: Database) -> None:
    try:
        with database.read() as tx:
            tx.execute(insert(things).values(name="sneaked"))
    except DBAPIError:
        pass  # PostgreSQL refuses; SQLite rolls back

    with database.read() as tx:
        assert tx.execute(select(things)).all() == []


def test_a_unique_violation_is_told_from_other_violations(database: Database) -> None:
    with database.write() as tx:
        tx.execute(insert(things).values(name="once"))

    with pytest.raises(IntegrityError) as failure, database.write() as tx:
        tx.execute(insert(things).values(name="once"))

    assert is_unique_violation(failure.value)


def test_insert_or_ignore_says_whether_the_row_is_new(database: Database) -> None:
    with database.write() as tx:
        first = tx.execute(database.insert_or_ignore(things).values(name="once")).rowcount
        second = tx.execute(database.insert_or_ignore(things).values(name="once")).rowcount

    assert (first, second) == (1, 0)


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError), database.write() as tx:
        tx.execute(insert(things).values(at=datetime(2026, 1, 1)))  # noqa: DTZ001


def test_an_encrypted_value_does_not_open_elsewhere(database: Database) -> None:
    sealed = database.cipher.encrypt(b"value", "one.place")

    with pytest.raises(Undecryptable):
        database.cipher.decrypt(sealed, "other.place")
    with pytest.raises(Undecryptable):
        database.cipher.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]), "one.place")


def test_an_advisory_lock_has_one_holder(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer by nature")
    with database.write() as one, database.write() as other:
        assert try_advisory_lock(one, "integrator")
        assert not try_advisory_lock(other, "integrator")


def test_what_asked_wrongly_is_no_outage_and_what_cannot_be_reached_is(database: Database) -> None:
    with pytest.raises(DBAPIError) as wrong, database.read() as tx:
        tx.exec_driver_sql("SELECT nothing FROM nowhere")
    gone = Database("sqlite:////nowhere/at/all.db", database.cipher)
    with pytest.raises(DBAPIError) as missing, gone.read():
        pass

    assert not is_outage(wrong.value)
    assert not is_outage(ValueError())
    assert is_outage(missing.value)
