"""`idp people …` and `idp clients …`: the registers at a terminal.

The provider is opened by whoever assembles the house, so importing this file opens nothing.
Results go to standard output, one JSON object a line with `--json`.
"""

import getpass
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from foundation.actor import SYSTEM
from foundation.clock import rfc3339
from foundation.errors import Invalid
from idp.accounts.backchannel import LogoutNotice
from idp.clients.metadata import Bounds
from idp.models import LOCALES, Client, Person, RegisteredClient
from idp.service import Idp

OpenIdp = Callable[[], AbstractContextManager[Idp]]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Words = Annotated[list[str] | None, typer.Option()]
Described = TypeVar("Described", Client, Bounds)


def build(open_idp: OpenIdp) -> typer.Typer:
    """The commands over a house that `open_idp` opens and closes."""
    app = typer.Typer(help="People and client programs.", no_args_is_help=True)
    app.add_typer(_people(open_idp), name="people")
    app.add_typer(_clients(open_idp), name="clients")
    app.add_typer(_notices(open_idp), name="notices")
    return app


def _people(open_idp: OpenIdp) -> typer.Typer:
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
        _print(_person(person), as_json)

    @app.command("list")
    def list_(as_json: AsJson = False) -> None:
        """Everybody, by user name."""
        with open_idp() as idp:
            for person in idp.people.all():
                _print(_person(person), as_json)

    @app.command("collisions")
    def collisions(as_json: AsJson = False) -> None:
        """Accounts that are suspended because another one has their identity number."""
        with open_idp() as idp:
            for person, kept in idp.numbers.collisions():
                _print({**_person(person), "collides_with": kept.username}, as_json)

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
        _print(_person(kept), as_json)

    return app


def _clients(open_idp: OpenIdp) -> typer.Typer:
    app = typer.Typer(help="Which programs may ask, and what for.", no_args_is_help=True)

    @app.command("register")
    def register(file: Path, as_json: AsJson = False) -> None:
        """Register the client described in a JSON file; prints its secret once."""
        client = _client(file.read_bytes())
        with open_idp() as idp:
            made = idp.clients.add(client, by=SYSTEM)
        shown = {"client_id": made.client_id, "client_secret": made.client_secret}
        _print({name: value for name, value in shown.items() if value}, as_json)

    @app.command("allow")
    def allow(
        file: Path,
        uses: Annotated[int, typer.Option(min=1, max=1000, help="How many registrations.")] = 1,
        days: Annotated[int, typer.Option(min=1, max=90, help="For how long.")] = 7,
        as_json: AsJson = False,
    ) -> None:
        """Let programs register themselves within the bounds in a JSON file (organisation,
        organisation_name, purpose, scopes, claims); prints the initial access token once."""
        bounds = _bounds(file.read_bytes())
        with open_idp() as idp:
            lifetime = timedelta(days=days)
            token = idp.registrations.allow(bounds, by=SYSTEM, uses=uses, lifetime=lifetime)
            endpoint = f"{idp.issuer}/oauth/register"
        _print({"initial_access_token": token, "registration_endpoint": endpoint}, as_json)

    @app.command("list")
    def list_(organisation: str | None = None, as_json: AsJson = False) -> None:
        """Every client, oldest first."""
        with open_idp() as idp:
            for each in idp.clients.all(organisation):
                _print(_shown(each), as_json)

    @app.command("new-secret")
    def new_secret(client_id: str, as_json: AsJson = False) -> None:
        """Replace a client's secret; the old one stops working at once."""
        with open_idp() as idp:
            secret = idp.clients.replace_secret(client_id, by=SYSTEM)
        _print({"client_id": client_id, "client_secret": secret}, as_json)

    @app.command("disable")
    def disable(client_id: str) -> None:
        """Refuse a client and all its tokens from now on."""
        with open_idp() as idp:
            idp.clients.disable(client_id, by=SYSTEM)

    return app


def _notices(open_idp: OpenIdp) -> typer.Typer:
    app = typer.Typer(help="Services that were to be told of a sign-out.", no_args_is_help=True)

    @app.command("list")
    def list_(
        client: Annotated[str, typer.Option(help="client_id: of this service only")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Notices that no service confirmed yet, or that were given up; newest first."""
        with open_idp() as idp:
            for notice in idp.notices.waiting_or_given_up(client):
                _print(_told(notice), as_json)

    @app.command("send-again")
    def send_again(notice: str, as_json: AsJson = False) -> None:
        """Send a notice again now; one that was given up is tried for three more days."""
        with open_idp() as idp:
            _print(_told(idp.notices.send_again(notice, by=SYSTEM)), as_json)

    return app


def _told(notice: LogoutNotice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "client_id": notice.client.client_id,
        "ended_at": rfc3339(notice.ended_at),
        "state": notice.state,
        "attempts": notice.attempts,
        "problem": notice.problem,
    }


def _client(data: bytes) -> Client:
    return _read(data, Client, "a client")


def _read(data: bytes, kind: type[Described], what: str) -> Described:
    """What a file describes. A member that nobody knows is refused: it may be the misspelt name of
    one that makes a client stricter."""
    try:
        described = msgspec.json.decode(data, type=kind)
        unknown = msgspec.json.decode(data).keys() - kind.__annotations__.keys()
    except msgspec.DecodeError as problem:
        raise Invalid(f"the file does not describe {what}: {problem}") from None
    if unknown:
        raise Invalid(f"the file says what nobody knows: {', '.join(sorted(unknown))[:200]}")
    return described


def _bounds(data: bytes) -> Bounds:
    bounds = _read(data, Bounds, "what may be registered")
    if missing := [each for each in LOCALES if not bounds.purpose.get(each, "").strip()]:
        raise Invalid(f"the purpose is missing in {', '.join(missing)}")
    return bounds


def _person(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "username": person.username,
        "kind": person.kind,
        "organisation": person.organisation,
        "roles": " ".join(sorted(person.roles)),
        "state": _state(person),
    }


def _state(person: Person) -> str:
    if person.collides_with:
        return "suspended"
    return "disabled" if person.disabled else "enabled"


def _shown(registered: RegisteredClient) -> dict[str, Any]:
    client = registered.client
    return {
        "client_id": client.client_id,
        "profile": client.profile,
        "organisation": client.organisation,
        "purpose": client.purpose["zh-Hans"],
        "scopes": " ".join(client.scopes),
        "claims": " ".join(client.claims),
        "state": "disabled" if registered.disabled else "enabled",
    }


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("password: ")
    return sys.stdin.readline().rstrip("\n")


def _print(shown: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
    else:
        typer.echo("  ".join(f"{name}={value}" for name, value in shown.items() if value))
