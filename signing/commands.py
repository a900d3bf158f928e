"""`documents validate` and `documents seal`: what an officer or a script does at a terminal.

Exit codes of `validate`: 0 valid, 3 invalid, 4 could not decide.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import orjson
import typer

from foundation.errors import Conflict
from signing.foreign.examination import OWN
from signing.formats import SIGNATURES, UNMARKED, USUAL_BOX, SealPlace
from signing.uses import SealUseServices, seal_under_permit
from signing.validation.report import to_json, to_lines

_EXITS = {"valid": 0, "invalid": 3, "unknown": 4}


OpenServices = Callable[[], AbstractContextManager[SealUseServices]]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]
ToSeal = Annotated[Path, typer.Argument(help="the file to seal", exists=True, dir_okay=False)]


def build(open_services: OpenServices) -> typer.Typer:
    """The commands over the services that `open_services` opens and closes."""
    app = typer.Typer(help="Seal and validate documents.", no_args_is_help=True)

    @app.command()
    def validate(
        file: Annotated[Path, typer.Argument(help="a sealed document, or a signed file")],
        signature: Annotated[Path | None, typer.Option(help="the signature beside it")] = None,
        json: AsJson = False,
    ) -> None:
        """Say whether a document is sealed, by whom, when, and whether it is unchanged."""
        beside = signature.read_bytes() if signature else b""
        with open_services() as services:
            found = services.signing.validate(file.read_bytes(), beside, OWN)
        if json:
            typer.echo(orjson.dumps(to_json(found), option=orjson.OPT_INDENT_2))
        else:
            typer.echo("\n".join(to_lines(found)))
        raise typer.Exit(_EXITS[found.indication])

    @app.command()
    def seal(
        file: ToSeal,
        seal_id: Annotated[str, typer.Option("--seal", help="the seal's id")],
        permit: Annotated[str, typer.Option(help="the permit to use it (`seals permits`)")],
        purpose: Annotated[str, typer.Option(help="the purpose the permit is for")],
        output: Annotated[Path, typer.Option(help="where to write; must not exist")],
        form: Annotated[
            str,
            typer.Option(
                help="on a page, or beside the file",
                metavar=f"<{'|'.join(SIGNATURES)}>",
                callback=_known_format,
            ),
        ] = UNMARKED.name,
        page: Annotated[int, typer.Option(help="the page of a PDF, counted from 1", min=1)] = 1,
        box: Annotated[
            tuple[float, float, float],
            typer.Option(help="left, bottom and side of the seal in points, from the lower left"),
        ] = USUAL_BOX,
    ) -> None:
        """Seal a file under a permit that two people gave: a PDF on a page, any file beside it."""
        if output.exists():
            raise Conflict(f"{output} exists; nothing is overwritten and nothing was sealed")
        with open_services() as services:
            place = SealPlace(box, page - 1)
            done = seal_under_permit(
                services, file.read_bytes(), seal_id, permit, purpose, SIGNATURES[form], place
            )
        write_new(output, done.data)
        pending = ", time-stamp pending" if done.time_stamp_pending else ""
        typer.echo(f"{output}: {done.level}{pending}")

    return app


def _known_format(name: str) -> str:
    if name not in SIGNATURES:
        known = ", ".join(map(repr, SIGNATURES))
        raise typer.BadParameter(f"{name!r} is not one of {known}.")
    return name


def write_new(path: Path, data: bytes) -> None:
    """A new file with all of `data`, or none: never half of it, never over another.

    Raises `Conflict` when it exists, and `OSError` when the disk is full.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as part:
        part.write(data)
        part.flush()
        os.fsync(part.fileno())
        try:
            os.link(part.name, path)  # the name appears with the whole content, or not at all
        except FileExistsError:
            raise Conflict(f"{path} exists; nothing is overwritten") from None
