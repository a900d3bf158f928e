"""One counter of failed sign-ins per account name, whatever the way in (attack 31).

The first failures are free; then each one makes the next attempt wait twice as long, up to a
quarter of an hour. Unknown names are counted like known ones. A success forgets.

A failure that is said to lie in the future was counted under a wrong clock: whoever locks the
counter next dates it anew. So a wait is never longer than its length, however a clock went. A few
seconds are no wrong clock: an attempt is judged by the time at which it arrived, and one that was
held up must not take time off the wait of those that overtook it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from sqlalchemy import Row, case, delete, literal, select, update

from foundation.database import Database, Tx
from idp.models import Person, people, sign_in_attempts
from idp.protocol.syntax import normal_name
from idp.store.people import has_name, person_of

FREE_FAILURES: Final = 5
LONGEST_WAIT: Final = timedelta(minutes=15)
OVERTAKING: Final = timedelta(seconds=30)


def wait_after(failures: int) -> timedelta:
    """How long the next attempt must wait after so many failures in a row."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2.0 ** min(failures - FREE_FAILURES + 1, 12)), LONGEST_WAIT)


def left_after(failures: int, last: datetime, now: datetime) -> int:
    """Whole seconds until the next attempt is looked at; 0: at once."""
    wait = wait_after(failures)
    left = wait - max(now - last, timedelta(0))
    return max(ceil(left.total_seconds()), 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A locked counter: failures in a row, and whole seconds until an attempt is looked at."""

    failures: int
    wait: int


class Attempts:
    """Counts by the blind index of an account name, so the table names nobody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def key(self, username: str) -> str:
        """The blind index that counts for a user name, however it is typed."""
        return self._database.cipher.blind_index(normal_name(username), "sign_in_attempts.id")

    def look(
        self, tx: Tx, username: str, now: datetime
    ) -> tuple[int, tuple[Person, str | None] | None]:
        """The seconds to wait as it looks without a lock, and who it would be with which password
        hash, by one question: enough to spare a slow hash, never enough to judge an attempt by.
        """
        row = _seen(tx, username, self.key(username))
        wait = 0 if row.failures is None else left_after(row.failures, row.last_failure_at, now)
        return wait, None if row.id is None else (person_of(row), row.password_hash)

    def hold(self, tx: Tx, key: str, now: datetime) -> Held:
        """How it stands with this name; whoever else tries it waits until this transaction ends.

        What is counted or forgotten in the same transaction is what makes a thousand attempts in
        parallel no better than one by one.
        """
        failures, last = _hold_attempts(self._database, tx, key, now)
        return Held(failures, left_after(failures, last, now))

    def failed(self, tx: Tx, key: str, now: datetime) -> None:
        """One failure more, on a counter that is held."""
        _count_failure(tx, key, now)

    def begin(self, tx: Tx, key: str, now: datetime) -> int:
        """Count an attempt as failed before it is looked at in the same transaction; answers the
        seconds to wait, or 0.
        """
        wait = self.hold(tx, key, now).wait
        if not wait:
            self.failed(tx, key, now)
        return wait

    def take_back(self, tx: Tx, key: str) -> None:
        """The attempt was right, but says nothing about the failures before it: only its own count
        goes. Otherwise a code of one's own would buy five free guesses at another's.
        """
        _take_back_failure(tx, key)

    def succeeded(self, tx: Tx, key: str, held: Held) -> None:
        """Forget the failures. A counter at zero is left to the sweep, which is one statement less
        for whoever signs in rightly."""
        if held.failures:
            _forget_failures(tx, key)


# --- the table -----------------------------------------------------------------------------------


def _seen(tx: Tx, username: str, key: str) -> Row[Any]:
    """Account and counter of a name in one row, whichever of them there is; not locked."""
    table = sign_in_attempts
    always = select(literal(1).label("one")).subquery()
    query = (
        select(people, table.c.failures, table.c.last_failure_at)
        .select_from(always)
        .join(people, has_name(username), isouter=True)
        .join(table, table.c.id == key, isouter=True)
    )
    return tx.execute(query).one()


def _hold_attempts(database: Database, tx: Tx, key: str, now: datetime) -> tuple[int, datetime]:
    """Failures in a row and when the last one was, locked until this transaction ends; a time that
    is still to come for longer than `OVERTAKING` becomes `now`.

    A row that does not exist cannot be locked, so it is made: the first attempts wait for one
    another too.
    """
    table = sign_in_attempts
    present, latest = (literal(at, table.c.last_failure_at.type) for at in (now, now + OVERTAKING))
    last = case((table.c.last_failure_at > latest, present), else_=table.c.last_failure_at)
    statement = database.upsert(table, ["id"], {"last_failure_at": last})
    none = {"id": key, "failures": 0, "last_failure_at": now}
    held = statement.values(**none).returning(table.c.failures, table.c.last_failure_at)
    failures, last_failure_at = tx.execute(held).one()
    return failures, last_failure_at


def _count_failure(tx: Tx, key: str, now: datetime) -> None:
    table = sign_in_attempts
    more = update(table).where(table.c.id == key)
    tx.execute(more.values(failures=table.c.failures + 1, last_failure_at=now))


def _forget_failures(tx: Tx, key: str) -> None:
    tx.execute(delete(sign_in_attempts).where(sign_in_attempts.c.id == key))


def _take_back_failure(tx: Tx, key: str) -> None:
    table = sign_in_attempts
    less = update(table).where(table.c.id == key, table.c.failures > 0)
    tx.execute(less.values(failures=table.c.failures - 1))
