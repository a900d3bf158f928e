"""`python -m server WORD`: everything an operator, an auditor or a script does at a terminal.

Results on stdout, progress on stderr, `--json` where a program might read. Exit codes: 0 good,
1 unexpected, 2 usage, 3 verified but bad, 4 could not decide, 5 refused, 6 conflict.
"""

import os
import secrets
import sys
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer
from sqlalchemy.exc import OperationalError

import certificates.commands
import exchange.commands
import idp.commands
import keys.commands
import ledger.commands
import signing.commands
import signing.seals.commands
from foundation.errors import Conflict, Refused, Unauthenticated, Unavailable, YinzhengError
from server import doctor as doctoring
from server import job_commands, key_service, migrations
from server.assembly import Installation, OldSchema, open_database, open_master_key, opened
from server.running import logs, processes
from server.running.request_log import RequestLog
from server.sandbox import demo, seeds
from server.settings import Settings, load

REFUSED = 5
CONFLICT = 6


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        help=__doc__,
        no_args_is_help=True,
        add_completion=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,  # they print local variables: secrets, names
    )
    app.command()(serve)
    app.command()(worker)
    app.command()(migrate)
    app.command()(health)
    app.command()(doctor)
    app.command()(openapi)
    app.command("demo")(demo_command)
    app.command("sandbox")(sandbox_command)
    app.command("master-key")(master_key)
    keys_app = keys.commands.build(_service(lambda installation: installation.keys))
    keys_app.command("serve")(key_service.serve)
    app.add_typer(keys_app, name="keys")
    app.add_typer(
        signing.seals.commands.build(_service(lambda installation: installation)), name="seals"
    )
    app.add_typer(
        ledger.commands.build(_service(lambda installation: installation.ledger)), name="ledger"
    )
    app.add_typer(idp.commands.build(_service(lambda installation: installation.idp)), name="idp")
    app.add_typer(
        certificates.commands.build(_service(lambda installation: installation)),
        name="certificates",
    )
    app.add_typer(
        signing.commands.build(_service(lambda installation: installation)), name="documents"
    )
    app.add_typer(job_commands.build(_service(lambda installation: installation.jobs)), name="jobs")
    exchange.commands.add_purposes(app, _service(lambda installation: installation))
    exchange.commands.add_verify(app, _service(lambda installation: installation.verifications))
    return app


