"""What is installed is used: by an import of the product, or for a reason that stands beside it."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.lints.rules import PACKAGES

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text()
SETTINGS = tomllib.loads(PROJECT)["project"]
RUN = SETTINGS["dependencies"]
DEVELOP = SETTINGS["optional-dependencies"]["dev"]


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=]", requirement)[0]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def imported(folders: tuple[str, ...]) -> set[str]:
    """The distributions whose packages the Python files of these folders name."""
    found: set[str] = set()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(_named(ast.parse(path.read_text())))
    known = packages_distributions()
    return {normal(each) for name in found for each in known.get(name, ())}


def _named(tree: ast.Module) -> Iterator[str]:
    """Top names of imports, and whole words in quotes: `files("fonts_of_a_wheel")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def reason(requirement: str) -> str:
    """The comment on the line of a requirement."""
    found = re.search(rf'^  "{re.escape(requirement)}",[ ]*(?:# (.*))?$', PROJECT, re.MULTILINE)
    assert found, requirement
    return found[1] or ""


@pytest.mark.parametrize("requirement", RUN)
def test_what_the_product_installs_it_imports_or_says_what_for(requirement: str) -> None:
    used = normal(name_of(requirement)) in imported(PACKAGES)

    assert used != bool(reason(requirement)), "either an import or a reason, and not both"


@pytest.mark.parametrize("requirement", DEVELOP)
def test_what_developers_install_is_used_or_says_what_for(requirement: str) -> None:
    used = normal(name_of(requirement)) in imported(("tests", "bench"))

    assert used or reason(requirement)


def test_no_lock_names_where_packages_come_from() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / lock).read_text().splitlines()
        assert [line for line in lines if "://" in line or line.startswith("-")] == []
