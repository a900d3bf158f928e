"""What can be wrong with a seal, an approval or a document.

YinzhengError
├── NotFound      UnknownSeal            no such seal, or not one of your department
│                 UnknownPermit          no such permit to use a seal
├── Conflict      SealNotUsable          suspended, revoked or outside its validity
│                 SealNotUsableNow       the same code: its key or certificate, or a clock
│                 SealExists             the owner's seal code is taken
│                 IllegalSealChange      e.g. a revoked seal cannot become active again
│                 ApplicationOpen        the seal waits for a decision already, or for none
│                 PermitNotUsable        not approved, over, or for another purpose
│                 PermitExhausted        used as often as it was granted
│                 ContentNotApproved     what is to be sealed is not what was approved
├── Refused       FourEyesViolated       drafter and approver are the same person
│                 NotTheKeeper           the actor has no office that may do this to a seal
│                 ApprovalFromFuture     approved after the moment of sealing
├── Invalid       GlyphMissing           no font has this character: never print a box
│                 SealNameRefused        invisible, bidirectional or too many characters
│                 PdfNotOurs             not a PDF that our renderer makes
│                 DocumentNotSealable    somebody else's PDF that takes no seal; see `reason`
│                 CredentialRefused      an SD-JWT or QR that does not verify; see `reason`
├── TooLarge      DocumentTooLarge       above `MAX_DOCUMENT` bytes
└── (500)         SelfCheckFailed        we made something our own reader refuses
"""

from foundation.errors import Conflict, Invalid, NotFound, Refused, TooLarge, YinzhengError


class UnknownSeal(NotFound):
    """There is no such seal, or it is another department's."""

    code = "seal_unknown"


class UnknownPermit(NotFound):
    """There is no such permit to use a seal."""

    code = "seal_permit_unknown"


class ApplicationOpen(Conflict):
    """The seal waits for a decision already, or there is none to make or decide about."""

    code = "seal_application_open"


class PermitNotUsable(Conflict):
    """The permit is not approved, over, withdrawn, or for another purpose."""

    code = "seal_permit_not_usable"


class PermitExhausted(Conflict):
    """The permit was used as often as it was granted."""

    code = "seal_permit_exhausted"


class NotTheKeeper(Refused):
    """The actor holds no office that may do this to a seal."""

    code = "not_the_keeper"


class SealNotUsable(Conflict):
    """The seal is suspended, revoked or outside its validity."""

    code = "seal_not_usable"


class SealNotUsableNow(SealNotUsable):
    """The seal itself is in use, and its key, its certificate or a clock stand in the way."""

    passing = True


class SealExists(Conflict):
    """The owner has another seal with this code."""

    code = "seal_exists"


class IllegalSealChange(Conflict):
    """The seal's present state does not lead to the one asked for."""

    code = "seal_change_illegal"


class ContentNotApproved(Conflict):
    """What is to be sealed is not what was approved."""

    code = "content_not_approved"


class FourEyesViolated(Refused):
    """The one who approves is the one who drafted, applied or asked."""

    code = "four_eyes_violated"


class ApprovalFromFuture(Refused):
    """The approval is dated after the moment of sealing."""

    code = "approval_from_future"
    passing = True  # as soon as the clocks agree


class GlyphMissing(Invalid):
    """The font of the seal picture has no glyph for a character of its words."""

    code = "glyph_missing"


class SealNameRefused(Invalid):
    """A seal's name, line or code is too long, or has characters that cannot be seen."""

    code = "seal_name_refused"


class PdfNotOurs(Invalid):
    """The file does not have the layout that our renderer makes, or was changed after sealing."""

    code = "pdf_not_ours"


class CredentialRefused(Invalid):
    """`reason` is stable and says which rule was broken, e.g. "duplicate_digest"."""

    code = "credential_refused"

    def __init__(self, reason: str, detail: str = "", *, next_step: str = "") -> None:
        super().__init__(detail or reason.replace("_", " "), next_step=next_step, reason=reason)
        self.reason = reason


class DocumentNotSealable(Invalid):
    """`reason` is stable: altered (behind an earlier signature), encrypted, forbidden,
    outside_page, page_missing, too_complex, unreadable."""

    code = "document_not_sealable"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail, next_step=_NEXT.get(reason, _MAKE_AGAIN), reason=reason)
        self.reason = reason


_MAKE_AGAIN = "Save the document as a new PDF with the program it was written with."
_NEXT = {
    "forbidden": "Seal the document before the other signature, or ask its signer.",
    "altered": "Ask for the document as it was when it was signed.",
    "page_missing": "Choose a page of the document.",
    "outside_page": "Choose a place on the page.",
    "encrypted": "Save the document without a password.",
}


class DocumentTooLarge(TooLarge):
    """The document has more than `MAX_DOCUMENT` bytes."""

    code = "document_too_large"


class SelfCheckFailed(YinzhengError):
    """What was just sealed cannot be read back as it should; it does not leave."""

    code = "seal_self_check_failed"
