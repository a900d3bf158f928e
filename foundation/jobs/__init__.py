"""Work that survives the process: enqueued in the caller's transaction, done at least once.

- No commit, no job; and no job is lost after the commit.
- A failure whose cause lies outside (`is_outside`: a key service, a clock, a database, a disk) is
  tried again, with growing pauses, until it passes; any other failure `MAX_ATTEMPTS` times. What
  failed, why, and when it is tried again can be read (`troubles`), and a failed job begun anew.
- A task may run twice (a worker died between the effect and the mark), so every task is idempotent
  by a database constraint of its own, and is cut into chunks that last seconds.
- What talks to somebody else's server is done in a lane of its own, and for one server one thing
  after another: whoever is slow holds up nobody else (attack 52).
- The same task functions run on two engines: an embedded table with leases (the only choice on
  SQLite) and procrastinate on PostgreSQL.

    jobs = open_jobs(database, clock)
    jobs.register("batch.issue_rows", issue_rows)           # issue_rows(payload: dict) -> None
    jobs.enqueue(tx, "batch.issue_rows", {"batch": 7, "first": 0}, lock="authority/…")
    jobs.run_pending()                             # or run_forever, a thread or process for a lane
"""

from foundation.clock import Clock
from foundation.database import Database
from foundation.jobs.embedded import EmbeddedJobs, jobs
from foundation.jobs.postgresql import PostgresqlJobs, install_engine, is_engine_table
from foundation.jobs.work import (
    LANES,
    LOCAL,
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    OUTBOUND,
    Jobs,
    Task,
    Trouble,
    is_outside,
    wait_after,
)

__all__ = [
    "LANES",
    "LOCAL",
    "LONGEST_WAIT",
    "MAX_ATTEMPTS",
    "OUTBOUND",
    "EmbeddedJobs",
    "Jobs",
    "PostgresqlJobs",
    "Task",
    "Trouble",
    "install_engine",
    "is_engine_table",
    "is_outside",
    "jobs",
    "open_jobs",
    "wait_after",
]


def open_jobs(database: Database, clock: Clock) -> Jobs:
    """The engine that fits the database."""
    kind = EmbeddedJobs if database.dialect == "sqlite" else PostgresqlJobs
    return kind(database, clock)