def main() -> None:
    """Run one command; an error of ours becomes one sentence, a next step and an exit code."""
    logs.configure()
    try:
        build()(standalone_mode=True)
    except YinzhengError as error:
        sys.exit(_told(error))
    except OperationalError:
        sys.exit(_told(Unavailable("the database cannot be reached", retry_after=5)))
    except Exception as failure:
        # Where, but not the message: it may quote a value.
        place = traceback.extract_tb(failure.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        report = f"report {type(failure).__name__} at {where}"
        sys.exit(_told(YinzhengError("something failed on our side", next_step=report)))


def _told(error: YinzhengError) -> int:
    print(f"{error.code}: {error.detail}", file=sys.stderr)
    for each in error.errors:
        print(f"  {each.pointer}: {each.detail}", file=sys.stderr)
    if error.next_step:
        print(f"next: {error.next_step}", file=sys.stderr)
    return _exit_code(error)


def serve(
    child: Annotated[int, typer.Option(hidden=True, help="set by the supervising process")] = -1,
) -> None:
    """Serve the pages and the API.

    With the embedded default the same process also does the background work.
    """
    settings = load()
    logs.configure(settings.log_level)
    if settings.processes > 1 and child < 0:
        raise typer.Exit(processes.supervise(settings))
    with opened(settings) as installation:
        if settings.mode == "sandbox":
            seeds.seed(installation)
        serve_until_stopped(installation, index=max(child, 0))


def serve_until_stopped(installation: Installation, index: int = 0) -> None:
    """Serve until a signal says stop, with the worker beside it where settings say so."""
    settings = installation.settings
    background = installation.worker() if settings.embedded_worker and index == 0 else None
    if background:
        background.start()
    print(f"serving {settings.issuer} ({settings.mode})", file=sys.stderr, flush=True)
    try:
        with RequestLog(settings.log_level) as lines:
            app, management = installation.app(lines.note), installation.management()
            processes.serve(app, management, settings, index=index)
    finally:
        if background:
            background.stop()


def worker() -> None:
    """Do the background work and nothing else.

    Jobs, the ledger's integrator, and what is due now and then.
    """
    settings = load()
    logs.configure(settings.log_level)
    with opened(settings) as installation:
        processes.work(installation.worker(), installation.management(), settings)


def migrate() -> None:
    """Bring the database schema up to date."""
    settings = load()
    database = open_database(settings, open_master_key(settings))
    migrations.upgrade(database)
    database.close()
    typer.echo("the schema is current")


def health() -> None:
    """Say whether the process here is ready.

    Asks this machine's management port; made for the health checks of containers.
    """
    settings = load()
    host = _from_here(settings.management_host)
    url = f"http://{host}:{settings.management_port}/readyz"
    try:
        answer = httpx.get(url, timeout=2.0)
    except httpx.HTTPError as failure:
        typer.echo(f"not reachable: {type(failure).__name__}")
        raise typer.Exit(1) from None
    typer.echo(answer.text)
    raise typer.Exit(0 if answer.status_code == 200 else 1)


def _from_here(host: str) -> str:
    """Where this machine reaches a port bound to `host`: every address includes its own."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 — not bound here
    return f"[{reached}]" if ":" in reached else reached


def doctor(json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show settings, and whether each part works."""
    settings = load()
    checks = _findings(settings)
    report: dict[str, Any] = {"settings": _shown(settings), "checks": checks}
    if json:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    else:
        for name, value in report["settings"].items():
            typer.echo(f"{name:24} {value}")
        for name, finding in checks.items():
            typer.echo(f"{name:24} {finding}")
    if any(finding != "ok" for finding in checks.values()):
        raise typer.Exit(4)


def _findings(settings: Settings) -> dict[str, str]:
    try:
        with opened(settings) as installation:
            return installation.management().findings() | doctoring.findings(installation)
    except OldSchema as problem:
        return {"database": "ok", "schema": f"{problem.detail}; run: {problem.next_step}"}
    except OperationalError:
        return {"database": "cannot be reached"}


def openapi() -> None:
    """Print the OpenAPI 3.1 description."""
    with opened(load()) as installation:
        typer.echo(orjson.dumps(installation.api().openapi(), option=orjson.OPT_INDENT_2))


def demo_command(
    once: Annotated[
        bool, typer.Option("--once", help="end with 0 or 1 instead of serving on")
    ] = False,
) -> None:
    """Walk the mission once, then keep serving."""
    raise typer.Exit(demo.run(load(), once=once))


def sandbox_command() -> None:
    """Load the made-up people and departments."""
    with opened(load()) as installation:
        seeds.seed(installation)
    typer.echo("the sandbox people are here; the README names them")


def master_key(
    file: Annotated[Path, typer.Argument(help="where to write it; must not exist")],
) -> None:
    """Write a new master key for this installation."""
    descriptor = _open_new(file)
    with open(descriptor, "wb") as stream:
        stream.write(b64encode(secrets.token_bytes(32)) + b"\n")
    typer.echo(f"{file}: keep a copy where the database backups are not")


def _open_new(file: Path) -> int:
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Conflict(f"{file} exists; a master key is never overwritten") from None


def _service(choose: Callable[[Installation], Any]) -> Callable[[], AbstractContextManager[Any]]:
    """How a package's commands reach their service: an installation opened for one command."""

    @contextmanager
    def open_service() -> Iterator[Any]:
        with opened(load()) as installation:
            yield choose(installation)

    return open_service


def _shown(settings: Settings) -> dict[str, str]:
    unset = (Path(""), "")
    values = {
        name: "–" if value in unset else str(value) for name, value in settings.model_dump().items()
    }
    values["master_key_file"] = str(settings.master_key)
    values["database_url"] = settings.database.partition("://")[0] + "://…"
    return values


def _exit_code(error: YinzhengError) -> int:
    if isinstance(error, Conflict):
        return CONFLICT
    if isinstance(error, Refused | Unauthenticated):
        return REFUSED
    return 2 if error.status < 500 else 1
