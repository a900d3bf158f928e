"""Measurements, never tests: every figure is a ratio against a floor or a rival in the same run.

Each module has `run(seconds) -> list[Row]` and measures ours and the other interleaved, so that a
machine whose speed drifts slows both. A rival that is not installed is reported as not measured.
"""

from typing import TypedDict


class Row(TypedDict):
    """One line of the table. `ours` and `against` are in `unit`; `ratio` is how often ours is
    better (or, where `owed` says "<=", ours divided by the floor)."""

    work: str
    ours: float | None
    against: float | None
    ratio: float | None
    owed: str
    unit: str
