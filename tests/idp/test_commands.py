"""The registers at a terminal."""

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from foundation.errors import Invalid
from idp import Authenticated
from idp.commands import OpenIdp, build
from idp.models import people
from idp.protocol.errors import ClientNotFound
from tests.idp.world import PASSWORD, PURPOSE, REDIRECT_URI, World


class Terminal:
    """The commands as somebody types them."""

    def __init__(self, open_idp: OpenIdp) -> None:
        self._open_idp = open_idp

    def __call__(self, *words: str, typed: str = "") -> list[Any]:
        """What is printed, one JSON object a line."""
        return [json.loads(line) for line in self.text(*words, typed=typed).splitlines()]

    def text(self, *words: str, typed: str = "") -> str:
        result = CliRunner().invoke(build(self._open_idp), list(words), input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout


@pytest.fixture
def run(world: World) -> Terminal:
    @contextmanager
    def open_idp():
        yield world.idp

    return Terminal(open_idp)


def test_a_person_is_added_with_a_password_from_standard_input(run, world: World):
    [shown] = run(
        "people", "add", "wang", "王敏", "--organisation", "11990000MB1A0001XD",
        "--role", "drafter", "--json", typed="a good long password\n",
    )  # fmt: skip

    assert shown["kind"] == "officer"
    signed_in = world.idp.sign_in("wang", "a good long password")
    assert isinstance(signed_in, Authenticated)
    assert signed_in.person.roles == {"drafter"}
    assert [each["username"] for each in run("people", "list", "--json")] == ["chen", "wang"]


def test_notices_that_did_not_arrive_are_listed_and_sent_again(run, world: World):
    client = world.client(backchannel_logout_uri="https://food.example.gov.cn/backchannel")
    browser = world.browser()
    client.exchange(client.code(browser))
    world.idp.end_session(browser.session_id)

    [listed] = run("notices", "list", "--json")
    assert (listed["client_id"], listed["state"]) == (client.id, "waiting")
    assert world.chen.id not in str(listed)
    assert world.chen.subject not in str(listed)
    [sent] = run("notices", "send-again", listed["id"], "--json")
    assert sent["id"] == listed["id"]
    assert run("notices", "list", "--client", "another", "--json") == []


def test_colliding_accounts_are_listed_and_decided_by_two_officers(run, world: World):
    for name in ("wang", "zhao"):
        office = ("--organisation", "11990000MB1A0001XD")
        run("people", "add", name, name, *office, "--json", typed=PASSWORD)
    world.clock.advance(timedelta(minutes=1))
    run("people", "add", "lin", "林志强", "--json", typed=PASSWORD)
    number = {"id_number": world.chen.id_number, "subject": world.chen.subject}
    with world.database.write() as tx:  # as a program did that knew no index
        tx.execute(update(people).where(people.c.username == "lin").values(**number))
    world.idp.numbers.settle()

    [listed] = run("people", "collisions", "--json")
    [kept] = run(
        "people", "resolve", "lin", "chen", "--by", "wang", "--approved-by", "zhao", "--json"
    )

    assert (listed["username"], listed["state"], listed["collides_with"]) == (
        "lin",
        "suspended",
        "chen",
    )
    assert (kept["username"], kept["state"]) == ("lin", "enabled")
    assert run("people", "collisions", "--json") == []
    assert world.chen.id_number not in str((listed, kept))


def test_accounts_with_one_user_name_are_listed_and_renamed(run, world: World):
    run("people", "add", "lin", "林志强", "--json", typed=PASSWORD)
    world.note(world.idp.people.find("lin"), username="ｃｈｅｎ", username_normal=None)
    world.idp.settle()

    [listed] = run("people", "collisions", "--json")
    [renamed] = run("people", "rename", "ｃｈｅｎ", "chen.2", "--json")

    assert (listed["same"], listed["collides_with"]) == ("username", "chen")
    assert (renamed["id"], renamed["username"]) == (listed["id"], "chen.2")
    assert run("people", "collisions", "--json") == []


def test_an_officer_is_added_with_the_account_they_have_as_a_citizen(run, world: World):
    run(
        "people", "add", "chen.office", "陈静怡", "--organisation", "11990000MB1A0001XD",
        "--citizen", "chen", "--json", typed=PASSWORD,
    )  # fmt: skip

    assert world.idp.people.find("chen.office").citizen_id == world.chen.id


def test_a_client_is_registered_from_a_file_and_its_secret_shown_once(run, world, tmp_path):
    description = {
        "client_id": "school",
        "name": PURPOSE,
        "purpose": PURPOSE,
        "organisation": "11990000MB1A0001XX",
        "organisation_name": "示例市教育局",
        "profile": "standard",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": [REDIRECT_URI],
    }
    file = tmp_path / "client.json"
    file.write_text(json.dumps(description))

    [made] = run("clients", "register", str(file), "--json")
    [listed] = run("clients", "list", "--json")
    [again] = run("clients", "new-secret", "school", "--json")
    run("clients", "disable", "school")

    assert made["client_secret"].startswith("yzs_")
    assert "client_secret" not in listed
    assert again["client_secret"] != made["client_secret"]
    assert run("clients", "list", "--json")[0]["state"] == "disabled"


@pytest.mark.parametrize("word", ["register", "allow"])
def test_a_member_with_a_wrong_name_is_refused_and_not_forgotten(run, tmp_path, word):
    file = tmp_path / "description.json"
    described = {"name": PURPOSE, "purpose": PURPOSE, "organisation": "x", "organisation_name": "x"}
    described |= {"client_id": "school"} if word == "register" else {"scopes": ["openid"]}
    if word == "allow":
        del described["name"]
    file.write_text(json.dumps({**described, "require_signed_request": True}))

    with pytest.raises(Invalid, match="nobody knows: require_signed_request"):
        run("clients", word, str(file))


def test_an_unknown_client_is_not_found(run):
    with pytest.raises(ClientNotFound):
        run("clients", "disable", "nobody")


def test_an_initial_access_token_is_made_from_a_file_of_bounds(run, world: World, tmp_path):
    bounds = {
        "organisation": "11990000MB1A0001XX",
        "organisation_name": "示例市教育局",
        "purpose": PURPOSE,
        "scopes": ["openid"],
    }
    file = tmp_path / "bounds.json"
    file.write_text(json.dumps(bounds))

    [shown] = run("clients", "allow", str(file), "--uses", "2", "--json")

    made = world.idp.registrations.register(
        shown["initial_access_token"],
        {"client_name": "School", "redirect_uris": [REDIRECT_URI], "scope": "openid"},
    )
    assert made.client.organisation_name == "示例市教育局"
    assert shown["registration_endpoint"].endswith("/oauth/register")


def test_what_a_client_gives_up_is_shown_with_it(run, world: World):
    world.client("old-portal", profile="basic")
    world.client("bureau", profile="fapi2", token_endpoint_auth_method="private_key_jwt")

    [basic] = run("clients", "show", "old-portal", "--json")
    [strict] = run("clients", "show", "bureau", "--json")

    assert (basic["client_id"], basic["profile"], basic["state"]) == (
        *("old-portal", "basic"),
        "enabled",
    )
    assert {"pkce_optional", "rs256"} <= {each["code"] for each in basic["weakenings"]}
    assert all(each["text"] for each in basic["weakenings"])
    assert strict["weakenings"] == []
    with pytest.raises(ClientNotFound):
        run("clients", "show", "nobody")


def test_an_account_is_shown_changed_disabled_enabled_and_ended(run, world: World):
    office = ("--organisation", "11990000MB1A0001XD")
    for name in ("wang", "zhao"):
        run("people", "add", name, name, *office, "--json", typed=PASSWORD)
    two = ("--by", "wang", "--approved-by", "zhao", "--json")

    [changed] = run("people", "change", "chen", "--name", "陈静", "--by", "wang", "--json")
    [shown] = run("people", "show", "chen", "--json")
    run("people", "add", "li", "李", *office, "--role", "drafter", "--json", typed=PASSWORD)
    [bare] = run("people", "change", "li", "--role", "", "--by", "wang", "--json")
    said = ("--by", "wang", "--reason", "lost", "--json")
    states = [
        run("people", "disable", "chen", *said)[0]["state"],
        run("people", "enable", "chen", "--by", "zhao", "--json")[0]["state"],
        run("people", "end", "chen", "--reason", "deceased", *two)[0]["state"],
    ]

    assert (changed["username"], shown["name"], bare["roles"]) == ("chen", "陈静", "")
    assert world.chen.id_number not in str((changed, shown))
    assert states == ["disabled", "enabled", "ended"]
