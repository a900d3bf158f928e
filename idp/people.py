"""People: who can sign in, and as whom the rest of the house knows them."""

import secrets
from collections.abc import Collection

from sqlalchemy.exc import IntegrityError

from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, is_unique_violation
from foundation.encryption import subject_of
from foundation.errors import FieldError, Invalid
from idp import store
from idp.authenticators.password import LONGEST, SHORTEST, Passwords
from idp.errors import PersonExists
from idp.models import LOCALES, Person
from idp.tokens import PERSON_PREFIX
from ledger import Entry, Ledger


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
    ) -> Person:
        """Register somebody. `id_number` (GB 11643) gives the pseudonym under which certificates
        know them; who has none gets a pseudonym nobody else has. `represents` are credit codes of
        organisations they act for. Raises `Invalid`, `PersonExists`.
        """
        _check(username, name, password, locale)
        password_hash = None if password is None else self._passwords.hash(password)
        cipher = self._database.cipher
        person_id = PERSON_PREFIX + secrets.token_urlsafe(16)
        known_as = ("person", id_number) if id_number else ("account", person_id)
        person = Person(
            id=person_id,
            username=username.casefold(),
            kind="officer" if organisation else "citizen",
            name=name,
            subject=subject_of(cipher, *known_as),
            represents=tuple(subject_of(cipher, "organisation", code) for code in represents),
            organisation=organisation,
            organisation_name=organisation_name,
            roles=frozenset(roles),
            locale=locale,
            id_number=id_number,
        )
        self._store(person, password_hash, by)
        return person

    def find(self, username: str) -> Person | None:
        with self._database.read() as tx:
            known = store.account(tx, username.casefold())
        return None if known is None else known[0]

    def all(self) -> list[Person]:
        with self._database.read() as tx:
            return store.all_people(tx)

    def names(self, ids: Collection[str]) -> dict[str, str]:
        """The names of people by their ids; who is not known is left out."""
        with self._database.read() as tx:
            return {each.id: each.name for each in store.persons(tx, ids).values()}

    def _store(self, person: Person, password_hash: str | None, by: Actor) -> None:
        now = self._clock()
        try:
            with self._database.write() as tx:
                store.add_person(tx, person, password_hash, now)
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
            raise PersonExists("this user name is taken", next_step="choose another") from None


def _check(username: str, name: str, password: str | None, locale: str) -> None:
    problems = []
    if not 2 <= len(username) <= 100 or any(c.isspace() for c in username):
        problems.append(FieldError("/username", "username", "2 to 100 characters, no space"))
    if not name.strip():
        problems.append(FieldError("/name", "name", "a name is needed"))
    if password is not None and not SHORTEST <= len(password) <= LONGEST:
        problems.append(FieldError("/password", "password", f"{SHORTEST} to {LONGEST} characters"))
    if locale not in LOCALES:
        problems.append(FieldError("/locale", "locale", f"one of {', '.join(LOCALES)}"))
    if problems:
        raise Invalid("the person cannot be registered like this", errors=problems)
