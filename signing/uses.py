"""Using a seal under a permit: one file, sealed as it is, for what two people agreed to.

What is spent is spent last: the file is sealed and checked first, then the use of permit and key is
recorded in one transaction, and what was sealed leaves only with its commit. A use that failed
costs nothing, and however many are made at once, a permit for one file never lets two leave.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from foundation.actor import Actor
from foundation.canonical import b64url
from foundation.database import Database
from keys import PendingUses
from signing.formats import SealPlace, SignatureFormat
from signing.models import SealedDocument
from signing.seals.registry import Seals
from signing.service import Signing


class SealUseServices(Protocol):
    """What using a seal needs of the installation."""

    @property
    def database(self) -> Database:
        """Where the use of the permit is written down."""

    @property
    def seals(self) -> Seals:
        """The register of seals and their permits."""

    @property
    def signing(self) -> Signing:
        """What signs the file."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """What time it is."""


def seal_under_permit(
    services: SealUseServices,
    data: bytes,
    seal_id: str,
    permit_id: str,
    purpose: str,
    form: SignatureFormat,
    place: SealPlace,
    by: Actor | None = None,
) -> SealedDocument:
    """Seal the bytes as they are, in one of `SIGNATURES`. `by` is the officer who does it; at a
    terminal nobody is known.

    Raises `UnknownSeal`, `UnknownPermit`, `PermitNotUsable`, `PermitExhausted` and what `Signing`
    raises.
    """
    now, digest = services.clock(), b64url(hashlib.sha256(data).digest())
    seal, permits = services.seals.get(seal_id), services.seals.permits
    asked: dict[str, Any] = {"purpose": purpose, "content_digest": digest, "now": now, "by": by}
    # 1. May the seal be used at all? Asking spends nothing.
    with services.database.read() as tx:
        approval = permits.approval(tx, seal_id, permit_id, **asked)
    # 2. Whatever can go wrong with file, key and time-stamp goes wrong here.
    pending_uses = PendingUses()
    sealed = services.signing.seal_file(
        seal,
        data,
        approval,
        now=now,
        form=form.name,
        place=place,
        reason=purpose,
        pending_uses=pending_uses,
    )
    # 3. The use of permit and key is kept, or neither; only then does the file leave.
    with services.database.write() as tx:
        permits.spend(tx, seal_id, permit_id, **asked)
        services.signing.keep(tx, seal, pending_uses)
    return sealed
