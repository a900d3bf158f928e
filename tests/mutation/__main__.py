"""`./run mutate [PATH …]`: which changes of the pure modules does no test notice?

Each module is copied with the whole tree into a folder of its own, mutated there by mutmut, and
tested by the tests that belong to it. What mypy refuses counts as noticed: CI refuses it too. A
folder as PATH means every module in it. What survives is printed as a difference;
`docs/mutation.md` says what is known of it.

    ./run mutate                       every module of the table: an hour or two
    ./run mutate exchange/rules.py     one module: minutes
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from mutmut.stats import status_by_exit_code

PACKAGES = (
    "foundation", "keys", "ledger", "signing", "idp", "certificates", "exchange", "portal",
    "server",
)  # fmt: skip
OTHERS = ("tests", "bench", "docs", "run", "README.md", "CONTRIBUTING.md", "pyproject.toml")

# A pure module → the tests that hold it: fast ones, on SQLite. Journeys are left out: too slow.
TESTS = {
    "foundation/codes.py": "tests/foundation/test_codes.py tests/certificates/test_identifier.py",
    "keys/policy.py": "tests/keys/test_policy.py",
    "keys/custody/rules.py": "tests/keys/custody/test_rules.py",
    "ledger/merkle.py": "tests/ledger/test_small_trees.py",
    "signing/rules.py": "tests/signing/test_rules.py",
    "idp/protocol/scopes.py": (
        "tests/idp/protocol/test_scopes.py tests/idp/authorize/test_check_authorization.py"
    ),
    "idp/authorize/rules.py": "tests/idp/authorize/test_decisions.py",
    "idp/authorize/authorization.py": "tests/idp/authorize/test_check_authorization.py",
    "idp/authorize/request_objects.py": "tests/idp/authorize/test_request_objects.py",
    "idp/token/dpop.py": "tests/idp/token/test_dpop.py",
    "idp/token/sender_constraint.py": "tests/idp/token/test_sender_rules.py",
    "idp/token/grants/refresh.py": "tests/idp/token/grants/test_refresh_rules.py",
    "idp/token/grants/device_code.py": "tests/idp/token/grants/test_device_code.py",
    "idp/token/grants/authorization_code.py": "tests/idp/token/grants/test_authorization_code.py",
    "idp/token/grants/client_credentials.py": "tests/idp/token/grants/test_client_credentials.py",
    "idp/token/grants/token_exchange.py": (
        "tests/idp/token/grants/test_exchange_rules.py "
        "tests/idp/token/grants/test_token_exchange.py"
    ),
    "idp/token/grants/person_claims.py": "tests/idp/token/grants/test_authorization_code.py",
    "certificates/identifier.py": "tests/certificates/test_identifier.py",
    "certificates/rules.py": "tests/certificates/test_rules.py",
    "certificates/catalogue/fields.py": (
        "tests/certificates/catalogue/test_fields.py "
        "tests/certificates/catalogue/test_field_rules.py"
    ),
    "certificates/register/status.py": "tests/certificates/register/test_status_lists.py",
    "certificates/register/acts.py": "tests/certificates/register/test_status_acts.py",
    "exchange/rules.py": "tests/exchange/test_rules.py",
    "exchange/verification/decisions.py": "tests/exchange/verification/test_decisions.py",
}
SURVIVED = {"survived", "no tests", "suspicious"}
HERE = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """0 when nothing survived, 1 when something did, 2 when a module could not be run."""
    chosen = [module for module in TESTS if _is_chosen(module, arguments or ["."])]
    if not chosen:
        print("no pure module there; these are known:", *TESTS, sep="\n  ", file=sys.stderr)
        return 2
    return max(mutate(module) for module in chosen)


def mutate(module: str) -> int:
    """Run one module and print what survived, then its figures."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        place = Path(folder)
        _copy(place)
        with (place / "pyproject.toml").open("a") as settings:
            settings.write(_settings(module))
        ended = _mutmut(place, "run", "--max-children", os.environ.get("MUTATE_WORKERS", "2"))
        results: dict[str, int | None] = {}
        for kept in (place / "mutants").rglob("*.meta"):
            results |= json.loads(kept.read_text())["exit_code_by_key"]
        figures = Counter(status_by_exit_code[code] for code in results.values())
        if ended.returncode or not results or figures["not checked"]:
            print(f"{module}: mutmut did not get through", ended.stdout[-3000:], file=sys.stderr)
            return 2
        survivors = [
            name for name, code in results.items() if status_by_exit_code[code] in SURVIVED
        ]
        print(_mutmut(place, "show", *survivors).stdout)
        said = ", ".join(f"{count} {status}" for status, count in figures.most_common())
        print(f"{module}: {len(results)} mutants: {said}", flush=True)
        return 1 if survivors else 0


def _mutmut(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """mutmut, with our operators, where the copy of the tree is; mypy is found on the path."""
    tool = place / "tests" / "mutation" / "operators.py"
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    cache = str(Path(tempfile.gettempdir()) / "mutate-mypy")
    return subprocess.run(
        [sys.executable, str(tool), *arguments],
        cwd=place,
        env=os.environ | {"PATH": tools, "MYPY_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _is_chosen(module: str, paths: list[str]) -> bool:
    return any(Path(path) in (Path(module), *Path(module).parents) for path in paths)


def _copy(place: Path) -> None:
    for name in (*PACKAGES, *OTHERS):
        source = HERE / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, place / name)


def _settings(module: str) -> str:
    """mutmut reads them from `pyproject.toml` only. What stands in a `raise` is a sentence."""
    table = {
        "source_paths": PACKAGES,
        "only_mutate": [module],
        "also_copy": [name for name in OTHERS if name not in ("tests", "pyproject.toml")],
        "pytest_add_cli_args": ["-q", "-p", "no:cacheprovider", "-k", "not postgresql"],
        "pytest_add_cli_args_test_selection": TESTS[module].split(),
        "type_check_command": ["mypy", "--output=json", "--no-warn-unused-ignores", module],
        "do_not_mutate_patterns": [r"^\s*raise ", r"next_step="],
    }
    return "\n[tool.mutmut]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
