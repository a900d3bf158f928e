"""Work that survives the process: enqueued in the caller's transaction, done at least once.

- No commit, no job; and no job is lost after the commit.
- What is unavailable for now (a key service, a time-stamp authority) is asked again until it
  answers; any other failure is tried `MAX_ATTEMPTS` times.
- A task may run twice (a worker died between the effect and the mark), so every task is idempotent
  by a database constraint of its own, and is cut into chunks that last seconds.
- The same task functions run on two engines: an embedded table with leases (the only choice on
  SQLite) and procrastinate on PostgreSQL.

    jobs = open_jobs(database, clock)
    jobs.register("batch.issue_rows", issue_rows)           # issue_rows(payload: dict) -> None
    jobs.enqueue(tx, "batch.issue_rows", {"batch": 7, "first": 0}, lock="authority/…")
    jobs.run_pending()                                      # or run_forever in a thread or process
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import orjson
import procrastinate
import structlog
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.schema import SchemaManager
from sqlalchemy import Column, Integer, Row, Table, Text, and_, or_, select, text, update
from sqlalchemy.exc import IntegrityError

from foundation.clock import Clock
from foundation.columns import JsonText, UtcDateTime
from foundation.database import Database, Tx, is_unique_violation, metadata
from foundation.errors import Unavailable

Task = Callable[[dict[str, Any]], None]

MAX_ATTEMPTS = 8
LONGEST_WAIT = timedelta(minutes=5)
LEASE = timedelta(seconds=15)
POLL_SECONDS = 0.2
STALLED_SECONDS = 30

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
)

log = structlog.get_logger("jobs")


class Jobs(ABC):
    """What rooms see of the job engine."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tasks: dict[str, Task] = {}

    def register(self, name: str, task: Task) -> None:
        """Give a task its name; both the enqueuing and the working process do this at assembly."""
        self._tasks[name] = task

    @abstractmethod
    def enqueue(
        self, tx: Tx, name: str, payload: Mapping[str, Any], *, lock: str = "", key: str = ""
    ) -> None:
        """Add a job in the caller's transaction.

        Jobs with the same `lock` never run at the same time. A `key` that is already waiting adds
        nothing.
        """

    @abstractmethod
    def run_pending(self, limit: int = 1000) -> int:
        """Do what is due, in this thread; answers how many jobs were taken up."""

    @abstractmethod
    def run_forever(self, stop: threading.Event) -> None:
        """Work until `stop` is set."""


