"""`jobs`: background work whose last attempt failed: what, why, and another attempt now."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from foundation.clock import rfc3339
from foundation.errors import Invalid, NotFound
from foundation.jobs import Jobs, Trouble


class NoSuchJob(NotFound):
    """No job of this number has failed; or a younger one does the same work."""

    code = "job_not_found"


def build(open_jobs: Callable[[], AbstractContextManager[Jobs]]) -> typer.Typer:
    """The commands `jobs list` and `jobs retry`, over jobs that are opened for each run."""
    app = typer.Typer(help="Background work that failed.", no_args_is_help=True)

    @app.command("list")
    def list_(json: Annotated[bool, typer.Option("--json")] = False) -> None:
        """Jobs whose last attempt failed: why, and when they are tried again."""
        with open_jobs() as jobs:
            _print([_told(each) for each in jobs.troubles()], json)

    @app.command()
    def retry(
        numbers: Annotated[
            list[int] | None, typer.Argument(help="as `jobs list` names them")
        ] = None,
        everything: Annotated[bool, typer.Option("--all", help="each job that failed")] = False,
    ) -> None:
        """Try failed jobs again now, as if they were new."""
        if bool(numbers) == everything:
            raise Invalid("name jobs by their numbers, or --all", next_step="./run jobs list")
        with open_jobs() as jobs:
            begun = [
                number
                for number in numbers or [each.id for each in jobs.troubles()]
                if jobs.try_again(number)
            ]
        missing = sorted(set(numbers or ()) - set(begun))
        typer.echo(f"{len(begun)} tried again")
        if missing:
            named = ", ".join(map(str, missing))
            raise NoSuchJob(f"nothing to try again: {named}", next_step="./run jobs list")

    return app


def _told(trouble: Trouble) -> dict[str, Any]:
    """Payloads hold names of rows (a draft, a batch, a notice) and no values."""
    return {
        "number": trouble.id,
        "task": trouble.task,
        "about": dict(trouble.payload),
        "state": trouble.state,
        "attempts": trouble.attempts,
        "next": rfc3339(trouble.due) if trouble.due else "not by itself",
        "why": trouble.problem,
    }


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    if not rows:
        typer.echo("no job has failed")
        return
    table = Table(box=None)
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        about = " ".join(f"{name}={value}" for name, value in row["about"].items())
        table.add_row(*(str(value) for value in {**row, "about": about}.values()))
    Console().print(table)
