"""Accounts are changed, disabled, enabled and ended, by officers who may say so."""

import pytest

from foundation.actor import SYSTEM
from foundation.errors import Invalid
from idp import Authenticated, Denied
from idp.protocol.errors import (
    AccountClosed,
    IdentityNumberTaken,
    PersonExists,
    PersonNotFound,
    TwoPeopleNeeded,
)
from tests.idp.world import PASSWORD, World

OFFICE = "11990000MB1A0001XD"
OTHER = "11010519491231002X"


@pytest.fixture
def house(world: World) -> World:
    for name in ("wang", "zhao"):
        world.idp.people.add(name, name, None, by=SYSTEM, organisation=OFFICE, roles=["operator"])
    return world


def end(world: World, who: str = "chen", **more):
    said = {"by": "wang", "approved_by": "zhao", "reason": "死亡", **more}
    return world.idp.administration.end(who, **said)


def test_a_name_is_changed_by_one_officer_and_in_one_entry(house: World):
    chen = house.idp.administration.change("chen", {"name": "陈静"}, by="wang")

    assert (chen.name, chen.subject) == ("陈静", house.chen.subject)
    [entry] = house.entries("idp.person_changed")
    assert "陈静" not in str(entry)


def test_a_corrected_number_takes_two_gives_its_pseudonym_and_signs_out(house: World):
    client = house.client()
    client.code(house.browser())
    change = {"id_number": OTHER.lower()}
    with pytest.raises(TwoPeopleNeeded):
        house.idp.administration.change("chen", change, by="wang")
    assert house.idp.sessions.of(house.chen)

    chen = house.idp.administration.change("chen", change, by="wang", approved_by="zhao")

    assert chen.id_number == OTHER
    assert chen.subject != house.chen.subject
    assert house.idp.sessions.of(chen) == []


def test_a_number_that_somebody_has_is_given_to_nobody_else(house: World):
    house.idp.people.add("li", "李", None, by=SYSTEM, id_number=OTHER)
    with pytest.raises(IdentityNumberTaken):
        house.idp.administration.change("chen", {"id_number": OTHER}, by="wang", approved_by="zhao")
    assert house.idp.people.find("chen") == house.chen


@pytest.mark.parametrize(
    ("who", "changes", "pointer"),
    [
        ("chen", {"id_number": "123"}, "/id_number"),
        ("chen", {"id_number": ""}, "/id_number"),
        ("chen", {"organisation": OFFICE}, "/organisation"),
        ("chen", {"roles": ["drafter"]}, "/organisation"),
        ("wang", {"roles": ["admin"]}, "/roles"),
        ("wang", {"organisation": "11990000MB1A0001XX"}, "/organisation"),
        ("wang", {"organisation": ""}, "/organisation"),
        ("wang", {"id_number": OTHER}, "/id_number"),
        ("chen", {"represents": ["1"]}, "/represents"),
        ("chen", {"name": " "}, "/name"),
        ("chen", {"locale": "fr"}, "/locale"),
        ("chen", {"password_hash": "x"}, "/password_hash"),
        ("chen", {"name": "陈静怡"}, "/"),
        ("chen", {}, "/"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(house: World, who, changes, pointer):
    before = house.idp.people.all()
    with pytest.raises(Invalid) as refused:
        house.idp.administration.change(who, changes, by="zhao", approved_by="wang")

    assert pointer in {each.pointer for each in refused.value.errors}
    assert all(each.code and each.detail for each in refused.value.errors)
    assert house.idp.people.all() == before


def test_more_offices_take_two_and_fewer_take_one(house: World):
    house.idp.people.add("li", "李", None, by=SYSTEM, organisation=OFFICE)
    with pytest.raises(TwoPeopleNeeded):
        house.idp.administration.change("li", {"roles": ["keeper"]}, by="wang")

    changes = {"roles": ["keeper", "drafter"]}
    more = house.idp.administration.change("li", changes, by="wang", approved_by="zhao")
    fewer = house.idp.administration.change("li", {"roles": ["drafter"]}, by="wang")

    assert more.roles == {"keeper", "drafter"}
    assert fewer.roles == {"drafter"}


def test_who_is_disabled_cannot_sign_in_and_who_is_enabled_again_can(house: World):
    administration = house.idp.administration
    assert administration.disable("chen", by="wang", reason="遗失手机").disabled
    assert isinstance(house.idp.sign_in("chen", PASSWORD), Denied)
    with pytest.raises(AccountClosed):
        administration.disable("chen", by="wang", reason="again")

    administration.enable("chen", by="zhao")

    assert isinstance(house.idp.sign_in("chen", PASSWORD), Authenticated)
    with pytest.raises(AccountClosed):
        administration.enable("chen", by="zhao")
    assert len(house.entries("idp.person_disabled")) == 1
    assert len(house.entries("idp.person_enabled")) == 1


def test_ended_is_for_ever_and_name_and_number_are_given_to_nobody(house: World):
    ended = end(house)

    assert (ended.ended, ended.disabled, ended.subject) == (True, True, house.chen.subject)
    assert isinstance(house.idp.sign_in("chen", PASSWORD), Denied)
    with pytest.raises(AccountClosed):
        house.idp.administration.enable("chen", by="wang")
    with pytest.raises(AccountClosed):
        house.idp.names.rename("chen", "chen.old", by=SYSTEM)
    with pytest.raises(PersonExists):
        house.idp.people.add("CHEN", "陈", None, by=SYSTEM)
    with pytest.raises(IdentityNumberTaken):
        house.idp.people.add("chen2", "陈", None, by=SYSTEM, id_number=house.chen.id_number)
    assert len(house.entries("idp.person_ended")) == 1


def test_a_reason_is_needed_and_somebody_to_decide_about(house: World):
    with pytest.raises(Invalid):
        end(house, reason=" ")
    with pytest.raises(PersonNotFound):
        end(house, "nobody")
    assert not house.idp.people.find("chen").disabled
