"""One identity number, one account: who may hold it, and what becomes of accounts that collide."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from foundation.actor import SYSTEM
from foundation.codes import resident_check
from foundation.encryption import subject_of
from foundation.errors import Invalid
from idp import Authenticated, Denied
from idp.models import people
from idp.protocol.errors import (
    IdentityNumberTaken,
    NoCollision,
    PersonNotFound,
    TwoPeopleNeeded,
)
from tests.idp.world import PASSWORD, World

MARKET = "11990000MB1A0001XD"
NUMBER = "990001198506120010"
WITH_X = "11010519491231002X"  # the example printed in GB 11643


def add(world: World, username: str, id_number: str = "", **more):
    return world.idp.people.add(
        username, username, PASSWORD, by=SYSTEM, id_number=id_number, **more
    )


def as_before(world: World, username: str, id_number: str, **more):
    """Somebody whom a program without an index of numbers registered."""
    person = add(world, username, **more)
    number = {
        "id_number": id_number,
        "subject": subject_of(world.database.cipher, "person", id_number),
    }
    with world.database.write() as tx:
        tx.execute(update(people).where(people.c.id == person.id).values(**number))
    world.clock.advance(timedelta(minutes=1))
    return world.idp.people.find(username)


@pytest.fixture
def officers(world: World):
    return [add(world, name, organisation=MARKET, roles=["auditor"]) for name in ("wang", "zhao")]


@pytest.fixture
def two(world: World, officers):
    """Two citizens with one number, the second one suspended for it."""
    as_before(world, "lin", NUMBER)
    as_before(world, "lin2", NUMBER)
    world.idp.numbers.settle()
    return tuple(world.idp.people.find(name) for name in ("lin", "lin2"))


def resolve(world: World, keep: str, other: str, by: str = "wang", approved_by: str = "zhao"):
    return world.idp.numbers.resolve(keep, other, by=by, approved_by=approved_by)


@pytest.mark.parametrize(
    "typed",
    [WITH_X, "11010519491231002x", " 110105 19491231 002x", "１１０１０５１９４９１２３１００２ｘ"],
)
def test_a_number_is_kept_as_registers_write_it(world: World, typed):
    person = add(world, "lin", typed)

    assert person.id_number == world.idp.people.find("lin").id_number == WITH_X
    assert person.subject == subject_of(world.database.cipher, "person", WITH_X)


@pytest.mark.parametrize("region", ["810000", "820000", "830000"])
def test_residence_permits_are_identity_numbers(world: World, region):
    number = f"{region}19900307002" + resident_check(f"{region}19900307002")

    assert add(world, "lin", number).id_number == number


def test_who_has_no_such_number_has_a_passport(world: World):
    assert add(world, "lin", "uto-l898902c3").id_number == "UTO-L898902C3"


@pytest.mark.parametrize(
    "number", ["123", WITH_X[:-1] + "1", "99000119900307002", "L898902C4", "990001199013070022"]
)
def test_a_number_that_does_not_agree_with_itself_is_refused(world: World, number):
    with pytest.raises(Invalid) as refused:
        add(world, "lin", number)

    assert [each.code for each in refused.value.errors] == ["identity_number"]
    assert number not in str(refused.value.errors)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"organisation": "123"}, "organisation_code"),
        ({"organisation": MARKET[:-1] + "X"}, "organisation_code"),
        ({"represents": ["91990000MA1B00068X"]}, "organisation_code"),
        ({"organisation": MARKET, "roles": ["admin"]}, "role"),
        ({"roles": ["drafter"]}, "organisation"),
        ({"organisation": MARKET, "id_number": NUMBER}, "officer_number"),
        ({"citizen": "chen"}, "citizen"),
        ({"organisation": MARKET, "citizen": "nobody"}, "citizen"),
    ],
)
def test_offices_and_codes_are_checked(world: World, wrong, code):
    with pytest.raises(Invalid) as refused:
        add(world, "lin", **wrong)

    assert [each.code for each in refused.value.errors] == [code]


def test_an_officer_points_to_the_citizen_and_does_not_see_their_licences(world: World):
    officer = add(world, "chen.office", organisation=MARKET, roles=["drafter"], citizen="chen")

    assert world.idp.people.find("chen.office").citizen_id == world.chen.id
    assert world.chen.subject not in officer.actor.subjects


def test_a_codes_spelling_does_not_matter(world: World):
    officer = add(world, "wang", organisation=MARKET.lower(), roles=["drafter"])

    assert officer.organisation == MARKET


def test_a_number_is_given_once(world: World):
    add(world, "lin", WITH_X)

    with pytest.raises(IdentityNumberTaken):
        add(world, "lin2", WITH_X.lower())


def test_the_oldest_account_keeps_the_number(world: World, two):
    kept, suspended = two

    assert not kept.disabled
    assert (suspended.disabled, suspended.collides_with) == (True, kept.id)
    assert suspended.id_number == NUMBER
    assert world.idp.numbers.collisions() == [(suspended, kept)]
    assert world.idp.numbers.settle() == 0


def test_an_older_account_that_is_found_later_keeps_the_number(world: World):
    """An older program added it while this one was running already."""
    late = as_before(world, "late", NUMBER)
    add(world, "early", NUMBER)
    world.idp.sweep()

    [(suspended, kept)] = world.idp.numbers.collisions()
    assert (kept.id, suspended.username) == (late.id, "early")


def test_who_was_registered_with_a_small_x_sees_their_licences_from_now_on(world: World):
    as_before(world, "lin", WITH_X.lower())
    world.idp.numbers.settle()

    assert world.idp.people.find("lin").subject == subject_of(
        world.database.cipher, "person", WITH_X
    )


def test_of_three_accounts_two_wait(world: World):
    for name in ("one", "two", "three"):
        as_before(world, name, NUMBER)
    world.idp.numbers.settle()

    waiting = world.idp.numbers.collisions()

    assert [(each.username, kept.username) for each, kept in waiting] == [
        ("two", "one"),
        ("three", "one"),
    ]


def test_the_account_that_was_suspended_may_be_the_right_one(world: World, two):
    old, _ = two
    signed_in = world.sign_in("lin")

    kept = resolve(world, "lin2", "lin")

    assert isinstance(world.idp.sign_in("lin2", PASSWORD), Authenticated)
    assert kept.subject == old.subject
    lost = world.idp.people.find("lin")
    assert (lost.disabled, lost.id_number, lost.subject == old.subject) == (True, "", False)
    assert world.idp.session(signed_in.session_id) is None
    assert world.idp.numbers.collisions() == []


def test_who_keeps_the_number_goes_on_and_the_other_stays_closed(world: World, two):
    signed_in = world.sign_in("lin")

    resolve(world, "lin", "lin2")

    assert world.idp.session(signed_in.session_id) is not None
    assert world.idp.sign_in("lin2", PASSWORD) == Denied("wrong_credentials")
    assert world.idp.numbers.collisions() == []
    with world.database.read() as tx:
        assert (
            tx.execute(select(people.c.id_number).where(people.c.username == "lin2")).scalar()
            is None
        )


def test_an_officers_account_goes_on_and_points_to_the_citizen(world: World, officers):
    as_before(world, "office", NUMBER, organisation=MARKET, roles=["drafter"])
    citizen = as_before(world, "lin", NUMBER)
    world.idp.numbers.settle()
    with pytest.raises(NoCollision):
        resolve(world, "office", "lin")

    resolve(world, "lin", "office")

    officer = world.idp.people.find("office")
    assert (officer.citizen_id, officer.id_number, officer.disabled) == (citizen.id, "", False)
    assert officer.subject != citizen.subject
    assert not world.idp.people.find("lin").disabled


def test_the_others_wait_for_whoever_keeps_it(world: World, officers):
    for name in ("one", "two", "three"):
        as_before(world, name, NUMBER)
    world.idp.numbers.settle()

    resolve(world, "two", "one")

    waiting = world.idp.numbers.collisions()
    assert [(each.username, kept.username) for each, kept in waiting] == [("three", "two")]
    resolve(world, "two", "three")
    assert world.idp.numbers.collisions() == []


def test_a_decision_is_one_entry_that_the_holder_can_read_and_that_names_nobody(world: World, two):
    kept = resolve(world, "lin", "lin2")

    [entry] = world.entries("idp.number_resolved")
    private = {name for name in entry["commitments"] if name.startswith("private.")}
    assert private == {"private.kept", "private.other", "private.approved_by"}
    assert "subject" in entry["commitments"]
    assert NUMBER not in str(entry)
    assert kept.username == "lin"


@pytest.mark.parametrize(
    ("by", "approved_by"),
    [("wang", "wang"), ("WANG", "wang"), ("wang", "chen"), ("wang", "lin"), ("lin2", "zhao")],
)
def test_two_officers_decide_and_never_about_themselves(world: World, two, by, approved_by):
    with pytest.raises(TwoPeopleNeeded):
        resolve(world, "lin", "lin2", by, approved_by)


def test_two_accounts_of_one_officer_are_one_person(world: World, two):
    for name in ("chen.a", "chen.b"):
        add(world, name, organisation=MARKET, citizen="chen")
    add(world, "lin.office", organisation=MARKET, citizen="lin")

    for by, approved_by in (("chen.a", "chen.b"), ("wang", "lin.office")):
        with pytest.raises(TwoPeopleNeeded):
            resolve(world, "lin", "lin2", by, approved_by)


@pytest.mark.parametrize(("keep", "other"), [("lin", "chen"), ("chen", "wang"), ("lin", "lin")])
def test_only_accounts_that_collide_are_decided(world: World, two, keep, other):
    with pytest.raises(NoCollision):
        resolve(world, keep, other)
    with pytest.raises(PersonNotFound):
        resolve(world, keep, "nobody")
