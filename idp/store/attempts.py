"""One counter of failed sign-ins per account name, whatever the way in (attack 31).

The first failures are free; then each one makes the next attempt wait twice as long, up to a
quarter of an hour. Unknown names are counted like known ones. A success forgets.

A failure that is said to lie in the future was counted under a wrong clock: whoever locks the
counter next dates it anew. So a wait is never longer than its length, however a clock went.
"""

from datetime import datetime, timedelta
from math import ceil
from typing import Final

from foundation.database import Database, Tx
from idp.store import people_and_sessions

FREE_FAILURES: Final = 5
LONGEST_WAIT: Final = timedelta(minutes=15)


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


class Attempts:
    """Counts by the blind index of an account name, so the table names nobody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def key(self, username: str) -> str:
        return self._database.cipher.blind_index(username.casefold(), "sign_in_attempts.id")

    def glance(self, tx: Tx, key: str, now: datetime) -> int:
        """The seconds to wait as it looks without a lock: enough to spare a slow hash, never enough
        to judge an attempt by.
        """
        return left_after(*people_and_sessions.attempts(tx, key, now), now)

    def hold(self, tx: Tx, key: str, now: datetime) -> int:
        """The seconds to wait; whoever else tries this name waits until this transaction ends.

        What is counted or forgotten in the same transaction is what makes a thousand attempts in
        parallel no better than one by one.
        """
        return left_after(*people_and_sessions.hold_attempts(self._database, tx, key, now), now)

    def failed(self, tx: Tx, key: str, now: datetime) -> None:
        """One failure more, on a counter that is held."""
        people_and_sessions.count_failure(tx, key, now)

    def begin(self, tx: Tx, key: str, now: datetime) -> int:
        """Count an attempt as failed before it is looked at in the same transaction; answers the
        seconds to wait, or 0.
        """
        wait = self.hold(tx, key, now)
        if not wait:
            self.failed(tx, key, now)
        return wait

    def take_back(self, tx: Tx, key: str) -> None:
        """The attempt was right, but says nothing about the failures before it: only its own count
        goes. Otherwise a code of one's own would buy five free guesses at another's.
        """
        people_and_sessions.take_back_failure(tx, key)

    def succeeded(self, tx: Tx, key: str) -> None:
        people_and_sessions.forget_failures(tx, key)
