"""The certificate room: what was granted to whom, by which authority, and whether it still holds.

One certificate is one row; the sealed PDF, the SD-JWT credential and the offline QR code are
renditions of that row, under one identifier, one state and one status slot. The room's story:

    identifier   numbers that carry their own check (GB/T 36904, GB 32100, GB 11643)
    catalogue/   certificate types, one TOML each; templates/ the pages they are printed on
    fields       from what was typed to the exact fields, with one error per broken rule
    rules        states as legal acts, four eyes, validity: pure decisions
    register     `Register`: who may read what
    drafts       `Drafts`: draft → submit → approve, by two people; drafting helps
    service      `Certificates`: issue → change_state
    issuing      make everything outside the transaction, keep it in one commit
    completing   time-stamps that could not be had when sealing, added later
    rendering    one A4 page as PDF/A-3b; a missing glyph fails it
    status       Token Status List: public a moment after the commit
    sheets, batch, batches, batch_worker    bulk: read, dry run, second officer, resumable issue
    fsck         registry, ledger and status lists compared
    http, commands            public machine routes; the command line

Promises: nothing is sealed that two different people have not seen, and only exactly that; a draft
becomes at most one certificate; whoever opens a certificate in office leaves an entry that its
holder can read; a change of state is public when the call returns.
"""

from certificates import identifier
from certificates.bulk.batches import Batches
from certificates.bulk.columns import (
    UnknownColumn,
)
from certificates.bulk.dry_run import (
    RowError,
)
from certificates.bulk.sheets import (
    MAX_BYTES,
)
from certificates.bulk.store import Batch, Progress
from certificates.catalogue import Catalogue, CertificateType
from certificates.errors import (
    EncodingNotConfirmed,
    InvalidCatalogue,
    UnknownColumns,
)
from certificates.models import (
    RECORD_FACTS,
    Certificate,
    CertificateRecord,
    Content,
    Draft,
    Listing,
)
from certificates.rules import (
    REASONS,
    TRANSITIONS,
    DraftState,
    State,
    civil_date,
    starts,
    state_at,
)
from certificates.service import Certificates

__all__ = [
    "MAX_BYTES",
    "REASONS",
    "RECORD_FACTS",
    "TRANSITIONS",
    "Batch",
    "Batches",
    "Catalogue",
    "Certificate",
    "CertificateRecord",
    "CertificateType",
    "Certificates",
    "Content",
    "Draft",
    "DraftState",
    "EncodingNotConfirmed",
    "InvalidCatalogue",
    "Listing",
    "Progress",
    "RowError",
    "State",
    "UnknownColumn",
    "UnknownColumns",
    "civil_date",
    "identifier",
    "starts",
    "state_at",
]
