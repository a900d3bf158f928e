"""Accounts: offices that nobody gave, and one person who would be two."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from foundation.actor import SYSTEM
from foundation.errors import Invalid
from idp.accounts.numbers import number_index
from idp.models import people
from idp.protocol.errors import IdentityNumberTaken
from tests.idp.fixtures import app, http, idp, runner, world  # noqa: F401
from tests.idp.world import PASSWORD, RelyingParty, World

NUMBER = "11010519491231002X"


def add(world: World, username: str, id_number: str = "", **more):
    return world.idp.people.add(username, "李", PASSWORD, by=SYSTEM, id_number=id_number, **more)


@pytest.mark.parametrize(
    "spelt",
    [NUMBER, "11010519491231002x", " 110105 19491231 002x", "１１０１０５１９４９１２３１００２ｘ"],
)
def test_62_one_number_opens_one_account_however_it_is_written(world: World, spelt):
    add(world, "li", NUMBER)

    with pytest.raises(IdentityNumberTaken):
        add(world, "li2", spelt)

    assert world.idp.people.find("li2") is None


def test_62_many_who_register_one_number_at_the_same_moment_are_one(world: World):
    outcomes, gate = [], threading.Barrier(8)

    def register(name: str) -> None:
        gate.wait()
        try:
            outcomes.append(add(world, name, NUMBER).username)
        except IdentityNumberTaken:
            outcomes.append("")

    threads = [threading.Thread(target=register, args=(f"li-{at}",)) for at in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(outcomes) == 8
    assert sum(bool(each) for each in outcomes) == 1


def test_62_the_database_itself_knows_no_second_account(world: World):
    add(world, "li", NUMBER)
    with world.database.read() as tx:
        row = tx.execute(select(people).where(people.c.username == "li")).one()

    again = {**row._mapping, "id": "person_x", "username": "li2"}
    with pytest.raises(IntegrityError), world.database.write() as tx:
        tx.execute(insert(people).values(**again))
    assert row.id_number_index == number_index(world.database.cipher, NUMBER)
    assert NUMBER not in row.id_number_index


@pytest.mark.parametrize("role", ["admin", "Drafter", "approver ", "*", ""])
def test_62_nobody_is_given_an_office_that_there_is_not(world: World, role):
    with pytest.raises(Invalid):
        add(world, "li", organisation="11990000MB1A0001XD", roles=[role])


@pytest.mark.parametrize("code", ["123", "11990000MB1A0001XX", "1", "organisation", ""])
def test_62_nobody_acts_for_an_organisation_that_there_cannot_be(world: World, code):
    with pytest.raises(Invalid):
        add(world, "li", organisation=code, roles=["drafter"])


def test_62_an_officers_account_is_no_second_way_to_the_same_licences(world: World):
    with pytest.raises(Invalid):
        add(world, "li", world.chen.id_number, organisation="11990000MB1A0001XD")
    officer = add(world, "li", organisation="11990000MB1A0001XD", citizen="chen")

    assert not officer.actor.subjects & world.chen.actor.subjects


def test_62_a_suspended_accounts_tokens_end_also_those_that_work_offline(world: World):
    client: RelyingParty = world.client()
    tokens = client.exchange(client.code(world.browser())).json()
    with world.database.write() as tx:
        row = tx.execute(select(people).where(people.c.username == "chen")).one()
        before = {**row._mapping, "id": "person_0", "username": "chen0", "id_number_index": None}
        before["created_at"] -= timedelta(days=1)
        tx.execute(insert(people).values(**before))

    world.idp.numbers.settle()

    assert [each.username for each, _ in world.idp.numbers.collisions()] == ["chen"]
    assert world.idp.sessions.of(world.chen) == []
    assert client.introspect(tokens["access_token"]) == {"active": False}
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert world.entries("idp.person_suspended")
