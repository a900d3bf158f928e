"""The rules of `python -m tests.lints`, as functions over parsed files."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGES = (
    "foundation", "keys", "ledger", "signing", "idp", "certificates", "exchange", "portal",
    "server",
)  # fmt: skip
# Pictures that one page of docs/architecture.md explains; names in code say what is meant.
_PICTURES = {
    "conversation", "conversations", "desk", "desks", "door", "doors", "guard", "guarded",
    "guarding", "guards", "house", "houses", "room", "rooms", "trail", "trails", "turn", "turns",
    "wish", "wished", "wishes",
}  # fmt: skip
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
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


def pictures_in_names(files: Files) -> Iterator[str]:
    """A name defined in the product, or of one of its files, with a picture for a part."""
    for path, tree in files.items():
        named = [(each, 1) for each in path.with_suffix("").parts]
        named += [each for node in ast.walk(tree) for each in _defined(node)]
        for name, line in named:
            said = {part.lower() for part in _PARTS.findall(name)} & _PICTURES
            if said:
                yield f"{path}:{line}: {name} speaks in pictures: {', '.join(sorted(said))}"


def _defined(node: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that this piece of code gives, and where."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name, node.lineno
        case ast.arg():
            yield node.arg, node.lineno
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield name, node.lineno
        case ast.Import() | ast.ImportFrom():
            yield from ((each.asname, node.lineno) for each in node.names if each.asname)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield name, node.lineno


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
