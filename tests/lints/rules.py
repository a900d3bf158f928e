"""The rules of `python -m tests.lints`, as functions over parsed files."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGES = (
    "foundation", "keys", "ledger", "signing", "idp", "certificates", "exchange", "portal",
    "server",
)  # fmt: skip
_STATEMENTS = {"select", "insert", "update", "delete", "text", "exists", "union_all"}
_SENDING = {"execute", "exec_driver_sql", "scalars", "scalar", "executemany"}

Files = Mapping[Path, ast.Module]


def product_files(folder: Path) -> Files:
    """Every parsed Python file of the product, by its path below `folder`."""
    paths = (path for package in PACKAGES for path in sorted((folder / package).rglob("*.py")))
    return {path.relative_to(folder): ast.parse(path.read_text()) for path in paths}


def sql_outside_stores(files: Files) -> Iterator[str]:
    """A statement or its sending outside the files that may hold SQL."""
    for path, tree in files.items():
        if _may_hold_sql(path):
            continue
        for node in ast.walk(tree):
            if said := _sql(node):
                yield f"{path}:{node.lineno}: {said} stands outside a store"  # type: ignore[attr-defined]


def names_with_two_meanings(files: Files) -> Iterator[str]:
    """A public class name that two files define."""
    places = defaultdict(list)
    for path, tree in files.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path}:{node.lineno}")
    for name, where in sorted(places.items()):
        if len(where) > 1:
            yield f"{where[0]}: class {name} is defined at {', '.join(where[1:])} too"


def _may_hold_sql(path: Path) -> bool:
    return (
        path.parts[0] == "foundation"
        or path.parts[:2] == ("server", "migrations")
        or path.name.endswith("store.py")
        or path.name == "models.py"
        or path.parent.name == "store"
    )


def _sql(node: ast.AST) -> str:
    """How this piece of code makes or sends a statement; "" when it does not."""
    match node:
        case ast.Import(names=names) if any(each.name == "sqlalchemy" for each in names):
            return "import of sqlalchemy"
        case ast.ImportFrom(module=str(module), names=names) if (
            module.split(".")[0] == "sqlalchemy"
        ):
            statements = sorted({each.name for each in names} & _STATEMENTS)
            return f"import of {', '.join(statements)}" if statements else ""
        case ast.Call(func=ast.Attribute(attr=name)) if name in _SENDING:
            return f".{name}(…)"
    return ""
