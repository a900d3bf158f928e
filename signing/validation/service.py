"""Is this document sealed, by whom, when, and is it still what was sealed? Never green for less.

Four of the six questions are answered in this room: integrity, seal, authority, time. A file that
we sealed is taken apart and composed again (`pdf_layout`), which leaves no room for anything in
between; any other PDF is examined by pyHanko in a process of its own; a detached signature is read
by ourselves. All roads end in the same rules:

1. A signature must cover the file from its first byte to its last, with its own value exactly in
   the gap. Whatever was added later makes it "changed_after_sealing", however harmless it looks;
   only evidence and time-stamps for strangers' signatures are no change (ISO 32000-2 table 257).
2. The mathematics must be right (digest, signature), and with one of our four algorithms.
3. The certificate must lead to our authority, and must have been valid and not revoked at the
   moment of signing.
4. The moment of signing is the time-stamp's; a claimed time alone leaves "time" unknown.
5. The certificate must be that of a registered seal which was active at that moment.

Known attacks and the check that meets them: Universal Signature Forgery, Signature Wrapping (1),
Incremental Saving and Shadow Attacks (1), evil annotations after certification (1).
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from foundation.canonical import b64url
from foundation.errors import Malformed
from keys import MalformedJwk
from signing.errors import DocumentTooLarge, PdfNotOurs
from signing.foreign.examination import Examination, ForeignSignature, examine
from signing.foreign.integrity import foreign_integrity
from signing.formats import cades, detached_jws
from signing.formats.pdf import gap as pdf_gap
from signing.formats.pdf.layout import SealedPdf, looks_sealed, read_sealed
from signing.formats.pdf.original import attachments
from signing.formats.pdf.sealer import verify_seal
from signing.models import Check, Format, SignatureFacts, Validation
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

MAX_DOCUMENT = 50 * 1024 * 1024
MAX_SIGNATURE = 256 * 1024

# How a PDF that is not ours is examined; in a process of its own, except in tests of the rules.
Examine = Callable[[bytes], Examination]


def validate(data: bytes, judge: Judge, examine: Examine = examine) -> Validation:
    """Validate a document that carries its signature: a PDF, or a CMS with its content inside.

    Raises `DocumentTooLarge` above `MAX_DOCUMENT` bytes.
    """
    must_be_small(data)
    if b"%PDF-" in data[:1024]:
        found = _pdf(data, judge, examine)
    elif cades.looks_signed(data):
        found = _signed_file("cms", judge, lambda: cades.verify(data, None))
    else:
        found = unread("unknown", "not_a_pdf", "the file is not a PDF and carries no signature")
    return replace(found, digest=_digest(data))


def validate_detached(data: bytes, signature: bytes, judge: Judge) -> Validation:
    """Validate a file and the signature beside it: CMS (DER or PEM) or a detached JWS.

    Raises `DocumentTooLarge`.
    """
    must_be_small(data)
    if len(signature) > MAX_SIGNATURE:
        raise DocumentTooLarge("a detached signature has at most 256 kB")
    if signature.lstrip()[:3] == b"eyJ":
        found = _signed_file("jws", judge, lambda: detached_jws.verify(data, signature))
    else:
        found = _signed_file("cms", judge, lambda: cades.verify(signature, data))
    return replace(found, digest=_digest(data))


def must_be_small(data: bytes) -> None:
    """Raises `DocumentTooLarge` above `MAX_DOCUMENT` bytes."""
    if len(data) > MAX_DOCUMENT:
        raise DocumentTooLarge(
            "the document is larger than 50 MB", next_step="Send the document as it was issued."
        )


def _digest(data: bytes) -> str:
    return b64url(hashlib.sha256(data).digest())


def _signed_file(kind: Format, judge: Judge, verify: Callable[[], Signed]) -> Validation:
    try:
        return judge.signature(kind, INTACT, verify())
    except Doubt as doubt:
        missing = doubt.code == "content_missing"
        return unread(kind, doubt.code, doubt.detail, "unknown" if missing else "fail")


def _pdf(data: bytes, judge: Judge, examine: Examine) -> Validation:
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
