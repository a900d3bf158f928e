"""Using a seal under a permit: one file, sealed as it is, for what two people agreed to.

The permit is spent before the seal is used: a use that failed is spent too, never the other way
round, so a permit for one file can never seal two.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from foundation.actor import Actor
from foundation.canonical import b64url
from foundation.database import Database
from signing.formats.pdf_layout import Box
from signing.models import SealedDocument
from signing.seals import Seals
from signing.service import Signing

USUAL_BOX: Box = (400.0, 100.0, 119.0)  # 42 mm in the lower right of an A4 page


class Form(StrEnum):
    """A seal on a page of a PDF, or a signature beside any file."""

    PDF = "pdf"
    CMS = "cms"
    JWS = "jws"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a seal is seen on a PDF; the page is counted from 0."""

    box: Box = USUAL_BOX
    page: int = 0


class Rooms(Protocol):
    """What using a seal needs of the house."""

    @property
    def database(self) -> Database: ...
    @property
    def seals(self) -> Seals: ...
    @property
    def signing(self) -> Signing: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


def seal_under_permit(
    rooms: Rooms,
    data: bytes,
    seal_id: str,
    permit_id: str,
    purpose: str,
    form: Form,
    place: Place,
    by: Actor | None = None,
) -> SealedDocument:
    """Seal the bytes as they are. `by` is the officer who does it; at a terminal nobody is known.

    Raises `UnknownSeal`, `UnknownPermit`, `PermitNotUsable`, `PermitExhausted` and what `Signing`
    raises.
    """
    now, digest = rooms.clock(), b64url(hashlib.sha256(data).digest())
    seal = rooms.seals.get(seal_id)
    with rooms.database.write() as tx:
        approval = rooms.seals.permits.spend(
            tx, seal_id, permit_id, purpose=purpose, content_digest=digest, now=now, by=by
        )
    if form is Form.PDF:
        return rooms.signing.seal_foreign_pdf(
            seal, data, approval, now=now, box=place.box, page=place.page, reason=purpose
        )
    chosen: Literal["cms", "jws"] = "cms" if form is Form.CMS else "jws"
    return rooms.signing.seal_file(seal, data, approval, now=now, form=chosen, reason=purpose)
