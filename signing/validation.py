"""Is this document sealed, by whom, when, and is it still what was sealed? Never green for less.

Four of the six questions are answered here: integrity, seal, authority, time. A file that we sealed
is taken apart and composed again (`pdf_layout`), which leaves no room for anything in between; any
other PDF is examined by pyHanko in a process of its own. Both roads end in the same rules:

1. A signature must cover the file from its first byte to its last, with its own value exactly in
   the gap. Whatever was added later makes it "changed_after_sealing", however harmless it looks.
2. The mathematics must be right (digest, signature), and with one of our four algorithms.
3. The certificate must lead to our authority and must have been valid at the moment of signing.
4. The moment of signing is the time-stamp's; a claimed time alone leaves "time" unknown.
5. The certificate must be that of a registered seal which was active at that moment.

One failed check makes a document "invalid"; otherwise one unknown makes it "unknown".

Known attacks and the check that meets them: Universal Signature Forgery, Signature Wrapping (1),
Incremental Saving and Shadow Attacks (1), evil annotations after certification (1).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from foundation.canonical import b64url
from signing.errors import DocumentTooLarge, PdfNotOurs
from signing.evidence import covers
from signing.foreign import Examination, ForeignSignature, examine
from signing.formats.pdf import VerifiedSeal, verify_seal
from signing.formats.pdf_layout import looks_sealed, read_sealed
from signing.formats.pdf_original import attachments
from signing.models import Check, CheckName, Indication, Level, Result, Validation
from signing.store import SealThen
from signing.trust import (
    Doubt,
    Path,
    Stamp,
    Trust,
    certificate_digest,
    common_name,
    key_id,
    verify_stamp,
)

MAX_DOCUMENT = 50 * 1024 * 1024
_CLOCK_SKEW = timedelta(minutes=5)

# The seal that has a certificate (by digest), as it was at a moment; None when there is none.
Registry = Callable[[str, datetime], SealThen | None]

_ORDER: tuple[CheckName, ...] = (
    "integrity",
    "seal",
    "authority",
    "time",
    "status",
    "validity",
)
_INDICATIONS: dict[Result, Indication] = {"pass": "valid", "fail": "invalid", "unknown": "unknown"}
_NOT_ASKED = (
    Check("status", "unknown", "status_not_asked", "the issuing department was not asked"),
    Check("validity", "unknown", "validity_not_asked", "the issuing department was not asked"),
)


def validate(data: bytes, trust: Trust, registry: Registry, now: datetime) -> Validation:
    """Validate a document. Raises `DocumentTooLarge` above `MAX_DOCUMENT` bytes."""
    if len(data) > MAX_DOCUMENT:
        raise DocumentTooLarge(
            "the document is larger than 50 MB", next_step="Send the document as it was issued."
        )
    digest = b64url(hashlib.sha256(data).digest())
    if b"%PDF-" not in data[:1024]:
        return replace(_unread("not_a_pdf", "the file is not a PDF"), format="unknown")
    return replace(_pdf(data, trust, registry, now), digest=digest)


def _pdf(data: bytes, trust: Trust, registry: Registry, now: datetime) -> Validation:
    if looks_sealed(data):
        try:
            sealed = read_sealed(data)
        except PdfNotOurs:
            return _foreign(examine(data), trust, registry, now)
        try:
            return _ours(verify_seal(sealed), trust, registry, now)
        except Doubt as doubt:
            answer = _unread(doubt.code, doubt.detail)
            return replace(answer, covers_whole_file=True, signatures=1)
    return _foreign(examine(data), trust, registry, now)


# --- a file that we sealed --------------------------------------------------------------------


def _ours(seal: VerifiedSeal, trust: Trust, registry: Registry, now: datetime) -> Validation:
    time, stamp_path = _time(seal.stamp, seal.stamp_doubt, trust, now)
    authority, path = _authority(seal.certificate, seal.embedded, seal.signed_at, trust)
    then = registry(certificate_digest(seal.certificate), seal.signed_at)
    intact = Check("integrity", "pass", "intact", "nothing was changed after sealing")
    checks = [intact, time, authority, _seal(then, seal.signed_at)]
    return Validation(
        format="pdf",
        indication=_indication(checks),
        checks=_in_order(checks),
        level=_level(seal, path, stamp_path),
        signer=common_name(seal.certificate),
        kid=key_id(seal.certificate),
        signed_at=seal.signed_at,
        seal_id=then.seal_id if then else None,
        covers_whole_file=True,
        ours=True,
        signatures=1,
        attachments=attachments(seal.sealed.original),
    )


def _level(seal: VerifiedSeal, path: Path, stamp_path: Path) -> Level:
    """B-LT when both paths can be judged from the file alone, as they were at the time-stamp."""
    if seal.stamp is None:
        return "B-B"
    at, evidence = seal.stamp.at, seal.sealed.field.evidence
    known = path and stamp_path
    return "B-LT" if known and all(covers(evidence, p, at) for p in (path, stamp_path)) else "B-T"


def _time(
    stamp: Stamp | None, doubt: Doubt | None, trust: Trust, now: datetime
) -> tuple[Check, Path]:
    """Rule 4; and the path of a time-stamp that is trusted."""
    if stamp is None:
        code = doubt.code if doubt else "time_only_claimed"
        result: Result = "fail" if code == "time_stamp_wrong" else "unknown"
        return Check("time", result, code, doubt.detail if doubt else ""), ()
    try:
        path = trust.confirm(stamp.certificate, stamp.embedded, stamp.at)
    except Doubt as untrusted:
        return Check("time", "unknown", "time_stamp_untrusted", untrusted.detail), ()
    if stamp.at > now + _CLOCK_SKEW:
        return Check("time", "fail", "time_in_future", "the time-stamp lies in the future"), ()
    return Check("time", "pass", "time_stamped", stamp.at.isoformat()), path


def _authority(
    certificate: bytes, embedded: Sequence[bytes], at: datetime, trust: Trust
) -> tuple[Check, Path]:
    """Rule 3. An authority we do not know is no proof against the document: unknown, not fail."""
    try:
        path = trust.confirm(certificate, embedded, at)
    except Doubt as doubt:
        result: Result = "unknown" if doubt.code == "authority_unknown" else "fail"
        return Check("authority", result, doubt.code, doubt.detail), ()
    return Check("authority", "pass", "authority_trusted", common_name(certificate)), path


def _seal(then: SealThen | None, at: datetime) -> Check:
    """Rule 5."""
    if then is None:
        return Check(
            "seal", "unknown", "seal_unknown", "the certificate is not that of a seal here"
        )
    if then.valid_at(at):
        return Check("seal", "pass", "seal_active", f"{then.name}, {then.owner_name}")
    if then.state is None or not then.valid_from <= at <= then.valid_until:
        return Check("seal", "fail", "seal_not_valid_then", f"{then.name} was not valid then")
    return Check("seal", "fail", f"seal_{then.state}", f"{then.name} was {then.state} then")


# --- any other PDF ----------------------------------------------------------------------------


def _foreign(found: Examination, trust: Trust, registry: Registry, now: datetime) -> Validation:
    if found.error == "too_complex":
        answer = _unread("too_complex", found.detail)
        unknown = Check("integrity", "unknown", "too_complex", found.detail)
        return replace(answer, indication="unknown", checks=_in_order([unknown]))
    if found.error:
        return _unread("unreadable", found.detail)
    signers = [one for one in found.signatures if not one.document_stamp]
    if not signers:
        return _unread("not_sealed", "the document carries no seal or signature")
    first = signers[0]
    stamp, doubt = _foreign_stamp(first)
    at = stamp.at if stamp else first.claimed or now
    then = registry(certificate_digest(first.certificate), at)
    checks = [
        _foreign_integrity(found.signatures),
        _time(stamp, doubt, trust, now)[0],
        _worst([_authority(one.certificate, one.embedded, at, trust)[0] for one in signers]),
        _seal(then, at),
    ]
    return Validation(
        format="pdf",
        indication=_indication(checks),
        checks=_in_order(checks),
        level="B-T" if stamp else "B-B",
        signer=_name(first.certificate),
        signed_at=at if stamp or first.claimed else None,
        seal_id=then.seal_id if then else None,
        covers_whole_file=found.signatures[-1].coverage == "file",
        signatures=len(found.signatures),
    )


def _foreign_integrity(signatures: Sequence[ForeignSignature]) -> Check:
    """Rules 1 and 2 for every signature; only the last one can cover the whole file."""
    for one in signatures:
        if not one.intact:
            return Check("integrity", "fail", "digest_mismatch", "the signed content was changed")
        if not one.valid:
            return Check("integrity", "fail", "signature_wrong", "a signature does not match")
        if one.coverage == "other":
            return Check(
                "integrity",
                "fail",
                "signature_malformed",
                "a signature covers odd parts",
            )
    last = signatures[-1]
    if last.coverage != "file" or not all(one.allowed for one in signatures):
        return Check(
            "integrity", "fail", "changed_after_sealing", "something was added after the sealing"
        )
    if any(one.changes not in ("none", "maintenance") for one in signatures):
        return Check(
            "integrity", "unknown", "added_between_signatures", "something was filled in or signed"
        )
    return Check("integrity", "pass", "intact", "nothing was changed after signing")


def _foreign_stamp(one: ForeignSignature) -> tuple[Stamp | None, Doubt | None]:
    if not one.token:
        return None, Doubt("time_only_claimed", "the signature carries no time-stamp")
    try:
        return verify_stamp(one.token, one.signature), None
    except Doubt as doubt:
        return None, Doubt("time_stamp_not_understood", doubt.detail)


def _name(certificate: bytes) -> str:
    try:
        return common_name(certificate)
    except ValueError:
        return ""


# --- the sum ----------------------------------------------------------------------------------


def _unread(code: str, detail: str) -> Validation:
    """Nothing beyond integrity can be asked of such a file."""
    checks = [Check("integrity", "fail", code, detail)]
    return Validation("pdf", "invalid", _in_order(checks))


def _in_order(checks: Sequence[Check]) -> tuple[Check, ...]:
    """All six, in their order; what was not reached is unknown."""
    asked = {check.name: check for check in (*_NOT_ASKED, *checks)}
    return tuple(asked.get(name, Check(name, "unknown", f"{name}_not_reached")) for name in _ORDER)


def _indication(checks: Sequence[Check]) -> Indication:
    return _INDICATIONS[_worst(checks).result]


def _worst(checks: Sequence[Check]) -> Check:
    """The first failed check, or the first unknown one, or the first."""
    ranked = {"fail": 0, "unknown": 1, "pass": 2}
    return min(checks, key=lambda check: ranked[check.result])