class EmbeddedJobs(Jobs):
    """A plain table with leases. A worker that dies loses its lease, and its job runs again."""

    def enqueue(
        self, tx: Tx, name: str, payload: Mapping[str, Any], *, lock: str = "", key: str = ""
    ) -> None:
        row = {"task": name, "payload": dict(payload), "lock": lock, "key": key or None}
        tx.execute(self._database.insert_or_ignore(jobs).values(**row, run_after=self._clock()))

    def run_pending(self, limit: int = 1000) -> int:
        taken = 0
        while taken < limit and (job := self._claim()) is not None:
            self._run(job)
            taken += 1
        return taken

    def run_forever(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if self.run_pending(limit=1) == 0:
                stop.wait(POLL_SECONDS)

    def _claim(self) -> Row[Any] | None:
        now = self._clock()
        due = or_(
            and_(jobs.c.state == "waiting", jobs.c.run_after <= now),
            and_(jobs.c.state == "running", jobs.c.lease_until < now),
        )
        busy = select(jobs.c.lock).where(
            jobs.c.state == "running", jobs.c.lease_until >= now, jobs.c.lock != ""
        )
        first = select(jobs.c.id).where(due, jobs.c.lock.not_in(busy)).order_by(jobs.c.id).limit(1)
        claim = (
            update(jobs)
            .where(jobs.c.id == first.scalar_subquery(), due)
            .values(state="running", attempts=jobs.c.attempts + 1, lease_until=now + LEASE)
            .returning(jobs)
        )
        with self._database.write() as tx:
            return tx.execute(claim).first()

    def _run(self, job: Row[Any]) -> None:
        try:
            with self._lease_kept(job.id):
                self._tasks[job.task](job.payload)
        except Exception as failure:
            self._failed(job, failure)
        else:
            self._set(job.id, state="done", key=None)

    def _failed(self, job: Row[Any], failure: Exception) -> None:
        # The kind of failure only: its message may quote what a citizen typed.
        log.warning("job_failed", task=job.task, job=job.id, failure=type(failure).__name__)
        wait = _wait_after(job.attempts, failure)
        state = "failed" if wait is None else "waiting"
        run_after = self._clock() + (wait or timedelta(0))
        self._set(job.id, state=state, run_after=run_after, error=type(failure).__name__)

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


class ProcrastinateJobs(Jobs):
    """procrastinate on PostgreSQL: the country's engine, enqueued by the caller's transaction."""

    _QUEUE = "yinzheng"

    def enqueue(
        self, tx: Tx, name: str, payload: Mapping[str, Any], *, lock: str = "", key: str = ""
    ) -> None:
        defer = text(
            "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(:queue, :task, 0, :lock, :key,"
            " CAST(:args AS jsonb), NULL)::procrastinate_job_to_defer_v1])"
        )
        values = {
            "queue": self._QUEUE,
            "task": name,
            "lock": lock or None,
            "key": key or None,
            "args": orjson.dumps({"payload": dict(payload)}).decode(),
        }
        try:
            with tx.begin_nested():
                tx.execute(defer, values)
        except IntegrityError as error:
            if not (key and is_unique_violation(error)):
                raise

    def run_pending(self, limit: int = 1000) -> int:
        return asyncio.run(self._work(wait=False, stop=None))

    def run_forever(self, stop: threading.Event) -> None:
        asyncio.run(self._work(wait=True, stop=stop))

    async def _work(self, *, wait: bool, stop: threading.Event | None) -> int:
        taken = 0

        def counted(task: Task) -> Callable[..., None]:
            def run(payload: dict[str, Any]) -> None:
                nonlocal taken
                taken += 1
                task(payload)

            return run

        conninfo = self._database.url.replace("+psycopg", "")
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))
        for name, task in self._tasks.items():
            app.task(name=name, queue=self._QUEUE, retry=_Retry())(counted(task))
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=[self._QUEUE],
                    wait=wait,
                    concurrency=1,
                    install_signal_handlers=False,
                    fetch_job_polling_interval=1.0,
                    delete_jobs="successful",
                )
            )
            sweep = asyncio.create_task(self._sweep(app, worker, stop))
            try:
                await worker
            except asyncio.CancelledError:
                pass
            finally:
                sweep.cancel()
        return taken

    async def _sweep(
        self,
        app: procrastinate.App,
        worker: "asyncio.Task[None]",
        stop: threading.Event | None,
    ) -> None:
        """Give back what dead workers held (procrastinate leaves that to its host), and stop."""
        next_sweep = 0.0
        loop = asyncio.get_running_loop()
        while not worker.done():
            if stop is not None and stop.is_set():
                worker.cancel()
            if loop.time() >= next_sweep:
                next_sweep = loop.time() + 10
                stalled = await app.job_manager.get_stalled_jobs(
                    seconds_since_heartbeat=STALLED_SECONDS
                )
                for job in stalled:
                    await app.job_manager.retry_job(job)
            await asyncio.sleep(POLL_SECONDS)


class _Retry(BaseRetryStrategy):
    """Our rule in procrastinate's words; its `attempts` does not count the present one."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        wait = _wait_after(job.attempts + 1, exception)
        return None if wait is None else RetryDecision(retry_in={"seconds": int(wait.seconds)})


def _wait_after(attempts: int, failure: BaseException) -> timedelta | None:
    """When to try again after so many attempts; None when it is over."""
    if isinstance(failure, Unavailable):
        return min(timedelta(seconds=2.0 ** min(attempts, 16)), LONGEST_WAIT)
    return timedelta(seconds=2.0**attempts) if attempts < MAX_ATTEMPTS else None


def open_jobs(database: Database, clock: Clock) -> Jobs:
    """The engine that fits the database."""
    kind = EmbeddedJobs if database.dialect == "sqlite" else ProcrastinateJobs
    return kind(database, clock)


def install_engine(tx: Tx) -> None:
    """Prepare a PostgreSQL database for procrastinate; the embedded engine needs only its table."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))


def is_engine_table(name: str | None) -> bool:
    """Whether the table belongs to procrastinate, which keeps its own schema."""
    return (name or "").startswith("procrastinate_")
