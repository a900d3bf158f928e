"""What the commands of this package share: how the provider is opened, and how a row is printed."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer

from idp.service import Idp

OpenIdp = Callable[[], AbstractContextManager[Idp]]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def print_row(shown: dict[str, Any], as_json: bool) -> None:
    """One line: a JSON object, or what is not empty as name=value."""
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
    else:
        typer.echo("  ".join(f"{name}={value}" for name, value in shown.items() if value))
