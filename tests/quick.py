"""Which tests `./run test --quick` runs: those of the packages, where they need no server process,
browser or PostgreSQL.

Nobody marks a test as quick; it is read off the code. A test is not quick when

- it is marked `postgres`, `browser` or `slow`, or
- it stands in one of the folders that try all packages together (`WHOLE`), or
- its own code, that of a fixture it asks for, or any function or class of `tests` that these name
  starts a process that lives on beside it (`subprocess.Popen`, `multiprocessing`, a `Cluster`),
  takes a `free_port` to serve on, or starts the program in a Python of its own (`sys.executable`).

`subprocess.run` of somebody else's tool is no server: openssl and qpdf end before the test goes on.
"""

import inspect
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from tests.simulators.office import free_port
from tests.simulators.postgresql import Cluster

MARKS = ("postgres", "browser", "slow")
WHOLE = ("attacks", "clients", "faults", "journeys")
HERE = Path(__file__).parent
_SERVERS: tuple[Any, ...] = (subprocess.Popen, multiprocessing, Cluster, free_port, sys.executable)


def is_quick(item: pytest.Item) -> bool:
    """Whether `item` needs no server process, browser or PostgreSQL."""
    if any(item.get_closest_marker(name) for name in MARKS):
        return False
    if stands_in_whole(item.path):
        return False
    return not starts_a_server(*_functions(item))


def stands_in_whole(path: Path) -> bool:
    """Whether a file or folder lies where all packages are tried together."""
    return any(path.is_relative_to(HERE / name) for name in WHOLE)


def starts_a_server(*functions: Any) -> bool:
    """Whether these, or what they name in `tests`, start a process that lives on beside them."""
    seen: set[int] = set()
    waiting = list(functions)
    while waiting:
        each = waiting.pop()
        if any(each is server for server in _SERVERS):
            return True
        if id(each) in seen or not (getattr(each, "__module__", None) or "").startswith("tests."):
            continue
        seen.add(id(each))
        waiting += _named_by(each)
    return False


def _functions(item: pytest.Item) -> Iterator[Any]:
    """The test itself and its fixtures, without what pytest wraps them in."""
    if isinstance(item, pytest.Function):
        yield inspect.unwrap(item.function)
        if item.cls is not None:
            yield item.cls
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - pytest names no other
    for definitions in fixtures.values():
        yield from (inspect.unwrap(each.func) for each in definitions)


def _named_by(each: Any) -> Iterator[Any]:
    """What the code of a function, or of a class with its bases, refers to."""
    if isinstance(each, type):
        yield from each.__bases__
        yield from (getattr(member, "__func__", member) for member in vars(each).values())
    elif isinstance(each, property):
        yield each.fget
    elif isinstance(function := inspect.unwrap(each), FunctionType):
        yield from _referred(function.__code__, function.__globals__)


def _referred(code: CodeType, scope: dict[str, Any]) -> Iterator[Any]:
    """Global names of `code`, and attributes of the modules among them."""
    found = [scope[name] for name in code.co_names if name in scope]
    yield from found
    for module in (each for each in found if isinstance(each, ModuleType)):
        yield from (vars(module)[name] for name in code.co_names if name in vars(module))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _referred(constant, scope)
