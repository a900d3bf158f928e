"""People in the database: accounts by user name and by id."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, insert, select, update

from foundation.batching import KEYS, Prepared
from foundation.database import Tx
from idp.models import Person, people
from idp.protocol.syntax import normal_name


def add_person(
    tx: Tx, person: Person, password_hash: str | None, id_number_index: str | None, now: datetime
) -> None:
    """Raises `IntegrityError` when the user name or the identity number is taken."""
    tx.execute(
        insert(people).values(
            id=person.id,
            username=person.username,
            username_normal=normal_name(person.username),
            kind=person.kind,
            name=person.name,
            id_number=person.id_number or None,
            subject=person.subject,
            represents=list(person.represents),
            organisation=person.organisation,
            organisation_name=person.organisation_name,
            roles=sorted(person.roles),
            locale=person.locale,
            password_hash=password_hash,
            created_at=now,
            id_number_index=id_number_index,
            citizen_id=person.citizen_id or None,
        )
    )


def person(tx: Tx, person_id: str) -> Person | None:
    """The person with this id, disabled or not; None when there is none."""
    row = tx.execute(select(people).where(people.c.id == person_id)).first()
    return None if row is None else person_of(row)


def persons(tx: Tx, ids: Collection[str]) -> dict[str, Person]:
    """People by id, disabled ones included; unknown ids are left out."""
    return {row.id: person_of(row) for row in _people(tx, ids)}


def all_people(tx: Tx) -> list[Person]:
    """Everybody, disabled ones included, by user name."""
    return [person_of(row) for row in tx.execute(select(people).order_by(people.c.username))]


def account(tx: Tx, username: str) -> tuple[Person, str | None] | None:
    """The person with this user name, however it is typed, and their password hash."""
    row = tx.execute(select(people).where(has_name(username))).first()
    return None if row is None else (person_of(row), row.password_hash)


def spelt(tx: Tx, username: str) -> Person | None:
    """The person whose user name is stored in just these letters: for accounts that collide."""
    row = tx.execute(select(people).where(people.c.username == username)).first()
    return None if row is None else person_of(row)


def has_name(username: str) -> ColumnElement[bool]:
    """The one condition by which an account is found by its user name."""
    return people.c.username_normal == normal_name(username)


def unnamed(tx: Tx, most: int) -> list[tuple[str, str]]:
    """Id and user name of accounts whose normal form nobody looked at yet, the oldest first."""
    normal, taken = people.c.username_normal, people.c.name_taken_by
    query = select(people.c.id, people.c.username).where(normal.is_(None), taken.is_(None))
    ordered = query.order_by(people.c.created_at, people.c.id).limit(most)
    return [(row.id, row.username) for row in tx.execute(ordered)]


def name_holders(tx: Tx, names: Collection[str]) -> dict[str, str]:
    """Who has each of these normal forms, by id; else who is spelt just so and has none yet."""
    normal = people.c.username_normal
    spelt = select(people.c.username, people.c.id).where(people.c.username.in_(names))
    held = select(normal, people.c.id).where(normal.in_(names))
    return {name: person_id for query in (spelt, held) for name, person_id in tx.execute(query)}


def name_collisions(tx: Tx) -> list[Person]:
    """Every account that has no normal form because another one has it; the oldest first."""
    waiting = select(people).where(people.c.name_taken_by.is_not(None))
    ordered = waiting.order_by(people.c.created_at, people.c.id)
    return [person_of(row) for row in tx.execute(ordered)]


def set_names(tx: Tx, values: Mapping[str, Mapping[str, str | None]]) -> None:
    """Columns about the user names of people, by id; the same ones for everybody."""
    if values:
        one = update(people).where(people.c.id == bindparam("who"))
        tx.execute(one, [{"who": each, **columns} for each, columns in values.items()])


def free_name(tx: Tx, person_id: str) -> None:
    """Whoever waited for this account's name is looked at again."""
    waiting = update(people).where(people.c.name_taken_by == person_id)
    tx.execute(waiting.values(name_taken_by=None))


def change(tx: Tx, person_id: str, columns: Mapping[str, Any], now: datetime) -> None:
    """Other values in a person's row. Raises `IntegrityError` when the number is taken."""
    mine = update(people).where(people.c.id == person_id)
    tx.execute(mine.values(**columns, updated_at=now))


def set_password(tx: Tx, person_id: str, password_hash: str | None) -> bool:
    """Answers whether it is another one than before."""
    changed = people.c.password_hash.is_distinct_from(password_hash)
    mine = update(people).where(people.c.id == person_id, changed)
    return tx.execute(mine.values(password_hash=password_hash)).rowcount > 0


def person_of(row: Row[Any]) -> Person:
    """A row of `people` as a value, without its password hash."""
    return Person(
        id=row.id,
        username=row.username,
        kind=row.kind,
        name=row.name,
        subject=row.subject,
        represents=tuple(row.represents),
        organisation=row.organisation,
        organisation_name=row.organisation_name,
        roles=frozenset(row.roles),
        locale=row.locale,
        disabled=row.disabled_at is not None,
        ended=row.ended_at is not None,
        id_number=row.id_number or "",
        citizen_id=row.citizen_id or "",
        collides_with=row.collides_with or "",
        name_taken_by=row.name_taken_by or "",
        email=row.email or "",
        email_verified=row.email_verified_at is not None,
        phone_number=row.phone_number or "",
        phone_number_verified=row.phone_number_verified_at is not None,
        updated_at=row.updated_at or row.created_at,
    )


# The fast lane's statement, compiled once.
_people = Prepared(select(people).where(people.c.id.in_(KEYS)))
