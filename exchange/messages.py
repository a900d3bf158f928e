"""What departments send and get, member by member: the types of the machine interface.

Bodies that arrive are decoded into the structs; the functions that write an answer return the typed
dictionaries, so that a member can be neither forgotten nor made up. The API description is derived
from both (`openapi`). What stands in a `Meta` as JSON Schema is told, and not checked here: the
checks, and what is said about a mistake, are in `verification.requests`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypedDict

from msgspec import Meta, Struct

from exchange.models import CHECK_NAMES
from exchange.rules import Outcome
from foundation.schemas import described, needed
from signing import Check

MAX_BATCH: Final = 100
MAX_LENGTHS: Final = {
    "number": 128,
    "qr": 4_096,
    "purpose": 64,
    "legal_basis": 200,
    "case_ref": 100,
}


_Needed = described(required=True)
_Purpose = Annotated[str, needed("a code of GET /api/v1/purposes")]
_LegalBasis = Annotated[str, needed("one the purpose is registered with")]
_CaseRef = Annotated[str, needed("your case number; the holder sees it")]
_Number = Annotated[str, described(maxLength=MAX_LENGTHS["number"])]
_Time = Annotated[str, described(format="date-time")]


# ── what arrives ─────────────────────────────────────────────────────────────────────────────────


class VerificationBody(Struct, forbid_unknown_fields=True):
    """One question: a number, a document in base64 or the text of a QR code, and why."""

    number: _Number = ""
    document: Annotated[str, described(format="byte")] = ""
    qr: Annotated[str, described(maxLength=MAX_LENGTHS["qr"])] = ""
    purpose: _Purpose = ""
    legal_basis: _LegalBasis = ""
    case_ref: _CaseRef = ""


class BatchBody(Struct, forbid_unknown_fields=True):
    """Questions about up to `MAX_BATCH` numbers, all for one reason."""

    numbers: Annotated[list[_Number], described(required=True, minItems=1, maxItems=MAX_BATCH)] = []
    purpose: _Purpose = ""
    legal_basis: _LegalBasis = ""
    case_ref: _CaseRef = ""


class SubscriptionBody(Struct, forbid_unknown_fields=True):
    """Which certificate to follow, why, and where its notices go."""

    number: Annotated[_Number, _Needed] = ""
    url: Annotated[str, described(required=True, format="uri")] = ""
    purpose: _Purpose = ""
    legal_basis: _LegalBasis = ""
    case_ref: _CaseRef = ""


# ── what is answered; every member, every time ───────────────────────────────────────────────────


class VerdictAnswer(TypedDict):
    """The answer to one question, with its checks, its ledger entry and its receipt."""

    verdict: Annotated[str, described(enum=[str(each) for each in Outcome])]
    reason: Annotated[str, Meta(description="the code of the check that decided")]
    next_step: str
    checks: Annotated[
        Sequence[Check],
        Meta(
            description="each `code` is stable for ever; programs may match on it",
            min_length=len(CHECK_NAMES),
            max_length=len(CHECK_NAMES),
        ),
    ]
    type: str
    type_names: Mapping[str, str]
    issuing_authority: str
    authority_name: str
    fields: Mapping[str, str]
    predicates: Mapping[str, bool]
    purpose: str
    legal_basis: str
    case_ref: str
    checked_at: _Time
    entry_id: str
    receipt_id: str
    receipt: Annotated[str, Meta(description="compact JWS, typ yinzheng-receipt+jwt")]


class BatchAnswer(TypedDict):
    """The answers to many questions in the order asked, and the one receipt over them."""

    items: list[VerdictAnswer]
    receipt_id: str
    receipt: str
    checked_at: _Time


class SubscriptionAnswer(TypedDict):
    """A subscription as the program that has it reads it."""

    id: str
    url: str
    type: str
    purpose: str
    legal_basis: str
    case_ref: str
    created_at: _Time
    expires_at: _Time


class FollowedAnswer(SubscriptionAnswer):
    """A new subscription, and the certificate's verdict as it began."""

    verdict: VerdictAnswer
