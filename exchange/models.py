"""Tables and values of the exchange between departments.

    purposes            who may ask what about which type, and why
    purpose_applications  who applied for a purpose, who decided, and how it ended
    batch_receipts      which ledger entries one batch answer was made of
    show_codes          one-time codes by which a holder shows a certificate
    answered_requests   answers kept a day, from the commit of their entry on, so that a repeated
                        Idempotency-Key repeats the answer
    subscriptions       which program is told when the status of which certificate changes
    status_notices      what was to be told, and whether it was

There is no table of single receipts: a receipt is a signed reading of its ledger entry, which is
kept there, with its salts and values, under the ledger's own rules of erasure.

Nobody changes a question or an answer; classes that forbid it would cost every verification, which
makes a few of them at each step, some ten microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from foundation.columns import EncryptedText, JsonText, UtcDateTime
from foundation.database import metadata
from signing import Check

CHECK_NAMES = ("integrity", "seal", "authority", "time", "status", "validity")

EVERYONE = "*"  # the organisation of a purpose that anybody may use, signed in or not
PUBLIC_CHECK = "public-check"  # somebody holds the paper in hand and looks it up on /verify
HOLDER_SHOW = "holder-show"  # the holder shows the certificate by a one-time code
OPEN_PURPOSES = frozenset({PUBLIC_CHECK, HOLDER_SHOW})
CHANNELS = ("api", "portal", "terminal")
APPLICATION_STATES = ("applied", "approved", "refused", "withdrawn", "ended")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What one department may ask about certificates of one type, and on which legal bases.

    `names` maps a language ("zh-Hans", "zh-Hant", "en") to the purpose's name there. `fields` are
    catalogue field names; `predicates` are names of yes/no answers (`rules.PREDICATES`).
    """

    organisation: str
    type: str
    code: str
    names: Mapping[str, str]
    legal_bases: tuple[str, ...]
    fields: tuple[str, ...] = ()
    predicates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PurposeForm:
    """What a department applies for. Every field must be one that each of the types shows.

    `channel` is one of `CHANNELS`; `quota` counts questions a day, `retention_days` how long the
    department keeps an answer: both are what it binds itself to, and what the public reads. What
    was granted before there were applications has no item, no channel and zeros: not stated.
    """

    organisation: str
    code: str
    service_item: str
    legal_bases: tuple[str, ...]
    types: tuple[str, ...]
    fields: tuple[str, ...]
    predicates: tuple[str, ...]
    channel: str
    retention_days: int
    quota: int


@dataclass(frozen=True, slots=True)
class PurposeApplication:
    """A form, who applied, who decided and who ended it; `state` is one of `APPLICATION_STATES`."""

    id: str
    form: PurposeForm
    state: str
    applied_by: str
    applied_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None
    reason: str


@dataclass(slots=True)
class VerificationRequest:
    """What to check (exactly one of the first three) and why (all of the last three).

    `number` is a certificate number or a full identifier, `document` the bytes of a file, `qr_text`
    what a QR code says. `media_type` of the document is not trusted and therefore not asked for.
    """

    number: str = ""
    document: bytes = b""
    qr_text: str = ""
    purpose: str = ""
    legal_basis: str = ""
    case_ref: str = ""

    @property
    def asked_by(self) -> str:
        """Which of the three ways was used: "number", "document" or "qr"."""
        if self.document:
            return "document"
        return "qr" if self.qr_text else "number"


@dataclass(slots=True)
class Verdict:
    """The answer: one verdict, the six checks behind it, the fields the purpose allows.

    `receipt` is a compact JWS (typ "yinzheng-receipt+jwt"); `entry_id` names the ledger entry that
    was committed before this answer left. `type` and the authority are empty when nothing was
    found or nothing may be said.
    """

    verdict: str
    checks: tuple[Check, ...]
    fields: Mapping[str, Any]
    predicates: Mapping[str, bool]
    type: str
    issuing_authority: str
    authority_name: str
    purpose: str
    legal_basis: str
    case_ref: str
    checked_at: datetime
    entry_id: str
    receipt_id: str
    receipt: str
    reason: str = ""
    next_step: str = ""
    identifier: str = field(default="", compare=False)  # for pages of ours; never sent to an asker


@dataclass(frozen=True, slots=True)
class BatchVerdict:
    """Many answers and one receipt over all of them. Each item has its own ledger entry."""

    items: tuple[Verdict, ...]
    receipt_id: str
    receipt: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class ShowCode:
    """A code for one certificate, one look, one minute. `token` is shown once, never stored."""

    token: str
    identifier: str
    expires_at: datetime


purposes = Table(
    "purposes",
    metadata,
    Column("organisation", String(18), primary_key=True),
    Column("code", String(64), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("names", JsonText, nullable=False),
    Column("legal_bases", JsonText, nullable=False),
    Column("fields", JsonText, nullable=False),
    Column("predicates", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("application", Text),
)

purpose_applications = Table(
    "purpose_applications",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organisation", String(18), nullable=False),
    Column("code", String(64), nullable=False),
    Column("service_item", Text, nullable=False),
    Column("legal_bases", JsonText, nullable=False),
    Column("types", JsonText, nullable=False),
    Column("fields", JsonText, nullable=False),
    Column("predicates", JsonText, nullable=False),
    Column("channel", Text, nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("quota", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    Column("ended_by", Text),
    Column("ended_at", UtcDateTime),
    Column("reason", Text, nullable=False),
    CheckConstraint("decided_by <> applied_by", name="two_people"),
    CheckConstraint(
        "state IN ('applied', 'approved', 'refused', 'withdrawn', 'ended')", name="state"
    ),
    CheckConstraint(
        "state NOT IN ('approved', 'refused', 'ended') OR decided_by IS NOT NULL",
        name="decided_by_somebody",
    ),
    Index(None, "state", "applied_at"),
)

batch_receipts = Table(
    "batch_receipts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("entry_ids", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

show_codes = Table(
    "show_codes",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("certificate", String(128), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("shown_by", String(128), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("opened_at", UtcDateTime),
    # Of a code that a person opened: SHA-256 of the browser's word, and what it may see again.
    Column("seen_by", LargeBinary(32)),
    Column("answer", EncryptedText("show_codes.answer")),
)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A program that is told when the status of one certificate changes, and why it may be."""

    id: str
    client: str
    organisation: str
    certificate: str
    type: str
    purpose: str
    legal_basis: str
    case_ref: str = field(repr=False)
    url: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeNotice:
    """One change that a program was to be told of. `problem` is what the last attempt met."""

    id: str
    subscription: str
    occurred_at: datetime
    attempts: int
    problem: str
    delivered_at: datetime | None
    given_up_at: datetime | None


answered_requests = Table(
    "answered_requests",
    metadata,
    Column("client", String(128), primary_key=True),
    Column("idempotency_key", String(255), primary_key=True),
    Column("body_digest", String(43), nullable=False),
    Column("answer", EncryptedText("answered_requests.answer")),  # as it leaves, or still unsigned
    Column("started_at", UtcDateTime, nullable=False),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("client", String(128), nullable=False, index=True),
    Column("organisation", String(18), nullable=False),
    Column("certificate", String(128), nullable=False),
    Column("type", String(64), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("legal_basis", Text, nullable=False),
    Column("case_ref", EncryptedText("subscriptions.case_ref"), nullable=False),
    Column("url", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    UniqueConstraint("certificate", "client"),
)

status_notices = Table(
    "status_notices",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("subscription", String(43), nullable=False, index=True),
    Column("occurred_at", UtcDateTime, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("given_up_at", UtcDateTime),
)
