"""Signing: documents leave sealed, and come back to be judged.

    rules         four eyes, seal states, names: pure decisions
    cms           CMS/CAdES signatures from parts encoded once
    formats/      the tables of kinds: sealed PDF, CMS and JWS beside a file; SD-JWT VC, QR text
    trust/        why a signature is believed: paths, revocation, time
    seals/        whose seal, valid when, and who may use it: registry, appearance, permits
    foreign/      PDFs of others, through processes with little memory and time
    validation/   is this document what its authority sealed?
    uses          sealing under a permit
    service       `Signing`, what the packages above use
    http · commands

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
    SealApplication,
    SealedDocument,
    SealEntry,
    SealKind,
    SealState,
    SignatureFacts,
    Validation,
)
from signing.rules import (
    LONGEST_NAME,
    MAX_DOCUMENT,
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
from signing.uses import seal_under_permit
from signing.validation.reasons import (
    etsi,
    reason_for,
)
from signing.validation.service import MAX_SIGNATURE

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
    "SealApplication",
    "SealEntry",
    "SealHistory",
    "SealKind",
    "SealNotUsable",
    "SealState",
    "SealedDocument",
    "Seals",
    "SignatureFacts",
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
