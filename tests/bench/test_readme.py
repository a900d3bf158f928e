"""The table of the README is what was measured, not what somebody typed."""

import json
from pathlib import Path

from bench import readme

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "bench/results/latest.json"


def test_the_table_of_the_readme_is_the_kept_result(tmp_path):
    copy = tmp_path / "README.md"
    copy.write_text(readme.README.read_text())

    readme.write(RESULT, copy)

    assert copy.read_text() == readme.README.read_text(), "./run bench --readme " + str(RESULT)


def test_every_kept_row_says_against_what_and_what_is_owed():
    result = json.loads(RESULT.read_text())

    assert result["conditions"]["packages"]
    for row in result["rows"]:
        assert row["owed"]
        assert row["unit"]


def test_keeping_a_row_replaces_the_one_of_the_same_name(tmp_path):
    kept = tmp_path / "result.json"
    row = {"work": "w", "ours": 2.0, "against": 4.0, "ratio": 2.0, "owed": "≥ 2×", "unit": "µs"}
    readme.keep(kept, [row, row | {"work": "other"}], {})

    readme.keep(kept, [row | {"ours": 1.0}], {})

    rows = json.loads(kept.read_text())["rows"]
    assert [(each["work"], each["ours"]) for each in rows] == [("w", 1.0), ("other", 2.0)]
