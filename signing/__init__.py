"""The signing room: documents leave it sealed, and come back to be judged.

    appearance   the round red seal, drawn from its words
    seals        the registry: whose seal, which certificate, valid when (tables in models, store)
    permits      leave to use a seal: for a purpose, so often, by two people; `uses` seals with it
    rules        four eyes, seal states, names: pure decisions
    cms          CMS/CAdES signatures from parts encoded once
    trust        paths to our authority, time-stamps
    evidence     what a file carries so that nobody has to be asked in later years (B-LT)
    formats/     sealed PDF, CMS and JWS beside a file, SD-JWT VC, compact QR text
    foreign_…    PDFs of others: examined and sealed through processes with little memory and time
    checks       the questions every document is asked; `validation` asks them of each format
    reasons      every code in three languages and in the words of ETSI; `report` puts them together
    service      `Signing`, the door for the floors above

Promises: nothing is sealed that two different people have not seen; what is sealed is read back
before it leaves; a document to which anything was added after sealing is never called valid.
"""

from signing.errors import (
    CredentialRefused,
    SealNotUsable,
)
from signing.foreign.examination import (
    PUBLIC,
    Budget,
    budget_of,
)
from signing.models import (
    Application,
    Approval,
    Check,
    CheckName,
    Permit,
    Record,
    Seal,
    SealAct,
    SealedDocument,
    SealEntry,
    SealKind,
    SealState,
    SealWish,
    SignatureFacts,
    Validation,
)
from signing.rules import (
    LONGEST_NAME,
    must_be_usable,
    permit_state,
    stopped,
)
from signing.seals.history_store import SealHistory, read_histories
from signing.seals.permits import (
    LARGEST_QUOTA,
)
from signing.seals.registry import Seals
from signing.service import Signing
from signing.uses import SealPlace, SignatureForm, seal_under_permit
from signing.validation.reasons import (
    etsi,
    reason_for,
)
from signing.validation.service import (
    MAX_DOCUMENT,
    MAX_SIGNATURE,
)

__all__ = [
    "LARGEST_QUOTA",
    "LONGEST_NAME",
    "MAX_DOCUMENT",
    "MAX_SIGNATURE",
    "PUBLIC",
    "Application",
    "Approval",
    "Budget",
    "Check",
    "CheckName",
    "CredentialRefused",
    "Permit",
    "Record",
    "Seal",
    "SealAct",
    "SealEntry",
    "SealHistory",
    "SealKind",
    "SealNotUsable",
    "SealPlace",
    "SealState",
    "SealWish",
    "SealedDocument",
    "Seals",
    "SignatureFacts",
    "SignatureForm",
    "Signing",
    "Validation",
    "budget_of",
    "etsi",
    "must_be_usable",
    "permit_state",
    "read_histories",
    "reason_for",
    "seal_under_permit",
    "stopped",
]
