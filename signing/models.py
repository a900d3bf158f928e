"""Tables and values of the seal registry, and what sealing and validating answer with.

A seal is an office; its picture and its key are versions of it. States are dated rows that are only
ever added, so that "was this seal valid at that moment?" is one look into an index.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from sqlalchemy import (
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from foundation.columns import UtcDateTime
from foundation.database import metadata
from keys import SigningOrder

seals = Table(
    "seals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False, index=True),
    Column("owner_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("code", Text, nullable=False, unique=True),
    Column("registered_at", UtcDateTime, nullable=False),
)

seal_versions = Table(
    "seal_versions",
    metadata,
    Column("seal_id", Text, ForeignKey("seals.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("use", Text, nullable=False, unique=True),
    Column("kid", Text, nullable=False),
    Column("certificate", LargeBinary, nullable=False),
    Column("certificate_digest", Text, nullable=False),
    Column("picture", LargeBinary, nullable=False),
    Column("svg", Text, nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("valid_until", UtcDateTime, nullable=False),
    UniqueConstraint("certificate_digest"),
)

seal_states = Table(
    "seal_states",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("seal_id", Text, ForeignKey("seals.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "seal_id", "since"),
)


class SealState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Seal:
    """A registered seal in its newest version.

    `name` is the statutory name on the arc, `owner` the department's 18-character code, `picture` a
    PDF form XObject, `use` the name under which `keys/` holds the private key.
    """

    id: str
    name: str
    owner: str
    owner_name: str
    code: str
    state: SealState
    version: int
    use: str
    kid: str
    certificate_digest: str
    valid_from: datetime
    valid_until: datetime
    picture: bytes = field(repr=False)
    svg: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealChange:
    """One line of a seal's history."""

    state: SealState
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """Two people have seen the content with this digest: one wrote it, another approved it.

    `reference` says where that is written down: a draft, a batch and row, an approval of the seal's
    use.
    """

    content_digest: str
    drafter: str
    approver: str
    approved_at: datetime
    reference: str = "direct"

    def order(self, now: datetime, *, purpose: str = "", actor: str = "") -> SigningOrder:
        """What the key room wants to know before the key of a seal signs; by the approver."""
        return SigningOrder(
            document=self.content_digest,
            approval=self.reference,
            drafter=self.drafter,
            approver=self.approver,
            approved_at=self.approved_at,
            actor=actor or self.approver,
            signed_at=now,
            purpose=purpose,
        )


# What a signature proves (EN 319 142-1 §6): who; also when; also with all evidence inside, so that
# nobody has to be asked in later years.
Level = Literal["B-B", "B-T", "B-LT"]


@dataclass(frozen=True, slots=True)
class SealedDocument:
    """A sealed file. `level` is the level reached, `digest` its base64url SHA-256.

    `time_stamp_pending` says that a time-stamp was wanted but could not be had: keep the file, and
    give it to `Signing.complete_pdf` later.
    """

    data: bytes
    level: Level
    digest: str
    kid: str
    signed_at: datetime
    time_stamp_pending: bool = False


CheckName = Literal["integrity", "seal", "authority", "time", "status", "validity"]
Result = Literal["pass", "fail", "unknown"]
Indication = Literal["valid", "invalid", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """One named question to a document; `code` is stable, `detail` is for people."""

    name: CheckName
    result: Result
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    """What is known about a document after asking all six questions.

    The room below certificates cannot answer `status` and `validity`; they stay "unknown" here and
    do not count. `indication` is "valid" only when the other four pass.
    """

    format: Literal["pdf", "unknown"]
    indication: Indication
    checks: tuple[Check, ...]
    digest: str = ""
    level: Level | Literal[""] = ""
    signer: str = ""
    kid: str = ""
    signed_at: datetime | None = None
    seal_id: str | None = None
    covers_whole_file: bool = False
    ours: bool = False
    signatures: int = 0
    attachments: Mapping[str, bytes] = field(default_factory=dict)

    def check(self, name: CheckName) -> Check:
        """The answer to one of the six questions."""
        return next(check for check in self.checks if check.name == name)
