"""What `--quick` leaves out is read off the code of a test and of its fixtures."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.quick import starts_a_server
from tests.simulators.office import free_port, open_office
from tests.simulators.postgresql import Cluster

ROOT = Path(__file__).parents[1]


class Kept:
    """A process of its own, begun by a method."""

    def begin(self) -> object:
        return subprocess.Popen(["true"])


class Kinder(Kept):
    pass


def by_a_method() -> object:
    return Kinder().begin()


def inside() -> object:
    def begin() -> object:
        return by_a_method()

    return begin()


def by_a_cluster() -> object:
    return Cluster


def on_a_port() -> int:
    return free_port()


def by_another_python() -> object:
    return subprocess.run([sys.executable, "-m", "server"])


def by_an_office() -> object:
    return open_office


def a_short_tool() -> object:
    return subprocess.run(["true"])


@pytest.mark.parametrize(
    "test", [by_a_method, inside, by_a_cluster, on_a_port, by_another_python, by_an_office]
)
def test_what_starts_a_server_is_seen_however_it_is_said(test) -> None:
    assert starts_a_server(test)


def test_a_tool_that_ends_before_the_test_goes_on_is_no_server() -> None:
    assert not starts_a_server(a_short_tool, ROOT.exists)


def test_quick_collects_what_needs_no_server_browser_or_postgresql() -> None:
    files = {
        "tests/foundation/test_database.py": "sqlite only",
        "tests/keys/pki/test_ocsp.py": "openssl is a short tool",
        "tests/journeys/test_processes.py": None,
        "tests/attacks/test_house.py": None,
        "tests/idp/test_form_post_browser.py": None,
        "tests/certificates/bulk/test_batches.py": "all but who is killed",
    }

    def collected(option: str) -> list[str]:
        command = (sys.executable, "-m", "pytest", "-q", "--collect-only", option, *files)
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
        return [line for line in told.splitlines() if "::" in line]

    names, rest = collected("--quick"), collected("--rest")
    assert {name.partition("::")[0] for name in names} == {at for at, why in files.items() if why}
    assert [name for name in names if "postgresql" in name] == []
    assert {name.partition("::")[0] for name in rest} >= {
        at for at, why in files.items() if not why
    }
    assert set(names).isdisjoint(rest)
