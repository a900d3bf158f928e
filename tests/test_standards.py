"""docs/standards.md names files and tests that exist."""

import re
from pathlib import Path

import pytest

from tests.server.reference import rows_of_standards

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("row", list(rows_of_standards()), ids=lambda row: f"{row[0]}: {row[1]}")
def test_a_clause_names_a_file_and_a_test_that_exist_or_says_why_not(row: list[str]):
    _, _, file, test = row
    if test.startswith("not covered: "):
        assert len(test) > 30, "why not?"
        return
    assert (ROOT / file).is_file(), file
    for each in test.split("<br>"):
        where, _, name = each.partition("::")
        assert (ROOT / where).is_file(), where
        defined = re.search(rf"^def {re.escape(name)}\(", (ROOT / where).read_text(), re.MULTILINE)
        assert defined, f"{name} is not in {where}"
