"""One committer for a database: whoever waits at one turn shares one COMMIT, and nobody suffers."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from sqlalchemy import CheckConstraint, Column, Integer, MetaData, Table, insert, select, update

from foundation.batching import GroupWriter
from foundation.database import Database, Tx
from tests.simulators.commits import counted_commits

numbers = Table(
    "test_committed",
    MetaData(),  # not the product's own: the schema tests compare that one
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("touched", Integer, nullable=False, default=0),
    CheckConstraint("n < 1000", name="small"),
)
LONG = 10.0  # seconds: longer than anything here may take


class TakenTwice(Exception):
    """It was there before."""


@pytest.fixture(autouse=True)
def table(database: Database) -> Iterator[None]:
    numbers.create(database.engine)
    yield
    numbers.drop(database.engine)


def stored(database: Database) -> set[int]:
    with database.read() as tx:
        return set(tx.execute(select(numbers.c.n)).scalars())


def write_all(tx: Tx, items: Sequence[int]) -> list[int]:
    tx.execute(insert(numbers), [{"n": n} for n in items])
    return [n * 10 for n in items]


def touch_all(tx: Tx, items: Sequence[int]) -> list[int]:
    for n in items:
        tx.execute(update(numbers).where(numbers.c.n == n).values(touched=1))
    return list(items)


def test_all_writers_that_wait_at_one_turn_share_one_commit(database: Database) -> None:
    writers = [GroupWriter(database, write_all) for _ in range(9)]

    async def many() -> list[int]:
        items = [(writer, 10 * i + n) for n in range(5) for i, writer in enumerate(writers)]
        return await asyncio.gather(*(writer.submit(n) for writer, n in items))

    with counted_commits(database) as commits:
        asyncio.run(many())

    assert len(commits) == 1
    assert len(stored(database)) == 45
    for writer in writers:
        writer.close()


def test_what_comes_while_one_transaction_runs_shares_the_next(database: Database) -> None:
    first, second = GroupWriter(database, write_all), GroupWriter(database, write_all)

    async def later(writer: GroupWriter[int, int], n: int) -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return await writer.submit(n)

    async def many() -> None:
        await asyncio.gather(first.submit(1), later(first, 2), later(second, 3))

    with counted_commits(database) as commits:
        asyncio.run(many())

    assert len(commits) == 2


def test_nothing_is_answered_before_the_commit(database: Database) -> None:
    seen: list[bool] = []

    def look(n: int, _: object) -> None:
        seen.append(n in stored(database))

    async def story() -> None:
        one, other = GroupWriter(database, write_all), GroupWriter(database, write_all)
        for writer, n in ((one, 1), (other, 2)):
            writing = asyncio.ensure_future(writer.submit(n))
            writing.add_done_callback(partial(look, n))
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(one.submit(3), other.submit(4)), LONG)

    asyncio.run(story())

    assert seen == [True, True]


def test_a_writer_that_fails_does_not_fail_the_others(database: Database) -> None:
    def broken(tx: Tx, items: Sequence[int]) -> list[int]:
        write_all(tx, items)
        raise LookupError("broken")

    async def many() -> Sequence[object]:
        good, bad = GroupWriter(database, write_all), GroupWriter(database, broken)
        other = GroupWriter(database, write_all)
        return await asyncio.gather(
            good.submit(1),
            bad.submit(2),
            other.submit(3),
            other.submit(5000),
            other.submit(4),
            good.submit(5),
            return_exceptions=True,
        )

    outcomes = asyncio.run(many())

    assert [each for each in outcomes if isinstance(each, int)] == [10, 30, 40, 50]
    assert isinstance(outcomes[1], LookupError)
    assert isinstance(outcomes[3], Exception)
    assert stored(database) == {1, 3, 4, 5}


def test_a_writer_that_answers_too_little_fails_alone(database: Database) -> None:
    async def many() -> Sequence[object]:
        good = GroupWriter(database, write_all)
        bad: GroupWriter[int, int] = GroupWriter(database, lambda tx, items: [])
        return await asyncio.gather(good.submit(1), bad.submit(2), return_exceptions=True)

    good, bad = asyncio.run(many())

    assert good == 10
    assert isinstance(bad, ValueError)


def test_a_writer_keeps_the_order_of_its_items_also_after_a_failure(database: Database) -> None:
    written: list[int] = []

    def remember(tx: Tx, items: Sequence[int]) -> list[int]:
        write_all(tx, items)
        written.extend(items)  # of transactions that failed, too
        return list(items)

    async def many() -> None:
        writer, bad = GroupWriter(database, remember), GroupWriter(database, write_all)
        one = [asyncio.ensure_future(writer.submit(n)) for n in range(10)]
        failing = asyncio.ensure_future(bad.submit(5000))
        await asyncio.sleep(0.001)
        more = [asyncio.ensure_future(writer.submit(n)) for n in range(10, 20)]
        await asyncio.wait_for(asyncio.gather(*one, *more, failing, return_exceptions=True), LONG)

    asyncio.run(many())

    assert stored(database) == set(range(20))
    assert written[-20:] == list(range(20))


def refuse_taken(result: int) -> TakenTwice | None:
    return None if result else TakenTwice()


def first_of(database: Database) -> GroupWriter[int, int]:
    """Answers 1 for a number that is new, else 0."""

    def take(tx: Tx, items: Sequence[int]) -> list[int]:
        return [tx.execute(database.insert_or_ignore(numbers).values(n=n)).rowcount for n in items]

    return GroupWriter(database, take)


def test_a_write_and_what_it_depends_on_are_one_commit(database: Database) -> None:
    async def story() -> Sequence[object]:
        writer, taken = GroupWriter(database, write_all), first_of(database)
        twice = [taken.condition(900, refuse_taken), taken.condition(900, refuse_taken)]
        return await asyncio.gather(
            *(writer.submit(n, given) for n, given in enumerate(twice)),
            writer.submit(2),
            return_exceptions=True,
        )

    with counted_commits(database) as commits:
        outcomes = asyncio.run(story())

    assert len(commits) == 1
    assert [outcomes[0], outcomes[2]] == [0, 20]
    assert isinstance(outcomes[1], TakenTwice)
    assert stored(database) == {0, 2, 900}


def test_what_a_write_depends_on_is_not_kept_when_it_fails(database: Database) -> None:
    async def story() -> Sequence[object]:
        writer, taken = GroupWriter(database, write_all), first_of(database)
        return await asyncio.gather(
            writer.submit(5000, taken.condition(900, refuse_taken)),
            writer.submit(1, taken.condition(901, refuse_taken)),
            return_exceptions=True,
        )

    outcomes = asyncio.run(story())

    assert isinstance(outcomes[0], Exception)
    assert outcomes[1] == 10
    assert stored(database) == {1, 901}


@pytest.mark.postgres
def test_who_waits_for_somebody_elses_lock_waits_alone(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer by nature")
    with database.write() as tx:
        write_all(tx, [7])

    async def story(tx: Tx) -> None:
        """`tx` is of a process that stands still with a row in its hand."""
        touch_all(tx, [7])
        waits, free = GroupWriter(database, touch_all), GroupWriter(database, write_all)
        stuck = asyncio.ensure_future(waits.submit(7))
        for n in range(3):
            assert await asyncio.wait_for(free.submit(n), LONG) == n * 10
        assert not stuck.done()
        behind = asyncio.ensure_future(waits.submit(8))
        assert await asyncio.wait_for(free.submit(4), LONG) == 40
        assert not behind.done()
        tx.rollback()
        both = await asyncio.wait_for(asyncio.gather(stuck, behind), LONG)
        assert list(both) == [7, 8]

    with database.write() as tx:
        asyncio.run(story(tx))


def test_closing_finishes_what_was_given(database: Database) -> None:
    entered, go = threading.Event(), threading.Event()

    def slow(tx: Tx, items: Sequence[int]) -> list[int]:
        entered.set()
        assert go.wait(LONG)
        return write_all(tx, items)

    writer, other = GroupWriter(database, slow), GroupWriter(database, write_all)

    async def story() -> None:
        task = asyncio.ensure_future(writer.submit(1))
        await asyncio.to_thread(entered.wait, LONG)
        threading.Timer(0.05, go.set).start()
        writer.close()
        assert stored(database) == {1}
        assert await asyncio.wait_for(task, LONG) == 10
        assert await asyncio.wait_for(other.submit(2), LONG) == 20
        other.close()
        other.close()

    asyncio.run(story())


def test_the_last_writer_ends_the_thread_and_nothing_runs_before_the_first_item(
    database: Database,
) -> None:
    before = set(threading.enumerate())
    own = Database(database.url, database.cipher)  # the other one may have writers still
    writers = [GroupWriter(own, write_all) for _ in range(3)]
    assert set(threading.enumerate()) == before

    asyncio.run(writers[0].submit(1))
    assert len(set(threading.enumerate()) - before) == 1
    for writer in writers:
        writer.close()

    assert set(threading.enumerate()) <= before
    own.close()


def test_event_loops_side_by_side_do_not_mix_up_their_answers(database: Database) -> None:
    outcomes: dict[int, list[int]] = {}

    def play(start: int) -> None:
        writer = GroupWriter(database, write_all)

        async def many() -> list[int]:
            return [await writer.submit(n) for n in range(start, start + 10)]

        outcomes[start] = asyncio.run(many())

    threads = [threading.Thread(target=play, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    expected = {start: [n * 10 for n in range(start, start + 10)] for start in (0, 100, 200)}
    assert outcomes == expected
