"""One identity number, one account.

- A number is found again by a blind index of how registers write it, and the schema holds that
  index unique: full-width digits or a small x make no second account.
- Programs before this one wrote no index, so several accounts may have one number, and see the same
  licences. `settle` gives the number to the oldest of them. The others are kept, but suspended: it
  signs them out everywhere, ends their tokens, and takes away the pseudonym that they shared.
- Whose number it is, two people decide (`resolve`). An officer's account then goes on without a
  number: it points to the account that the officer has as a citizen.
"""

from typing import Final

from foundation.actor import SYSTEM, Actor
from foundation.clock import Clock
from foundation.codes import as_written, is_passport, is_resident_number
from foundation.database import Database, Tx, wait_for_advisory_lock
from foundation.encryption import FieldCipher, subject_of
from idp.accounts.closing import Closing
from idp.accounts.deciders import decided_by, known
from idp.models import Person
from idp.protocol.errors import NoCollision
from idp.store import numbers, people
from idp.store.numbers import Account
from ledger import Entry, Ledger

SETTLED_AT_ONCE: Final = 100


def is_identity_number(text: str) -> bool:
    """Is this a number of a person: GB 11643 (with residence permits), or else a passport?"""
    return is_resident_number(text) or is_passport(text)


def number_index(cipher: FieldCipher, id_number: str) -> str:
    """The blind index of a number; equal however it was typed."""
    return cipher.blind_index(as_written(id_number), "people.id_number_index")


def own_subject(cipher: FieldCipher, person_id: str) -> str:
    """The pseudonym of an account without a number: nobody else has it."""
    return subject_of(cipher, "account", person_id)


def number_subject(cipher: FieldCipher, id_number: str) -> str:
    """The pseudonym under which certificates know the holder of a number."""
    return subject_of(cipher, "person", as_written(id_number))


def hold_numbers(tx: Tx) -> None:
    """Until this transaction ends nobody else gives a number to an account."""
    wait_for_advisory_lock(tx, "identity numbers")


class Numbers:
    """Which account has which number, and who waits for a decision."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock, closing: Closing) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._closing = closing

    def settle(self) -> int:
        """Look at every number that has no index yet; answers how many that were.

        Any number of processes may do this, and be killed at it: a transaction settles a hundred
        accounts, and when there is nothing to settle it is one look into an empty index.
        """
        settled = 0
        while self._is_any_unsettled():
            with self._database.write() as tx:
                hold_numbers(tx)
                accounts = numbers.unsettled(tx, SETTLED_AT_ONCE)
                for account in accounts:
                    self._settle(tx, account)
            settled += len(accounts)
        return settled

    def collisions(self) -> list[tuple[Person, Person]]:
        """Every suspended account, each with the one that has its number for now."""
        with self._database.read() as tx:
            waiting = [each.person for each in numbers.colliding(tx)]
            kept = people.persons(tx, list({each.collides_with for each in waiting}))
        return [(each, kept[each.collides_with]) for each in waiting]

    def resolve(self, keep: str, other: str, *, by: str, approved_by: str) -> Person:
        """The number belongs to the account `keep`, and not to `other`; all four are user names.

        1. The two accounts collide, and an officer's never keeps the number from a citizen's.
        2. Two different officers say so, neither of them about an account of their own.
        3. The other account loses the number and what it shared; an officer's points to the kept
           one and goes on, a citizen's stays closed.
        4. The kept one has number and pseudonym, and is no longer suspended.

        Raises `PersonNotFound`, `NoCollision`, `TwoPeopleNeeded`.
        """
        with self._database.write() as tx:
            hold_numbers(tx)
            # 1.
            kept, lost = (known(tx, name) for name in (keep, other))
            _check_collision(kept, lost)
            # 2.
            officers = decided_by(tx, (by, approved_by), (kept, lost))
            # 3.
            number = as_written(kept.id_number)
            if not lost.collides_with:
                self._suspend(tx, lost, kept, officers[0].actor)
            if lost.kind == "officer":
                numbers.point_to(tx, lost, kept)
            else:
                numbers.give_up(tx, lost)
            # 4.
            subject = self._give(tx, kept, number)
            entry = Entry(
                kind="idp.number_resolved",
                actor=officers[0].actor,
                at=self._clock(),
                subject=subject,
                details={"other": "officer" if lost.kind == "officer" else "closed"},
                private={"kept": kept.id, "other": lost.id, "approved_by": officers[1].id},
            )
            self._ledger.append(tx, entry)
            return known(tx, keep)

    def _is_any_unsettled(self) -> bool:
        with self._database.read() as tx:
            return bool(numbers.unsettled(tx, 1))

    def _settle(self, tx: Tx, account: Account) -> None:
        person = account.person
        holder = numbers.by_number(tx, number_index(self._database.cipher, person.id_number))
        if holder is not None and holder.age < account.age:
            self._suspend(tx, person, holder.person, SYSTEM)
            return
        if holder is not None:
            self._suspend(tx, holder.person, person, SYSTEM)
        self._give(tx, person, as_written(person.id_number))

    def _give(self, tx: Tx, person: Person, number: str) -> str:
        cipher = self._database.cipher
        subject = number_subject(cipher, number)
        numbers.give(tx, person, number, number_index(cipher, number), subject)
        return subject

    def _suspend(self, tx: Tx, person: Person, kept: Person, by: Actor) -> None:
        """End whatever the account has open, and take away the pseudonym that it shares."""
        now = self._clock()
        self._closing.close(tx, person, "suspended", now)
        entry = Entry(
            kind="idp.person_suspended",
            actor=by,
            at=now,
            subject=number_subject(self._database.cipher, person.id_number),
            details={"reason": "same_number"},
            private={"person": person.id, "kept": kept.id},
        )
        self._ledger.append(tx, entry)
        numbers.suspend(tx, person, kept, own_subject(self._database.cipher, person.id), now)


def _check_collision(kept: Person, lost: Person) -> None:
    if kept.id not in (lost.collides_with, lost.id) and lost.id != kept.collides_with:
        raise NoCollision(
            "these two accounts do not wait for a decision", next_step="idp people collisions"
        )
    if kept.ended:
        raise NoCollision("the account is ended for ever", next_step="keep the other one")
    if kept.id == lost.id:
        raise NoCollision("this is one account", next_step="name two accounts")
    if kept.kind == "officer" and lost.kind != "officer":
        raise NoCollision(
            "an officer's account points to the citizen's account and holds no number",
            next_step="name the citizen's account first",
        )
