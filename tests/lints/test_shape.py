"""The product stays readable: small folders, small files, and no import circle."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests.lints.rules import PACKAGES

HERE = Path(__file__).parents[2]
FILES_OF_A_FOLDER = 16
LINES_OF_A_FILE = 420

Graph = Mapping[str, Set[str]]


def product() -> Iterator[Path]:
    """Every Python file of the product below the repository, but for migrations."""
    for package in PACKAGES:
        for path in sorted((HERE / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path.relative_to(HERE)


def test_no_folder_has_more_files_than_fit_one_screen():
    folders = Counter(str(path.parent) for path in product())

    assert {name: n for name, n in folders.items() if n > FILES_OF_A_FOLDER} == {}


def test_no_file_has_more_lines_than_a_reader_can_hold():
    lines = {str(path): len((HERE / path).read_text().splitlines()) for path in product()}

    assert {name: n for name, n in lines.items() if n > LINES_OF_A_FILE} == {}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def circle(graph: Graph) -> list[str]:
    """One circle in a graph, as a path back to its beginning; none is []."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def between_files(imports: grimp.ImportGraph) -> Graph:
    return {name: imports.find_modules_directly_imported_by(name) for name in imports.modules}


def inside(imports: grimp.ImportGraph, folder: str) -> Graph:
    """What the files and folders right inside a folder import of each other; "" is the top."""
    children = imports.find_children(folder) if folder else set(PACKAGES)
    child_of = {
        name: child for child in children for name in {child} | imports.find_descendants(child)
    }
    return {
        child: {
            child_of[imported]
            for name, owner in child_of.items()
            if owner == child
            for imported in imports.find_modules_directly_imported_by(name)
            if child_of.get(imported, child) != child
        }
        for child in children
    }


def test_no_file_imports_itself_by_way_of_others(imports):
    assert len(imports.modules) > 300
    assert circle(between_files(imports)) == []


def test_no_folder_imports_itself_by_way_of_its_neighbours(imports):
    folders = ["", *sorted(name for name in imports.modules if imports.find_children(name))]
    assert len(folders) > 40

    found = {name: circle(inside(imports, name)) for name in folders}
    assert {name: path for name, path in found.items() if path} == {}


def test_a_circle_is_found_between_files_and_between_folders():
    graph = grimp.ImportGraph()
    for name in ("keys", "keys.a", "keys.a.one", "keys.a.two", "keys.b", "keys.b.three"):
        graph.add_module(name)
    graph.add_import(importer="keys.a.one", imported="keys.b.three")
    graph.add_import(importer="keys.b.three", imported="keys.a.two")

    assert circle(between_files(graph)) == []
    assert set(circle(inside(graph, "keys"))) == {"keys.a", "keys.b"}

    graph.add_import(importer="keys.a.two", imported="keys.a.one")

    assert set(circle(between_files(graph))) == {"keys.a.one", "keys.a.two", "keys.b.three"}
