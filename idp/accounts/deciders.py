"""Who decides about an account: officers, named, and never about themselves.

One person has two accounts when they are a citizen too; both count as that person.
"""

from collections.abc import Collection

from foundation.database import Tx
from idp.models import Person
from idp.protocol.errors import PersonNotFound, TwoPeopleNeeded
from idp.store import people


def known(tx: Tx, username: str) -> Person:
    """The account with this user name. Raises `PersonNotFound`."""
    found = people.account(tx, username)
    if found is None:
        raise PersonNotFound("nobody has this user name", next_step="idp people list")
    return found[0]


def decided_by(tx: Tx, names: Collection[str], about: Collection[Person]) -> list[Person]:
    """The officers of these user names, when they may decide together about these accounts.

    Raises `PersonNotFound`, `TwoPeopleNeeded`.
    """
    officers = [known(tx, name) for name in names]
    check_deciders(officers, about)
    return officers


def check_deciders(officers: Collection[Person], about: Collection[Person]) -> None:
    """Enabled officers, no two of whom are one person, and none of the people it is about."""
    if any(each.kind != "officer" or each.disabled for each in officers):
        raise TwoPeopleNeeded("only officers decide", next_step="name officers who are enabled")
    seen = {name for each in about for name in _accounts(each)}
    for each in officers:
        if seen & _accounts(each):
            raise TwoPeopleNeeded(
                "who decides are two people, and neither of those whose accounts these are",
                next_step="let another officer approve",
            )
        seen |= _accounts(each)


def _accounts(person: Person) -> set[str]:
    return {person.id, person.citizen_id} - {""}
