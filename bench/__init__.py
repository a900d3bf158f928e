"""Measurements, never tests: every figure is a ratio against a floor or a rival in the same run.

Each module has `run(asked) -> list[Row]` and measures ours and the other interleaved, so that a
machine whose speed drifts slows both. A rival that is not installed is reported as not measured.
`bench/README.md` says how, under which conditions, and what is not measured.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class Row(TypedDict):
    """One line of the table. `ours` and `against` are in `unit`; `ratio` is how often ours is
    better (or, where `owed` says "≤", ours divided by the floor)."""

    work: str
    ours: float | None
    against: float | None
    ratio: float | None
    owed: str
    unit: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person at the terminal wants: about `seconds` a row and side, which `words`,
    registers of how many `rows`, and where filled registers are kept for the next run."""

    seconds: float
    words: Collection[str]
    rows: tuple[int, ...] = (10_000,)
    registers: Path | None = None
