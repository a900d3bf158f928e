"""`idp people show | change | disable | enable | end`: what becomes of an account."""

from typing import Annotated, Any

import typer

from idp.commands.terminal import AsJson, OpenIdp, print_row
from idp.models import Person
from idp.protocol.errors import PersonNotFound

Words = Annotated[list[str] | None, typer.Option()]
By = Annotated[str, typer.Option("--by", help="user name of the officer who decides")]
ApprovedBy = Annotated[str, typer.Option(help="user name of another officer who agrees")]
Reason = Annotated[str, typer.Option(help="why; only those who read the whole log see it")]


def register(app: typer.Typer, open_idp: OpenIdp) -> None:
    """Add the commands to those that add and list people."""

    @app.command("show")
    def show(username: str, as_json: AsJson = False) -> None:
        """One account, and in how many browsers its person is signed in. No number is shown."""
        with open_idp() as idp:
            person = idp.people.find(username)
            if person is None:
                raise PersonNotFound("nobody has this user name", next_step="idp people list")
            signed_in = len(idp.sessions.of(person))
        more = {"name": person.name, "locale": person.locale, "sessions": signed_in}
        print_row({**person_row(person), **more}, as_json)

    @app.command("change")
    def change(
        username: str,
        by: By,
        approved_by: ApprovedBy = "",
        name: str | None = None,
        id_number: str | None = None,
        organisation: str | None = None,
        organisation_name: str | None = None,
        role: Words = None,
        represents: Words = None,
        locale: str | None = None,
        as_json: AsJson = False,
    ) -> None:
        """Change what is named. More offices, another organisation or number take two officers;
        --role "" takes all offices away."""
        given: dict[str, Any] = {
            "name": name,
            "id_number": id_number,
            "organisation": organisation,
            "organisation_name": organisation_name,
            "roles": _several(role),
            "represents": _several(represents),
            "locale": locale,
        }
        changes = {each: value for each, value in given.items() if value is not None}
        with open_idp() as idp:
            person = idp.administration.change(username, changes, by=by, approved_by=approved_by)
        print_row(person_row(person), as_json)

    @app.command("disable")
    def disable(username: str, by: By, reason: Reason, as_json: AsJson = False) -> None:
        """Sign somebody out everywhere, end their tokens, and let nobody sign in here."""
        with open_idp() as idp:
            person = idp.administration.disable(username, by=by, reason=reason)
        print_row(person_row(person), as_json)

    @app.command("enable")
    def enable(username: str, by: By, as_json: AsJson = False) -> None:
        """Let somebody sign in again; what ended stays ended."""
        with open_idp() as idp:
            person = idp.administration.enable(username, by=by)
        print_row(person_row(person), as_json)

    @app.command("end")
    def end(
        username: str, by: By, approved_by: ApprovedBy, reason: Reason, as_json: AsJson = False
    ) -> None:
        """End an account for ever. Its user name and number are given to nobody else."""
        with open_idp() as idp:
            person = idp.administration.end(username, by=by, approved_by=approved_by, reason=reason)
        print_row(person_row(person), as_json)


def person_row(person: Person) -> dict[str, Any]:
    """What a line about somebody says."""
    return {
        "id": person.id,
        "username": person.username,
        "kind": person.kind,
        "organisation": person.organisation,
        "roles": " ".join(sorted(person.roles)),
        "state": _state(person),
    }


def _state(person: Person) -> str:
    if person.ended:
        return "ended"
    if person.collides_with:
        return "suspended"
    return "disabled" if person.disabled else "enabled"


def _several(words: list[str] | None) -> list[str] | None:
    """An option that may come often; one empty word means none."""
    return None if words is None else [each for each in words if each]
