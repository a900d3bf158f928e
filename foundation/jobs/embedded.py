"""Jobs in a plain table with leases: the engine of SQLite.

A worker that dies loses its lease, and its job runs again. Looking whether something is due takes
no lock; only taking it up does.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    Table,
    Text,
    and_,
    false,
    not_,
    or_,
    select,
    update,
)

from foundation.columns import JsonText, UtcDateTime
from foundation.database import Tx, metadata
from foundation.jobs.work import (
    LANES,
    LOCAL,
    LONGEST_WAIT,
    MOST_LISTED,
    Jobs,
    Trouble,
    is_outside,
    problem_of,
    wait_after,
)

LEASE: Final = timedelta(seconds=15)
POLL_SECONDS: Final = 0.2

# `attempts` counts all of them, `faults` those that failed for a cause in the job itself.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task", Text, nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("lock", Text, nullable=False, default=""),
    Column("key", Text, unique=True),
    Column("state", Text, nullable=False, default="waiting", index=True),
    Column("attempts", Integer, nullable=False, default=0),
    Column("run_after", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("error", Text, nullable=False, default=""),
    Column("faults", Integer, nullable=False, default=0, server_default="0"),
    Index(None, "state", "run_after"),
)

log = structlog.get_logger("jobs")


class EmbeddedJobs(Jobs):
    """A plain table with leases."""

    def enqueue(
        self, tx: Tx, name: str, payload: Mapping[str, Any], *, lock: str = "", key: str = ""
    ) -> None:
        """Insert a row in the caller's transaction; a failed row of the same `key` is renewed."""
        row = {"task": name, "payload": dict(payload), "lock": lock, "run_after": self._clock()}
        if key and tx.execute(self._anew(row, jobs.c.key == key)).rowcount:
            return
        tx.execute(self._database.insert_or_ignore(jobs).values(**row, key=key or None))

    def run_pending(self, limit: int = 1000) -> int:
        """Take and do up to `limit` due jobs one after the other; answers how many were taken."""
        taken = 0
        while taken < limit and (job := self._claim(list(self._tasks))) is not None:
            self._run(job)
            taken += 1
        return taken

    def run_forever(self, stop: threading.Event, lane: str) -> None:
        """Look for due jobs of one lane until `stop` is set, and do them on the lane's threads."""
        tasks = [name for name in self._tasks if self._lanes[name] == lane]
        free, moved = threading.Semaphore(LANES[lane]), threading.Event()

        def over(done: "Future[None]") -> None:
            free.release()
            moved.set()  # whoever waited for its lock need not wait for the next look
            if (problem := done.exception()) is not None:  # not marked as done: its lease ends
                log.warning("job_not_marked", failure=type(problem).__name__)

        with ThreadPoolExecutor(LANES[lane], thread_name_prefix=f"jobs-{lane}") as hands:
            while not stop.is_set():
                if not free.acquire(timeout=POLL_SECONDS):
                    continue
                moved.clear()
                job = self._claim(tasks)
                if job is None:
                    free.release()
                    moved.wait(POLL_SECONDS)
                else:
                    hands.submit(self._run, job).add_done_callback(over)

    def troubles(self, key: str = "", limit: int = MOST_LISTED) -> Sequence[Trouble]:
        """Rows with an error, newest first; with `key`, those whose key begins with it."""
        failed = jobs.c.state.in_(("waiting", "running", "failed")), jobs.c.error != ""
        query = select(jobs).where(*failed).order_by(jobs.c.id.desc()).limit(limit)
        if key:  # a range of the index; no character comes after the last one there is
            query = query.where(jobs.c.key >= key, jobs.c.key < key + "\U0010ffff")
        with self._database.read() as tx:
            return [_trouble(row) for row in tx.execute(query)]

    def try_again(self, job_id: int) -> bool:
        """Make a failed row due now, or one that waits after an error; False when neither is
        there."""
        with self._database.write() as tx:
            row = {"run_after": self._clock()}
            if tx.execute(self._anew(row, jobs.c.id == job_id)).rowcount:
                return True
            waits = jobs.c.id == job_id, jobs.c.state == "waiting", jobs.c.error != ""
            return bool(tx.execute(update(jobs).where(*waits).values(**row)).rowcount)

    def _anew(self, row: Mapping[str, Any], which: Any) -> Any:
        """Begin a job again that had failed for good."""
        begin = {"state": "waiting", "attempts": 0, "faults": 0, **row}
        return update(jobs).where(which, jobs.c.state == "failed").values(**begin)

    def _claim(self, tasks: Sequence[str]) -> Row[Any] | None:
        """Take up what has been due for longest, lost leases first.

        Nothing is put off for longer than `LONGEST_WAIT`, and no lease lasts so long: what says
        otherwise was written while the clock was ahead, and is due at last.
        """
        now = self._clock()
        held = jobs.c.lease_until.between(now, now + 2 * LONGEST_WAIT[LOCAL])
        lost = and_(jobs.c.state == "running", not_(held))
        due = and_(jobs.c.state == "waiting", jobs.c.run_after <= now)
        put_off = and_(jobs.c.state == "waiting", or_(false(), *self._never(tasks, now)))
        busy = select(jobs.c.lock).where(jobs.c.state == "running", held, jobs.c.lock != "")
        ours = and_(jobs.c.task.in_(tasks), jobs.c.lock.not_in(busy))
        with self._database.read() as tx:
            for which in (lost, due, put_off):  # apart: together no index would give the order
                query = select(jobs.c.id).where(which, ours)
                found = tx.execute(query.order_by(jobs.c.run_after, jobs.c.id).limit(1)).scalar()
                if found is not None:
                    break
        if found is None:
            return None
        claim = (
            update(jobs)
            .where(jobs.c.id == found, which, ours)
            .values(state="running", attempts=jobs.c.attempts + 1, lease_until=now + LEASE)
            .returning(jobs)
        )
        with self._database.write() as tx:
            return tx.execute(claim).first()

    def _never(self, tasks: Sequence[str], now: datetime) -> Iterator[ColumnElement[bool]]:
        """Of each lane: due later than any pause of that lane would put it off."""
        for lane, longest in LONGEST_WAIT.items():
            mine = [task for task in tasks if self.lane_of(task) == lane]
            yield and_(jobs.c.task.in_(mine), jobs.c.run_after > now + 2 * longest)

    def _run(self, job: Row[Any]) -> None:
        try:
            with self._lease_kept(job.id):
                self._tasks[job.task](job.payload)
        except Exception as failure:
            self._failed(job, failure)
        else:
            self._set(job.id, state="done", key=None, error="")

    def _failed(self, job: Row[Any], failure: Exception) -> None:
        # The kind of failure only: its message may quote what a citizen typed.
        log.warning("job_failed", task=job.task, job=job.id, failure=type(failure).__name__)
        outside = is_outside(failure)
        faults = job.faults if outside else job.faults + 1
        attempts = job.attempts if outside else faults
        wait = wait_after(attempts, failure, self.lane_of(job.task))
        state = "failed" if wait is None else "waiting"
        run_after = self._clock() + (wait or timedelta(0))
        problem = problem_of(failure)
        self._set(job.id, state=state, run_after=run_after, faults=faults, error=problem)

    def _set(self, job_id: int, **values: Any) -> None:
        with self._database.write() as tx:
            tx.execute(update(jobs).where(jobs.c.id == job_id).values(**values))

    @contextmanager
    def _lease_kept(self, job_id: int) -> Iterator[None]:
        done = threading.Event()

        def heartbeat() -> None:
            while not done.wait(LEASE.total_seconds() / 3):
                self._set(job_id, lease_until=self._clock() + LEASE)

        keeper = threading.Thread(target=heartbeat, name="job-lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()


def _trouble(row: Row[Any]) -> Trouble:
    over = row.state == "failed"
    return Trouble(
        id=row.id,
        task=row.task,
        payload=row.payload,
        state="failed" if over else "waiting",
        attempts=row.attempts,
        due=None if over else row.run_after,
        problem=row.error,
    )
