"""The keeper's commands."""

import json
from contextlib import nullcontext

import pytest
from typer.testing import CliRunner, Result

from foundation.errors import Refused
from keys import Keys
from keys.commands import build
from keys.errors import UnknownKey
from tests.keys.orders import order
from tests.simulators.clock import MovableClock


class Terminal:
    def __init__(self, keys: Keys) -> None:
        self._app = build(lambda: nullcontext(keys))

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(self._app, arguments, catch_exceptions=False)


@pytest.fixture
def terminal(keys: Keys) -> Terminal:
    return Terminal(keys)


def test_the_list_names_every_key_and_shows_none(keys: Keys, terminal: Terminal) -> None:
    kids = {keys.ensure(use).kid for use in ("idp.tokens", "tsa")}

    answer = json.loads(terminal("list", "--json").stdout)

    assert {each["kid"] for each in answer} == kids
    assert {each["state"] for each in answer} == {"active"}
    assert not any("d" in each["public_jwk"] for each in answer)


def test_the_list_is_a_table_for_people(keys: Keys, terminal: Terminal) -> None:
    keys.ensure("idp.tokens")

    answer = terminal("list")

    assert answer.exit_code == 0
    assert "idp.tokens" in answer.stdout


def test_one_key_by_its_id(keys: Keys, terminal: Terminal) -> None:
    key = keys.ensure("idp.tokens")

    (shown,) = json.loads(terminal("show", key.kid).stdout)

    assert shown["public_jwk"] == key.public_jwk


def test_an_id_that_begins_with_a_dash_is_no_option(terminal: Terminal) -> None:
    for kid in ("-" + "A" * 42, "--" + "A" * 41):
        with pytest.raises(UnknownKey):
            terminal("show", kid)
    assert terminal("show", "A" * 43, "--jsn").exit_code == 2


def test_rotation_shows_the_staged_key_first(keys: Keys, terminal: Terminal) -> None:
    old = keys.ensure("idp.tokens")

    staged = json.loads(terminal("rotate", "idp.tokens", "--json").stdout)
    at_once = json.loads(terminal("rotate", "idp.tokens", "--at-once", "--json").stdout)

    assert [each["state"] for each in staged] == ["staged", "active"]
    assert [each["state"] for each in at_once] == ["active", "retiring"]
    assert keys.active("idp.tokens").kid != old.kid


def test_a_stolen_key_is_replaced_revoked_and_destroyed(keys: Keys, terminal: Terminal) -> None:
    old = keys.ensure("idp.tokens")

    new, gone = json.loads(terminal("compromised", "idp.tokens", "--json").stdout)

    assert (new["state"], gone["state"], gone["kid"]) == ("active", "retired", old.kid)
    with pytest.raises(Refused, match="seal"):
        terminal("compromised", "seal/1")


def test_the_uses_of_a_seal_key_are_told_with_names_and_content(
    keys: Keys, clock: MovableClock, terminal: Terminal
) -> None:
    keys.ensure("seal/1")
    for number in range(3):
        keys.sign("seal/1", b"x", order=order(clock(), document=f"d{number}", purpose="[red]年检"))

    newest, *_ = told = json.loads(terminal("uses", "seal/1", "--json").stdout)
    older = json.loads(
        terminal("uses", "seal/1", "--before", str(newest["number"]), "--json").stdout
    )
    of_one = json.loads(terminal("uses", "--document", "d1", "--json").stdout)
    table = terminal("uses", "seal/1").stdout

    assert [each["document"] for each in told] == ["d2", "d1", "d0"]
    assert [each["document"] for each in older] == ["d1", "d0"]
    assert [(each["drafter"], each["approver"]) for each in of_one] == [("wang", "li")]
    assert "[red]" in table, "what somebody typed is text, not markup"
