"""Tables of the ledger, and what a citizen sees of an entry.

- `ledger_outbox` holds entries that are committed but not yet numbered; the integrator moves them
  to `ledger_entries`, where `seq` has no gaps and nothing is ever changed.
- `ledger_tiles` holds one row per tile; the rightmost of a level still grows.
- `ledger_checkpoints` holds every tree head that was ever signed.
- `ledger_accesses` says whom and which certificate an entry concerns, by pseudonym only. The words
  come from the leaf itself, so the citizen reads exactly what the log holds.
- `ledger_openings` holds, encrypted, the salts and values behind the leaf's commitments. Deleting
  the row forgets them.
- `ledger_status_acts` holds the last act on the status of each certificate, keyed: a witness that
  the registry's row is held against (`ledger/acts.py`). `record` is the registry's name of the row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from foundation.columns import UtcDateTime
from foundation.database import metadata

# In SQLite only INTEGER is the row's own number; it holds 64 bits there anyway.
_Number = BigInteger().with_variant(Integer, "sqlite")

ledger_outbox = Table(
    "ledger_outbox",
    metadata,
    Column("entry_id", Text, primary_key=True),
    Column("leaf", LargeBinary, nullable=False),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("entry_id", Text, nullable=False, unique=True),
    Column("leaf", LargeBinary, nullable=False),
)

ledger_tiles = Table(
    "ledger_tiles",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("number", _Number, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

ledger_checkpoints = Table(
    "ledger_checkpoints",
    metadata,
    Column("size", _Number, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

ledger_accesses = Table(
    "ledger_accesses",
    metadata,
    Column("entry_id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("erased", Boolean, nullable=False, default=False),
)
Index("ix_ledger_accesses_subject", ledger_accesses.c.subject, ledger_accesses.c.entry_id)
Index("ix_ledger_accesses_certificate", ledger_accesses.c.certificate, ledger_accesses.c.entry_id)

ledger_openings = Table(
    "ledger_openings",
    metadata,
    Column("entry_id", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

ledger_status_acts = Table(
    "ledger_status_acts",
    metadata,
    Column("record", Text, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("tag", Text, nullable=False),
    CheckConstraint("ordinal > 0", name="ordinal"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One entry as the person concerned reads it.

    `seq` is its number in the log, None until it is integrated (about a second). What was erased
    is empty. `private` are the entry's private values by name. `purpose` and `legal_basis` are read
    from there when the asker's words were nobody's but their own.
    """

    entry_id: str
    seq: int | None
    at: datetime
    kind: str
    actor_kind: str
    actor_name: str
    organisation: str
    organisation_name: str
    purpose: str
    legal_basis: str
    case_ref: str
    verdict: str
    disclosed: tuple[str, ...]
    details: Mapping[str, str]
    private: Mapping[str, str]
    subject: str
    certificate: str


def access_of(facts: Mapping[str, Any], opened: Mapping[str, str], seq: int | None) -> Access:
    """A leaf's facts and its opened commitments, as one `Access`."""
    actor = facts["actor"]
    return Access(
        entry_id=facts["id"],
        seq=seq,
        at=datetime.fromisoformat(facts["at"]),
        kind=facts["kind"],
        actor_kind=actor["kind"],
        actor_name=actor.get("name") or opened.get("actor_name", ""),
        organisation=actor.get("organisation", ""),
        organisation_name=actor.get("organisation_name", ""),
        purpose=facts.get("purpose") or opened.get("private.purpose", ""),
        legal_basis=facts.get("legal_basis") or opened.get("private.legal_basis", ""),
        case_ref=opened.get("case_ref", ""),
        verdict=facts.get("verdict", ""),
        disclosed=tuple(facts.get("disclosed", ())),
        details=facts.get("details", {}),
        private={
            name.removeprefix("private."): value
            for name, value in opened.items()
            if name.startswith("private.")
        },
        subject=opened.get("subject", ""),
        certificate=opened.get("certificate", ""),
    )


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What a complete recomputation found; `problems` name the first bad index of their kind."""

    size: int
    problems: tuple[str, ...]
    checkpoints: int = 0
    erased: int = 0

    @property
    def ok(self) -> bool:
        """Whether no problem was found."""
        return not self.problems
