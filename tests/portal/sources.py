"""What the portal's own files say: names of sentences, templates, links. For tests that compare."""

import re
from functools import cache
from pathlib import Path

import portal

PACKAGE = Path(portal.__file__).parent
_DOTTED = re.compile(r"""["']([a-z][a-z_]*(?:\.[a-z0-9_]*[a-z0-9])+)["']""")
# "family." ~ name in a template, f"family.{name}" in code: any sentence of the family may be said.
_FAMILIES = (
    re.compile(r"""["']([a-z][a-z_.]*[._])["'] ?~"""),
    re.compile(r"""f["']([a-z][a-z_.]*[._])\{"""),
)
_FILES = {".html", ".py", ".svg", ".js", ".css", ".csv", ".png", ".json"}


@cache
def texts() -> dict[Path, str]:
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE / "templates").rglob("*.html")]
    return {file: file.read_text() for file in files}


@cache
def dotted_names() -> frozenset[str]:
    """Every "word.word" in code and templates, but for names of files and of ledger entries."""
    found: set[str] = set()
    for text in texts().values():
        found.update(_DOTTED.findall(text))
    return frozenset(
        name
        for name in found
        if f".{name.rpartition('.')[2]}" not in _FILES and name not in _ledger_kinds()
    )


@cache
def families() -> frozenset[str]:
    return frozenset(p for t in texts().values() for each in _FAMILIES for p in each.findall(t))


def _ledger_kinds() -> frozenset[str]:
    from portal.citizen.access_history import LOOKS

    return LOOKS
