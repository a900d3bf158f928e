"""CONTRIBUTING and its kin say what is: recipes, links, and one version everywhere."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
RECIPES = re.findall(
    r"^\| (an? [^|]+) \| ([^|]+) \| `([^`|]+)` \|$",
    (ROOT / "CONTRIBUTING.md").read_text().split("## Recipes")[1],
    re.MULTILINE,
)
KINDS = (
    "a grant type", "an authenticator", "a signature format", "a credential format",
    "a certificate type", "a page", "a key backend", "an algorithm", "a purpose", "a CLI command",
    "a table or a column",
)  # fmt: skip


def test_every_kind_has_its_recipe() -> None:
    assert tuple(kind for kind, _, _ in RECIPES) == KINDS


@pytest.mark.parametrize(("kind", "touch", "example"), RECIPES, ids=[row[0] for row in RECIPES])
def test_a_new_kind_touches_at_most_three_files_and_each_has_its_place(
    kind: str, touch: str, example: str
) -> None:
    files = touch.split("<br>")
    places = re.findall(r"`([^`]+/[^`]+)`", touch)

    assert len(files) <= 3, kind
    assert (ROOT / example).is_file(), example
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_test_that_a_recipe_names_as_its_proof_exists() -> None:
    recipes = (ROOT / "CONTRIBUTING.md").read_text().split("## Recipes")[1]
    proofs = re.findall(r"`(tests/[^`]+\.py)`", recipes)

    kinds = ("idp/token/grants/test_dummy", "idp/accounts/authenticators/test_dummy")
    assert {f"tests/{kind}.py" for kind in kinds} <= set(proofs)
    assert [proof for proof in proofs if not (ROOT / proof).is_file()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_that_exists(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / name).read_text())

    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_one_version_stands_everywhere_and_the_changelog_has_its_date() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f'VERSION = "{version}"' in (ROOT / "server/assembly.py").read_text()
    assert f"image: yinzheng:{version}\n" in (ROOT / "docker-compose.yml").read_text()
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", headings[1])
