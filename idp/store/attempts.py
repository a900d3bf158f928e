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

from sqlalchemy import Row, and_, case, delete, literal, select, update

from foundation.database import Database, Tx
from idp.models import Person, consents, idp_sessions, people, sign_in_attempts
from idp.protocol.authorizations import Agreement
from idp.protocol.syntax import normal_name
from idp.store.consents import agreement_of
from idp.store.digests import sha256
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFacts:
    """What a sign-in stands on, as it looks without a lock: enough to spare a slow hash and to know
    what to ask under one, never enough to judge an attempt by.

    `account` and its password hash, `agreement` with the client and `sid` of a session in this
    browser are None where there are none; `same_person`: the session is the account's own.
    """

    failures: int
    last_failure_at: datetime | None
    wait: int
    account: tuple[Person, str | None] | None
    agreement: Agreement | None
    sid: str | None
    same_person: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A locked counter: failures in a row, and whole seconds until an attempt is looked at.
    `forgotten` are failures that locking it has taken off already."""

    failures: int
    wait: int
    forgotten: int = 0


class Attempts:
    """Counts by the blind index of an account name, so the table names nobody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def key(self, username: str) -> str:
        """The blind index that counts for a user name, however it is typed."""
        return self._database.cipher.blind_index(normal_name(username), "sign_in_attempts.id")

    def look(
        self, tx: Tx, username: str, client_id: str, cookie: str | None, now: datetime
    ) -> AttemptFacts:
        """What a sign-in under this name stands on, by one question. `client_id` is the client
        whose stored consent counts, "" for none; `cookie` the session id that the browser has."""
        row = _seen(tx, username, self.key(username), client_id, sha256(cookie or ""), now)
        wait = 0 if row.failures is None else left_after(row.failures, row.last_failure_at, now)
        return AttemptFacts(
            failures=row.failures or 0,
            last_failure_at=row.last_failure_at,
            wait=wait,
            account=None if row.id is None else (person_of(row), row.password_hash),
            agreement=None if row.granted_at is None else agreement_of(row),
            sid=row.sid,
            same_person=row.sid is not None and row.of_person == row.id,
        )

    def hold(self, tx: Tx, key: str, now: datetime, forget: AttemptFacts | None = None) -> Held:
        """How it stands with this name; whoever else tries it waits until this transaction ends.

        What is counted or forgotten in the same transaction is what makes a thousand attempts in
        parallel no better than one by one. A counter that still is what `forget` has seen, and
        found nothing to wait for in, is forgotten by the same statement.
        """
        before = forget if forget and forget.failures and not forget.wait else None
        failures, last = _hold_attempts(self._database, tx, key, now, before)
        forgotten = before.failures if before and not failures else 0
        return Held(failures, left_after(failures, last, now), forgotten)

    def failed(self, tx: Tx, key: str, now: datetime, forgotten: int = 0) -> None:
        """One failure more, on a counter that is held; those that holding it has `forgotten` count
        again."""
        _count_failure(tx, key, now, 1 + forgotten)

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


def _seen(
    tx: Tx, username: str, key: str, client_id: str, cookie_hash: str, now: datetime
) -> Row[Any]:
    """Account, counter, consent and session in one row, whichever of them there is; not locked."""
    counter, agreed, session = sign_in_attempts, consents, idp_sessions
    mine = and_(agreed.c.person_id == people.c.id, agreed.c.client_id == client_id)
    live = and_(session.c.id_hash == cookie_hash, session.c.expires_at > now)
    always = select(literal(1).label("one")).subquery()
    query = (
        select(
            people,
            *(counter.c.failures, counter.c.last_failure_at),
            *(agreed.c.scopes, agreed.c.claims, agreed.c.answered, agreed.c.granted_at),
            *(session.c.sid, session.c.person_id.label("of_person")),
        )
        .select_from(always)
        .join(people, has_name(username), isouter=True)
        .join(counter, counter.c.id == key, isouter=True)
        .join(agreed, mine, isouter=True)
        .join(session, live, isouter=True)
    )
    return tx.execute(query).one()


def _hold_attempts(
    database: Database, tx: Tx, key: str, now: datetime, forget: AttemptFacts | None
) -> tuple[int, datetime]:
    """Failures in a row and when the last one was, locked until this transaction ends; a time that
    is still to come for longer than `OVERTAKING` becomes `now`. None are left of a counter that is
    what `forget` has seen.

    A row that does not exist cannot be locked, so it is made: the first attempts wait for one
    another too.
    """
    table = sign_in_attempts
    present, latest = (literal(at, table.c.last_failure_at.type) for at in (now, now + OVERTAKING))
    last = case((table.c.last_failure_at > latest, present), else_=table.c.last_failure_at)
    changed: dict[str, Any] = {"last_failure_at": last}
    if forget is not None:
        at = literal(forget.last_failure_at, table.c.last_failure_at.type)
        unchanged = and_(table.c.failures == forget.failures, table.c.last_failure_at == at)
        changed["failures"] = case((unchanged, 0), else_=table.c.failures)
    statement = database.upsert(table, ["id"], changed)
    none = {"id": key, "failures": 0, "last_failure_at": now}
    held = statement.values(**none).returning(table.c.failures, table.c.last_failure_at)
    failures, last_failure_at = tx.execute(held).one()
    return failures, last_failure_at


def _count_failure(tx: Tx, key: str, now: datetime, by: int = 1) -> None:
    table = sign_in_attempts
    more = update(table).where(table.c.id == key)
    tx.execute(more.values(failures=table.c.failures + by, last_failure_at=now))


def _forget_failures(tx: Tx, key: str) -> None:
    tx.execute(delete(sign_in_attempts).where(sign_in_attempts.c.id == key))


def _take_back_failure(tx: Tx, key: str) -> None:
    table = sign_in_attempts
    less = update(table).where(table.c.id == key, table.c.failures > 0)
    tx.execute(less.values(failures=table.c.failures - 1))
