"""What failed, and why: what lies outside is tried again until it passes; the rest can be read."""

import time
from datetime import timedelta

import pytest
from sqlalchemy import exc

from foundation.database import Database
from foundation.errors import TooManyRequests, Unavailable
from foundation.jobs import (
    LOCAL,
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    EmbeddedJobs,
    is_outside,
    open_jobs,
    wait_after,
    work,
)
from keys.errors import (
    KeyDamaged,
    KeyMayNotSign,
    KeyStoreUnavailable,
    NoActiveKey,
    OrderRefused,
    OrderUntimely,
    SigningRateExceeded,
    TimestampUnavailable,
    UnknownCertificate,
    UnsafeSecretFile,
)
from signing.errors import ApprovalFromFuture, ContentNotApproved, SealNotUsable, SealNotUsableNow


@pytest.fixture
def done() -> list[dict]:
    return []


@pytest.fixture
def engine(database: Database, clock, done):
    engine = open_jobs(database, clock)
    engine.register("note", done.append)
    return engine


STATEMENT = ("SELECT 1", {}, Exception("from the driver"))
OUTSIDE = [
    KeyStoreUnavailable("silent", retry_after=5),
    TimestampUnavailable("silent", retry_after=5),
    SigningRateExceeded("too many", retry_after=5),
    TooManyRequests("too many", retry_after=5),
    NoActiveKey("none"),
    UnknownCertificate("expired, says this clock"),
    KeyMayNotSign("past its last day, says this clock"),
    KeyDamaged("kept elsewhere"),
    UnsafeSecretFile("the file of the PIN is not there"),
    OrderUntimely("not now"),
    ApprovalFromFuture("not yet"),
    SealNotUsableNow("not valid now"),
    exc.OperationalError(*STATEMENT),
    exc.InterfaceError(*STATEMENT),
    exc.InternalError(*STATEMENT),
    exc.TimeoutError("no connection in the pool"),
    OSError("the disk is full"),
    TimeoutError(),
    ConnectionResetError(),
    MemoryError(),
]
INSIDE = [
    ValueError("a fault"),
    KeyError("a fault"),
    exc.IntegrityError(*STATEMENT),
    exc.ProgrammingError(*STATEMENT),
    OrderRefused("one person"),
    SealNotUsable("revoked"),
    ContentNotApproved("changed"),
]


@pytest.mark.parametrize("failure", OUTSIDE, ids=lambda failure: type(failure).__name__)
def test_what_lies_outside_is_tried_again_for_as_long_as_it_takes(failure: Exception) -> None:
    assert is_outside(failure)
    assert wait_after(10_000, failure) == LONGEST_WAIT[LOCAL]


@pytest.mark.parametrize("failure", INSIDE, ids=lambda failure: type(failure).__name__)
def test_what_is_wrong_with_the_job_itself_is_not(failure: Exception) -> None:
    assert wait_after(MAX_ATTEMPTS, failure) is None


def test_attempts_that_failed_outside_are_not_counted_against_a_job(sqlite_database, clock) -> None:
    engine, failures = EmbeddedJobs(sqlite_database, clock), []

    def task(payload: dict) -> None:
        failures.append(Unavailable("x", retry_after=1) if len(failures) < 20 else ValueError())
        raise failures[-1]

    engine.register("task", task)
    with sqlite_database.write() as tx:
        engine.enqueue(tx, "task", {})
    for _ in range(40):
        engine.run_pending()
        clock.advance(LONGEST_WAIT[LOCAL])

    assert len(failures) == 20 + MAX_ATTEMPTS


@pytest.fixture
def failing(engine, database: Database, monkeypatch) -> list[Exception]:
    """A job with the key "seal/1" that raises what is in the list, and is tried once."""
    monkeypatch.setattr(work, "MAX_ATTEMPTS", 1)
    raised: list[Exception] = []

    def task(payload: dict) -> None:
        if raised:
            raise raised[0]

    engine.register("task", task)
    with database.write() as tx:
        engine.enqueue(tx, "task", {"draft": "d"}, key="seal/1")
    return raised


def test_what_failed_and_why_can_be_read_and_tried_again(engine, failing) -> None:
    failing.append(ValueError("张三"))
    engine.run_pending()

    [trouble] = engine.troubles()
    assert (trouble.task, trouble.payload, trouble.state) == ("task", {"draft": "d"}, "failed")
    assert (trouble.attempts, trouble.due) == (1, None)
    assert trouble.problem.startswith("ValueError at test_failures.py:"), (
        "and nothing of what it says"
    )
    assert engine.troubles("seal/1") == [trouble]
    assert engine.troubles("seal/2") == []

    failing.clear()
    assert engine.run_pending() == 0
    assert engine.try_again(trouble.id)
    assert engine.run_pending() == 1
    assert engine.troubles() == []
    assert not engine.try_again(trouble.id)


def test_what_waits_for_its_next_attempt_is_listed_and_can_be_tried_now(
    engine, failing, clock
) -> None:
    failing.append(KeyStoreUnavailable("the module is silent", retry_after=5))
    engine.run_pending()

    [trouble] = engine.troubles("seal/")
    assert (trouble.state, trouble.problem) == (
        "waiting",
        "key_store_unavailable: the module is silent",
    )
    assert trouble.due is not None

    failing.clear()
    assert engine.try_again(trouble.id)
    assert engine.run_pending() == 1
    assert engine.troubles() == []


def test_a_key_whose_job_failed_for_good_is_free(engine, failing, database: Database, done) -> None:
    failing.append(ValueError())
    engine.run_pending()
    failing.clear()

    with database.write() as tx:
        engine.enqueue(tx, "note", {"n": 7}, key="seal/1")
    assert engine.run_pending() == 1

    assert done == [{"n": 7}]


def test_what_a_clock_that_was_ahead_put_off_for_years_is_done_when_the_clock_is_right(
    sqlite_database, clock
) -> None:
    engine, failures = EmbeddedJobs(sqlite_database, clock), [NoActiveKey("too late, it seems")]

    def task(payload: dict) -> None:
        if failures:
            raise failures.pop()

    engine.register("task", task)
    clock.advance(timedelta(days=7_000))
    with sqlite_database.write() as tx:
        engine.enqueue(tx, "task", {})
    engine.run_pending()
    clock.advance(-timedelta(days=7_000))

    assert engine.run_pending() == 1
    assert engine.troubles() == []


@pytest.mark.postgres
def test_so_it_is_on_postgresql(postgresql_database, clock) -> None:
    engine, done = open_jobs(postgresql_database, clock), []
    engine.register("late", done.append)
    with postgresql_database.write() as tx:
        engine.enqueue(tx, "late", {"n": 1})
        tx.exec_driver_sql(
            "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '9 years'"
        )
    engine.run_pending()

    until = time.monotonic() + 5
    while not done and time.monotonic() < until:
        engine.run_pending()

    assert done == [{"n": 1}]
