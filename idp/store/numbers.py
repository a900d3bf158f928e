"""Questions to the database about identity numbers: which account has one, and which ones collide.

What is written here is decided in `numbers`. The schema holds the index of a number unique.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update

from foundation.database import Tx
from idp.models import Person, people
from idp.store.people import person_of


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account, and since when there is one."""

    person: Person
    since: datetime

    @property
    def age(self) -> tuple[datetime, str]:
        """Orders accounts, the oldest first; no two are equal."""
        return self.since, self.person.id


def by_number(tx: Tx, index: str) -> Account | None:
    """The account that has the number of this blind index."""
    return _account(tx.execute(select(people).where(people.c.id_number_index == index)).first())


def unsettled(tx: Tx, most: int) -> list[Account]:
    """Accounts with a number that nobody looked at yet, the oldest first."""
    number, index, kept = people.c.id_number, people.c.id_number_index, people.c.collides_with
    query = (
        select(people)
        .where(number.is_not(None), index.is_(None), kept.is_(None))
        .order_by(people.c.created_at, people.c.id)
        .limit(most)
    )
    return [found for row in tx.execute(query) if (found := _account(row))]


def colliding(tx: Tx) -> list[Account]:
    """Every account that is suspended for its number, by the account that keeps it."""
    order = people.c.collides_with, people.c.created_at, people.c.id
    query = select(people).where(people.c.collides_with.is_not(None)).order_by(*order)
    return [found for row in tx.execute(query) if (found := _account(row))]


def give(tx: Tx, person: Person, number: str, index: str, subject: str) -> None:
    """From now on this account has the number. A suspension for it ends."""
    values: dict[str, Any] = {"id_number": number, "id_number_index": index, "subject": subject}
    if person.collides_with:
        values |= {"collides_with": None, "disabled_at": None}
    _set(tx, person, **values)


def suspend(tx: Tx, person: Person, kept: Person, subject: str, now: datetime) -> None:
    """This account waits for a decision; `kept` has its number. Who waited for it waits for `kept`.

    It keeps what it says its number is, without the index.
    """
    tx.execute(
        update(people)
        .where(people.c.collides_with == person.id, people.c.id != kept.id)
        .values(collides_with=kept.id)
    )
    values: dict[str, Any] = {"id_number_index": None, "collides_with": kept.id, "subject": subject}
    if not person.disabled:
        values["disabled_at"] = now
    _set(tx, person, **values)


def give_up(tx: Tx, person: Person) -> None:
    """A suspended account no longer says that the number is its own; it stays disabled."""
    _set(tx, person, id_number=None, collides_with=None)


def point_to(tx: Tx, officer: Person, citizen: Person) -> None:
    """An officer's account goes on, without a number, and says who they are as a citizen."""
    values: dict[str, Any] = {"id_number": None, "collides_with": None, "citizen_id": citizen.id}
    if officer.collides_with or not officer.disabled:
        values["disabled_at"] = None
    _set(tx, officer, **values)


def _set(tx: Tx, person: Person, **values: Any) -> None:
    tx.execute(update(people).where(people.c.id == person.id).values(**values))


def _account(row: Row[Any] | None) -> Account | None:
    return None if row is None else Account(person_of(row), row.created_at)
