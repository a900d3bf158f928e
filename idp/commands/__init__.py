"""`idp people …`, `idp clients …`, `idp notices …`: the registers at a terminal.

The provider is opened by whoever assembles the installation, so importing these files opens
nothing. Results go to standard output, one JSON object a line with `--json`.
"""

import typer

from idp.commands import clients, notices, people
from idp.commands.terminal import OpenIdp

__all__ = ["OpenIdp", "build"]


def build(open_idp: OpenIdp) -> typer.Typer:
    """The commands over a provider that `open_idp` opens and closes."""
    app = typer.Typer(help="People and client programs.", no_args_is_help=True)
    app.add_typer(people.build(open_idp), name="people")
    app.add_typer(clients.build(open_idp), name="clients")
    app.add_typer(notices.build(open_idp), name="notices")
    return app
