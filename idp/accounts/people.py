"""People: who can sign in, and as whom other packages know them.

Codes and numbers are kept as registers write them, and only when their check characters agree. A
citizen's identity number opens one account (`numbers`); an officer's account points to it.
"""

import secrets
import unicodedata
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final

from sqlalchemy.exc import IntegrityError

from foundation.actor import ROLES, Actor
from foundation.clock import Clock
from foundation.codes import as_written, is_organisation_code
from foundation.database import Database, Tx, is_unique_violation, wait_for_advisory_lock
from foundation.encryption import subject_of
from foundation.errors import FieldError, Invalid
from idp.accounts.authenticators.password import LONGEST, SHORTEST, Passwords
from idp.accounts.authenticators.weak_passwords import is_weak
from idp.accounts.numbers import (
    hold_numbers,
    is_identity_number,
    number_index,
    number_subject,
    own_subject,
)
from idp.models import LOCALES, Person
from idp.protocol.errors import IdentityNumberTaken, PersonExists
from idp.protocol.subjects import PERSON_PREFIX
from idp.protocol.syntax import normal_name
from idp.store import numbers, people
from ledger import Entry, Ledger

_NO_CODE: Final = "no credit code (GB 32100): 18 characters, the last one a check; copy it again"
# Control, format (joiners, directions), surrogates, private use: two names would look alike.
_UNSEEN: Final = frozenset(("Cc", "Cf", "Cs", "Co"))


