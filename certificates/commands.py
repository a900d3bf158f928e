"""`certificates types|list|show|change|import|…|settle|fsck`: an office at a terminal.

Whoever types is named (`--as`) and recorded as "terminal/NAME"; the four eyes of a batch are two
names. Results go to stdout, progress to stderr; a dry run that found errors exits with 3.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Protocol

import orjson
import typer
from rich.console import Console
from rich.table import Table

from certificates.bulk.batches import Batches
from certificates.bulk.sheets import plain
from certificates.bulk.store import Batch, Progress, StrangeRow
from certificates.rules import REASONS, STATES, State
from certificates.service import Certificates
from foundation.actor import Actor, ActorKind
from foundation.jobs import Jobs

BAD = 3


class Office(Protocol):
    """What the commands need of an installation."""

    certificates: Certificates
    batches: Batches
    jobs: Jobs


OpenOffice = Callable[[], AbstractContextManager[Any]]
Authority = Annotated[str, typer.Option(help="the authority's 18-character organisation code")]
Name = Annotated[str, typer.Option("--as", help="who is typing; recorded in the ledger")]
Encoding = Annotated[str, typer.Option(help="confirm the encoding, when it is a guess")]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]


def build(open_office: OpenOffice) -> typer.Typer:
    """The commands over the services that `open_office` opens and closes."""
    app = typer.Typer(help="Certificates: look, change, import.", no_args_is_help=True)

    @app.command()
    def types(json: AsJson = False) -> None:
        """The certificate types of the catalogue."""
        with open_office() as office:
            kinds = office.certificates.types()
            rows = [{"name": k.name, "code": k.code, "label": k.labels["en"]} for k in kinds]
            _print(rows, json)

    @app.command("list")
    def list_certificates(
        authority: Authority,
        query: Annotated[str, typer.Argument(help="number, identifier, holder; all if empty")] = "",
        name: Name = "operator",
        limit: int = 50,
        json: AsJson = False,
    ) -> None:
        """An authority's certificates, newest first."""
        with open_office() as office:
            page = office.certificates.search(
                _actor(name, authority, "auditor"), query, limit=limit
            )
        rows = [
            {
                "identifier": each.identifier,
                "number": each.number,
                "type": each.type,
                "holder": each.holder_name,
                "state": each.state,
            }
            for each in page.items
        ]
        _print(rows, json)

    @app.command()
    def show(identifier: str, authority: Authority, name: Name, json: AsJson = False) -> None:
        """One certificate with its fields; leaves an entry its holder can read."""
        with open_office() as office:
            found = office.certificates.get(_actor(name, authority, "auditor"), identifier)
            facts = {
                "identifier": found.identifier,
                "number": found.number,
                "type": found.type,
                "state": found.state,
                "national_code": STATES[found.state].national_code,
                "issued_on": found.issued_on,
                "valid_from": found.valid_from,
                "valid_until": found.valid_until,
                "fields": found.fields,
            }
        if json:
            _print([facts], json)
            return
        for label, fact in (facts | dict(found.fields)).items():
            if label != "fields":
                typer.echo(f"{label}: {fact}")

    @app.command()
    def change(
        identifier: str,
        to: State,
        reason: Annotated[str, typer.Argument(help=_reasons())],
        authority: Authority,
        name: Name,
        note: str = "",
        json: AsJson = False,
    ) -> None:
        """Suspend, restore, withdraw, revoke, cancel or supersede a certificate."""
        with open_office() as office:
            actor = _actor(name, authority, "approver")
            changed = office.certificates.change_state(actor, identifier, to, reason, note)
        if json:
            facts = {"identifier": identifier, "number": changed.number, "state": changed.state}
            typer.echo(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        else:
            typer.echo(f"{changed.number} is {changed.state}")

    @app.command("import")
    def import_file(
        file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
        type_name: Annotated[str, typer.Option("--type", help="name of the certificate type")],
        authority: Authority,
        name: Name,
        authority_name: str = "",
        mapping: Annotated[str, typer.Option(help="a mapping file's name")] = "",
        waive: Annotated[
            list[str], typer.Option(help="a column that no field uses, left out on purpose")
        ] = [],  # noqa: B006 - read only
        encoding: Encoding = "",
        submit: Annotated[bool, typer.Option(help="hand it to a second officer")] = False,
        json: AsJson = False,
    ) -> None:
        """Dry-run a CSV file: every error with row, column, rule and fix; nothing is issued."""
        with open_office() as office:
            actor = _actor(name, authority, "drafter", authority_name=authority_name)
            batch = office.batches.upload(actor, type_name, mapping, file.read_bytes(), file.name)
            named = {plain(each) for each in waive}
            left = [each for each in batch.unknown_columns if plain(each.name) not in named]
            good, sure = not batch.faults and not left, encoding or not batch.guessed
            if submit and good and sure:
                batch = office.batches.submit(actor, batch.id, waived=waive, encoding=encoding)
            strange = office.batches.strange_rows(actor, batch.id)
        _print_batch(batch, strange, json)
        if not good or (submit and not sure):
            raise typer.Exit(BAD)

    # One digest in 64 begins with a dash; it is an argument all the same.
    @app.command(context_settings={"ignore_unknown_options": True})
    def approve(
        batch_id: str,
        digest: Annotated[str, typer.Argument(help="the content digest you looked at")],
        authority: Authority,
        name: Name,
        encoding: Encoding = "",
        run: Annotated[bool, typer.Option(help="issue now, in this process")] = False,
        json: AsJson = False,
    ) -> None:
        """Approve a batch somebody else submitted."""
        with open_office() as office:
            actor = _actor(name, authority, "approver")
            if not encoding:
                _tell_strange(office.batches.strange_rows(actor, batch_id))
            office.batches.approve(actor, batch_id, digest, encoding=encoding)
            while run and office.jobs.run_pending(limit=1):
                _tell(office.batches.progress(actor, batch_id))
            _print([_progress(office.batches.progress(actor, batch_id))], json)

    @app.command()
    def progress(
        batch_id: str, authority: Authority, name: Name = "operator", json: AsJson = False
    ) -> None:
        """How far a batch is."""
        with open_office() as office:
            found = office.batches.progress(_actor(name, authority), batch_id)
        _print([_progress(found)], json)

    @app.command()
    def forget(
        kind: Annotated[str, typer.Argument(help="person, organisation or register")],
        code: Annotated[str, typer.Argument(help="the holder's number")],
        authority: Authority,
        name: Name,
        json: AsJson = False,
    ) -> None:
        """Forget in the ledger whom its entries were about, at the holder's request."""
        with open_office() as office:
            actor = _actor(name, authority, "approver")
            forgotten = office.certificates.forget(actor, kind, code)
        _print([{"entries": forgotten}], json)

    @app.command()
    def settle(json: AsJson = False) -> None:
        """Set each status that is contradicted to what the ledger says; run `ledger fsck` first."""
        with open_office() as office:
            outcomes = office.certificates.settle_statuses()
        rows = [
            {"identifier": identifier, "outcome": outcome}
            for outcome, identifiers in sorted(outcomes.items())
            for identifier in identifiers
        ]
        _print(rows, json)
        if "unknown" in outcomes:
            raise typer.Exit(BAD)

    @app.command()
    def fsck(json: AsJson = False) -> None:
        """Compare the registry with the ledger and the status lists; 3 when they differ."""
        with open_office() as office:
            report = office.certificates.fsck()
        facts = {"ok": report.ok, "certificates": report.certificates}
        if json:
            typer.echo(orjson.dumps(facts | {"problems": report.problems}))
        else:
            typer.echo(f"{report.certificates} certificates, {len(report.problems)} problems")
            for problem in report.problems:
                typer.echo(problem)
        if not report.ok:
            raise typer.Exit(BAD)

    return app


def _actor(name: str, authority: str, *roles: str, authority_name: str = "") -> Actor:
    return Actor(
        ActorKind.PERSON,
        f"terminal/{name}",
        name=name,
        organisation=authority,
        organisation_name=authority_name,
        roles=frozenset(roles),
    )


def _reasons() -> str:
    return "; ".join(
        f"{state}: {', '.join(reason.code for reason in reasons)}"
        for state, reasons in REASONS.items()
    )


def _print_batch(batch: Batch, strange: Sequence[StrangeRow], as_json: bool) -> None:
    errors = [
        {"row": e.row, "column": e.column, "rule": e.rule, "detail": e.detail, "fix": e.fix}
        for e in batch.errors
    ]
    facts = {
        "batch": batch.id,
        "state": batch.state,
        "rows": batch.rows,
        "errors": batch.error_count,
        "notices": batch.notice_count,
        "waived": list(batch.waived_columns),
        "encoding": batch.encoding,
        "guessed": batch.guessed,
        "digest": batch.content_digest,
    }
    if as_json:
        rows = [{"row": each.row, "fields": each.fields} for each in strange]
        told = facts | {"errors": errors, "strange_rows": rows}
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    _tell_strange(strange)
    _print([facts], False)
    if errors:
        _print(errors, False)


def _progress(progress: Progress) -> dict[str, Any]:
    return {
        "state": progress.state,
        "rows": progress.rows,
        "issued": progress.issued,
        "failed": progress.failed,
        "per second": round(progress.rate, 1),
    }


def _tell_strange(rows: Sequence[StrangeRow]) -> None:
    """The rows by which people judge whether an encoding was guessed well."""
    for each in rows:
        for name, text in each.fields.items():
            typer.echo(f"row {each.row}, {name}: {text}", err=True)


def _tell(progress: Progress) -> None:
    typer.echo(f"{progress.issued} of {progress.rows} issued", err=True)


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2, default=dict))
        return
    table = Table(box=None)
    for heading in rows[0] if rows else ():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
