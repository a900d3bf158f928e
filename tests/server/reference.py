"""The tables of README and docs, made from the program: `python -m tests.server.reference` writes
them between their markers, and `test_docs.py` fails when somebody forgot to.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import typer

from idp.protocol.claims import SCOPE_CLAIMS
from idp.protocol.profiles import PROFILES, WEAKENINGS
from server import cli
from server.assembly import Installation
from server.sandbox import seeds
from server.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]


def commands() -> Iterator[str]:
    """Every word of the command line with its first sentence."""
    yield "| `./run` … | |"
    yield "|---|---|"
    yield from _words(typer.main.get_command(cli.build()), "")


def _words(command: Any, before: str) -> Iterator[str]:
    if inner_commands := getattr(command, "commands", None):
        for name, inner in inner_commands.items():
            yield from _words(inner, f"{before} {name}".strip())
    else:
        yield f"| `{before}` | {_sentence(command.help or '')} |"


def settings() -> Iterator[str]:
    """Every setting with its default."""
    yield "| variable | default | |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        factory = field.default_factory
        default = str(factory({}) if factory else field.default)  # type: ignore[call-arg]
        shown = {"": "", ".": "", "True": "`true`"}.get(default, f"`{default}`")
        yield f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |"


def people() -> Iterator[str]:
    """The sandbox people."""
    names = {each.code: each.name for each in seeds.DEPARTMENTS}
    yield "| sign in as | who | may |"
    yield "|---|---|---|"
    for each in (*seeds.CITIZENS, *seeds.OFFICERS):
        acts_for = "".join(f", acts for {names[code]}" for code in each.represents)
        who = (
            f"{each.name}, {names[each.department]}"
            if each.department
            else f"{each.name}{acts_for}"
        )
        yield f"| `{each.username}` | {who} | {', '.join(each.roles) or 'citizen'} |"


def clients() -> Iterator[str]:
    """The sandbox programs and what they may ask."""
    yield "| client | whose | may ask for |"
    yield "|---|---|---|"
    for each in seeds.CLIENTS:
        purposes = sorted({p for owner, _, p in seeds.GRANTS if owner == each.organisation})
        what = ", ".join(purposes) if "certificates.verify" in each.scopes else "sign-in"
        yield f"| `{each.client_id}` | {each.organisation_name} | {what} |"


def endpoints(house: Installation) -> Iterator[str]:
    """Every operation of the OpenAPI description."""
    yield "| | address | |"
    yield "|---|---|---|"
    for path, item in sorted(house.api().openapi()["paths"].items()):
        for method, operation in sorted(item.items()):
            yield f"| {method.upper()} | `{path}` | {operation.get('summary', '')} |"


def specifications() -> Iterator[str]:
    """How many clauses of each specification are held by a test, and how many are not covered."""
    held: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for clause, _, _, test in rows_of_standards():
        name = re.split(r",? (?:§|art\.|app\.|App\.|table )|, | –", clause)[0]
        (left if test.startswith("not covered") else held)[name] += 1
    yield "| `specification` | clauses held by a test | not covered |"
    yield "|---|--:|--:|"
    for name in sorted(held | left):
        yield f"| `{name}` | {held[name]} | {left[name]} |"


def profiles() -> Iterator[str]:
    """Client profiles."""
    yield (
        "| profile | authenticates by | signs with | ID tokens | PKCE | pushed requests "
        "| tokens bound to a key | answers by |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, rules in PROFILES.items():
        methods = ", ".join(f"`{each}`" for each in rules.auth_methods)
        words = (
            ", ".join(rules.algorithms),
            rules.default_algorithm,
            "may" if rules.may_omit_pkce else "must",
            "must" if rules.must_push else "may",
            "must" if rules.sender_constrained else "may",
        )
        yield f"| `{name}` | {methods} | {' | '.join(words)} | {', '.join(rules.response_modes)} |"


def weakenings() -> Iterator[str]:
    """What profiles give up against `fapi2`, by their codes."""
    yield "| code | profiles | what is given up |"
    yield "|---|---|---|"
    for each in WEAKENINGS:
        named = ", ".join(f"`{name}`" for name, row in PROFILES.items() if each.of(row))
        yield f"| `{each.code}` | {named} | {each.text} |"


def scopes() -> Iterator[str]:
    """Scopes of OpenID Connect and the claims they bundle."""
    yield "| scope | claims |"
    yield "|---|---|"
    for name, bundled in SCOPE_CLAIMS.items():
        yield f"| `{name}` | {', '.join(f'`{each}`' for each in bundled)} |"


def rows_of_standards() -> Iterator[list[str]]:
    """Clause, what it asks, file and test of each row of docs/standards.md."""
    for line in (ROOT / "docs" / "standards.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| clause", "| request", "| `")):
            yield [cell.strip() for cell in line.strip("|").split("|")]


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "commands": commands,
    "settings": settings,
    "people": people,
    "clients": clients,
    "specifications": specifications,
    "profiles": profiles,
    "weakenings": weakenings,
    "scopes": scopes,
}


def _framed(table: str, found: re.Match[str]) -> str:
    return f"{found[1]}\n{table}\n\n{found[3]}"


def filled(text: str, tables: dict[str, str]) -> str:
    """`text` with every known table between its markers replaced."""
    for name, table in tables.items():
        pattern = rf"(<!-- {name}: [^\n]* -->\n)(.*?)(<!-- /{name} -->)"
        text = re.sub(pattern, partial(_framed, table), text, flags=re.DOTALL)
    return text


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def all_tables(house: Installation) -> dict[str, str]:
    made = {name: "\n".join(make()) for name, make in TABLES.items()}
    return made | {"endpoints": "\n".join(endpoints(house))}


def _sentence(text: str) -> str:
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.])\s", first)[0].replace("|", "\\|")


def main() -> None:
    import tempfile

    from server.assembly import opened

    with tempfile.TemporaryDirectory() as folder, opened(Settings(data_dir=Path(folder))) as house:
        tables = all_tables(house)
    for page in pages():
        page.write_text(filled(page.read_text(), tables))


if __name__ == "__main__":
    main()
