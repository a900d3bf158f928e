"""Accounts: offices that nobody gave, and one person who would be two."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from exchange.store import add_show_code, show_code
from foundation.actor import SYSTEM
from foundation.errors import Invalid
from idp import Authenticated, Denied
from idp.accounts.numbers import number_index
from idp.models import people, sign_in_attempts
from idp.protocol.errors import IdentityNumberTaken, PersonExists, TwoPeopleNeeded
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

    again = {**row._mapping, "id": "person_x", "username": "li2", "username_normal": "li2"}
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
        before["username_normal"] = None
        before["created_at"] -= timedelta(days=1)
        tx.execute(insert(people).values(**before))

    world.idp.numbers.settle()

    assert [each.username for each, _ in world.idp.numbers.collisions()] == ["chen"]
    assert world.idp.sessions.of(world.chen) == []
    assert client.introspect(tokens["access_token"]) == {"active": False}
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert world.entries("idp.person_suspended")


LOOK_ALIKES = ("LI.na", "ｌｉ．ｎａ", " li.na\u3000", "ⓛi.na", "Li．Na")


@pytest.mark.parametrize("typed", LOOK_ALIKES)
def test_62_a_name_that_is_typed_otherwise_is_no_second_account(world: World, typed):
    li = add(world, "li.na")

    with pytest.raises(PersonExists):
        add(world, typed)

    assert world.idp.people.find(typed) == li
    signed_in = world.idp.sign_in(typed, PASSWORD)
    assert isinstance(signed_in, Authenticated)
    assert signed_in.person == li


@pytest.mark.parametrize(
    "typed", ["li\u200bna", "li\u202ena", "\ufeffli", "li\x00na", "li\u00adna", "l"]
)
def test_62_nobody_is_called_by_letters_that_nobody_sees(world: World, typed):
    with pytest.raises(Invalid):
        add(world, typed)


def test_62_guesses_at_one_account_are_counted_together_however_its_name_is_typed(world: World):
    for typed in ("chen", "CHEN", "ｃｈｅｎ", "ｃｈｅｎ ", "Ｃhen"):
        assert isinstance(world.idp.sign_in(typed, "wrong"), Denied)

    refused = world.idp.sign_in("ｃＨｅｎ", PASSWORD)

    assert isinstance(refused, Denied)
    assert refused.reason == "too_many_attempts"
    with world.database.read() as tx:
        assert tx.execute(select(func.count()).select_from(sign_in_attempts)).scalar() == 1


def test_62_the_database_itself_knows_no_second_name(world: World):
    with world.database.read() as tx:
        row = tx.execute(select(people).where(people.c.username == "chen")).one()

    again = {**row._mapping, "id": "p_x", "username": "ｃｈｅｎ", "id_number_index": None}
    with pytest.raises(IntegrityError), world.database.write() as tx:
        tx.execute(insert(people).values(**again))


OFFICE = "11990000MB1A0001XD"


def officers(world: World) -> None:
    for name in ("wang", "zhao"):
        add(world, name, organisation=OFFICE, roles=["operator"])


@pytest.mark.parametrize("how", ["disable", "end"])
def test_62_nothing_of_who_is_disabled_or_ended_lives_on_also_when_enabled_again(world: World, how):
    officers(world)
    client: RelyingParty = world.client()
    tokens = client.exchange(client.code(world.browser())).json()
    code = client.code(world.browser())
    decide = {"by": "wang", "reason": "left"}

    if how == "end":
        world.idp.administration.end("chen", approved_by="zhao", **decide)
    else:
        world.idp.administration.disable("chen", **decide)

    def refused() -> None:
        assert world.idp.sessions.of(world.chen) == []
        assert client.introspect(tokens["access_token"]) == {"active": False}
        assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
        assert client.exchange(code).json()["error"] == "invalid_grant"

    refused()
    if how == "disable":
        world.idp.administration.enable("chen", by="zhao")
        refused()


def test_62_what_who_is_disabled_was_showing_can_be_opened_no_more(world: World):
    officers(world)
    now = world.clock()
    later = now + timedelta(minutes=1)
    with world.database.write() as tx:
        for word, who in ((b"1" * 32, world.chen.id), (b"2" * 32, "person_other")):
            add_show_code(tx, word, "certificate", world.chen.subject, who, later)

    world.idp.administration.disable("chen", by="wang", reason="left")

    with world.database.read() as tx:
        hers, theirs = (show_code(tx, word) for word in (b"1" * 32, b"2" * 32))
    assert hers.expires_at <= now
    assert theirs.expires_at == later


@pytest.mark.parametrize(
    ("by", "approved_by"),
    [("wang", "wang"), ("chen", "wang"), ("wang", "chen"), ("wang", "office"), ("gone", "wang")],
)
def test_62_nobody_ends_an_account_alone_or_as_somebody_concerned(world: World, by, approved_by):
    officers(world)
    add(world, "office", organisation=OFFICE, citizen="chen")
    add(world, "gone", organisation=OFFICE)
    world.idp.administration.disable("gone", by="wang", reason="left")

    with pytest.raises(TwoPeopleNeeded):
        world.idp.administration.end("chen", by=by, approved_by=approved_by, reason="x")

    assert not world.idp.people.find("chen").disabled


@pytest.mark.parametrize("names", [("wang", ""), ("wang", "zhao"), ("zhao", "wang")])
def test_62_nobody_gives_an_office_to_themselves(world: World, names):
    officers(world)
    by, approved_by = names

    with pytest.raises(TwoPeopleNeeded):
        world.idp.administration.change(
            "wang", {"roles": ["operator", "keeper"]}, by=by, approved_by=approved_by
        )

    assert world.idp.people.find("wang").roles == {"operator"}


@pytest.mark.parametrize(
    "password",
    ["12345678", "Password123", "ｐａｓｓｗｏｒｄ", "li.na2024", "LI.NA LI.NA", "aaaaaaaaaa"],
)
def test_62_a_password_that_is_tried_first_is_nobodys(world: World, password):
    with pytest.raises(Invalid) as refused:
        world.idp.people.add("li.na", "李娜", password, by=SYSTEM)

    assert [each.code for each in refused.value.errors] == ["weak_password"]
    assert password not in str(refused.value.errors)
