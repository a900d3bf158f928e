"""`documents validate` and `documents seal`: what an officer or a script does at a terminal.

Exit codes of `validate`: 0 valid, 3 invalid, 4 could not decide.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Protocol

import orjson
import typer

from foundation.canonical import b64url
from foundation.database import Database
from foundation.errors import Conflict
from signing.errors import UnknownPermit
from signing.formats.pdf_layout import Box
from signing.models import SealedDocument
from signing.report import to_json, to_lines
from signing.seals import Seals
from signing.service import Signing

_EXITS = {"valid": 0, "invalid": 3, "unknown": 4}


class Form(StrEnum):
    """A seal on a page of a PDF, or a signature beside any file."""

    PDF = "pdf"
    CMS = "cms"
    JWS = "jws"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a seal is seen on a PDF; the page is counted from 0."""

    box: Box
    page: int


class Rooms(Protocol):
    """What a house offers to these commands."""

    @property
    def database(self) -> Database: ...
    @property
    def seals(self) -> Seals: ...
    @property
    def signing(self) -> Signing: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


OpenRooms = Callable[[], AbstractContextManager[Rooms]]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable")]
ToSeal = Annotated[Path, typer.Argument(help="the file to seal", exists=True, dir_okay=False)]


def build(open_rooms: OpenRooms) -> typer.Typer:
    """The commands over a house that `open_rooms` opens and closes."""
    app = typer.Typer(help="Seal and validate documents.", no_args_is_help=True)

    @app.command()
    def validate(
        file: Annotated[Path, typer.Argument(help="a sealed document, or a signed file")],
        signature: Annotated[Path | None, typer.Option(help="the signature beside it")] = None,
        json: AsJson = False,
    ) -> None:
        """Say whether a document is sealed, by whom, when, and whether it is unchanged."""
        beside = signature.read_bytes() if signature else b""
        with open_rooms() as rooms:
            found = rooms.signing.validate(file.read_bytes(), beside)
        if json:
            typer.echo(orjson.dumps(to_json(found), option=orjson.OPT_INDENT_2))
        else:
            typer.echo("\n".join(to_lines(found)))
        raise typer.Exit(_EXITS[found.indication])

    @app.command()
    def seal(
        file: ToSeal,
        seal_id: Annotated[str, typer.Option("--seal", help="the seal's id")],
        permit: Annotated[str, typer.Option(help="the permit to use it (`seals permit`)")],
        purpose: Annotated[str, typer.Option(help="the purpose the permit is for")],
        output: Annotated[Path, typer.Option(help="where to write; must not exist")],
        form: Annotated[Form, typer.Option(help="on a page, or beside the file")] = Form.CMS,
        page: Annotated[int, typer.Option(help="the page of a PDF, counted from 1", min=1)] = 1,
        box: Annotated[
            tuple[float, float, float],
            typer.Option(help="left, bottom and side of the seal in points, from the lower left"),
        ] = (400.0, 100.0, 119.0),
    ) -> None:
        """Seal a file under a permit that two people gave: a PDF on a page, any file beside it."""
        if output.exists():
            raise Conflict(f"{output} exists; nothing is overwritten and nothing was sealed")
        with open_rooms() as rooms:
            place = Place(box, page - 1)
            done = sealed(rooms, file.read_bytes(), seal_id, permit, purpose, form, place)
        write_new(output, done.data)
        pending = ", time-stamp pending" if done.time_stamp_pending else ""
        typer.echo(f"{output}: {done.level}{pending}")

    return app


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


def sealed(
    rooms: Rooms,
    data: bytes,
    seal_id: str,
    permit: str,
    purpose: str,
    form: Form,
    place: Place,
) -> SealedDocument:
    """Seal the bytes as they are.

    The permit is spent before the seal is used: a use that failed is spent too, never the other way
    round. Raises `UnknownSeal`, `PermitNotUsable`, `PermitExhausted` and what `Signing` raises.
    """
    now, digest = rooms.clock(), b64url(hashlib.sha256(data).digest())
    seal = rooms.seals.get(seal_id)
    with rooms.database.write() as tx:
        if permit not in [each.id for each in rooms.seals.permits.of(tx, seal_id)]:
            raise UnknownPermit("there is no such permit for this seal")
        approval = rooms.seals.permits.spend(
            tx, permit, purpose=purpose, content_digest=digest, now=now
        )
    if form is Form.PDF:
        return rooms.signing.seal_foreign_pdf(
            seal, data, approval, now=now, box=place.box, page=place.page, reason=purpose
        )
    chosen: Literal["cms", "jws"] = "cms" if form is Form.CMS else "jws"
    return rooms.signing.seal_file(seal, data, approval, now=now, form=chosen, reason=purpose)
