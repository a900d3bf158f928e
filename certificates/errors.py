"""What can go wrong with a certificate, and whose fault it is.

YinzhengError
├── NotFound
│   ├── CertificateNotFound     certificate_not_found      no such certificate, or not yours
│   ├── DraftNotFound           draft_not_found            no such draft in your authority
│   ├── BatchNotFound           batch_not_found            no such batch in your authority
│   └── UnknownType             unknown_certificate_type   the catalogue has no such type
├── Refused
│   ├── RoleMissing             role_missing               the office needed is not yours
│   ├── OwnDraft                own_draft                  four eyes: the drafter cannot approve
│   └── OtherAuthority          other_authority            approver of another authority
├── Conflict
│   ├── WrongState              wrong_state                not possible in the present state
│   ├── ContentChanged          content_changed            not the content that was approved
│   ├── NumberTaken             number_taken               the licence number already exists
│   ├── IllegalTransition       illegal_transition         the law knows no such change
│   ├── StillInForce            still_in_force             its holder cannot be forgotten yet
│   └── StatusContradicted      status_contradicted        row and ledger disagree on the status
├── Invalid
│   ├── InvalidFields           invalid_fields             fields against the type's rules
│   ├── InvalidReason           invalid_reason             reason code not of this act
│   ├── MissingGlyph            missing_glyph              a character no font can print
│   ├── LayoutOverflow          layout_overflow            the content does not fit the page
│   ├── BatchHasErrors          batch_has_errors           the dry run found errors
│   ├── UnknownColumns          unknown_columns            columns without a field, not waived
│   ├── EncodingNotConfirmed    encoding_not_confirmed     a guessed encoding nobody has looked at
│   └── InvalidCatalogue        invalid_catalogue          a type's TOML contradicts itself
├── Malformed
│   └── UnreadableFile          unreadable_file            an upload that is not a CSV text
├── TooLarge
│   └── UploadTooLarge          upload_too_large           more bytes or rows than allowed
└── Unavailable
    └── NoSeal                  no_usable_seal             the authority has no valid seal
"""

import unicodedata

from foundation.errors import (
    Conflict,
    Invalid,
    Malformed,
    NotFound,
    Refused,
    TooLarge,
    Unavailable,
)


class CertificateNotFound(NotFound):
    """There is no such certificate, or the actor may not see it."""

    code = "certificate_not_found"


class DraftNotFound(NotFound):
    """The actor's authority has no such draft."""

    code = "draft_not_found"


class BatchNotFound(NotFound):
    """The actor's authority has no such batch."""

    code = "batch_not_found"


class UnknownType(NotFound):
    """The catalogue has no such certificate type."""

    code = "unknown_certificate_type"


class RoleMissing(Refused):
    """The actor does not hold the office that this act needs."""

    code = "role_missing"


class OwnDraft(Refused):
    """The one who drafted it cannot approve it: four eyes."""

    code = "own_draft"


class OtherAuthority(Refused):
    """The approver belongs to another authority than the draft."""

    code = "other_authority"


class WrongState(Conflict):
    """The draft or batch is not in a state that allows this act."""

    code = "wrong_state"


class ContentChanged(Conflict):
    """The content is not the one that the officer looked at or approved."""

    code = "content_changed"


class NumberTaken(Conflict):
    """The authority has another certificate with this number."""

    code = "number_taken"


class IllegalTransition(Conflict):
    """The law knows no such change from the certificate's present state."""

    code = "illegal_transition"


class StillInForce(Conflict):
    """The holder of a certificate that is in force cannot be forgotten."""

    code = "still_in_force"


class StatusContradicted(Conflict):
    """The register's row and the ledger do not say the same status."""

    code = "status_contradicted"


class InvalidFields(Invalid):
    """Fields break the rules of their type; `errors` names each of them."""

    code = "invalid_fields"


class InvalidReason(Invalid):
    """The reason code does not belong to this act."""

    code = "invalid_reason"


class MissingGlyph(Invalid):
    """`characters` are the ones that no font in reach can draw.

    Debian has the rare Chinese characters in two packages (CNS 11643 is the one that registries of
    names use), and every other script in Noto's.
    """

    code = "missing_glyph"

    def __init__(self, characters: str) -> None:
        named = ", ".join(f"{character} (U+{ord(character):04X})" for character in characters)
        chinese = any(map(_is_han, characters))
        packages = "fonts-babelstone-han or fonts-cns11643-sung" if chinese else "fonts-noto-core"
        super().__init__(
            f"no font here can print {named}",
            next_step=(
                f"install a font that has it (Debian: {packages}) and restart,"
                " or correct the character"
            ),
            characters=named,
        )
        self.characters = characters


def _is_han(character: str) -> bool:
    return unicodedata.name(character, "CJK").startswith("CJK")  # what has no name here is newer


class LayoutOverflow(Invalid):
    """The content does not fit the page."""

    code = "layout_overflow"


class BatchHasErrors(Invalid):
    """The dry run of the batch found errors."""

    code = "batch_has_errors"


class UnknownColumns(Invalid):
    """The file has columns that no field uses and that nobody waived."""

    code = "unknown_columns"


class EncodingNotConfirmed(Invalid):
    """The file's encoding was guessed, and nobody has confirmed it."""

    code = "encoding_not_confirmed"


class InvalidCatalogue(Invalid):
    """The TOML file of a certificate type contradicts itself."""

    code = "invalid_catalogue"


class UnreadableFile(Malformed):
    """The upload is not a text of comma-separated values that can be read."""

    code = "unreadable_file"


class UploadTooLarge(TooLarge):
    """The upload has more bytes or rows than allowed."""

    code = "upload_too_large"


class NoSeal(Unavailable):
    """The authority has no seal that is valid now."""

    code = "no_usable_seal"
