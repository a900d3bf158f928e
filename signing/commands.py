"""`documents validate` and `documents seal`: what an officer or a script does at a terminal.

Exit codes of `validate`: 0 valid, 3 invalid, 4 could not decide.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Protocol

import orjson
import typer

from foundation.canonical import b64url
from foundation.errors import Malformed
from signing.models import Approval, SealedDocument
from signing.report import to_json, to_lines
from signing.seals import Seals
from signing.service import Signing

_EXITS = {"valid": 0, "invalid": 3, "unknown": 4}


class Rooms(Protocol):
    """What a house offers to these commands."""

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
        drafter: Annotated[str, typer.Option(help="who prepared the file")],
        approver: Annotated[str, typer.Option(help="who approved it; somebody else")],
        output: Annotated[Path, typer.Option(help="where to write; must not exist")],
        reference: Annotated[str, typer.Option(help="where the approval is written down")],
        form: Annotated[str, typer.Option(help="cms or jws: a signature beside the file")] = "cms",
    ) -> None:
        """Seal a file that two people have seen."""
        with open_rooms() as rooms:
            done = sealed(rooms, file.read_bytes(), seal_id, drafter, approver, reference, form)
        with output.open("xb") as stream:
            stream.write(done.data)
        pending = ", time-stamp pending" if done.time_stamp_pending else ""
        typer.echo(f"{output}: {done.level}{pending}")

    return app


def sealed(
    rooms: Rooms,
    data: bytes,
    seal_id: str,
    drafter: str,
    approver: str,
    reference: str,
    form: str,
) -> SealedDocument:
    """Seal the bytes as they are; the approval names exactly them."""
    now = rooms.clock()
    digest = b64url(hashlib.sha256(data).digest())
    approval = Approval(digest, drafter, approver, now, reference)
    chosen: Literal["cms", "jws"]
    if form == "cms":
        chosen = "cms"
    elif form == "jws":
        chosen = "jws"
    else:
        raise Malformed(f"{form} is no form", next_step="Choose cms or jws.")
    seal = rooms.seals.get(seal_id)
    return rooms.signing.seal_file(seal, data, approval, now=now, form=chosen, reason=reference)
