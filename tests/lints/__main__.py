"""`python -m tests.lints [FOLDER]`: rules of ours that no ready-made linter knows.

    sql     SQL stands in `*store.py`, `store/`, `models.py` (tables), `foundation/` and migrations
    names   one public class name means one thing
    words   no name is one of the pictures that docs/architecture.md explains

Prints one line per finding and ends with 1 when there is one.
"""

import sys
from pathlib import Path

from tests.lints import rules


def main(folder: Path) -> int:
    """Check every product file under `folder`; answers the exit code."""
    files = rules.product_files(folder)
    findings = [
        *rules.sql_outside_stores(files),
        *rules.names_with_two_meanings(files),
        *rules.pictures_in_names(files),
    ]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