class People:
    """The register of people."""

    def __init__(
        self, database: Database, ledger: Ledger, clock: Clock, passwords: Passwords
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._passwords = passwords

    def add(
        self,
        username: str,
        name: str,
        password: str | None,
        *,
        by: Actor,
        id_number: str = "",
        represents: Collection[str] = (),
        organisation: str = "",
        organisation_name: str = "",
        roles: Collection[str] = (),
        locale: str = "zh-Hans",
        citizen: str = "",
    ) -> Person:
        """Register somebody; who acts for an `organisation` (its credit code) is an officer.

        A citizen's `id_number` (GB 11643, or a passport as "UTO-L898902C3") gives the pseudonym
        under which certificates know them; who has none gets a pseudonym nobody else has. An
        officer has none: `citizen` is the user name of the account that has it. `represents` are
        credit codes of organisations they act for. Raises `Invalid`, `PersonExists`,
        `IdentityNumberTaken`.
        """
        id_number, organisation = as_written(id_number), as_written(organisation)
        represents = tuple(as_written(code) for code in represents)
        as_citizen = self.find(citizen) if citizen else None
        problems = [
            *_problems(username, name, password, locale),
            *wrong_codes(id_number, organisation, represents),
            *office_problems(organisation, roles, id_number),
            *_wrong_citizen(organisation, citizen, as_citizen),
        ]
        if problems:
            raise Invalid("the person cannot be registered like this", errors=problems)
        password_hash = None if password is None else self._passwords.hash(password)
        cipher = self._database.cipher
        person_id, now = PERSON_PREFIX + secrets.token_urlsafe(16), self._clock()
        person = Person(
            id=person_id,
            username=normal_name(username),
            kind="officer" if organisation else "citizen",
            name=name,
            subject=number_subject(cipher, id_number)
            if id_number
            else own_subject(cipher, person_id),
            represents=tuple(subject_of(cipher, "organisation", code) for code in represents),
            organisation=organisation,
            organisation_name=organisation_name,
            roles=frozenset(roles),
            locale=locale,
            id_number=id_number,
            citizen_id=as_citizen.id if as_citizen else "",
            updated_at=now,
        )
        self._store(person, password_hash, by, now)
        return person

    def find(self, username: str) -> Person | None:
        """The person with this user name, however it is typed; None when nobody has it."""
        with self._database.read() as tx:
            known = people.account(tx, username)
        return None if known is None else known[0]

    def all(self) -> list[Person]:
        """Everybody with an account, disabled ones included, by user name."""
        with self._database.read() as tx:
            return people.all_people(tx)

    def names(self, ids: Collection[str]) -> dict[str, str]:
        """The names of people by their ids; who is not known is left out."""
        with self._database.read() as tx:
            return {each.id: each.name for each in people.persons(tx, ids).values()}

    def _store(self, person: Person, password_hash: str | None, by: Actor, now: datetime) -> None:
        number = person.id_number
        index = number_index(self._database.cipher, number) if number else None
        try:
            with self._database.write() as tx:
                if index is not None:
                    hold_numbers(tx)
                hold_names(tx)
                people.add_person(tx, person, password_hash, index, now)
                details = {"person_kind": person.kind, "roles": " ".join(sorted(person.roles))}
                entry = Entry(
                    kind="idp.person_added",
                    actor=by,
                    at=now,
                    subject=person.subject,
                    details=details,
                )
                self._ledger.append(tx, entry)
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            raise self._taken(index) from None

    def _taken(self, index: str | None) -> PersonExists | IdentityNumberTaken:
        """Which of the two that are given once was given before?"""
        with self._database.read() as tx:
            if index is not None and numbers.by_number(tx, index):
                return IdentityNumberTaken(
                    "this identity number has an account",
                    next_step="an officer's account names the citizen's account instead",
                )
        return PersonExists("this user name is taken", next_step="choose another")


def hold_names(tx: Tx) -> None:
    """Until this transaction ends nobody else gives a user name to an account."""
    wait_for_advisory_lock(tx, "user names")


def name_problems(username: str) -> Iterator[FieldError]:
    """What cannot be a user name: too short or long, spaces, characters that nobody sees."""
    normal = normal_name(username)
    unseen = any(unicodedata.category(c) in _UNSEEN for c in normal)
    if not 2 <= len(normal) <= 100 or len(username) > 100 or unseen or " " in normal:
        said = "2 to 100 characters, no space, none that cannot be seen"
        yield FieldError("/username", "username", said)


def _problems(username: str, name: str, password: str | None, locale: str) -> Iterator[FieldError]:
    yield from name_problems(username)
    yield from profile_problems(name, locale)
    if password is not None and not SHORTEST <= len(password) <= LONGEST:
        yield FieldError("/password", "password", f"{SHORTEST} to {LONGEST} characters")
    elif password is not None and is_weak(password, username, name):
        said = "it is among the first that are tried: choose another, such as four words"
        yield FieldError("/password", "weak_password", said)


def profile_problems(name: str, locale: str) -> Iterator[FieldError]:
    """What cannot be somebody's name, or is no language of ours."""
    if not name.strip():
        yield FieldError("/name", "name", "a name is needed")
    if locale not in LOCALES:
        yield FieldError("/locale", "locale", f"one of {', '.join(LOCALES)}")


def wrong_codes(
    id_number: str, organisation: str, represents: Collection[str]
) -> Iterator[FieldError]:
    """What does not agree with its check character. The value is never repeated."""
    if id_number and not is_identity_number(id_number):
        words = "neither a resident number (GB 11643) nor a passport such as UTO-L898902C3"
        yield FieldError("/id_number", "identity_number", words)
    if organisation and not is_organisation_code(organisation):
        yield FieldError("/organisation", "organisation_code", _NO_CODE)
    if not all(is_organisation_code(code) for code in represents):
        yield FieldError("/represents", "organisation_code", _NO_CODE)


def office_problems(
    organisation: str, roles: Collection[str], id_number: str
) -> Iterator[FieldError]:
    """Offices are held for an organisation, by accounts that hold no identity number."""
    if not set(roles) <= set(ROLES):
        yield FieldError("/roles", "role", f"each one of {', '.join(ROLES)}")
    if roles and not organisation:
        yield FieldError("/organisation", "organisation", "an office is held for an organisation")
    if organisation and id_number:
        words = "an officer's account names the citizen's account instead"
        yield FieldError("/id_number", "officer_number", words)


def _wrong_citizen(
    organisation: str, citizen: str, as_citizen: Person | None
) -> Iterator[FieldError]:
    if citizen and not organisation:
        yield FieldError("/citizen", "citizen", "only an officer's account names another")
    elif citizen and (as_citizen is None or as_citizen.kind != "citizen" or as_citizen.disabled):
        yield FieldError("/citizen", "citizen", "no citizen has this user name")
