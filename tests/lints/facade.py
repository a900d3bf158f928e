"""A contract for import-linter: other packages reach a package by a facade.

A facade is the `__init__` of a package, or of a folder that the contract lists as public, or a
module that one of these names in its `__all__` (a namespace such as `keys.encoding.jose`). The
composition root may also reach the wiring of a package: its routes, commands and tables.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from importlinter import Contract, ContractCheck, fields, output


class FacadeContract(Contract):
    """`public` lists folders, `root` the composition root, `wiring` the module names only it may
    reach."""

    type_name = "facade"

    public: Any = fields.SetField(subfield=fields.StringField())
    root = fields.StringField()
    wiring: Any = fields.SetField(subfield=fields.StringField())

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Broken by every import across packages that goes past a facade."""
        packages = set(self.session_options["root_packages"])
        facades = packages | set(self.public)
        past = []
        for importer in sorted(graph.modules):
            package = importer.partition(".")[0]
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                theirs = imported.partition(".")[0]
                if theirs not in packages or theirs == package or is_public(imported, facades):
                    continue
                if package == self.root and imported.rpartition(".")[2] in self.wiring:
                    continue
                past.append((importer, imported))
        return ContractCheck(kept=not past, metadata={"past": past})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["past"]:
            output.print_error(f"{importer} imports {imported}, which is private to its package")


def is_public(module: str, facades: set[str]) -> bool:
    """Whether `module` is a facade, or is named by the one it stands in."""
    folder, _, name = module.rpartition(".")
    return module in facades or (folder in facades and name in names_of(folder))


@cache
def names_of(package: str) -> frozenset[str]:
    """What `__all__` of a package lists; nothing when it has none."""
    tree = ast.parse(Path(*package.split("."), "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()
