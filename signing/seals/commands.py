"""`seals …`: the register of seals at a terminal.

Each step says who takes it (`--by`, the id of a person); who applied cannot approve here either.
Results go to stdout, as a table or with `--json`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import orjson
import typer
from rich.console import Console
from rich.table import Table

from foundation.actor import Actor, ActorKind
from foundation.clock import Clock
from foundation.database import Database
from keys.encoding.x509 import RevocationReason
from signing.models import SealApplication, SealChange, SealEntry, SealKind
from signing.seals.registry import Seals


class SealServices(Protocol):
    """What these commands need of the installation."""

    @property
    def seals(self) -> Seals:
        """The register of seals."""

    @property
    def database(self) -> Database:
        """Where each command opens its one transaction."""

    @property
    def clock(self) -> Clock:
        """What time it is."""


OpenSealServices = Callable[[], AbstractContextManager[SealServices]]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]
By = Annotated[str, typer.Option("--by", help="id of the person who takes this step")]
Reason = Annotated[str, typer.Option("--reason", help="why; it stays in the register")]
PermitId = Annotated[str, typer.Argument(help='the id of a permit: "permit-…"')]
SealId = Annotated[str, typer.Argument(help='the id of a seal: "seal-…"')]


def build(open_services: OpenSealServices) -> typer.Typer:
    """The commands over the services that `open_services` opens and closes."""
    app = typer.Typer(help="The register of seals: who may seal what.", no_args_is_help=True)
    _add_questions(app, open_services)
    _add_application(app, open_services)
    _add_steps(app, open_services)
    _add_permits(app, open_services)
    return app


def _add_questions(app: typer.Typer, open_services: OpenSealServices) -> None:
    @app.command("list")
    def list_seals(
        owner: Annotated[str, typer.Argument(help="18-character code of the department")],
        json: AsJson = False,
    ) -> None:
        """Every seal of a department, from the application on."""
        with open_services() as services:
            _print(services.seals.entries(owner), json)

    @app.command()
    def history(seal: SealId, json: AsJson = False) -> None:
        """Every state of a seal: since when, by whom, why."""
        with open_services() as services:
            changes = services.seals.history(seal)
        if json:
            typer.echo(_json(changes))
            return
        table = Table("since", "state", "by", "reason", box=None)
        for change in changes:
            table.add_row(f"{change.since:%Y-%m-%d %H:%M}", change.state, change.by, change.reason)
        Console().print(table)

    @app.command()
    def picture(seal: SealId, file: Annotated[Path, typer.Argument(help="an .svg file")]) -> None:
        """Write the picture of a seal."""
        with open_services() as services:
            file.write_text(services.seals.get(seal).svg, encoding="utf-8")
        typer.echo(f"{file}", err=True)


def _add_application(app: typer.Typer, open_services: OpenSealServices) -> None:
    @app.command()
    def apply(
        owner: Annotated[str, typer.Option(help="18-character code of the department")],
        owner_name: Annotated[str, typer.Option(help="its name, for the certificate")],
        name: Annotated[str, typer.Option(help="the statutory name on the arc")],
        code: Annotated[str, typer.Option(help="the seal code below")],
        by: By,
        kind: Annotated[SealKind, typer.Option()] = SealKind.STATUTORY,
        line: Annotated[str, typer.Option(help="what stands under the star")] = "",
        keeper: Annotated[str, typer.Option(help="id of who answers for it; `--by` if empty")] = "",
        reason: Reason = "",
        json: AsJson = False,
    ) -> None:
        """Ask for a seal; somebody else approves it."""
        application = SealApplication(owner, owner_name, name, code, kind, line, keeper or by, "")
        with open_services() as services, services.database.write() as tx:
            now = services.clock()
            seal = services.seals.apply(tx, application, by=_person(by), now=now, reason=reason)
        with open_services() as services:
            _print([services.seals.entry(seal, by=_person(by))], json)

    @app.command("apply-version")
    def apply_version(seal: SealId, by: By, reason: Reason, json: AsJson = False) -> None:
        """Ask for a new key and picture of a seal; somebody else approves it."""
        _step(open_services, "apply_for_version", seal, by, json, reason=reason)


def _add_steps(app: typer.Typer, open_services: OpenSealServices) -> None:
    @app.command()
    def approve(seal: SealId, by: By, json: AsJson = False) -> None:
        """Grant what somebody else applied for."""
        _step(open_services, "approve", seal, by, json)

    @app.command()
    def reject(seal: SealId, by: By, reason: Reason, json: AsJson = False) -> None:
        """Refuse what somebody else applied for."""
        _step(open_services, "reject", seal, by, json, note=reason)

    @app.command()
    def make(
        seal: SealId,
        by: By,
        algorithm: Annotated[str, typer.Option(help="ES256, PS256, RS256 or EdDSA")] = "ES256",
        json: AsJson = False,
    ) -> None:
        """Make key, certificate and picture of what was approved."""
        _step(open_services, "make", seal, by, json, algorithm=algorithm)

    @app.command()
    def file(
        seal: SealId,
        by: By,
        reference: Annotated[str, typer.Option(help="number of the filing")],
        json: AsJson = False,
    ) -> None:
        """Note the filing with the authority for seals."""
        _step(open_services, "file", seal, by, json, reference=reference)

    @app.command()
    def activate(seal: SealId, by: By, json: AsJson = False) -> None:
        """Put a filed seal to use."""
        _step(open_services, "activate", seal, by, json)

    @app.command()
    def revoke(
        seal: SealId,
        by: By,
        reason: Reason,
        compromised: Annotated[
            bool, typer.Option("--compromised", help="the key was stolen: destroy it at once")
        ] = False,
        json: AsJson = False,
    ) -> None:
        """End a seal for ever, and its certificates with it."""
        causes = (RevocationReason.CESSATION_OF_OPERATION, RevocationReason.KEY_COMPROMISE)
        _step(open_services, "revoke", seal, by, json, reason=reason, cause=causes[compromised])

    for name, told in (
        ("suspend", "Stop a seal until it is resumed."),
        ("resume", "Make a suspended seal active again."),
        ("destroy", "Destroy the private keys of a revoked seal."),
    ):
        app.command(name, help=told)(_reasoned(open_services, name))


def _add_permits(app: typer.Typer, open_services: OpenSealServices) -> None:
    @app.command()
    def permits(seal: SealId) -> None:
        """Every permit to use a seal, newest first, as JSON."""
        with open_services() as services, services.database.read() as tx:
            found = services.seals.permits.of(tx, seal)
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))

    @app.command("ask-permit")
    def ask_permit(
        seal: SealId,
        by: By,
        purpose: Annotated[str, typer.Option(help="what is to be sealed; at most 60 characters")],
        quota: Annotated[int, typer.Option(help="how many files")] = 1,
        days: Annotated[int, typer.Option(help="how long it holds")] = 30,
    ) -> None:
        """Ask to use a seal for one purpose; somebody else approves it."""
        with open_services() as services, services.database.write() as tx:
            now = services.clock()
            until = now + timedelta(days=days)
            typer.echo(
                services.seals.permits.ask(
                    tx, seal, purpose=purpose, quota=quota, by=_person(by), now=now, until=until
                )
            )

    for name, told in (
        ("approve", "Let the officer who asked use the seal."),
        ("withdraw", "End a permit before its day, or refuse it."),
    ):
        app.command(f"{name}-permit", help=told)(_on_permit(open_services, name))


def _on_permit(open_services: OpenSealServices, name: str) -> Callable[..., None]:
    def command(permit: PermitId, by: By) -> None:
        with open_services() as services, services.database.write() as tx:
            getattr(services.seals.permits, name)(tx, permit, by=_person(by), now=services.clock())

    return command


def _reasoned(open_services: OpenSealServices, name: str) -> Callable[..., None]:
    def command(seal: SealId, by: By, reason: Reason, json: AsJson = False) -> None:
        _step(open_services, name, seal, by, json, reason=reason)

    return command


def _step(
    open_services: OpenSealServices, name: str, seal: str, by: str, as_json: bool, **more: Any
) -> None:
    with open_services() as services:
        with services.database.write() as tx:
            getattr(services.seals, name)(tx, seal, by=_person(by), now=services.clock(), **more)
        _print([services.seals.entry(seal, by=_person(by))], as_json)


def _person(by: str) -> Actor:
    """Whoever has a terminal of this machine acts for the register; the name stays on record."""
    return Actor(ActorKind.SYSTEM, by, name=by)


def _print(entries: Sequence[SealEntry], as_json: bool) -> None:
    if as_json:
        typer.echo(_json(entries))
        return
    table = Table(box=None)
    for heading in ("seal", "state", "code"):
        table.add_column(heading, no_wrap=True)
    table.add_column("name", overflow="fold")
    for entry in entries:
        table.add_row(
            entry.id,
            f"{entry.state}{' (waiting)' if entry.waiting else ''}",
            entry.code,
            f"{entry.name} {entry.line}".strip(),
        )
    Console().print(table)


def _json(values: Sequence[SealEntry | SealChange]) -> str:
    return orjson.dumps(values, option=orjson.OPT_INDENT_2).decode()
