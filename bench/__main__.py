"""`./run bench [WORD …] [--list] [--seconds S] [--json FILE]`: print ratios, keep them as JSON."""

import argparse
import importlib
import json
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import Row

# word -> (module, what it measures)
BENCHMARKS = {
    "token": ("bench.oauth", "client_credentials, code, refresh, introspection, JWKS, discovery"),
    "verify": ("bench.verify", "verification by number and in batches"),
    "seal": ("bench.seal", "PDF seals, SD-JWT VC issue and verify"),
    "bulk": ("bench.bulk", "render and seal; bulk issuing"),
    "ledger": ("bench.ledger_append", "durable batched appends"),
}


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        for word, (_, what) in BENCHMARKS.items():
            print(f"{word:8} {what}")
        return 0
    rows: list[Row] = []
    for word in arguments.words or BENCHMARKS:
        print(f"measuring {word} …", file=sys.stderr)
        rows += importlib.import_module(BENCHMARKS[word][0]).run(arguments.seconds)
    _print(rows)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help=", ".join(BENCHMARKS))
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--seconds", type=float, default=3.0, help="per row, at most (default 3)")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to FILE")
    arguments = parser.parse_args()
    if unknown := set(arguments.words) - BENCHMARKS.keys():
        parser.error(f"no benchmark called {', '.join(sorted(unknown))}; see --list")
    return arguments


def _print(rows: list[Row]) -> None:
    table = Table(title=f"Python {platform.python_version()}, {platform.machine()}")
    for heading in ("work", "ours", "against", "ratio", "owed", "unit"):
        table.add_column(heading, justify="left" if heading in {"work", "unit"} else "right")
    for row in rows:
        table.add_row(
            row["work"],
            _figure(row["ours"]),
            _figure(row["against"]),
            _figure(row["ratio"]),
            row["owed"],
            row["unit"],
        )
    Console().print(table)


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
