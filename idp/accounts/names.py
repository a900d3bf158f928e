"""One user name, one account, however it is typed.

- Names are compared by one normal form (`normal_name`), and the schema holds it unique: a capital,
  a letter in full width or a space at the end make no second account.
- Programs before this one compared less, so several accounts may have names of one normal form.
  `settle` gives it to the account that is spelt just so, else to the oldest. The others are told,
  and keep what they have open; but nobody signs in to them by name until one is renamed (`rename`).
"""

from typing import Final

from sqlalchemy.exc import IntegrityError

from foundation.actor import SYSTEM, Actor
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from foundation.errors import Invalid
from idp.accounts.people import hold_names, name_problems
from idp.models import Person
from idp.protocol.errors import AccountClosed, PersonExists, PersonNotFound
from idp.protocol.syntax import normal_name
from idp.store import people
from ledger import Entry, Ledger

SETTLED_AT_ONCE: Final = 500


class Names:
    """Which account has which user name, and who waits for another."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    def settle(self) -> int:
        """Look at every user name that has no normal form yet; answers how many that were.

        Any number of processes may do this, and be killed at it: when there is nothing to settle it
        is one look into an empty index.
        """
        settled = 0
        while self._is_any_unnamed():
            with self._database.write() as tx:
                settled += self._settle(tx)
        return settled

    def collisions(self) -> list[tuple[Person, Person]]:
        """Every account that nobody can sign in to by name, each with the one that has its name."""
        with self._database.read() as tx:
            waiting = people.name_collisions(tx)
            holders = people.persons(tx, list({each.name_taken_by for each in waiting}))
        return [(each, holders[each.name_taken_by]) for each in waiting]

    def rename(self, account: str, username: str, *, by: Actor) -> Person:
        """Another user name for an account, which is named by its user name as it is listed, or by
        its id. Who waited for the name that becomes free gets it, the oldest first.

        Raises `PersonNotFound`, `Invalid`, `PersonExists`, `AccountClosed`.
        """
        if problems := list(name_problems(username)):
            raise Invalid("this cannot be a user name", errors=problems)
        name = normal_name(username)
        try:
            with self._database.write() as tx:
                hold_names(tx)
                person = people.person(tx, account) or people.spelt(tx, account)
                if person is None:
                    raise PersonNotFound(
                        "no account has this user name or id", next_step="idp people list"
                    )
                if person.ended:
                    raise AccountClosed("who is ended keeps the user name, for ever")
                columns = {"username": name, "username_normal": name, "name_taken_by": None}
                people.set_names(tx, {person.id: columns})
                people.free_name(tx, person.id)
                self._append(tx, "idp.person_renamed", person, {"before": person.username}, by)
                self._settle(tx)
                return people.persons(tx, [person.id])[person.id]
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            raise PersonExists("this user name is taken", next_step="choose another") from None

    def _is_any_unnamed(self) -> bool:
        with self._database.read() as tx:
            return bool(people.unnamed(tx, 1))

    def _settle(self, tx: Tx) -> int:
        """Some accounts, the oldest first: a name that is free is theirs."""
        hold_names(tx)
        waiting = people.unnamed(tx, SETTLED_AT_ONCE)
        normal = {person_id: normal_name(username) for person_id, username in waiting}
        holders = people.name_holders(tx, set(normal.values()))
        named: dict[str, str] = {}
        taken: dict[str, str] = {}
        for person_id, name in normal.items():
            holder = holders.setdefault(name, person_id)
            if holder == person_id:
                named[person_id] = name
            else:
                taken[person_id] = holder
        people.set_names(tx, {each: {"username_normal": name} for each, name in named.items()})
        people.set_names(tx, {each: {"name_taken_by": holder} for each, holder in taken.items()})
        self._tell(tx, taken)
        return len(waiting)

    def _tell(self, tx: Tx, taken: dict[str, str]) -> None:
        for person in people.persons(tx, list(taken)).values():
            private = {"kept": taken[person.id]}
            self._append(tx, "idp.user_name_collides", person, private, SYSTEM)

    def _append(
        self, tx: Tx, kind: str, person: Person, private: dict[str, str], by: Actor
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=by,
            at=self._clock(),
            subject=person.subject,
            private={"person": person.id, **private},
        )
        self._ledger.append(tx, entry)
