"""`purposes …`: who may ask for what, and why.

Each act says who takes it (`--by`, a user name); the roles of that account decide, and who applied
cannot decide here either. An application is a TOML file:

    organisation = "…"             18-character code of the department
    code = "food-inspection"       a purpose that the certificate types know
    service_item = "…"             the service that needs the answer
    legal_bases = ["《…》第一百一十条"]   law and article
    types = ["food-business-licence"]
    fields = ["operator_name"]     what is shown; each must be shown by each type
    predicates = ["valid_today"]   what is answered by yes or no
    channel = "api"                api, portal or terminal
    retention_days = 180           how long the department keeps an answer
    quota = 1000                   questions a day
"""

import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Protocol

import orjson
import typer

from exchange.applications import PurposeApplications
from exchange.errors import MayNotDecide, PurposeNotAllowed
from exchange.models import PurposeApplication, PurposeForm
from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import FieldError
from idp import Idp


class PurposeServices(Protocol):
    """What these commands need of the installation."""

    @property
    def applications(self) -> PurposeApplications:
        """Applies, decides and ends."""

    @property
    def idp(self) -> Idp:
        """Whose account the name after `--by` is."""

    @property
    def database(self) -> Database:
        """Where each command opens its one transaction."""

    @property
    def clock(self) -> Clock:
        """What time it is."""


OpenPurposeServices = Callable[[], AbstractContextManager[PurposeServices]]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]
By = Annotated[str, typer.Option("--by", help="user name of the person who takes this step")]
Reason = Annotated[str, typer.Option("--reason", help="why; it stays in the register")]
Id = Annotated[str, typer.Argument(help='the id of an application: "purpose-…"')]


def build(open_services: OpenPurposeServices) -> typer.Typer:
    """The commands over the services that `open_services` opens and closes."""
    app = typer.Typer(help=__doc__, no_args_is_help=True)
    _add_questions(app, open_services)
    _add_acts(app, open_services)
    return app


def _add_questions(app: typer.Typer, open_services: OpenPurposeServices) -> None:
    @app.command("list")
    def list_applications(
        state: Annotated[str, typer.Option(help="applied, approved, refused, …")] = "",
        organisation: Annotated[str, typer.Option(help="18-character code")] = "",
        json: AsJson = False,
    ) -> None:
        """Applications, newest first."""
        with open_services() as services, services.database.read() as tx:
            found = services.applications.all(tx, state, organisation)
        if json:
            typer.echo(orjson.dumps([asdict(each) for each in found], option=orjson.OPT_INDENT_2))
            return
        for each in found:
            typer.echo(_line(each))

    @app.command()
    def show(application: Id) -> None:
        """One application as JSON: the form, who took which step, and when."""
        with open_services() as services, services.database.read() as tx:
            found = services.applications.get(tx, application)
        typer.echo(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2))


def _add_acts(app: typer.Typer, open_services: OpenPurposeServices) -> None:
    @app.command()
    def apply(file: Annotated[Path, typer.Argument(help="a TOML file")], by: By) -> None:
        """Apply for a purpose; somebody else decides."""
        form = read_form(file.read_bytes())
        with open_services() as services:
            actor = _person(services, by)
            with services.database.write() as tx:
                applied = services.applications.apply(tx, form, by=actor, now=services.clock())
        typer.echo(applied)

    @app.command()
    def approve(application: Id, by: By) -> None:
        """Grant what was applied for."""
        _act(open_services, "approve", application, by)

    @app.command()
    def refuse(application: Id, by: By, reason: Reason) -> None:
        """Refuse what was applied for."""
        _act(open_services, "refuse", application, by, reason)

    @app.command()
    def withdraw(application: Id, by: By) -> None:
        """Take an application back before anybody decided."""
        _act(open_services, "withdraw", application, by)

    @app.command()
    def end(application: Id, by: By, reason: Reason) -> None:
        """End a purpose: nobody is answered under it any more."""
        _act(open_services, "end", application, by, reason)


def read_form(file: bytes) -> PurposeForm:
    """The form in a TOML file. Raises `PurposeNotAllowed`, which names each wrong member."""
    try:
        given = tomllib.loads(file.decode())
    except ValueError as problem:
        raise PurposeNotAllowed(f"the file is no TOML: {problem}") from None
    if mistakes := list(_member_mistakes(given)):
        raise PurposeNotAllowed(
            "the file is no application",
            next_step="purposes --help shows a whole one",
            errors=mistakes,
        )
    read: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    return PurposeForm(**read)


def _member_mistakes(given: Mapping[str, Any]) -> list[FieldError]:
    kinds = {each.name: each.type for each in fields(PurposeForm)}
    said = {str: "a text", int: "a whole number"}
    mistakes = [
        FieldError(f"/{name}", "unknown_member", f"there is no {name}; one of {', '.join(kinds)}")
        for name in given.keys() - kinds.keys()
    ]
    for name, kind in kinds.items():
        value = given.get(name)
        if kind in said:
            right, rule = type(value) is kind, said[kind]
        else:
            right = isinstance(value, list) and all(isinstance(one, str) for one in value)
            rule = "a list of texts"
        if not right:
            mistakes.append(FieldError(f"/{name}", "required", f"{name} must be {rule}"))
    return mistakes


def _act(
    open_services: OpenPurposeServices, act: str, application: str, by: str, *reason: str
) -> None:
    with open_services() as services:
        actor = _person(services, by)
        with services.database.write() as tx:
            take = getattr(services.applications, act)
            take(tx, application, *reason, by=actor, now=services.clock())
            found = services.applications.get(tx, application)
    typer.echo(_line(found))


def _person(services: PurposeServices, username: str) -> Actor:
    person = services.idp.people.find(username)
    if person is None or person.disabled:
        raise MayNotDecide(
            "--by names no account that may sign in", next_step="idp people list shows them"
        )
    return person.actor


def _line(each: PurposeApplication) -> str:
    form = each.form
    return f"{each.id}  {each.state:9}  {form.organisation}  {form.code}  {' '.join(form.types)}"
