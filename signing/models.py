"""Tables and values of the seal registry, and what sealing and validating answer with.

A seal is an office; its picture and its key are versions of it. States are dated rows that are only
ever added, so that "was this seal valid at that moment?" is one look into an index. That two people
agreed to a seal, and to its use, is a constraint of the database.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from foundation.actor import Actor
from foundation.columns import UtcDateTime
from foundation.database import Tx, metadata
from keys import SigningAuthorization

seals = Table(
    "seals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False, index=True),
    Column("owner_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("code", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("keeper", Text, nullable=False),
    Column("keeper_name", Text, nullable=False),
    Column("registered_at", UtcDateTime, nullable=False),
)

# One application per version of a seal: the first asks for the seal, the others for a new key or
# picture. After a rejected one the next may be applied for.
seal_applications = Table(
    "seal_applications",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("seal_id", Text, ForeignKey("seals.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("decision", Text),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    Column("note", Text, nullable=False),
    CheckConstraint("decided_by <> applied_by", name="two_people"),
)
_NOT_REJECTED = text("decision IS NULL OR decision = 'approved'")
Index(
    "uq_seal_applications_version",
    seal_applications.c.seal_id,
    seal_applications.c.version,
    unique=True,
    sqlite_where=_NOT_REJECTED,
    postgresql_where=_NOT_REJECTED,
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
    Column("made_by", Text, nullable=False),
    Column("made_at", UtcDateTime, nullable=False),
    Column("filing", Text, nullable=False),
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

seal_permits = Table(
    "seal_permits",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seal_id", Text, ForeignKey("seals.id"), nullable=False, index=True),
    Column("purpose", Text, nullable=False),
    Column("quota", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", UtcDateTime),
    Column("valid_until", UtcDateTime, nullable=False),
    Column("withdrawn_by", Text),
    Column("withdrawn_at", UtcDateTime),
    CheckConstraint("approved_by <> asked_by", name="two_people"),
    CheckConstraint("used >= 0 AND used <= quota", name="quota"),
)


class SealState(StrEnum):
    """The life of a seal: 申请, 审批, 制作, 备案, 使用, 注销."""

    APPLIED = "applied"
    REJECTED = "rejected"
    APPROVED = "approved"
    MADE = "made"
    FILED = "filed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    DESTROYED = "destroyed"


# Where a seal is that was in use and must not be used now.
STOPPED = frozenset({SealState.SUSPENDED, SealState.REVOKED, SealState.DESTROYED})


class SealKind(StrEnum):
    """What a seal speaks for (国办发〔2025〕33号 art. 3)."""

    STATUTORY = "statutory"
    DEPARTMENT = "department"
    BUSINESS = "business"


@dataclass(frozen=True, slots=True)
class SealApplication:
    """What somebody applies for.

    `owner` is the department's 18-character code, `name` the statutory name on the arc, `code` the
    seal code below, `line` what stands under the star of a department or business seal, `keeper`
    the id of the person who answers for it.
    """

    owner: str
    owner_name: str
    name: str
    code: str
    kind: SealKind = SealKind.STATUTORY
    line: str = ""
    keeper: str = ""
    keeper_name: str = ""


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
    kind: SealKind = SealKind.STATUTORY
    line: str = ""
    keeper: str = ""
    keeper_name: str = ""


@dataclass(frozen=True, slots=True)
class Application:
    """Somebody's application for a seal, or for a new version of one, and what another decided."""

    seal_id: str
    version: int
    reason: str
    applied_by: str
    applied_at: datetime
    decision: Literal["approved", "rejected"] | None
    decided_by: str | None
    decided_at: datetime | None
    note: str


@dataclass(frozen=True, slots=True)
class SealEntry:
    """A line of the register, from the application on; `version` is 0 before anything is made.

    `waiting` is the application that nobody has decided yet.
    """

    id: str
    name: str
    line: str
    kind: SealKind
    owner: str
    owner_name: str
    code: str
    keeper: str
    keeper_name: str
    state: SealState
    since: datetime
    version: int
    waiting: Application | None


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to use a seal for one purpose, so often, until a day."""

    id: str
    seal_id: str
    purpose: str
    quota: int
    used: int
    asked_by: str
    asked_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    valid_until: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class SealChange:
    """One line of a seal's history."""

    state: SealState
    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SealAct:
    """Something that was done to a seal or a permit, for the ledger.

    `kind` is a stable word ("seal.suspended"); `details` are codes that anybody may read; `private`
    is what people wrote.
    """

    kind: str
    seal_id: str
    by: Actor
    at: datetime
    details: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)


# Keeps an act, in the transaction that takes it; this package does not know the ledger.
Record = Callable[[Tx, SealAct], None]


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

    def order(self, now: datetime, *, purpose: str = "", actor: str = "") -> SigningAuthorization:
        """What a key's policy wants to know before the key of a seal signs; by the approver."""
        return SigningAuthorization(
            document=self.content_digest,
            approval=self.reference,
            drafter=self.drafter,
            approver=self.approver,
            approved_at=self.approved_at,
            actor=actor or self.approver,
            signed_at=now,
            purpose=purpose,
        )


# Where a seal is seen on a page: left, bottom and side in points, from the lower left corner.
Box = tuple[float, float, float]

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
class SignatureFacts:
    """One signature of a document: by whom, when, how much of the file it covers, what followed.

    `coverage` is file, revision (something was added later) or other; `changes` since it was made
    are none, maintenance (evidence and time-stamps only), form or other.
    """

    signer: str
    signed_at: datetime | None
    time_proved: bool
    coverage: str
    changes: str


@dataclass(frozen=True, slots=True)
class SealFacts:
    """The registered seal behind a signature, in the state it had at the moment of signing."""

    seal_id: str
    name: str
    owner: str
    owner_name: str
    state: str


@dataclass(frozen=True, slots=True)
class Validation:
    """What is known about a document after asking all six questions.

    `format` is the name of a signature format, or "unknown". This package, below certificates,
    cannot answer `status` and `validity`; they stay "unknown" here and do not count. `indication`
    is "valid" only when the other four pass.
    """

    format: str
    indication: Indication
    checks: tuple[Check, ...]
    digest: str = ""
    level: Level | Literal[""] = ""
    signer: str = ""
    kid: str = ""
    kids: tuple[str, ...] = ()
    signed_at: datetime | None = None
    seal_id: str | None = None
    seal: SealFacts | None = None
    covers_whole_file: bool = False
    ours: bool = False
    signatures: int = 0
    details: tuple[SignatureFacts, ...] = ()
    attachments: Mapping[str, bytes] = field(default_factory=dict)

    def check(self, name: CheckName) -> Check:
        """The answer to one of the six questions."""
        return next(check for check in self.checks if check.name == name)
