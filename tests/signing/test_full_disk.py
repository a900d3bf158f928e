"""A disk that is full: nothing is half-sealed, and the same works again when there is room."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from foundation.database import Database
from foundation.errors import Conflict
from signing import Seal
from signing.commands import write_new
from tests.signing.conftest import House


@contextmanager
def full(database: Database) -> Iterator[None]:
    """The database file may grow by no page; SQLite says then "database or disk is full"."""
    with database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def no_room(connection: object, *_more: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]

    event.listen(database.engine.pool, "checkout", no_room)
    try:
        yield
    finally:
        event.remove(database.engine.pool, "checkout", no_room)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")


def seal_again_and_again(house: House, seal: Seal) -> None:
    for _ in range(2000):  # until the last page is full too
        house.sealed(seal)


def test_a_use_that_cannot_be_recorded_is_no_use(house: House, seal: Seal) -> None:
    """The record of a seal's use is committed before the signature exists: no room, no seal."""
    before = house.keys.uses_of(seal.use)

    with full(house.database):
        with pytest.raises(OperationalError, match="full"):
            seal_again_and_again(house, seal)
        recorded = len(house.keys.uses_of(seal.use, limit=5000))

    after = house.sealed(seal)
    assert house.signing.validate(after.data).indication == "valid"
    assert before == []
    assert len(house.keys.uses_of(seal.use, limit=5000)) == recorded + 1


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """No file of this process may become larger than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_does_not_fit_leaves_no_half(tmp_path: Path) -> None:
    path = tmp_path / "sealed.p7s"

    with little_room(10_000), pytest.raises(OSError, match="File too large"):
        write_new(path, bytes(50_000))

    assert os.listdir(tmp_path) == []
    write_new(path, bytes(50_000))
    assert path.read_bytes() == bytes(50_000)


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "sealed.p7s"
    path.write_bytes(b"important")

    with pytest.raises(Conflict):
        write_new(path, b"other")

    assert os.listdir(tmp_path) == ["sealed.p7s"]
    assert path.read_bytes() == b"important"
