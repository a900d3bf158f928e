"""Whether what a stranger's PDF shows is what its signatures cover, by what the examiner found."""

from collections.abc import Sequence

from signing.foreign.examination import ForeignSignature
from signing.models import Check
from signing.trust.checks import INTACT, altered


def foreign_integrity(signatures: Sequence[ForeignSignature]) -> Check:
    """Rules 1 and 2 for every signature; only the last one can cover the whole file."""
    for one in signatures:
        if not one.intact:
            return altered("digest_mismatch", "the signed content was changed")
        if not one.valid:
            return altered("signature_wrong", "a signature does not match")
        if one.coverage == "other":
            return altered("signature_malformed", "a signature covers odd parts")
    last = signatures[-1]
    changes = {one.changes for one in signatures}
    if not all(one.allowed for one in signatures):
        return altered("changed_after_sealing", "something was added that the seal forbids")
    if "not_compared" in changes:
        detail = "what follows a signature could not be compared with what was signed"
        return Check("integrity", "unknown", "not_compared", detail)
    if last.coverage != "file" and last.changes not in ("maintenance", "metadata"):
        return altered("changed_after_sealing", "something was added after the sealing")
    if "metadata" in changes:
        detail = "the description of the document (title, author) was changed after signing"
        return Check("integrity", "unknown", "description_changed", detail)
    if not changes <= {"none", "maintenance"}:
        detail = "something was filled in or signed"
        return Check("integrity", "unknown", "added_between_signatures", detail)
    if "maintenance" in changes:
        return Check("integrity", "pass", "evidence_added", "only evidence was added after signing")
    return INTACT
