"""One user name, one account: how names are compared, and what becomes of those that collide."""

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from foundation.actor import SYSTEM
from foundation.errors import Invalid
from idp import Authenticated, Denied
from idp.models import people
from idp.protocol.errors import PersonExists, PersonNotFound
from idp.protocol.syntax import normal_name
from tests.idp.fixtures import hash_of
from tests.idp.world import PASSWORD, World


def add(world: World, username: str):
    return world.idp.people.add(username, username, PASSWORD, by=SYSTEM)


def as_before(world: World, *usernames: str) -> list[str]:
    """People whom a program registered that compared names by case alone; the oldest first."""
    ids = []
    for at, username in enumerate(usernames):
        person = add(world, f"somebody-{at}")
        columns = {"username": username, "username_normal": None}
        world.note(person, **columns, password_hash=hash_of(PASSWORD))
        world.clock.advance(timedelta(minutes=1))
        ids.append(person.id)
    return ids


def collisions(world: World) -> list[tuple[str, str]]:
    return [(each.username, kept.username) for each, kept in world.idp.names.collisions()]


def signed_in_as(world: World, username: str) -> str:
    result = world.idp.sign_in(username, PASSWORD)
    assert isinstance(result, Authenticated), result
    return result.person.username


@given(st.text(max_size=150))
def test_the_normal_form_of_a_normal_form_is_itself(name: str):
    assert normal_name(normal_name(name)) == normal_name(name)


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Chen", "chen"),
        ("ＣＨＥＮ＿０１", "chen_01"),
        ("\u3000陈静怡 ", "陈静怡"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ﬁn", "fin"),
        ("e\u0301va", "\u00e9va"),
        ("ｶﾅ", "カナ"),
        ("\ufdfa" * 200, normal_name("\ufdfa" * 12)),
    ],
)
def test_names_are_compared_without_width_case_and_spaces_around(typed: str, normal: str):
    assert normal_name(typed) == normal
    assert len(normal) <= 200


def test_a_name_is_stored_as_it_is_compared(world: World):
    assert add(world, " Ｌin.Na").username == "lin.na"


def test_the_name_belongs_to_who_is_spelt_just_so_else_to_the_oldest(world: World):
    as_before(world, "ｌｉｎ", "lin", "ｈｅ", "ｈe", "王")

    world.idp.settle()

    assert collisions(world) == [("ｌｉｎ", "lin"), ("ｈe", "ｈｅ")]
    assert signed_in_as(world, "ＬＩＮ") == "lin"
    assert signed_in_as(world, "he") == "ｈｅ"
    assert signed_in_as(world, "王") == "王"
    assert len(world.entries("idp.user_name_collides")) == 2
    assert world.idp.names.settle() == 0


def test_who_collides_keeps_what_is_open_and_signs_in_again_under_another_name(world: World):
    old, new = as_before(world, "ｌｉｎ", "lin")
    world.note(name_taken_by=None)
    world.idp.settle()
    waiting = next(each for each, _ in world.idp.names.collisions())

    renamed = world.idp.names.rename("ｌｉｎ", "Lin2", by=SYSTEM)

    assert (waiting.id, waiting.disabled, waiting.name_taken_by) == (old, False, new)
    assert (renamed.id, renamed.username, renamed.name_taken_by) == (old, "lin2", "")
    assert signed_in_as(world, "lin2") == "lin2"
    assert collisions(world) == []
    [entry] = world.entries("idp.person_renamed")
    assert "lin" not in str(entry)


def test_a_name_that_becomes_free_goes_to_who_waited_for_it(world: World):
    _, second, third = as_before(world, "lin", "ｌｉｎ", "ｌｉn")
    world.idp.settle()

    world.idp.names.rename("lin", "lin.office", by=SYSTEM)

    assert world.idp.people.find("lin").id == second
    assert [each.id for each, _ in world.idp.names.collisions()] == [third]


def test_an_account_is_renamed_by_its_id_too_and_never_to_a_name_that_is_taken(world: World):
    [lin] = as_before(world, "ｌｉｎ")
    world.idp.settle()

    with pytest.raises(PersonExists):
        world.idp.names.rename(lin, "ＣＨＥＮ", by=SYSTEM)
    with pytest.raises(Invalid):
        world.idp.names.rename(lin, "lin na", by=SYSTEM)
    with pytest.raises(PersonNotFound):
        world.idp.names.rename("nobody", "lin3", by=SYSTEM)

    assert world.idp.names.rename(lin, "lin", by=SYSTEM).username == "lin"
    assert world.entries("idp.person_renamed")


def test_nobody_new_gets_a_name_that_an_older_program_gave(world: World):
    as_before(world, "ｌｉｎ")
    world.idp.settle()

    with pytest.raises(PersonExists):
        add(world, "lin")


def test_several_processes_may_settle_at_once(world: World):
    as_before(world, *(f"ｌｉｎ{at}" for at in range(4)), "lin2", "LIN3")
    gate = threading.Barrier(3)

    def settle() -> None:
        gate.wait()
        world.idp.names.settle()

    threads = [threading.Thread(target=settle) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(collisions(world)) == 2
    assert len(world.entries("idp.user_name_collides")) == 2


def test_an_account_without_a_name_cannot_be_guessed_at_under_the_name_of_another(world: World):
    as_before(world, "ｌｉｎ", "lin")
    other = hash_of("another good long password")
    with world.database.write() as tx:
        tx.execute(update(people).where(people.c.username == "lin").values(password_hash=other))
    world.idp.settle()

    assert isinstance(world.idp.sign_in("ｌｉｎ", PASSWORD), Denied)
