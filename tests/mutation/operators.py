"""mutmut with two more kinds of mutant, and without those that change a sentence only.

mutmut negates conditions, moves boundaries, swaps operators and takes arguments away. It does not
take a whole guard away, and that is the mistake that a refusal suffers: with `if basis not in …`
negated every good request fails, with `if False` only a test of the refusal does. So here each
`if` is also never entered (`if False`) and always entered (`if True`).

Started as a file by `tests/mutation/__main__.py`, in a copy of the tree.
"""

import sys
from collections.abc import Iterable

import libcst as cst
from mutmut.__main__ import cli
from mutmut.mutation import mutators
from mutmut.mutation.diff_apply import get_diff_for_mutant


def guards(node: cst.If) -> Iterable[cst.If]:
    """The same `if`, never and always entered."""
    yield node.with_changes(test=cst.Name("False"))
    yield node.with_changes(test=cst.Name("True"))


def words(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Codes and names are mutated; sentences may improve at any time, and no test holds them."""
    if isinstance(node, cst.SimpleString) and " " not in node.value:
        yield from mutators.operator_string(node)


def extend() -> None:
    """Put the two into mutmut's table."""
    table = list(mutators.mutation_operators)
    table = [row for row in table if row[1] is not mutators.operator_string]
    mutators.mutation_operators[:] = [*table, (cst.BaseString, words), (cst.If, guards)]  # type: ignore[index]


if __name__ == "__main__":
    extend()
    if sys.argv[1] == "show":  # many at once: a process each would take longer than the run
        print(*map(get_diff_for_mutant, sys.argv[2:]), sep="\n\n")
    else:
        cli()
