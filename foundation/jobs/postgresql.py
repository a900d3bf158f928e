"""Jobs on procrastinate: the engine of PostgreSQL, enqueued by the caller's transaction.

- A lane is a queue. What is due first is done first: procrastinate orders by priority, and a job's
  priority is the second at which it is due, negated. Jobs with one lock are done in that order too,
  so a job that waits for its next attempt does not hold up the younger ones.
- procrastinate forgets why a job failed; the table `job_failures` remembers it.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import procrastinate
import structlog
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.schema import SchemaManager
from sqlalchemy import BigInteger, Column, Integer, Row, Table, Text, delete, exc, text
from sqlalchemy.exc import IntegrityError

from foundation.columns import UtcDateTime
from foundation.database import Tx, is_unique_violation, metadata
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

POLL_SECONDS: Final = 0.2
# procrastinate tells of new jobs at once; of a lock that became free only a look of ours does.
_LOOK_SECONDS: Final = {LOCAL: 1.0}
_LOOK_SOON: Final = 0.1
STALLED_SECONDS: Final = 30
_QUEUES: Final = {lane: "yinzheng" if lane == LOCAL else f"yinzheng-{lane}" for lane in LANES}
_BEGINNING: Final = datetime(2020, 1, 1, tzinfo=UTC)  # a priority is a 32-bit number

# `faults` counts attempts that failed for a cause in the job itself.
job_failures = Table(
    "job_failures",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("faults", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

_DEFER = text(
    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(:queue, :task, :priority, :lock, :key,"
    " CAST(:args AS jsonb), NULL)::procrastinate_job_to_defer_v1])"
)
_TROUBLES = (
    "SELECT id, task_name, args, status, attempts, scheduled_at, problem FROM procrastinate_jobs"
    " {join} job_failures ON job = id WHERE status IN ('todo', 'doing', 'failed')"
    " AND (problem IS NOT NULL OR status = 'failed') AND starts_with(coalesce(queueing_lock, ''),"
    " :key) ORDER BY id DESC LIMIT :limit"
)
# Nothing is put off for so long: it was written while the clock of a worker was ahead.
_AT_LAST = text(
    "UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"
    " AND queue_name = :queue AND scheduled_at > now() + 2 * CAST(:longest AS interval)"
)
_AGAIN = text(
    "UPDATE procrastinate_jobs SET status = 'todo', scheduled_at = NULL, priority = :priority,"
    " attempts = CASE status WHEN 'failed' THEN 0 ELSE attempts END"
    " WHERE id = :id AND (status = 'failed'"
    " OR status = 'todo' AND EXISTS (SELECT 1 FROM job_failures WHERE job = :id))"
)

log = structlog.get_logger("jobs")


class PostgresqlJobs(Jobs):
    """procrastinate, in queues that are our lanes."""

    def enqueue(
        self, tx: Tx, name: str, payload: Mapping[str, Any], *, lock: str = "", key: str = ""
    ) -> None:
        """Insert a procrastinate job in the caller's transaction; a `key` that waits adds none."""
        values = {
            "queue": _QUEUES[self.lane_of(name)],
            "task": name,
            "priority": _priority(self._clock()),
            "lock": lock or None,
            "key": key or None,
            "args": orjson.dumps({"payload": dict(payload)}).decode(),
        }
        try:
            with tx.begin_nested():
                tx.execute(_DEFER, values)
        except IntegrityError as error:
            if not (key and is_unique_violation(error)):
                raise

    def run_pending(self, limit: int = 1000) -> int:
        """Let one worker do what is due until nothing is; answers how many jobs it took up."""
        return asyncio.run(self._work(list(_QUEUES.values()), 1, _LOOK_SOON, None))

    def run_forever(self, stop: threading.Event, lane: str) -> None:
        """Run the workers of one lane in an event loop of their own until `stop` is set."""
        look = _LOOK_SECONDS.get(lane, _LOOK_SOON)
        asyncio.run(self._work([_QUEUES[lane]], LANES[lane], look, stop))

    def troubles(self, key: str = "", limit: int = MOST_LISTED) -> Sequence[Trouble]:
        """Jobs of procrastinate whose last attempt failed, newest first, at most `limit`."""
        # What failed before there was a table of failures is listed too.
        query = text(_TROUBLES.format(join="JOIN" if key else "LEFT JOIN"))
        with self._database.read() as tx:
            return [_trouble(row) for row in tx.execute(query, {"key": key, "limit": limit})]

    def try_again(self, job_id: int) -> bool:
        """Make a job of `troubles` due now, without its faults; False when its key waits again."""
        values = {"id": job_id, "priority": _priority(self._clock())}
        try:
            with self._database.write() as tx:
                if not tx.execute(_AGAIN, values).rowcount:
                    return False
                tx.execute(
                    job_failures.update().where(job_failures.c.job == job_id).values(faults=0)
                )
                return True
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            return False

    async def _work(
        self, queues: Sequence[str], at_once: int, look: float, stop: threading.Event | None
    ) -> int:
        taken = 0
        conninfo = self._database.url.replace("+psycopg", "")
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))

        def run(context: JobContext, payload: dict[str, Any]) -> None:
            nonlocal taken
            taken += 1
            self._run(context.job, payload)

        for name in self._tasks:
            app.task(name=name, pass_context=True, retry=_Retry(self))(run)
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=queues,
                    wait=stop is not None,
                    concurrency=at_once,
                    install_signal_handlers=False,
                    fetch_job_polling_interval=look,
                    delete_jobs="successful",
                )
            )
            sweep = asyncio.create_task(self._sweep(app, queues, worker, stop))
            try:
                await worker
            except asyncio.CancelledError:
                pass
            finally:
                sweep.cancel()
        return taken

    def _run(self, job: Job, payload: dict[str, Any]) -> None:
        """One attempt; the failure carries the number of faults to `_Retry`."""
        try:
            self._tasks[job.task_name](payload)
        except Exception as failure:
            log.warning(
                "job_failed", task=job.task_name, job=job.id, failure=type(failure).__name__
            )
            failure.faults = self._remember(job, failure)  # type: ignore[attr-defined]
            raise
        if job.attempts:
            with self._database.write() as tx:
                tx.execute(delete(job_failures).where(job_failures.c.job == job.id))

    def _remember(self, job: Job, failure: Exception) -> int:
        """Write down why; answers how often the cause was in the job itself, this time included."""
        fault = 0 if is_outside(failure) else 1
        told = {"problem": problem_of(failure), "at": self._clock()}
        more = {**told, "faults": job_failures.c.faults + fault}
        put = self._database.upsert(job_failures, ["job"], more)
        try:
            with self._database.write() as tx:
                row = put.values(job=job.id, faults=fault, **told).returning(job_failures.c.faults)
                return int(tx.execute(row).scalar_one())
        except Exception as problem:  # the job's own failure is the one to act on
            log.warning("failure_not_kept", job=job.id, failure=type(problem).__name__)
            return fault

    def retry_of(self, job: Job, failure: BaseException) -> RetryDecision | None:
        """Our rule in procrastinate's words; its `attempts` does not count the present one."""
        faults = getattr(failure, "faults", job.attempts + 1)
        attempts = job.attempts + 1 if is_outside(failure) else faults
        wait = wait_after(attempts, failure, self.lane_of(job.task_name))
        if wait is None:
            return None
        due = _priority(self._clock() + wait)
        return RetryDecision(retry_in={"seconds": int(wait.total_seconds())}, priority=due)

    async def _sweep(
        self,
        app: procrastinate.App,
        queues: Sequence[str],
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
                await asyncio.to_thread(self._due_at_last, queues)
                for queue in queues:
                    await _give_back(app, queue)
            await asyncio.sleep(POLL_SECONDS)

    def _due_at_last(self, queues: Sequence[str]) -> None:
        longest = [{"queue": _QUEUES[lane], "longest": wait} for lane, wait in LONGEST_WAIT.items()]
        try:
            with self._database.write() as tx:
                tx.execute(_AT_LAST, [each for each in longest if each["queue"] in queues])
        except exc.DBAPIError as problem:
            log.warning("sweep_failed", failure=type(problem).__name__)


class _Retry(BaseRetryStrategy):
    def __init__(self, engine: PostgresqlJobs) -> None:
        self._engine = engine

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        return self._engine.retry_of(job, exception)


async def _give_back(app: procrastinate.App, queue: str) -> None:
    """Whoever else sweeps at the same moment may be first; the next sweep finds what is left."""
    try:
        stalled = await app.job_manager.get_stalled_jobs(
            queue=queue, seconds_since_heartbeat=STALLED_SECONDS
        )
        for job in stalled:
            await app.job_manager.retry_job(job)
    except procrastinate.exceptions.ConnectorException as problem:
        log.warning("sweep_failed", failure=type(problem).__name__)


def _priority(due: datetime) -> int:
    return -int((due - _BEGINNING).total_seconds())


def _trouble(row: Row[Any]) -> Trouble:
    over = row.status == "failed"
    return Trouble(
        id=row.id,
        task=row.task_name,
        payload=row.args.get("payload", {}),
        state="failed" if over else "waiting",
        attempts=row.attempts,
        due=None if over else row.scheduled_at,
        problem=row.problem or "",
    )


def install_engine(tx: Tx) -> None:
    """Prepare a PostgreSQL database for procrastinate; the embedded engine needs only its table."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))


def is_engine_table(name: str | None) -> bool:
    """Whether the table belongs to procrastinate, which keeps its own schema."""
    return (name or "").startswith("procrastinate_")
