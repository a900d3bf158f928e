"""Jobs: no commit no job, at least once, one at a time under a lock; the same on both engines."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import update

from foundation.database import Database
from foundation.errors import Unavailable
from foundation.jobs import (
    LANES,
    LOCAL,
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    OUTBOUND,
    EmbeddedJobs,
    Jobs,
    jobs,
    open_jobs,
    wait_after,
)


@pytest.fixture
def done() -> list[dict]:
    return []


@pytest.fixture
def engine(database: Database, clock, done):
    engine = open_jobs(database, clock)
    engine.register("note", done.append)
    return engine


def test_a_committed_job_runs_once(engine, database: Database, done) -> None:
    with database.write() as tx:
        engine.enqueue(tx, "note", {"n": 1})
        engine.enqueue(tx, "note", {"n": 2}, lock="one at a time")

    assert engine.run_pending() == 2
    assert engine.run_pending() == 0
    assert done == [{"n": 1}, {"n": 2}]


def test_a_job_of_a_rolled_back_transaction_never_runs(engine, database: Database, done) -> None:
    def enqueue_and_fail() -> None:
        with database.write() as tx:
            engine.enqueue(tx, "note", {"n": 1})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        enqueue_and_fail()

    assert engine.run_pending() == 0
    assert done == []


def test_a_waiting_key_is_enqueued_once(engine, database: Database, done) -> None:
    for _ in range(2):
        with database.write() as tx:
            engine.enqueue(tx, "note", {"n": 1}, key="nightly")

    engine.run_pending()

    assert done == [{"n": 1}]


@pytest.mark.parametrize(
    ("failure", "tried"),
    [(ValueError("a fault"), MAX_ATTEMPTS), (Unavailable("silent", retry_after=5), 20)],
    ids=["failed", "unavailable"],
)
def test_what_is_unavailable_is_asked_again_until_it_answers_and_other_failures_end(
    sqlite_database, clock, failure, tried
) -> None:
    engine, attempts = EmbeddedJobs(sqlite_database, clock), []

    def task(payload):
        attempts.append(payload)
        raise failure

    engine.register("task", task)
    with sqlite_database.write() as tx:
        engine.enqueue(tx, "task", {})
    for _ in range(20):
        engine.run_pending()
        clock.advance(LONGEST_WAIT[LOCAL])

    assert len(attempts) == tried


def test_both_engines_follow_one_rule_about_trying_again() -> None:
    def waits(failure: Exception) -> list[int | None]:
        return [
            None if (wait := wait_after(attempts, failure)) is None else wait.seconds
            for attempts in (1, 2, 7, 8, 100)
        ]

    assert waits(ValueError()) == [2, 4, 128, None, None]
    assert waits(Unavailable("silent", retry_after=5)) == [2, 4, 128, 256, 300]
    for attempts, seconds in ((8, 256), (11, 2048), (12, 3600), (100, 3600)):
        wait = wait_after(attempts, Unavailable("silent", retry_after=5), OUTBOUND)
        assert wait == timedelta(seconds=seconds)


def test_a_failed_job_waits_and_runs_again(sqlite_database, clock) -> None:
    engine, attempts = EmbeddedJobs(sqlite_database, clock), []

    def flaky(payload):
        attempts.append(payload)
        if len(attempts) == 1:
            raise OSError("the disk is tired")

    engine.register("flaky", flaky)
    with sqlite_database.write() as tx:
        engine.enqueue(tx, "flaky", {})

    assert engine.run_pending() == 1
    assert engine.run_pending() == 0
    clock.advance(timedelta(minutes=1))
    assert engine.run_pending() == 1
    assert len(attempts) == 2


def test_the_job_of_a_dead_worker_runs_again_when_its_lease_is_over(
    sqlite_database, clock, done
) -> None:
    engine = EmbeddedJobs(sqlite_database, clock)
    engine.register("note", done.append)
    with sqlite_database.write() as tx:
        engine.enqueue(tx, "note", {"n": 1}, lock="a")
        engine.enqueue(tx, "note", {"n": 2}, lock="a")
    with sqlite_database.write() as tx:  # a worker that took the first job and was killed
        lease = clock() + timedelta(seconds=15)
        dead = update(jobs).where(jobs.c.id == 1).values(state="running", lease_until=lease)
        tx.execute(dead)

    assert engine.run_pending() == 0, "the second job waits for the lock"
    clock.advance(timedelta(seconds=16))
    assert engine.run_pending() == 2
    assert done == [{"n": 1}, {"n": 2}]


# ── lanes ────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def working(engine: Jobs) -> Iterator[None]:
    """As a worker process does: every lane in a thread."""
    stop = threading.Event()
    threads = [threading.Thread(target=engine.run_forever, args=(stop, lane)) for lane in LANES]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def soon(what: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not what() and time.monotonic() < until:
        time.sleep(0.02)
    return what()


def test_what_was_due_first_is_done_first(engine, database: Database, clock, done) -> None:
    for n, later in ((1, timedelta(minutes=2)), (2, -timedelta(minutes=1))):
        clock.advance(later)
        with database.write() as tx:
            engine.enqueue(tx, "note", {"n": n})
    clock.advance(timedelta(minutes=5))

    engine.run_pending()

    assert done == [{"n": 2}, {"n": 1}]


def test_a_job_that_waits_for_its_next_attempt_holds_up_no_other_of_its_lock(
    engine, database: Database, done
) -> None:
    def fails(payload: dict) -> None:
        raise Unavailable("silent", retry_after=5)

    engine.register("fails", fails)
    for name in ("fails", "note"):
        with database.write() as tx:
            engine.enqueue(tx, name, {"n": 1}, lock="one server")

    engine.run_pending()

    assert done == [{"n": 1}]


def test_who_waits_for_a_server_holds_up_neither_the_house_nor_other_servers(
    engine, database: Database, done
) -> None:
    answered, begun = threading.Event(), []

    def ask(payload: dict) -> None:
        begun.append(payload["to"])
        if payload["to"] == "slow":
            answered.wait(20)

    engine.register("ask", ask, lane=OUTBOUND)
    with database.write() as tx:
        for to in [*["slow"] * 20, "quick"]:
            engine.enqueue(tx, "ask", {"to": to}, lock=to)
        engine.enqueue(tx, "note", {"n": 1})

    with working(engine):
        both = soon(lambda: done == [{"n": 1}] and "quick" in begun)
        asked = begun.count("slow")
        answered.set()
        all_asked = soon(lambda: begun.count("slow") == 20)

    assert both
    assert asked == 1, "one server is asked one thing after another"
    assert all_asked


def test_several_servers_are_waited_for_at_once(engine, database: Database) -> None:
    together = threading.Barrier(3, timeout=10)
    met = []

    def ask(payload: dict) -> None:
        together.wait()
        met.append(payload["to"])

    engine.register("ask", ask, lane=OUTBOUND)
    with database.write() as tx:
        for to in ("a", "b", "c"):
            engine.enqueue(tx, "ask", {"to": to}, lock=to)

    with working(engine):
        assert soon(lambda: sorted(met) == ["a", "b", "c"])
