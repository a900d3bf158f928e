"""`keys list`, `keys rotate`, `keys uses` …: what a keeper of keys does at a terminal.

Results go to stdout, as a table or with `--json`; nothing here can print a private key, because
`Keys` never gives one out.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from foundation.errors import Refused
from keys.models import Key, KeyUse
from keys.service import Keys

OpenKeys = Callable[[], AbstractContextManager[Keys]]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]
Use = Annotated[str, typer.Argument(help='what the key is for: "idp.tokens", "tsa", "seal/…"')]


def build(open_keys: OpenKeys) -> typer.Typer:
    """The commands over the keys that `open_keys` opens and closes."""
    app = typer.Typer(help="Keys, their states and their rotation.", no_args_is_help=True)

    @app.command("list")
    def list_keys(json: AsJson = False) -> None:
        """Every key: use, version, state, algorithm, id."""
        with open_keys() as keys:
            _print(keys.inventory(), json)

    # One kid in 64 begins with a dash; it is an argument all the same.
    @app.command(context_settings={"ignore_unknown_options": True})
    def show(kid: str, json: AsJson = True) -> None:
        """One key by its id, with its public JWK."""
        with open_keys() as keys:
            _print([keys.find(kid)], json)

    @app.command()
    def rotate(
        use: Use,
        at_once: Annotated[
            bool, typer.Option("--at-once", help="sign with the new key now, without publishing it")
        ] = False,
        json: AsJson = False,
    ) -> None:
        """The next key of a use: published first, signing after a day (or at once)."""
        with open_keys() as keys:
            keys.rotate(use, at_once=at_once)
            _print(keys.inventory(use), json)

    @app.command()
    def compromised(use: Use, json: AsJson = False) -> None:
        """The key may be stolen: a new one signs at once, the old one is revoked and destroyed."""
        if use.startswith("seal/"):
            raise Refused(
                "a seal's key ends with its seal",
                next_step="seals revoke SEAL --compromised, then apply for a new seal",
            )
        with open_keys() as keys:
            keys.compromised(use)
            _print(keys.inventory(use), json)

    @app.command()
    def uses(
        use: Annotated[str, typer.Argument(help='a seal key: "seal/…"; "" with --document')] = "",
        document: Annotated[str, typer.Option(help="digest of one approved content")] = "",
        before: Annotated[int | None, typer.Option(help="continue from this number")] = None,
        json: AsJson = False,
    ) -> None:
        """What a seal key signed: when, which content, approved by whom. Newest first."""
        with open_keys() as keys:
            found = keys.uses_for(document) if document else keys.uses_of(use, before=before)
        _print_uses(found, json)

    return app


def _print_uses(found: Sequence[tuple[int, KeyUse]], as_json: bool) -> None:
    if as_json:
        rows = [{"number": number, **asdict(use)} for number, use in found]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    table = Table(box=None)
    for heading in ("number", "at", "drafter", "approver", "approval"):
        table.add_column(heading, no_wrap=True)
    table.add_column("purpose", overflow="fold")
    for number, use in found:
        names = (escape(each) for each in (use.drafter, use.approver, use.approval, use.purpose))
        table.add_row(str(number), f"{use.at:%Y-%m-%d %H:%M:%S}", *names)
    Console().print(table)


def _print(keys: list[Key], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps([_public(key) for key in keys], option=orjson.OPT_INDENT_2))
        return
    table = Table(box=None)
    for heading in ("use", "version", "state", "algorithm", "signs since"):
        table.add_column(heading, no_wrap=True)
    table.add_column("kid", overflow="fold")
    for key in keys:
        since = "" if key.activated_at is None else f"{key.activated_at:%Y-%m-%d %H:%M}"
        table.add_row(key.use, str(key.version), key.state, key.algorithm, since, key.kid)
    Console().print(table)


def _public(key: Key) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "use": key.use,
        "version": key.version,
        "state": key.state,
        "algorithm": key.algorithm,
        "created_at": key.created_at,
        "activated_at": key.activated_at,
        "retiring_at": key.retiring_at,
        "retired_at": key.retired_at,
        "public_jwk": dict(key.public_jwk),
    }
