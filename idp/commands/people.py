"""`idp people …`: who can sign in."""

import getpass
import sys
from typing import Annotated

import typer

from foundation.actor import SYSTEM
from idp.commands import people_changes
from idp.commands.people_changes import person_row
from idp.commands.terminal import AsJson, OpenIdp, print_row

Words = Annotated[list[str] | None, typer.Option()]


def build(open_idp: OpenIdp) -> typer.Typer:
    """The commands over a provider that `open_idp` opens and closes."""
    app = typer.Typer(help="Who can sign in.", no_args_is_help=True)

    @app.command("add")
    def add(
        username: str,
        name: str,
        id_number: Annotated[
            str, typer.Option(help="A citizen's: GB 11643 number, or a passport as STATE-NUMBER.")
        ] = "",
        citizen: Annotated[
            str, typer.Option(help="An officer's: user name of their account as a citizen.")
        ] = "",
        organisation: Annotated[str, typer.Option(help="Department (credit code).")] = "",
        organisation_name: str = "",
        role: Words = None,
        represents: Words = None,
        locale: str = "zh-Hans",
        as_json: AsJson = False,
    ) -> None:
        """Register somebody. The password is asked for, or read from standard input."""
        with open_idp() as idp:
            person = idp.people.add(
                username,
                name,
                _password(),
                id_number=id_number,
                citizen=citizen,
                by=SYSTEM,
                represents=represents or (),
                organisation=organisation,
                organisation_name=organisation_name,
                roles=role or (),
                locale=locale,
            )
        print_row(person_row(person), as_json)

    @app.command("list")
    def list_(as_json: AsJson = False) -> None:
        """Everybody, by user name."""
        with open_idp() as idp:
            for person in idp.people.all():
                print_row(person_row(person), as_json)

    @app.command("collisions")
    def collisions(as_json: AsJson = False) -> None:
        """Accounts that are suspended because another one has their identity number, or that nobody
        can sign in to because another one has their user name."""
        with open_idp() as idp:
            for same, found in (
                ("id_number", idp.numbers.collisions()),
                ("username", idp.names.collisions()),
            ):
                for person, kept in found:
                    told = {"same": same, "collides_with": kept.username}
                    print_row({**person_row(person), **told}, as_json)

    @app.command("rename")
    def rename(
        account: Annotated[str, typer.Argument(help="user name as it is listed, or id")],
        username: Annotated[str, typer.Argument(help="the new user name")],
        as_json: AsJson = False,
    ) -> None:
        """Give an account another user name. Who collides with the old one gets it."""
        with open_idp() as idp:
            person = idp.names.rename(account, username, by=SYSTEM)
        print_row(person_row(person), as_json)

    @app.command("resolve")
    def resolve(
        keep: Annotated[str, typer.Argument(help="user name of the account whose number it is")],
        other: Annotated[str, typer.Argument(help="user name of the one that gives it up")],
        by: Annotated[str, typer.Option("--by", help="user name of the officer who decides")],
        approved_by: Annotated[str, typer.Option(help="user name of another officer who agrees")],
        as_json: AsJson = False,
    ) -> None:
        """Decide whose identity number it is. A citizen's other account stays closed; an officer's
        goes on and points to the one that is kept."""
        with open_idp() as idp:
            kept = idp.numbers.resolve(keep, other, by=by, approved_by=approved_by)
        print_row(person_row(kept), as_json)

    people_changes.register(app, open_idp)
    return app


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("password: ")
    return sys.stdin.readline().rstrip("\n")
