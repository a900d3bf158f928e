"""Between departments: may this department ask, is the certificate good, and who may see what.

A department names a certificate (number, file or QR code) and its reason (purpose, legal basis,
case); the answer is one verdict with six named checks, only the fields its purpose allows, and a
signed receipt. Before it leaves, the look is in the ledger, where the holder reads it.

    models           tables and values: Purpose, VerificationRequest, Verdict, ShowCode
    rules            six checks, one verdict, what is shown; pure
    messages         what is sent and answered, member by member; `openapi` describes it
    purposes         the registry: who may ask what about which type, and why
    applications     how a department comes by a purpose: applied, decided by another, ended
    consent          one-time codes by which a holder shows a certificate
    verification/    the question, its answer and its entry
    receipts/        signed answers that can be proved years later
    subscriptions/   told, by signed notices, that a status changed
    http · commands

Promises: no answer without purpose, basis and case; no answer before its entry is committed; an
unknown number and a forbidden one look the same; status is never cached.
"""

from exchange.applications import PurposeApplications
from exchange.consent import is_show_code
from exchange.models import (
    HOLDER_SHOW,
    PUBLIC_CHECK,
    BatchVerdict,
    Purpose,
    ShowCode,
    Verdict,
    VerificationRequest,
)
from exchange.purposes import Purposes
from exchange.receipts.checking import VerifiedReceipt, verify_receipt
from exchange.receipts.writing import (
    to_pem,
)
from exchange.store import end_show_codes_of
from exchange.subscriptions.service import Subscriptions
from exchange.verification.service import Verifications

__all__ = [
    "HOLDER_SHOW",
    "PUBLIC_CHECK",
    "BatchVerdict",
    "Purpose",
    "PurposeApplications",
    "Purposes",
    "ShowCode",
    "Subscriptions",
    "Verdict",
    "VerificationRequest",
    "Verifications",
    "VerifiedReceipt",
    "end_show_codes_of",
    "is_show_code",
    "to_pem",
    "verify_receipt",
]
