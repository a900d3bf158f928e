"""Kept results, and the table of them in README.md."""

import json
from pathlib import Path
from typing import Any

from bench import Row
from bench.harness import NOISY, ROOT

README = ROOT / "README.md"
BEGIN = "<!-- bench: written by `./run bench --readme bench/results/latest.json` -->"
END = "<!-- /bench -->"
SHOWN = ("work", "ours", "against", "ratio", "owed", "unit")


def keep(path: Path, rows: list[Row], conditions: dict[str, Any]) -> None:
    """Merge rows into the result at `path`: a row of the same name is replaced, others stay."""
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"rows": []}
    known = {row["work"]: row for row in kept["rows"]} | {row["work"]: row for row in rows}
    content = {"conditions": conditions, "rows": list(known.values())}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write(path: Path, readme: Path = README) -> None:
    """Replace the part of `readme` between the markers by the table of the result at `path`."""
    text = readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{readme.name} has no place for the table: {BEGIN} … {END}")
    readme.write_text(f"{before}{BEGIN}\n\n{render(json.loads(path.read_text()))}\n{END}{after}")


def render(result: dict[str, Any]) -> str:
    """The table and its conditions as Markdown."""
    lines = ["| work | ours | against | ratio | owed |", "|---|--:|--:|--:|---|"]
    lines += [_line(row) for row in result["rows"]]
    return "\n".join([*lines, "", _conditions(result["conditions"]), ""])


def _line(row: dict[str, Any]) -> str:
    unit = row["unit"]
    against = figure(row["against"])
    if name := row.get("against_name"):
        against += f" ({name})"
    return (
        f"| {row['work']} | {figure(row['ours'])} {unit} | {against} | {_ratio(row)} "
        f"| {row['owed']} |"
    )


def _ratio(row: dict[str, Any]) -> str:
    """With its 90 % interval, and a warning where our own two halves differ as much."""
    text = figure(row["ratio"])
    if row.get("low") is not None:
        text += f" [{figure(row['low'])}–{figure(row['high'])}]"
    noisy = (row.get("control") or 1.0) > 1 + NOISY
    return f"{text} noisy" if noisy else text


def _conditions(found: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    rival = f" Rival: {found['rival']}, in memory." if found["rival"] else ""
    return (
        f"{found['processor']}, {found['cores']} cores shared with other work (load "
        f"{found['load']}), {found['system']}, Python {found['python']}, SQLite "
        f"{found['sqlite']} (WAL, synchronous=FULL), {packages}.{rival} "
        f"{found['seconds']:g} s for each side of a row, in turns; CPU time of the server."
    )


def figure(value: float | None, missing: str = "–") -> str:
    if value is None:
        return missing
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
