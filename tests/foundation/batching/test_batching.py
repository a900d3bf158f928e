"""The fast lane: one trip for many, nothing stale, nothing acknowledged before COMMIT."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import CheckConstraint, Column, Integer, MetaData, Table, insert, select

from foundation.batching import GroupWriter, Loader
from foundation.database import Database

numbers = Table(
    "test_numbers",
    MetaData(),  # not the product's own: the schema tests compare that one
    Column("n", Integer, primary_key=True, autoincrement=False),
    CheckConstraint("n < 1000", name="small"),
)


@pytest.fixture(autouse=True)
def table(database: Database) -> Iterator[None]:
    numbers.create(database.engine)
    yield
    numbers.drop(database.engine)


def stored(database: Database) -> set[int]:
    with database.read() as tx:
        return set(tx.execute(select(numbers.c.n)).scalars())


def test_all_lookups_of_one_turn_become_one_query(database: Database) -> None:
    queries: list[list[int]] = []

    def fetch(tx, keys):
        queries.append(list(keys))
        return {key: str(key) for key in keys if key != 3}

    async def many() -> list[str | None]:
        loader = Loader(database, fetch)
        return await asyncio.gather(*(loader.get(n) for n in [1, 2, 3, 2]))

    assert asyncio.run(many()) == ["1", "2", None, "2"]
    assert queries == [[1, 2, 3]]


def test_what_needs_no_database_is_done_once_a_turn_ahead_of_the_query(database: Database) -> None:
    done: list[tuple[str, list[int]]] = []

    def fetch(tx, keys):
        done.append(("asked", list(keys)))
        return {key: key for key in keys}

    async def many() -> list[int | None]:
        loader = Loader(database, fetch, before=lambda keys: done.append(("before", list(keys))))
        return await asyncio.gather(*(loader.get(n) for n in [1, 2, 1]))

    assert asyncio.run(many()) == [1, 2, 1]
    assert done == [("before", [1, 2]), ("asked", [1, 2])]


def test_a_lookup_sees_what_was_committed_before_it(database: Database) -> None:
    def fetch(tx, keys):
        rows = tx.execute(select(numbers.c.n).where(numbers.c.n.in_(keys)))
        return {n: n for n in rows.scalars()}

    async def story() -> tuple[int | None, int | None]:
        loader = Loader(database, fetch)
        before = await loader.get(7)
        with database.write() as tx:
            tx.execute(insert(numbers).values(n=7))
        return before, await loader.get(7)

    assert asyncio.run(story()) == (None, 7)


def test_a_failing_fetch_reaches_every_waiting_caller(database: Database) -> None:
    def fetch(tx, keys):
        raise LookupError("gone")

    async def many():
        loader = Loader(database, fetch)
        return await asyncio.gather(loader.get(1), loader.get(2), return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(many())] == [LookupError, LookupError]


def test_a_lookup_that_goes_away_disturbs_nobody(database: Database) -> None:
    async def story() -> list[str | BaseException | None]:
        loader = Loader(database, lambda _tx, keys: {key: str(key) for key in keys})
        tasks = [asyncio.create_task(loader.get(n)) for n in (1, 1, 2)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        return [*outcomes[1:], await loader.get(3)]

    assert asyncio.run(story()) == ["1", "2", "3"]


def write_all(tx, items):
    tx.execute(insert(numbers), [{"n": n} for n in items])
    return [n * 10 for n in items]


def test_many_writes_are_one_transaction(database: Database) -> None:
    batches: list[int] = []

    def apply(tx, items):
        batches.append(len(items))
        return write_all(tx, items)

    async def many() -> list[int]:
        writer = GroupWriter(database, apply)
        return await asyncio.gather(*(writer.submit(n) for n in range(50)))

    assert asyncio.run(many()) == [n * 10 for n in range(50)]
    assert batches == [50]
    assert stored(database) == set(range(50))


def test_one_bad_item_does_not_fail_its_neighbours(database: Database) -> None:
    async def many():
        writer = GroupWriter(database, write_all)
        items = [1, 2, 5000, 4, 5]
        return await asyncio.gather(*(writer.submit(n) for n in items), return_exceptions=True)

    outcomes = asyncio.run(many())

    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [10, 20, 40, 50]
    assert isinstance(outcomes[2], Exception)
    assert stored(database) == {1, 2, 4, 5}


def test_a_caller_that_goes_away_disturbs_nobody(database: Database) -> None:
    async def story() -> int:
        writer = GroupWriter(database, write_all)
        impatient = asyncio.create_task(writer.submit(1))
        patient = asyncio.create_task(writer.submit(2))
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert asyncio.run(story()) == 20


def test_a_full_queue_says_come_back_later(database: Database) -> None:
    async def story():
        writer = GroupWriter(database, write_all, capacity=2)
        tasks = [asyncio.create_task(writer.submit(n)) for n in range(4)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    outcomes = asyncio.run(story())

    assert [getattr(outcome, "status", 200) for outcome in outcomes] == [200, 200, 503, 503]
