"""`./run check` refuses what it must: each thing planted in a copy of the product.

Nothing is planted in the repository itself; the checks run as `./run check` names them.
"""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from tests.lints import rules
from tests.lints.rules import PACKAGES

HERE = Path(__file__).parents[2]
TOOLS = HERE / ".venv" / "bin"
OURS = (("lint-imports",), ("python", "-m", "tests.lints"))


def checks() -> tuple[tuple[str, ...], ...]:
    loader = SourceFileLoader("run_script", str(HERE / "run"))
    spec = importlib.util.spec_from_loader("run_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return tuple(module.CHECKS)


class Copy:
    """The product and its contracts, to plant something in and to take it out again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before: dict[Path, str | None] = {}

    def plant(self, path: str, *lines: str) -> None:
        """Add lines to a file, or make it."""
        file = self.folder / path
        before = file.read_text() if file.exists() else None
        self._before.setdefault(file, before)
        file.write_text("\n".join([before or "", *lines, ""]))

    def restore(self) -> None:
        """Take out everything that was planted."""
        for file, before in self._before.items():
            if before is None:
                file.unlink()
            else:
                file.write_text(before)
        self._before.clear()

    def check(self, check: tuple[str, ...]) -> tuple[int, str]:
        """The exit code of one check, and what it said on one line."""
        program = [sys.executable] if check[0] == "python" else [str(_tool(check[0]))]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        done = subprocess.run(
            [*program, *check[1:]], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def whole_copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("product")
    for package in PACKAGES:
        shutil.copytree(HERE / package, folder / package, ignore=_no_python)
    shutil.copytree(HERE / "tests" / "lints", folder / "tests" / "lints", ignore=_no_python)
    shutil.copy(HERE / "pyproject.toml", folder)
    return Copy(folder)


@pytest.fixture
def copy(whole_copy: Copy) -> Iterator[Copy]:
    yield whole_copy
    whole_copy.restore()


def _no_python(folder: str, names: list[str]) -> set[str]:
    files = {name for name in names if not (Path(folder) / name).is_dir()}
    return {name for name in files if not name.endswith(".py")} | {"__pycache__"}


def _tool(name: str) -> Path:
    beside = Path(sys.executable).with_name(name)
    return beside if beside.exists() else TOOLS / name


def test_the_checks_are_part_of_run_check():
    assert set(OURS) <= set(checks())


@pytest.mark.parametrize("check", OURS, ids=lambda check: check[-1])
def test_the_product_as_it_is_passes(copy, check):
    code, said = copy.check(check)

    assert code == 0, said


IMPORTS = {
    "past the facade of a package": (
        "portal/frame/planted.py",
        "from ledger.store import head",
        "portal.frame.planted imports ledger.store, which is private to its package",
    ),
    "into a folder that is not public": (
        "exchange/consent.py",
        "from certificates.issuing import drafts",
        "exchange.consent imports certificates.issuing.drafts, which is private to its package",
    ),
    "of tables, which are wiring, by another than the root": (
        "exchange/store.py",
        "from ledger.models import ledger_entries",
        "exchange.store imports ledger.models, which is private to its package",
    ),
    "up a floor": (
        "ledger/acts.py",
        "from portal import Portal",
        "ledger is not allowed to import portal",
    ),
    "up inside a package": (
        "idp/store/attempts.py",
        "from idp.token import tokens",
        "idp.store is not allowed to import idp.token",
    ),
    "of the database by rules": (
        "exchange/rules.py",
        "from foundation.database import Tx",
        "exchange.rules is not allowed to import foundation.database",
    ),
    "of SQL by decisions": (
        "exchange/verification/decisions.py",
        "from sqlalchemy import select",
        "exchange.verification.decisions is not allowed to import sqlalchemy",
    ),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_a_planted_import_is_refused(copy, name):
    path, line, told = IMPORTS[name]
    copy.plant(path, line)

    code, said = copy.check(("lint-imports",))

    assert code == 1
    assert told in said


def test_what_a_public_folder_names_may_be_imported(copy):
    copy.plant("exchange/consent.py", "from keys.encoding import jose")

    code, said = copy.check(("lint-imports",))

    assert code == 0, said


def test_a_new_file_that_has_no_place_in_its_package_is_refused(copy):
    copy.plant("exchange/planted.py", '"""Planted."""')

    code, said = copy.check(("lint-imports",))

    assert code == 1
    assert "- exchange.planted" in said


STATEMENTS = {
    "a statement": ("from sqlalchemy import select", "import of select stands outside a store"),
    "a statement from a module below": (
        "from sqlalchemy.sql.expression import update",
        "import of update stands outside a store",
    ),
    "the whole library": (
        "import sqlalchemy as sa",
        "import of sqlalchemy stands outside a store",
    ),
    "a statement that is sent": (
        'tx.execute("SELECT 1")',
        ".execute(…) stands outside a store",
    ),
}


def sql_in(path: str, line: str) -> list[str]:
    return list(rules.sql_outside_stores({Path(path): ast.parse(line)}))


def test_a_planted_select_outside_a_store_is_refused(copy):
    copy.plant("portal/public/pages.py", "from sqlalchemy import select")

    code, said = copy.check(("python", "-m", "tests.lints"))

    assert code == 1
    assert "portal/public/pages.py:" in said
    assert "import of select stands outside a store" in said


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("path", ["portal/public/pages.py", "idp/clients/storing.py"])
def test_every_way_to_say_sql_is_known(path, name):
    line, told = STATEMENTS[name]

    assert sql_in(path, line) == [f"{path}:1: {told}"]


@pytest.mark.parametrize(
    "path",
    ["portal/page_store.py", "idp/store/planted.py", "ledger/models.py", "foundation/ids.py"],
)
def test_sql_in_a_store_is_where_it_belongs(path):
    assert sql_in(path, "from sqlalchemy import select") == []


def test_a_second_class_of_one_name_is_refused(copy):
    copy.plant("exchange/consent.py", "class Outcome: ...", "class _Outcome: ...")
    copy.plant("signing/rules.py", "class Outcome: ...", "class _Outcome: ...")

    code, said = copy.check(("python", "-m", "tests.lints"))

    assert code == 1
    assert "class Outcome is defined at" in said
    assert "exchange/consent.py:" in said
    assert "signing/rules.py:" in said
    assert "_Outcome" not in said


PICTURES = {
    "a function": ("def open_the_door(): ...", "open_the_door", "door"),
    "a class": ("class OpenHouse: ...", "OpenHouse", "house"),
    "a constant": ("HOUSE = 1", "HOUSE", "house"),
    "a variable with a type": ("_rooms: int = 1", "_rooms", "rooms"),
    "an attribute": ("self._trail = 1", "_trail", "trail"),
    "a parameter": ("def sign(*, trail): ...", "trail", "trail"),
    "a parameter of a lambda": ("act = lambda wish: 1", "wish", "wish"),
    "the name of an import": ("from signing import Seal as SealWish", "SealWish", "wish"),
    "what a context manager gives": ("with opened() as house: ...", "house", "house"),
    "what a loop goes through": ("for room in each: ...", "room", "room"),
    "what a pattern binds": ("match it:\n    case Seal() as guard: ...", "guard", "guard"),
    "what is caught": ("try: ...\nexcept OSError as turn: ...", "turn", "turn"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_name_that_speaks_in_pictures_is_refused(name):
    line, named, said = PICTURES[name]

    (finding,) = rules.pictures_in_names({Path("keys/service.py"): ast.parse(line)})

    assert finding.endswith(f": {named} speaks in pictures: {said}")


@pytest.mark.parametrize("path", ["idp/doors.py", "portal/desk/pages.py"])
def test_a_file_or_folder_that_speaks_in_pictures_is_refused(path):
    assert len(list(rules.pictures_in_names({Path(path): ast.parse("")}))) == 1


@pytest.mark.parametrize("line", ["household = 1", "def return_(): ...", "returned = 1"])
def test_a_word_that_only_holds_a_picture_is_none(line):
    assert list(rules.pictures_in_names({Path("keys/service.py"): ast.parse(line)})) == []


def test_a_planted_picture_is_refused(copy):
    copy.plant("exchange/consent.py", "def open_the_door(): ...")

    code, said = copy.check(("python", "-m", "tests.lints"))

    assert code == 1
    assert "open_the_door speaks in pictures: door" in said
