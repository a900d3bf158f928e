"""What is to be said of a PDF: sealed by us, by somebody else, or not at all.

A file that we sealed is taken apart and composed again (`layout`), so that nothing
in between goes unseen. Any other is examined by pyHanko in a process of its own, and so is whatever
was ours and is no more.
"""

from collections.abc import Callable
from dataclasses import replace

from foundation.errors import Malformed
from keys import MalformedJwk
from signing.errors import PdfNotOurs
from signing.foreign import gap as pdf_gap
from signing.foreign.examination import Examination, ForeignSignature
from signing.foreign.integrity import foreign_integrity
from signing.formats.pdf.layout import SealedPdf, looks_sealed, read_sealed
from signing.formats.pdf.original import attachments
from signing.formats.pdf.sealer import verify_seal
from signing.models import Check, SignatureFacts, Validation
from signing.trust.certificates import Doubt, Stamp, common_name, key_id, verify_stamp
from signing.trust.checks import (
    INTACT,
    Judge,
    Signed,
    altered,
    facts_of,
    level_of,
    seal_check,
    summed,
    unread,
    worst,
)

# How a PDF that is not ours is examined; in a process of its own, except in tests of the rules.
Examine = Callable[[bytes], Examination]


def read(data: bytes, judge: Judge, examine: Examine) -> Validation:
    """Every question about a PDF; `examine` opens it when it is not one of ours."""
    if not looks_sealed(data):
        return _of_another(data, judge, examine)
    try:
        sealed = read_sealed(data)
    except PdfNotOurs:
        return _of_another(data, judge, examine)
    try:
        found = _ours(sealed, judge, INTACT)
    except Doubt as doubt:
        answer = unread("pdf", doubt.code, doubt.detail)
        return replace(answer, covers_whole_file=True, signatures=1)
    return replace(found, ours=True, attachments=attachments(sealed.original))


def _ours(sealed: SealedPdf, judge: Judge, integrity: Check) -> Validation:
    """All questions about a file that we laid out. Raises `Doubt` when its seal is not right."""
    seal = verify_seal(sealed)
    claimed = sealed.field.signed_at
    one = Signed(seal.certificate, seal.embedded, claimed, seal.stamp, seal.stamp_doubt)
    return judge.signature("pdf", integrity, one, sealed.field.evidence)


# --- any other PDF ----------------------------------------------------------------------------


def _of_another(data: bytes, judge: Judge, examine: Examine) -> Validation:
    found = examine(data)
    if found.error == "too_complex":
        # Whatever hides in it: it follows a seal of ours, which lets nothing follow.
        return _changed_since_ours(data, judge) or _foreign(data, found, judge)
    return _foreign(data, found, judge)


def _changed_since_ours(data: bytes, judge: Judge) -> Validation | None:
    """What is to be said of a file that begins with one of ours, sealed and intact, and goes on."""
    changed = altered("changed_after_sealing", "something was added after the sealing")
    for end in pdf_gap.ends(data):
        try:
            found = _ours(read_sealed(data[:end]), judge, changed)
        except (PdfNotOurs, Doubt):
            continue
        return replace(found, covers_whole_file=False, details=())
    return None


def _foreign(data: bytes, found: Examination, judge: Judge) -> Validation:
    if found.error == "too_complex":
        return unread("pdf", "too_complex", found.detail, "unknown")
    if found.error:
        return unread("pdf", found.error, found.detail)
    signers = [one for one in found.signatures if not one.document_stamp]
    if not signers:
        return unread("pdf", "not_sealed", "the document carries no seal or signature")
    first = _signed(signers[0])
    at = first.at(judge.now)
    then = judge.seal(first.certificate, at)
    time, stamp_path = judge.time(first.stamp, first.stamp_doubt)
    asked = [judge.authority(one.certificate, one.embedded, at) for one in signers]
    path = asked[0][1]
    integrity = foreign_integrity(found.signatures)
    as_we_write = found.signatures[-1].coverage == "file" and _gap_as_we_write(data)
    if any(_is_seal(one, judge) for one in signers) and not as_we_write:
        integrity = _stricter(integrity)
    checks = [
        integrity,
        time,
        worst([check for check, _path in asked]),
        seal_check(then, at),
    ]
    return replace(
        summed("pdf", checks),
        level=level_of(first.stamp is not None, found.evidence, (path, stamp_path), at),
        signer=_name(first.certificate),
        kid=_key_id(first.certificate),
        kids=tuple(_key_id(one.certificate) for one in signers),
        signed_at=at if first.stamp or first.claimed else None,
        seal_id=then.seal_id if then else None,
        seal=facts_of(then),
        covers_whole_file=found.signatures[-1].coverage == "file",
        signatures=len(found.signatures),
        details=tuple(_facts(one) for one in found.signatures),
    )


def _is_seal(one: ForeignSignature, judge: Judge) -> bool:
    return judge.seal(one.certificate, _signed(one).at(judge.now)) is not None


def _gap_as_we_write(data: bytes) -> bool:
    """Whether the one gap that leaves nothing else unsigned is written as we write it."""
    try:
        gap = pdf_gap.find(data)
        return gap.filled(data, gap.contents(data)) == data
    except Malformed:
        return False


def _stricter(integrity: Check) -> Check:
    """What our own seals are on needs no later revision and no other spelling: none is green."""
    if integrity.result == "fail":
        return integrity
    return altered("changed_after_sealing", "something follows the seal, or was written anew")


def _signed(one: ForeignSignature) -> Signed:
    stamp: Stamp | None = None
    doubt = Doubt("time_only_claimed", "the signature carries no time-stamp")
    if one.token:
        try:
            stamp = verify_stamp(one.token, one.signature)
        except Doubt as problem:
            doubt = Doubt("time_stamp_not_understood", problem.detail)
    return Signed(one.certificate, one.embedded, one.claimed, stamp, None if stamp else doubt)


def _facts(one: ForeignSignature) -> SignatureFacts:
    signed = _signed(one)
    at = signed.stamp.at if signed.stamp else one.claimed
    return SignatureFacts(
        _name(one.certificate), at, signed.stamp is not None, one.coverage, one.changes
    )


def _name(certificate: bytes) -> str:
    try:
        return common_name(certificate)
    except ValueError:
        return ""


def _key_id(certificate: bytes) -> str:
    """Empty for a kind of key that we do not use."""
    try:
        return key_id(certificate)
    except (ValueError, MalformedJwk):
        return ""
