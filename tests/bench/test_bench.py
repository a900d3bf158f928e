"""`./run bench` lists its words, and each of them measures something. No figure is asserted: what
a shared machine says in a fraction of a second is no finding."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import Row
from bench.__main__ import BENCHMARKS

ROOT = Path(__file__).resolve().parents[2]
OAUTH = ("token", "code", "refresh", "introspect", "jwks", "discovery")
DURABLE = ("verify", "status", "ledger")
SEALING = ("seal", "verify-pdf", "render", "bulk")


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def _rows(tmp_path: Path, *arguments: str) -> list[Row]:
    file = tmp_path / "rows.json"
    done = _bench(*arguments, "--json", str(file), "--seconds", "0.2")
    assert done.returncode == 0, done.stderr
    rows: list[Row] = json.loads(file.read_text())
    for row in rows:
        assert row["work"]
        assert row["owed"]
        assert row["unit"]
        assert {"ours", "against", "ratio"} <= row.keys()
    return rows


def _must_be_measured(rows: list[Row]) -> None:
    for row in rows:
        for figure in (row["ours"], row["against"], row["ratio"]):
            assert figure is not None, row
            assert figure > 0, row


def test_every_word_is_listed_with_what_it_measures():
    done = _bench("--list")

    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(BENCHMARKS)
    assert set(BENCHMARKS) == {*OAUTH, *DURABLE, *SEALING}


def test_an_unknown_word_is_refused_with_the_way_to_the_list():
    done = _bench("tokens")

    assert done.returncode == 2
    assert "no benchmark called tokens; see --list" in done.stderr


@pytest.mark.slow
def test_each_word_of_the_token_endpoint_yields_well_formed_rows(tmp_path):
    rows = _rows(tmp_path, *OAUTH)

    assert len(rows) == 9
    if shutil.which("node") and (ROOT / "bench/rivals/oidc-provider/node_modules").exists():
        _must_be_measured(rows)


@pytest.mark.slow
def test_verification_status_and_ledger_are_measured_at_every_size_asked_for(tmp_path):
    rows = _rows(tmp_path, *DURABLE, "--rows", "150", "400")

    _must_be_measured(rows)
    for size in ("150", "400"):
        assert sum(f" {size}" in row["work"] for row in rows) >= 4


@pytest.mark.slow
def test_sealing_drawing_and_bulk_issuing_are_measured_against_their_rivals(tmp_path):
    rows = _rows(tmp_path, *SEALING)

    _must_be_measured(rows)
    assert {row.get("against_name") for row in rows} >= {"pyHanko", "pyHanko tuned", "typst alone"}
