"""Tables and values of certificates.

One row is one certificate; its PDF, credential and offline code are renditions of that row, with
one identifier, state and status slot. The database guards what must never happen twice (identifier,
number per authority, status slot, certificate per draft or row) or ever (drafter = approver).
Holder and fields are encrypted; `subject` is the holder's blind index, `name_index` the name's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property

import orjson
from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from certificates.digests import RECORD_FACTS, digest_of_record, digest_over
from certificates.rules import DraftState, State
from foundation.columns import EncryptedJson, JsonText, UtcDateTime
from foundation.database import metadata
from foundation.encryption import FieldCipher

# Prefix search needs byte order; SQLite has no other order anyway.
_ByteOrdered = Text().with_variant(String(collation="C"), "postgresql")

# Where an encrypted value belongs; it opens nowhere else.
FIELDS = "certificates.fields"
HOLDER_CODE = "certificates.holder_code"
HOLDER_NAME = "certificates.holder_name"

drafts = Table(
    "drafts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("authority_name", Text, nullable=False),
    Column("identifier", Text, nullable=False, unique=True),
    Column("qr_token", Text, nullable=False, unique=True),
    Column("number", _ByteOrdered, nullable=False),
    Column("fields", EncryptedJson("drafts.fields"), nullable=False),
    Column("seal_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("content_digest", Text, nullable=False, default=""),
    Column("drafter", Text, nullable=False),
    Column("drafter_name", Text, nullable=False),
    Column("approver", Text),
    Column("approver_name", Text, nullable=False, default=""),
    Column("approved_at", UtcDateTime),
    Column("returned_because", Text, nullable=False, default=""),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("revision", Integer, nullable=False),
    CheckConstraint("approver IS NULL OR approver <> drafter", name="four_eyes"),
    CheckConstraint(
        "state NOT IN ('approved', 'sealed') OR (approver IS NOT NULL AND content_digest <> '')",
        name="approved_by_somebody",
    ),
    CheckConstraint(
        "state IN ('draft', 'submitted', 'returned', 'approved', 'sealed')", name="state"
    ),
    UniqueConstraint("authority", "number"),
    Index(None, "authority", "state", "id"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("id", Text, primary_key=True),
    Column("identifier", Text, nullable=False, unique=True),
    Column("number", _ByteOrdered, nullable=False),
    Column("type", Text, nullable=False),
    Column("type_version", Integer, nullable=False),
    Column("issuing_authority", Text, nullable=False),
    Column("authority_name", Text, nullable=False),
    Column("holder_kind", Text, nullable=False),
    Column("holder_code", LargeBinary, nullable=False),  # encrypted, as `fields`
    Column("holder_name", LargeBinary, nullable=False),  # encrypted
    Column("subject", Text, nullable=False),
    Column("name_index", Text, nullable=False),
    Column("fields", LargeBinary, nullable=False),  # encrypted JSON
    Column("issued_on", Date, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_until", Date),
    Column("state", Text, nullable=False),
    Column("state_since", UtcDateTime, nullable=False),
    Column("state_reason", Text, nullable=False, default=""),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("status_list", Integer, ForeignKey("status_lists.id"), nullable=False),
    Column("status_index", Integer, nullable=False),
    Column("qr_token", Text, nullable=False, unique=True),
    Column("record_digest", Text, nullable=False),
    Column("content_digest", Text, nullable=False),
    Column("seal_id", Text, nullable=False),
    Column("credential_format", Text, nullable=False, server_default="dc+sd-jwt"),
    Column("drafter", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("approved_at", UtcDateTime, nullable=False),
    Column("draft_id", Text, ForeignKey("drafts.id"), unique=True),
    Column("batch_id", Text, ForeignKey("batches.id")),
    Column("batch_row", Integer),
    UniqueConstraint("issuing_authority", "number"),
    UniqueConstraint("status_list", "status_index"),
    UniqueConstraint("batch_id", "batch_row"),
    CheckConstraint("drafter <> approver", name="four_eyes"),
    CheckConstraint("valid_until IS NULL OR valid_until >= valid_from", name="dates_in_order"),
    CheckConstraint(
        "(draft_id IS NULL) <> (batch_id IS NULL) AND (batch_id IS NULL) = (batch_row IS NULL)",
        name="one_origin",
    ),
    CheckConstraint(
        "state IN ('active', 'suspended', 'withdrawn', 'revoked', 'cancelled', 'superseded')",
        name="state",
    ),
    Index(None, "number"),
    Index(None, "subject"),
    Index(None, "issuing_authority", "id"),
    Index(None, "issuing_authority", "name_index"),
)

renditions = Table(
    "renditions",
    metadata,
    Column("certificate_id", Text, ForeignKey("certificates.id"), primary_key=True),
    Column("format", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("digest", Text, nullable=False),
)

status_lists = Table(
    "status_lists",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
)

# Appended to, never changed: the history of every slot. `version` counts the list's changes and is
# taken under a lock on the list's row, so that a reader who has seen n never misses n - 1.
status_changes = Table(
    "status_changes",
    metadata,
    Column("list_id", Integer, ForeignKey("status_lists.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("slot", Integer, nullable=False),
    Column("value", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    CheckConstraint("value IN (0, 1, 2)", name="value"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("mapping", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("authority_name", Text, nullable=False),
    Column("seal_id", Text, nullable=False, default=""),
    Column("filename", Text, nullable=False),
    Column("file_digest", Text, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("error_count", Integer, nullable=False),
    Column("errors", JsonText, nullable=False),
    Column("notice_count", Integer, nullable=False),
    Column("notices", JsonText, nullable=False),
    Column("unknown_columns", JsonText, nullable=False, default=list, server_default="[]"),
    Column("waived_columns", JsonText, nullable=False, default=list, server_default="[]"),
    Column("strange_rows", JsonText, nullable=False, default=list, server_default="[]"),
    Column("state", Text, nullable=False),
    Column("content_digest", Text, nullable=False),
    Column("drafter", Text, nullable=False),
    Column("drafter_name", Text, nullable=False),
    Column("approver", Text),
    Column("approver_name", Text, nullable=False, default=""),
    Column("approved_at", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("round", Integer, nullable=False, default=0),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("approver IS NULL OR approver <> drafter", name="four_eyes"),
    CheckConstraint(
        "state IN ('checked', 'submitted', 'returned', 'running', 'paused', 'done')", name="state"
    ),
    CheckConstraint("state = 'checked' OR error_count = 0", name="no_errors"),
    CheckConstraint(
        "state NOT IN ('running', 'paused', 'done') OR approver IS NOT NULL",
        name="approved_by_somebody",
    ),
    Index(None, "authority", "id"),
)

batch_rows = Table(
    "batch_rows",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.id"), primary_key=True),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("number", Text, nullable=False),
    Column("identifier", Text, nullable=False, unique=True),
    Column("qr_token", Text, nullable=False, unique=True),
    Column("fields", EncryptedJson("batch_rows.fields"), nullable=False),
    Column("content_digest", Text, nullable=False, default=""),
    Column("outcome", Text, nullable=False),
    Column("outcome_on", Date),
    Column("state", Text, nullable=False),
    Column("problem", Text, nullable=False, default=""),
    CheckConstraint("state IN ('waiting', 'issued', 'failed')", name="state"),
    Index(None, "batch_id", "state", "row"),
)

# The work list of a batch: one row a job. Progress is a sum over these, never over a million rows.
batch_chunks = Table(
    "batch_chunks",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.id"), primary_key=True),
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("issued", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("changed_at", UtcDateTime),
)


@dataclass(frozen=True)
class Content:
    """Exactly what two people agree to: everything a reader of the sealed page can rely on.

    `type_digest` and `template_hash` bind the words and the page it is printed with, so a template
    swapped between approval and sealing is another content (attack 49).
    """

    identifier: str
    number: str
    type: str
    type_version: int
    type_digest: str
    template_hash: str
    authority: str
    authority_name: str
    seal_id: str
    qr_token: str
    fields: Mapping[str, str]
    issued_on: date
    valid_from: date
    valid_until: date | None

    @cached_property
    def digest(self) -> str:
        """Base64url SHA-256 of the canonical JSON of all of it."""
        return digest_over(self.__dataclass_fields__, vars(self), self.fields)


@dataclass(frozen=True, slots=True)
class Draft:
    """A certificate on its way to the seal; its fields always satisfy its type."""

    id: str
    type: str
    authority: str
    authority_name: str
    identifier: str
    number: str
    fields: Mapping[str, str] = field(repr=False)
    state: DraftState
    content_digest: str
    drafter: str
    drafter_name: str
    approver: str | None
    approver_name: str
    approved_at: datetime | None
    returned_because: str
    seal_id: str
    qr_token: str
    created_at: datetime
    changed_at: datetime
    revision: int


@dataclass(frozen=True)
class Certificate:
    """One certificate as the registry holds it; what is encrypted opens when first looked at.

    `state` is the stored one, `act_…` the ledger's last act on it; `credential` the rendition in
    `credential_format` that vouches for the record, or "". `record_digest` covers every fact that
    never changes, and stands in the entry of its issue.
    """

    id: str
    identifier: str
    number: str
    type: str
    type_version: int
    issuing_authority: str
    authority_name: str
    holder_kind: str
    subject: str
    issued_on: date
    valid_from: date
    valid_until: date | None
    state: State
    state_since: datetime
    state_reason: str
    issued_at: datetime
    status_list: int
    status_index: int
    qr_token: str
    record_digest: str
    content_digest: str
    seal_id: str
    drafter: str
    approver: str
    approved_at: datetime
    credential_format: str
    credential: str = field(repr=False)
    sealed_fields: bytes = field(repr=False)
    sealed_holder_code: bytes = field(repr=False)
    sealed_holder_name: bytes = field(repr=False)
    act_ordinal: int | None
    act_entry: str | None = field(repr=False)
    act_tag: str | None = field(repr=False)
    cipher: FieldCipher = field(repr=False)

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The certificate's fields by name."""
        opened: dict[str, str] = orjson.loads(self.cipher.decrypt(self.sealed_fields, FIELDS))
        return opened

    @cached_property
    def holder_code(self) -> str:
        """The holder's code, decrypted when first read."""
        return self.cipher.decrypt(self.sealed_holder_code, HOLDER_CODE).decode()

    @cached_property
    def holder_name(self) -> str:
        """The holder's name, decrypted when first read."""
        return self.cipher.decrypt(self.sealed_holder_name, HOLDER_NAME).decode()

    @property
    def is_intact(self) -> bool:
        """Is the row still what was issued? Opens the fields."""
        facts = {name: getattr(self, name) for name in RECORD_FACTS}
        return self.record_digest == digest_of_record(facts, self.fields)


CertificateRecord = Certificate


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of a list. The holder's name is masked for persons: a list is not a look-up."""

    id: str
    subject: str = field(repr=False)
    identifier: str
    number: str
    type: str
    holder_name: str
    state: State
    issued_on: date
    valid_from: date
    valid_until: date | None


def new_id(now: datetime, randomness: bytes) -> str:
    """32 hexadecimal digits that order by time: 48 bits of milliseconds, 80 random bits."""
    return f"{int(now.astimezone(UTC).timestamp() * 1000):012x}{randomness.hex()[:20]}"
