"""What can go wrong between departments; the verdict about a certificate is never an error.

Invalid
├── IncompleteVerification    422  incomplete_verification   what is missing, by pointer
├── PurposeNotAllowed         422  purpose_not_allowed       more than the catalogue allows
├── ReasonMissing             422  reason_missing            a decision or an end says why
├── UnusableAddress           422  unusable_address          no place that notices could be sent to
└── IdempotencyKeyReused      422  idempotency_key_reused    same key, another body
NotFound
├── ReceiptNotFound           404  receipt_not_found         not there, or another department's
├── CertificateNotHeld        404  certificate_not_held      not there, or somebody else's
├── ShowCodeUnknown           404  show_code_unknown
├── NothingToFollow           404  nothing_to_follow         not there, or not for this purpose
├── ApplicationNotFound       404  application_not_found     no application has this id
└── SubscriptionNotFound      404  subscription_not_found    not there, or another program's
Gone
└── ShowCodeExpired           410  show_code_expired         too old, or opened before
Conflict
├── RequestInFlight           409  request_in_flight         same key, the first is running
├── ApplicationDecided        409  application_decided       decided or ended by somebody before
├── PurposeHeld               409  purpose_held              another approved application holds it
└── StatusChanging            409  status_changing           it changed in this very moment
Refused
├── ApplicationFourEyes       403  application_four_eyes     who applied decides about nothing
├── MayNotDecide              403  may_not_decide            the role or the department is missing
└── OnlyPrograms              403  only_programs             a person follows nothing
Unavailable
└── NoticeNotConfirmed        503  notice_not_confirmed      not confirmed by a program (in jobs)
ReceiptInvalid                422  receipt_invalid           one code per step of the check
├── ReceiptFileMalformed           receipt_file_malformed
├── ReceiptKeyUntrusted            receipt_key_untrusted
├── ReceiptSignatureInvalid        receipt_signature_invalid
├── ReceiptEntryDiffers            receipt_entry_differs
├── ReceiptContradictsEntry        receipt_contradicts_entry
├── ReceiptOpeningWrong            receipt_opening_wrong
└── ReceiptProofInvalid            receipt_proof_invalid
"""

from foundation.errors import Conflict, Gone, Invalid, NotFound, Refused, Unavailable


class IncompleteVerification(Invalid):
    """The request does not say what to check, or why; `errors` names each missing member."""

    code = "incomplete_verification"


class PurposeNotAllowed(Invalid):
    """A purpose asks for fields, a type or a predicate that the catalogue does not allow."""

    code = "purpose_not_allowed"


class ReasonMissing(Invalid):
    """A refusal or an end that does not say why."""

    code = "reason_missing"


class ApplicationNotFound(NotFound):
    """No application for a purpose has this id, or it is another department's."""

    code = "application_not_found"


class ApplicationDecided(Conflict):
    """The application is no longer in the state that this act begins from."""

    code = "application_decided"


class PurposeHeld(Conflict):
    """The department holds this purpose for this type by another application."""

    code = "purpose_held"


class ApplicationFourEyes(Refused):
    """Who applied for a purpose cannot approve or refuse it."""

    code = "application_four_eyes"


class MayNotDecide(Refused):
    """The person has no role for this act, or works for another department."""

    code = "may_not_decide"


class UnusableAddress(Invalid):
    """The address is none that notices can be sent to."""

    code = "unusable_address"


class IdempotencyKeyReused(Invalid):
    """The Idempotency-Key was used before, with another body."""

    code = "idempotency_key_reused"


class ReceiptNotFound(NotFound):
    """There is no such receipt, or it is another department's."""

    code = "receipt_not_found"


class CertificateNotHeld(NotFound):
    """A holder asks for a certificate that is not theirs: the same answer as "not there"."""

    code = "certificate_not_held"


class ShowCodeUnknown(NotFound):
    """No show code like this was given out."""

    code = "show_code_unknown"


class ShowCodeExpired(Gone):
    """The show code was opened before, or its minute is over."""

    code = "show_code_expired"


class NothingToFollow(NotFound):
    """There is no certificate with this number that may be followed for this purpose."""

    code = "nothing_to_follow"


class SubscriptionNotFound(NotFound):
    """There is no such subscription, or it is another program's."""

    code = "subscription_not_found"


class RequestInFlight(Conflict):
    """The first request with this Idempotency-Key is still being answered."""

    code = "request_in_flight"


class StatusChanging(Conflict):
    """The certificate's status changed while it was being read; ask again."""

    code = "status_changing"


class OnlyPrograms(Refused):
    """A person asked to follow a certificate; only registered programs can."""

    code = "only_programs"


class NoticeNotConfirmed(Unavailable):
    """A program did not confirm a notice; the job that sends it tries again."""

    code = "notice_not_confirmed"


class ReceiptInvalid(Invalid):
    """A receipt file that does not prove what it says; the code names the step that failed."""

    code = "receipt_invalid"


class ReceiptFileMalformed(ReceiptInvalid):
    """The file is not a receipt file of the format read here."""

    code = "receipt_file_malformed"


class ReceiptKeyUntrusted(ReceiptInvalid):
    """The key that signed the receipt does not lead to the trust anchor."""

    code = "receipt_key_untrusted"


class ReceiptSignatureInvalid(ReceiptInvalid):
    """The receipt's signature is wrong, or what it signs is no receipt."""

    code = "receipt_signature_invalid"


class ReceiptEntryDiffers(ReceiptInvalid):
    """The receipt is about another ledger entry than the file holds."""

    code = "receipt_entry_differs"


class ReceiptContradictsEntry(ReceiptInvalid):
    """The receipt says something else than its ledger entry."""

    code = "receipt_contradicts_entry"


class ReceiptOpeningWrong(ReceiptInvalid):
    """A value shown in the file is not the one that the entry commits to."""

    code = "receipt_opening_wrong"


class ReceiptProofInvalid(ReceiptInvalid):
    """The proof does not show the entry in a log signed by a trusted ledger key."""

    code = "receipt_proof_invalid"
