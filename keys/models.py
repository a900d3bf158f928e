"""Tables and value types of the keys.

- A private key leaves its backend only wrapped (`handle`): an encrypted envelope or an HSM URI.
- One use has at most one active key, in whatever number of processes: a partial unique index.
- A certificate is never changed: renewal adds the next `number`, revocation fills two columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
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

from foundation.columns import JsonText, UtcDateTime
from foundation.database import metadata
from keys.encoding.algorithms import PublicKey
from keys.encoding.jose import VerificationKey
from keys.encoding.x509 import RevocationReason
from keys.policy import KeyPolicy


class KeyState(StrEnum):
    """staged (published, not used) → active (signs) → retiring (only verifies) → retired."""

    STAGED = "staged"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"


@dataclass(frozen=True)
class Key:
    """A key as everybody may see it. `public_jwk` carries kid, alg and use."""

    kid: str
    use: str
    version: int
    algorithm: str
    state: KeyState
    public_jwk: Mapping[str, Any]
    public_key: PublicKey = field(repr=False, compare=False)
    created_at: datetime
    activated_at: datetime | None = None
    retiring_at: datetime | None = None
    retired_at: datetime | None = None
    not_after: datetime | None = None
    per_minute: int | None = None

    @property
    def policy(self) -> KeyPolicy:
        """What this key may do; a private half opens under exactly this policy."""
        return KeyPolicy(self.use, self.version, self.not_after, self.per_minute)

    @cached_property
    def verification(self) -> VerificationKey:
        """This key as a verifier trusts it: one key, one algorithm."""
        return VerificationKey(self.public_key, (self.algorithm,), self.kid)


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature in JOSE form (r‖s for ES256) and what made it."""

    kid: str
    algorithm: str
    value: bytes


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One signature by order: `digest` is of the bytes signed, `document` of the content sealed."""

    at: datetime
    kid: str
    use: str
    digest: str
    document: str
    approval: str
    drafter: str
    approver: str
    actor: str
    purpose: str


@dataclass(frozen=True, slots=True)
class KeyCertificate:
    """An X.509 certificate of one of our keys; `serial` in lower-case hexadecimal."""

    serial: str
    kid: str
    issuer_kid: str
    profile: str
    number: int
    subject: Mapping[str, str]
    der: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    reason: RevocationReason | None = None


keys = Table(
    "keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("use", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("backend", Text, nullable=False),
    Column("handle", LargeBinary, nullable=False),
    Column("public_jwk", JsonText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("activated_at", UtcDateTime),
    Column("retiring_at", UtcDateTime),
    Column("retired_at", UtcDateTime),
    Column("not_after", UtcDateTime),
    Column("per_minute", Integer),
    UniqueConstraint("use", "version"),
)
Index(
    "uq_keys_active_use",
    keys.c.use,
    unique=True,
    sqlite_where=text("state = 'active'"),
    postgresql_where=text("state = 'active'"),
)

key_certificates = Table(
    "key_certificates",
    metadata,
    Column("serial", Text, primary_key=True),
    Column("kid", Text, ForeignKey("keys.kid"), nullable=False),
    Column("issuer_kid", Text, ForeignKey("keys.kid"), nullable=False),
    Column("profile", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("subject", JsonText, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("reason", Text),
    UniqueConstraint("kid", "profile", "number"),
)
Index(
    "ix_key_certificates_revoked",
    key_certificates.c.issuer_kid,
    key_certificates.c.revoked_at,
)

key_crls = Table(
    "key_crls",
    metadata,
    Column("issuer_kid", Text, ForeignKey("keys.kid"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("der", LargeBinary, nullable=False),
    Column("this_update", UtcDateTime, nullable=False),
    Column("next_update", UtcDateTime, nullable=False),
)

# What a key service destroyed: an old copy of a handle opens nothing there.
destroyed_keys = Table(
    "destroyed_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

# OCSP names an issuer by a hash of its key: SHA-1 or SHA-256, so each authority has two rows.
key_authority_hashes = Table(
    "key_authority_hashes",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("kid", Text, ForeignKey("keys.kid"), nullable=False),
)

key_ocsp_answers = Table(
    "key_ocsp_answers",
    metadata,
    Column("question", Text, primary_key=True),
    Column("serial", Text, ForeignKey("key_certificates.serial"), nullable=False, index=True),
    Column("der", LargeBinary, nullable=False),
    Column("this_update", UtcDateTime, nullable=False),
    Column("next_update", UtcDateTime, nullable=False),
)

# One row per signature by order, written before the signature exists; rows are only ever added.
key_uses = Table(
    "key_uses",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kid", Text, nullable=False),
    Column("use", Text, nullable=False),
    Column("digest", Text, nullable=False, index=True),
    Column("document", Text, nullable=False, index=True),
    Column("approval", Text, nullable=False),
    Column("drafter", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    CheckConstraint("drafter <> approver", name="two_people"),
    Index(None, "use", "id"),
)
