"""Certificates: what was granted to whom, by which authority, and whether it still holds.

One certificate is one row; the sealed PDF, the SD-JWT credential and the offline QR code are
renditions of that row, under one identifier, one state and one status slot.

    identifier   numbers that carry their own check (GB/T 36904)
    catalogue/   certificate types, one TOML each; templates/ the pages they are printed on
    rules        states as legal acts, four eyes, validity: pure decisions
    issuing/     draft → submit → approve → issue, by two people
    register/    what was issued, its state, and who may read it
    bulk/        a register from a file: dry run, second officer, resumable issue
    service      `Certificates`, what the packages above use
    http · commands   public machine routes; the command line

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
from certificates.digests import RECORD_FACTS
from certificates.errors import (
    EncodingNotConfirmed,
    InvalidCatalogue,
    UnknownColumns,
)
from certificates.issuing.rendering import Renderer
from certificates.models import (
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
    "Renderer",
    "RowError",
    "State",
    "UnknownColumn",
    "UnknownColumns",
    "civil_date",
    "identifier",
    "starts",
    "state_at",
]
