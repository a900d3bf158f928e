"""What becomes of an account: changed, disabled, enabled again, ended for ever.

- Officers say so by name, never about an account of their own. What makes somebody another person
  or gives them more (number, organisation, offices) takes two officers, and so does the end.
- Who is disabled or ended has nothing open from the same transaction on (`closing`); so has who
  becomes another person or acts for another organisation.
- Ended is for ever. The row stays, with user name and number, so that neither is given to somebody
  else who would then see what was not theirs; the password goes. The ledger keeps its pseudonym.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from sqlalchemy.exc import IntegrityError

from foundation.clock import Clock
from foundation.codes import as_written
from foundation.database import Database, Tx, is_unique_violation
from foundation.encryption import subject_of
from foundation.errors import FieldError, Invalid
from idp.accounts.closing import Closing
from idp.accounts.deciders import decided_by, known
from idp.accounts.numbers import hold_numbers, number_index, number_subject
from idp.accounts.people import office_problems, profile_problems, wrong_codes
from idp.models import Person
from idp.protocol.errors import (
    AccountClosed,
    IdentityNumberTaken,
    TwoPeopleNeeded,
)
from idp.store import people
from ledger import Entry, Ledger

_PROFILE: Final = ("name", "locale", "organisation_name")
_OFFICE: Final = ("organisation", "roles", "represents")
_CHANGEABLE: Final = (*_PROFILE, *_OFFICE, "id_number")


class Administration:
    """Officers' decisions about accounts; each is one transaction and one ledger entry."""

    def __init__(self, database: Database, ledger: Ledger, clock: Clock, closing: Closing) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._closing = closing

    def change(
        self, username: str, changes: Mapping[str, Any], *, by: str, approved_by: str = ""
    ) -> Person:
        """Another `name`, `locale`, `organisation_name`, `organisation`, `roles`, `represents`
        (credit codes) or `id_number`; what is not named stays.

        1. The account is open, the values are right, and something changes.
        2. Who decides may; what gives more or makes another person takes two.
        3. Where the person acts as somebody else from now on, what they had open ends.

        Raises `PersonNotFound`, `AccountClosed`, `Invalid`, `TwoPeopleNeeded`,
        `IdentityNumberTaken`.
        """
        try:
            with self._database.write() as tx:
                hold_numbers(tx)
                # 1.
                person = _open_account(tx, username)
                wanted = _changed(person, changes)
                columns = self._columns(wanted)
                if not wanted or all(getattr(person, n) == columns.get(n) for n in wanted):
                    error = FieldError("/", "nothing", f"name one of {', '.join(_CHANGEABLE)}")
                    raise Invalid("nothing would change", errors=[error])
                # 2.
                officers = _deciders(by, approved_by, two=_takes_two(person, wanted))
                decided = decided_by(tx, officers, (person,))
                # 3.
                now = self._clock()
                if {"id_number", "organisation", "represents"} & set(wanted):
                    self._closing.close(tx, person, "changed", now)
                people.change(tx, person.id, columns, now)
                self._append(tx, "changed", person, decided, {"fields": " ".join(sorted(wanted))})
                return known(tx, username)
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            raise IdentityNumberTaken(
                "this identity number has an account", next_step="look for the other account"
            ) from None

    def disable(self, username: str, *, by: str, reason: str) -> Person:
        """Nobody signs in here until it is enabled again. Raises `PersonNotFound`,
        `AccountClosed`, `Invalid`, `TwoPeopleNeeded`."""
        _check_reason(reason)
        with self._database.write() as tx:
            person = _open_account(tx, username)
            if person.disabled:
                raise AccountClosed("the account is disabled already", next_step="people enable")
            decided = decided_by(tx, (by,), (person,))
            now = self._clock()
            self._closing.close(tx, person, "disabled", now)
            people.change(tx, person.id, {"disabled_at": now}, now)
            self._append(tx, "disabled", person, decided, private={"why": reason})
            return known(tx, username)

    def enable(self, username: str, *, by: str) -> Person:
        """The person signs in again; what they had open before stays ended. Raises
        `PersonNotFound`, `AccountClosed`, `TwoPeopleNeeded`."""
        with self._database.write() as tx:
            person = _open_account(tx, username)
            if not person.disabled:
                raise AccountClosed("the account is enabled already")
            decided = decided_by(tx, (by,), (person,))
            people.change(tx, person.id, {"disabled_at": None}, self._clock())
            self._append(tx, "enabled", person, decided)
            return known(tx, username)

    def end(self, username: str, *, by: str, approved_by: str, reason: str) -> Person:
        """For ever. Raises `PersonNotFound`, `AccountClosed`, `Invalid`, `TwoPeopleNeeded`."""
        _check_reason(reason)
        with self._database.write() as tx:
            person = _open_account(tx, username)
            decided = decided_by(tx, _deciders(by, approved_by, two=True), (person,))
            now = self._clock()
            self._closing.close(tx, person, "ended", now)
            columns = {"disabled_at": now, "ended_at": now, "password_hash": None}
            people.change(tx, person.id, columns, now)
            self._append(tx, "ended", person, decided, private={"why": reason})
            return known(tx, username)

    def _columns(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The columns that hold the new values."""
        cipher, columns = self._database.cipher, dict(wanted)
        if "represents" in wanted:
            codes = wanted["represents"]
            columns["represents"] = [subject_of(cipher, "organisation", code) for code in codes]
        if "roles" in wanted:
            columns["roles"] = sorted(wanted["roles"])
        if number := wanted.get("id_number"):
            columns["id_number_index"] = number_index(cipher, number)
            columns["subject"] = number_subject(cipher, number)
        return columns

    def _append(
        self,
        tx: Tx,
        what: str,
        person: Person,
        decided: Collection[Person],
        details: Mapping[str, str] | None = None,
        private: Mapping[str, str] | None = None,
    ) -> None:
        first, *others = decided
        approved = {"approved_by": others[0].id} if others else {}
        entry = Entry(
            kind=f"idp.person_{what}",
            actor=first.actor,
            at=self._clock(),
            subject=person.subject,
            details=dict(details or {}),
            private={"person": person.id, **approved, **(private or {})},
        )
        self._ledger.append(tx, entry)


def _open_account(tx: Tx, username: str) -> Person:
    """An account about which something can be decided, disabled or not."""
    person = known(tx, username)
    if person.ended:
        raise AccountClosed("the account is ended for ever", next_step="add another account")
    if person.collides_with:
        raise AccountClosed(
            "the account is suspended for its identity number", next_step="idp people resolve"
        )
    return person


def _deciders(by: str, approved_by: str, *, two: bool) -> tuple[str, ...]:
    if two and not approved_by:
        raise TwoPeopleNeeded(
            "this takes two officers", next_step="name the second one with --approved-by"
        )
    return (by, approved_by) if approved_by else (by,)


def _changed(person: Person, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes as they are stored, when they are right together with what stays."""
    wanted = dict(changes)
    for name in {"id_number", "organisation"} & set(wanted):
        wanted[name] = as_written(wanted[name])
    if "represents" in wanted:
        wanted["represents"] = tuple(as_written(code) for code in wanted["represents"])
    if "roles" in wanted:
        wanted["roles"] = frozenset(wanted["roles"])
    if problems := list(_problems(person, wanted)):
        raise Invalid("the account cannot be changed like this", errors=problems)
    return wanted


def _problems(person: Person, wanted: Mapping[str, Any]) -> Iterator[FieldError]:
    for name in sorted(set(wanted) - set(_CHANGEABLE)):
        yield FieldError(f"/{name}", "unknown", f"one of {', '.join(_CHANGEABLE)}")
    organisation = wanted.get("organisation", person.organisation)
    roles, number = wanted.get("roles", person.roles), wanted.get("id_number", "")
    yield from profile_problems(wanted.get("name", person.name), wanted.get("locale", "en"))
    yield from wrong_codes(number, organisation, wanted.get("represents", ()))
    yield from office_problems(organisation, roles, number)
    if bool(organisation) != bool(person.organisation):
        words = "an officer's account stays one, a citizen's too: add another account"
        yield FieldError("/organisation", "organisation", words)
    if "id_number" in wanted and not number:
        yield FieldError("/id_number", "identity_number", "a number is corrected, never removed")


def _takes_two(person: Person, wanted: Mapping[str, Any]) -> bool:
    more = set(wanted.get("roles", ())) - person.roles
    return bool(more or {"id_number", "organisation", "represents"} & set(wanted))


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > 500:
        error = FieldError("/reason", "required", "1 to 500 characters: say why")
        raise Invalid("a reason is needed", errors=[error])
