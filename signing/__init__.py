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

from signing.models import (
    Application,
    Approval,
    Check,
    Permit,
    Record,
    Seal,
    SealAct,
    SealedDocument,
    SealEntry,
    SealKind,
    SealState,
    SealWish,
    Validation,
)
from signing.seals.registry import Seals
from signing.service import Signing

__all__ = [
    "Application",
    "Approval",
    "Check",
    "Permit",
    "Record",
    "Seal",
    "SealAct",
    "SealEntry",
    "SealKind",
    "SealState",
    "SealWish",
    "SealedDocument",
    "Seals",
    "Signing",
    "Validation",
]
