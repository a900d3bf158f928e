"""What `./run check` finds in a function that grew."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def function(arguments: int, branches: int) -> str:
    names = ", ".join(f"a{at}" for at in range(arguments))
    tests = "".join(f"    if a0 == {at}:\n        return {at + 1}\n" for at in range(branches))
    return f'"""A module."""\n\n\ndef grown({names}):\n    """Answer."""\n{tests}    return 0\n'


@pytest.mark.parametrize(
    ("arguments", "branches", "rule"),
    [(11, 11, None), (12, 11, "PLR0913"), (11, 12, "C901")],
    ids=["as today's largest", "an argument too many", "a branch too many"],
)
def test_a_function_that_grew_past_todays_largest_is_found(
    arguments: int, branches: int, rule: str | None
) -> None:
    ruff = (sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise")
    planted = function(arguments, branches)

    checked = subprocess.run(
        [*ruff, "--stdin-filename", "ledger/planted.py", "-"],
        cwd=ROOT, input=planted, capture_output=True, text=True,
    )  # fmt: skip

    assert checked.returncode == (1 if rule else 0), checked.stdout + checked.stderr
    assert (rule or "All checks passed") in checked.stdout
