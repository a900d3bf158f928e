"""Contenders inside this process, in turns: for work that is computing, not serving.

Preparing a turn is not counted; the work is, in CPU time of the whole process, its threads
included. What one contender's odd and even turns differ by is the control.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping

from bench.harness import Measured, interval

# Prepares one turn and answers its work.
Prepare = Callable[[], Callable[[], object]]
Spent = Mapping[str, list[float]]  # CPU seconds of each turn, per contender

FEWEST = 10


def in_turns(contenders: Mapping[str, Prepare], seconds: float, fewest: int = FEWEST) -> Spent:
    """About `seconds` for each contender; the first tenth of the turns warms up."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    deadline = time.monotonic() + seconds * len(contenders)
    while time.monotonic() < deadline or len(next(iter(spent.values()))) < fewest:
        for name, prepare in contenders.items():
            work = prepare()
            began = time.process_time()
            work()
            spent[name].append(time.process_time() - began)
    return {name: turns[len(turns) // 10 :] for name, turns in spent.items()}


def row(
    work: str,
    owed: str,
    spent: Spent,
    against: str,
    *,
    ours: str = "yinzheng",
    floor: bool = False,
    unit: str = "CPU ms",
    scale: float = 1e3,
) -> Measured:
    """Ours against `against`: how often cheaper, or with `floor` ours divided by the floor."""
    a, b = spent[ours], spent[against]
    over, under = (a, b) if floor else (b, a)
    low, high = interval(over, under)
    odd, even = statistics.median(a[::2]), statistics.median(a[1::2])
    measured = Measured(
        work=work,
        ours=statistics.median(a) * scale,
        against=statistics.median(b) * scale,
        ratio=statistics.median(over) / statistics.median(under),
        owed=owed,
        unit=unit,
        low=low,
        high=high,
        control=max(odd / even, even / odd),
        against_name=against,
    )
    print(
        f"  {work}: {measured['ratio']:.2f} [{low:.2f}–{high:.2f}] against {against}, "
        f"{len(a)} turns, control {measured['control']:.2f}",
        file=sys.stderr,
    )
    return measured
