"""`./run bench [WORD …] [--list] [--seconds S] [--rows N …] [--json FILE] [--readme FILE]`.

Prints ratios and keeps them as JSON. `--readme FILE` measures nothing: it writes the table of a
kept result into README.md.
"""

import argparse
import importlib
import json
import platform
import sys
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import Asked, Row, readme
from bench.conditions import conditions

# word -> (module, what it measures)
BENCHMARKS = {
    "token": ("bench.oauth", "client_credentials: an ES256 access token, its ledger entry kept"),
    "code": ("bench.oauth", "code exchange with PKCE: access, ID and refresh token"),
    "refresh": ("bench.oauth", "refresh with rotation"),
    "introspect": ("bench.oauth", "introspection, of tokens seen before and never"),
    "jwks": ("bench.oauth", "the JWK Set"),
    "discovery": ("bench.oauth", "the discovery document"),
    "verify": ("bench.verify", "verification by number, and in batches of 100"),
    "status": ("bench.status", "from a revocation to its bit in a list of 2^20"),
    "seal": ("bench.seal", "PDF seals against pyHanko; SD-JWT VC issued and verified"),
    "verify-pdf": ("bench.seal", "validation of a sealed PDF against pyHanko"),
    "render": ("bench.bulk", "a licence page drawn and sealed against typst alone"),
    "bulk": ("bench.bulk", "bulk issuing of JSON renditions"),
    "ledger": ("bench.append", "durable batched appends; numbering and signing the tree"),
}


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        for word, (_, what) in BENCHMARKS.items():
            print(f"{word:11} {what}")
        return 0
    if arguments.readme:
        readme.write(Path(arguments.readme))
        return 0
    rows = _measure(arguments)
    _print(rows)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    if arguments.keep:
        readme.keep(Path(arguments.keep), rows, conditions(arguments.seconds))
    return 0


def _measure(arguments: argparse.Namespace) -> list[Row]:
    """Words of one module share its servers."""
    rows: list[Row] = []
    words = [word for word in BENCHMARKS if word in (arguments.words or BENCHMARKS)]
    for module, group in groupby(words, lambda word: BENCHMARKS[word][0]):
        together = tuple(group)
        print(f"measuring {', '.join(together)} …", file=sys.stderr)
        registers = Path(arguments.registers) if arguments.registers else None
        asked = Asked(arguments.seconds, together, tuple(sorted(arguments.rows)), registers)
        rows += importlib.import_module(module).run(asked)
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help=", ".join(BENCHMARKS))
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--seconds", type=float, default=3.0, help="per row, at most (default 3)")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[10_000], metavar="N",
        help="how many licences the registers of verify, status and ledger hold (default 10000)",
    )  # fmt: skip
    parser.add_argument(
        "--registers", metavar="FOLDER", help="keep filled registers here for the next run"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the rows to FILE")
    parser.add_argument("--keep", metavar="FILE", help="merge rows and conditions into FILE")
    parser.add_argument("--readme", metavar="FILE", help="write FILE's table into README.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.words) - BENCHMARKS.keys():
        parser.error(f"no benchmark called {', '.join(sorted(unknown))}; see --list")
    if min(arguments.rows) < 1 or arguments.seconds <= 0:
        parser.error("--rows and --seconds are positive")
    return arguments


def _print(rows: list[Row]) -> None:
    table = Table(title=f"Python {platform.python_version()}, {platform.machine()}")
    for heading in ("work", "ours", "against", "ratio", "owed", "unit"):
        table.add_column(heading, justify="left" if heading in {"work", "unit"} else "right")
    for row in rows:
        table.add_row(
            row["work"],
            figure(row["ours"]),
            figure(row["against"]),
            figure(row["ratio"]),
            row["owed"],
            row["unit"],
        )
    Console().print(table)


def figure(value: float | None) -> str:
    return readme.figure(value, missing="not measured")


if __name__ == "__main__":
    sys.exit(main())
