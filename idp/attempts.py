"""One counter of failed sign-ins per account name, whatever the way in (attack 31).

The first failures are free; then each one makes the next attempt wait twice as long, up to a
quarter of an hour. Unknown names are counted like known ones. A success forgets.
"""

from datetime import datetime, timedelta
from typing import Final

from foundation.database import Database, Tx
from idp import store

FREE_FAILURES: Final = 5
LONGEST_WAIT: Final = timedelta(minutes=15)


def wait_after(failures: int) -> timedelta:
    """How long the next attempt must wait after so many failures in a row."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(timedelta(seconds=2.0 ** min(failures - FREE_FAILURES + 1, 12)), LONGEST_WAIT)


class Attempts:
    """Counts by the blind index of an account name, so the table names nobody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def key(self, username: str) -> str:
        return self._database.cipher.blind_index(username.casefold(), "sign_in_attempts.id")

    def begin(self, tx: Tx, key: str, now: datetime) -> int:
        """Count an attempt as failed before it is looked at; answers the seconds to wait, or 0.

        Counting first is what makes a thousand attempts in parallel no better than one by one.
        """
        failures, last = store.attempts(self._database, tx, key, now)
        left = (last + wait_after(failures) - now).total_seconds()
        if left > 0:
            return int(left + 0.999)
        store.count_failure(self._database, tx, key, now)
        return 0

    def take_back(self, tx: Tx, key: str) -> None:
        """The attempt was right, but says nothing about the failures before it: only its own count
        goes. Otherwise a code of one's own would buy five free guesses at another's.
        """
        store.take_back_failure(tx, key)

    def succeeded(self, tx: Tx, key: str) -> None:
        store.forget_failures(tx, key)
