"""The register of seals at a terminal."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from signing.errors import FourEyesViolated
from signing.seals.commands import build
from tests.signing.conftest import NAME, OWNER, House


class Terminal:
    def __init__(self, house: House) -> None:
        self._app = build(lambda: nullcontext(house))

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(self._app, arguments, catch_exceptions=False)

    def json(self, *arguments: str) -> list[dict]:
        answer = self(*arguments, "--json")
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)


@pytest.fixture
def terminal(house: House) -> Terminal:
    return Terminal(house)


@pytest.fixture
def applied(terminal: Terminal) -> str:
    names = ("--owner", OWNER, "--owner-name", NAME, "--name", NAME, "--code", "3501000012345")
    (entry,) = terminal.json("apply", *names, "--by", "wang")
    return entry["id"]


def test_a_seal_goes_its_whole_way_at_a_terminal(
    house: House, terminal: Terminal, applied: str, tmp_path: Path
) -> None:
    states = []
    for step, by, *more in (
        ("approve", "li"),
        ("make", "li", "--algorithm", "PS256"),
        ("file", "li", "--reference", "公备2026-17"),
        ("activate", "li"),
        ("suspend", "li", "--reason", "audit"),
        ("resume", "li", "--reason", "over"),
        ("revoke", "li", "--reason", "stolen", "--compromised"),
        ("destroy", "li", "--reason", "law"),
    ):
        (entry,) = terminal.json(step, applied, "--by", by, *more)
        states.append(entry["state"])
    terminal("picture", applied, str(tmp_path / "seal.svg"))

    assert states[:4] == ["approved", "made", "filed", "active"]
    assert states[4:] == ["suspended", "active", "revoked", "destroyed"]
    told = terminal.json("history", applied)
    assert [change["by"] for change in told] == ["wang", *["li"] * 8]
    assert "<svg" in (tmp_path / "seal.svg").read_text()


def test_the_list_names_every_seal_and_what_waits(terminal: Terminal, applied: str) -> None:
    listed = terminal("list", OWNER).stdout

    assert applied in listed
    assert "waiting" in listed
    assert terminal.json("list", "11990000MB1A00028") == []
    assert "wang" in terminal("history", applied).stdout


def test_one_person_cannot_do_both_at_a_terminal_either(terminal: Terminal, applied: str) -> None:
    with pytest.raises(FourEyesViolated):
        terminal("approve", applied, "--by", "wang")


def test_a_permit_is_asked_for_approved_and_ended_at_a_terminal(
    house: House, terminal: Terminal
) -> None:
    seal = house.register().id

    asked = terminal("ask-permit", seal, "--by", "wang", "--purpose", "minutes", "--quota", "3")
    permit = asked.stdout.strip()
    with pytest.raises(FourEyesViolated):
        terminal("approve-permit", permit, "--by", "wang")
    terminal("approve-permit", permit, "--by", "li")
    terminal("withdraw-permit", permit, "--by", "li")

    (found,) = json.loads(terminal("permits", seal).stdout)
    assert (found["id"], found["quota"], found["approved_by"]) == (permit, 3, "li")
    assert found["withdrawn_by"] == "li"
