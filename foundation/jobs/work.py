"""What callers see of the job engine, and the rules both engines follow (`foundation.jobs`)."""

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import exc

from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import YinzhengError

Task = Callable[[dict[str, Any]], None]

LOCAL: Final = "local"
OUTBOUND: Final = "outbound"
# Lanes, and how many of their jobs are done at once by one process. What waits for somebody else's
# server never stands in front of what does not.
LANES: Final[Mapping[str, int]] = {LOCAL: 1, OUTBOUND: 8}

MAX_ATTEMPTS: Final = 8
# Our own disk or database comes back in minutes; another office may be closed for the weekend.
LONGEST_WAIT: Final[Mapping[str, timedelta]] = {
    LOCAL: timedelta(minutes=5),
    OUTBOUND: timedelta(hours=1),
}
MOST_LISTED: Final = 1_000

_OUTSIDE: Final = (
    OSError,
    MemoryError,
    exc.OperationalError,  # locked, full, restarted, cannot be reached
    exc.InterfaceError,
    exc.InternalError,  # such as a server that became a replica
    exc.TimeoutError,  # every connection of the pool is in use
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A job whose last attempt failed. `due` is when it is tried again: None when it is not."""

    id: int
    task: str
    payload: Mapping[str, Any] = field(repr=False)
    state: Literal["waiting", "failed"]
    attempts: int
    due: datetime | None
    problem: str


class Jobs(ABC):
    """What callers see of the job engine."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._tasks: dict[str, Task] = {}
        self._lanes: dict[str, str] = {}

    def register(self, name: str, task: Task, *, lane: str = LOCAL) -> None:
        """Give a task its name; both the enqueuing and the working process do this at assembly.

        A task that talks to others' servers belongs into the lane `OUTBOUND`, and its jobs to one
        server under one lock: so a slow one holds up nobody but itself.
        """
        self._tasks[name] = task
        self._lanes[name] = lane

    def lane_of(self, task: str) -> str:
        """The lane of a task; `LOCAL` for one that no process of this version knows."""
        return self._lanes.get(task, LOCAL)

    @abstractmethod
    def enqueue(
        self, tx: Tx, name: str, payload: Mapping[str, Any], *, lock: str = "", key: str = ""
    ) -> None:
        """Add a job in the caller's transaction.

        Jobs with the same `lock` never run at the same time. A `key` that is already waiting adds
        nothing; one that had failed for good begins anew.
        """

    @abstractmethod
    def run_pending(self, limit: int = 1000) -> int:
        """Do what is due in all lanes, in this thread; answers how many jobs were taken up."""

    @abstractmethod
    def run_forever(self, stop: threading.Event, lane: str) -> None:
        """Work in one lane until `stop` is set, what is due first before what is due later."""

    @abstractmethod
    def troubles(self, key: str = "", limit: int = MOST_LISTED) -> Sequence[Trouble]:
        """Jobs whose last attempt failed, newest first; of keys that begin with `key` only."""

    @abstractmethod
    def try_again(self, job_id: int) -> bool:
        """Let a job of `troubles` be done as soon as possible, as if it were new.

        False when there is no such job, or another one of its key already waits.
        """


def is_outside(failure: BaseException) -> bool:
    """Whether the cause lies outside of the job and may pass: a disk, a database, a clock, keys."""
    if isinstance(failure, YinzhengError):
        return failure.passing
    return isinstance(failure, _OUTSIDE)


def wait_after(attempts: int, failure: BaseException, lane: str = LOCAL) -> timedelta | None:
    """When to try again after so many attempts in a lane; None when it is over.

    Only failures of the job itself end it; the caller does not count the others among `attempts`.
    """
    if is_outside(failure):
        return min(timedelta(seconds=2.0 ** min(attempts, 16)), LONGEST_WAIT[lane])
    return timedelta(seconds=2.0**attempts) if attempts < MAX_ATTEMPTS else None


def problem_of(failure: BaseException) -> str:
    """What failed and why, without any value: only errors of ours promise to quote none."""
    if isinstance(failure, YinzhengError):
        return f"{failure.code}: {failure.detail}"[:500]
    kind = type(failure).__name__
    places = traceback.extract_tb(failure.__traceback__)
    return f"{kind} at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else kind
