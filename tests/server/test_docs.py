"""README and docs say what is: tables, commands, links, examples and the tests they name."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml
from typer.testing import CliRunner

from idp.clients.registration import check
from idp.models import Client
from idp.protocol.claims import CLAIMS
from idp.protocol.profiles import must_push
from idp.token.grants import GRANTS, refresh
from idp.token.grants.authorization_code import CODE_LIFETIME
from idp.token.tokens import ACCESS_TOKEN_LIFETIME
from server import cli
from server.assembly import Installation, opened
from server.sandbox.demo import Story
from server.settings import Settings
from tests.server.reference import ROOT, all_tables, filled, pages

README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
THREATS = ROOT / "docs" / "threats.md"
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
OUR_WORDS = {"test", "check", "bench", "mutate"}  # of `./run` itself


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with opened(Settings(data_dir=tmp_path_factory.mktemp("docs"))) as house:
        yield house


@pytest.fixture(scope="module")
def tables(house: Installation) -> dict[str, str]:
    return all_tables(house)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_table_is_what_the_program_says(page: Path, tables: dict[str, str]) -> None:
    assert page.read_text() == filled(page.read_text(), tables), (
        "run: python -m tests.server.reference"
    )


def test_each_table_stands_somewhere(tables: dict[str, str]) -> None:
    text = "".join(page.read_text() for page in pages())

    assert all(f"<!-- {name}: " in text for name in tables)


def test_the_registration_shown_is_one_that_obeys() -> None:
    [shown] = re.findall(r"```json\n(\{\n  \"client_id\".*?)```", API.read_text(), re.DOTALL)

    client = msgspec.json.decode(shown, type=Client)

    check(client, GRANTS)
    assert json.loads(shown).keys() <= Client.__annotations__.keys()
    assert must_push(client)


def test_the_lifetimes_shown_are_those_of_the_program() -> None:
    text = " ".join(API.read_text().split())

    assert f"A code lives {CODE_LIFETIME.seconds} seconds" in text
    assert f"an access token {ACCESS_TOKEN_LIFETIME.seconds // 60} minutes" in text
    assert f"after {refresh.IDLE_LIFETIME.days} days unused" in text
    assert f"{refresh.FAMILY_LIFETIME.days} days in all" in text
    assert "again within ten seconds" in text
    assert timedelta(seconds=10) == refresh.GRACE
    assert CLAIMS["id_number"].max_age == timedelta(hours=1)


def commands_shown() -> list[tuple[str, str]]:
    """(page, words) of every `./run …` and `python -m server …` in pages and settings."""
    program = re.compile(r"(?:\./run|python -m server) ([a-z].*)")
    shown = []
    for page in pages():
        text = page.read_text()
        lines = [line for block in SHELL_BLOCK.findall(text) for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", text)
        found = [program.match(line.split("#")[0]) for line in lines]
        shown += [(page.name, each.group(1).strip()) for each in found if each]
    return shown


@pytest.mark.parametrize(("page", "words"), commands_shown())
def test_every_command_shown_is_one_of_the_programs(page: str, words: str) -> None:
    first = words.split()[0]
    if first in OUR_WORDS:
        return
    command, path = typer.main.get_command(cli.build()), []
    for word in words.split():
        inner = getattr(command, "commands", {}).get(word)
        if inner is None:
            break
        command, path = inner, [*path, word]
    options = {name for each in command.params for name in each.opts}
    asked = re.findall(r"(?<=\s)--[a-z-]+", f" {words}")

    assert path, f"{page} shows {words!r}"
    assert not getattr(command, "commands", None), f"{words!r} is not a whole command"
    assert set(asked) <= options | {"--help"}, f"{page} shows {words!r}"


def test_the_help_of_every_command_is_whole_sentences() -> None:
    outcome = CliRunner().invoke(cli.build(), ["--help"])

    assert outcome.exit_code == 0
    words = outcome.output.split("Commands:")[1]
    assert "..." not in words, "the first sentence is too long for one line"


def test_the_readme_names_the_steps_of_the_demo_in_order() -> None:
    (block,) = re.findall(r"```\n(open → .*?)```", README.read_text(), re.DOTALL)

    assert [step.strip() for step in re.split(r"→", block)] == [name for name, _ in Story.STEPS]


def test_the_readme_shows_the_floors_as_they_are_kept() -> None:
    text = README.read_text()
    shown = re.findall(
        r"^(server|portal|exchange|idp|signing|keys|foundation) ", text, re.MULTILINE
    )
    kept = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = [each.split(" | ")[0] for each in kept["contracts"][0]["layers"]]

    assert shown == layers


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_leads_to_a_file_that_exists(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())

    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def test_the_addresses_of_the_journeys_exist(house: Installation) -> None:
    text = README.read_text().split("## The journeys")[1].split("\n## ")[0]
    served = set(served_paths(house.api().routes))

    for address in re.findall(r"`(?:POST )?(/[a-z0-9/{}_…-]*)`", text):
        wanted = re.sub(r"(…|\{\w+\})", "*", address)
        assert any(fnmatchcase(path, wanted) for path in served), address


def served_paths(routes: Iterable[Any]) -> Iterator[str]:
    for route in routes:
        if hasattr(route, "original_router"):
            yield from served_paths(route.original_router.routes)
        else:
            yield route.path


def test_the_exit_codes_of_the_readme_are_those_of_the_help() -> None:
    named = re.findall(r"^\| (\d) \|", README.read_text(), re.MULTILINE)

    assert named == [str(code) for code in range(7)]
    for code in named[1:]:
        assert f"{code} " in (cli.__doc__ or "")


def test_the_operations_page_names_the_settings_of_the_first_start() -> None:
    (block,) = [
        block
        for block in SHELL_BLOCK.findall((ROOT / "docs/operations.md").read_text())
        if "YINZHENG_MODE=production" in block
    ]
    names = set(re.findall(r"export (YINZHENG_\w+)=", block))

    assert names <= {f"YINZHENG_{name.upper()}" for name in Settings.model_fields}


def test_the_error_codes_of_the_operations_page_are_codes_of_errors() -> None:
    text = (ROOT / "docs/operations.md").read_text().split("## When something is wrong")[1]
    named = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    source = "".join(path.read_text() for path in ROOT.glob("[!.t]*/**/*.py"))

    assert named
    assert all(f'code = "{code}"' in source for code in named)


# ── docs/threats.md ──────────────────────────────────────────────────────────────────────────────

ATTACKS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \|$", THREATS.read_text(), re.MULTILINE)
REQUIREMENTS = re.findall(
    r"^\| (\d+\.\d+\.\d+) \| (.+?) \| (.+?) \|$", THREATS.read_text(), re.MULTILINE
)


@lru_cache
def names_in(path: Path) -> tuple[str, ...]:
    """The tests of a file, or of all files of a folder."""
    if path.is_dir():
        return tuple(name for file in path.glob("test_*.py") for name in names_in(file))
    return tuple(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "line", [*ATTACKS, *REQUIREMENTS], ids=lambda line: f"{line[0]} {line[1][:40]}"
)
def test_each_threat_names_tests_that_exist_or_says_why_not(line: tuple[str, str, str]) -> None:
    if line[2].startswith("not covered: "):
        assert len(line[2]) > 50, "why not?"
        return
    for named in line[2].split("<br>"):
        file, _, pattern = named.partition("::")
        assert (ROOT / file).exists(), file
        assert any(fnmatchcase(each, pattern or "*") for each in names_in(ROOT / file)), named


def test_every_attack_of_the_list_has_a_line() -> None:
    numbers = [int(number) for number, _, _ in ATTACKS]
    assert numbers == sorted(set(numbers))
    assert numbers[:50] == list(range(1, 51))


def test_the_compose_file_and_the_operations_page_name_the_same_processes() -> None:
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]) - {"db"}
    page = (ROOT / "docs/operations.md").read_text()

    assert all(f"`{name}`" in page for name in services)
