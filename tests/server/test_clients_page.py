"""docs/clients.md: every member of a registration, and examples that are accepted."""

import json
import re
from dataclasses import MISSING, fields
from typing import Any

import msgspec
import pytest

from idp import GRANTS, Client
from idp.clients import registration
from idp.protocol.profiles import PROFILES
from tests.server.reference import ROOT

PAGE = (ROOT / "docs" / "clients.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
ROWS = {
    name: default.strip(" `")
    for name, default in re.findall(r"^\| `(\w+)` \| ([^|]*)\| .+ \|$", PAGE, re.MULTILINE)
}


def test_every_member_has_one_row_and_every_row_is_a_member() -> None:
    assert list(ROWS) == [each.name for each in fields(Client)]


@pytest.mark.parametrize("name", ROWS)
def test_the_default_is_the_one_of_the_program(name: str) -> None:
    [member] = [each for each in fields(Client) if each.name == name]
    default: Any = member.default
    if default is MISSING or default is None or default in ("", ()):
        shown = ""
    elif isinstance(default, tuple):
        shown = " ".join(default)
    else:
        shown = str(default).lower() if isinstance(default, bool) else default

    assert ROWS[name] == shown


@pytest.mark.parametrize("shown", EXAMPLES)
def test_each_example_would_be_registered(shown: str) -> None:
    client = msgspec.json.decode(shown, type=Client)

    registration.check(client, GRANTS)
    assert json.loads(shown).keys() <= Client.__annotations__.keys()


def test_each_profile_has_an_example() -> None:
    shown = [msgspec.json.decode(each, type=Client).profile for each in EXAMPLES]

    assert sorted(shown) == sorted(PROFILES)
