"""Sealing a PDF that somebody else made: prepared in a process of its own, signed in this one.

1. `preparer` (pyHanko, limits on memory and time) adds field, picture, evidence and an empty gap.
2. Its answer is not believed: the file must begin with the original, and one gap must be all that
   the signature does not cover.
3. It is rehearsed: `examiner` reads the file with a signature of nothing in the gap as it would
   read a stranger's. Whatever a file can do to us it has done by now, and no key was used.
4. Digest, signature and time-stamp are made here, from the same template as for our own pages.
5. Only the gap differs from what was rehearsed; the signature in it is verified, and the file
   leaves.

The key is never in the process that reads the file, and the file is never read in this one.
"""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from foundation.errors import Malformed, Unavailable
from signing import cms
from signing.errors import DocumentNotSealable, SelfCheckFailed
from signing.foreign import gap as pdf_gap
from signing.foreign.examination import OWN, examined
from signing.foreign.integrity import foreign_integrity
from signing.models import Box, Level
from signing.trust.certificates import Doubt, verify_signer
from signing.trust.evidence import NO_EVIDENCE, Evidence

_PROGRAM = Path(__file__).with_name("preparer.py")
WALL_SECONDS = 60.0

_NO_SIGNATURE = bytes(64)  # what rehearsing puts where the signature will be

StampMaker = Callable[[bytes, datetime], bytes]


@dataclass(frozen=True, slots=True)
class SealPlacement:
    """Where and how the seal is seen, and what else is written into the file."""

    name: str
    picture: bytes
    box: Box
    page: int
    reason: str
    evidence: Evidence = NO_EVIDENCE


def seal(
    data: bytes,
    place: SealPlacement,
    template: cms.SignerTemplate,
    sign: Callable[[bytes], bytes],
    stamp: StampMaker | None,
    *,
    longest_token: int,
    now: datetime,
) -> tuple[bytes, Level]:
    """The sealed file and the level it reached. `stamp` is None when no time-stamp is wanted.

    Raises `DocumentNotSealable` and `Unavailable` before `sign` is called; what signing raises; and
    `SelfCheckFailed` when the signature is not one by the key of the template's certificate.
    """
    reserved = (template.longest_signature(longest_token) + 511) // 512 * 512
    with OWN.slot():
        prepared = _prepared(data, place, template.algorithm.digest, reserved, now)
        gap = _only_gap(data, prepared)
        attributes = template.signed_attributes(gap.digest(prepared, template.algorithm.digest))
        _rehearse(gap.filled(prepared, template.assemble(attributes, _NO_SIGNATURE)))
    signature = sign(attributes)
    token = b"" if stamp is None else token_over(signature, stamp, now)
    sealed = gap.filled(prepared, template.assemble(attributes, signature, token))
    _must_verify(sealed, gap)
    if not token:
        return sealed, "B-B"
    return sealed, "B-LT" if place.evidence else "B-T"


def completed(data: bytes, stamp: StampMaker, now: datetime) -> bytes:
    """A sealed file with the time-stamp it had to go without; the caller has validated it.

    Raises `Malformed` when no signature covers the whole file.
    """
    gap = pdf_gap.find(data)
    contents = gap.contents(data)
    signed = cms.read_signed_data(contents)
    if cms.SIGNATURE_TIME_STAMP in signed.unsigned:
        return data
    token = token_over(signed.signature, stamp, now)
    return gap.filled(data, cms.with_token(contents, token)) if token else data


def token_over(signature: bytes, stamp: StampMaker, now: datetime) -> bytes:
    """A time-stamp token, or nothing when the authority does not answer."""
    try:
        return stamp(hashlib.sha256(signature).digest(), now)
    except Unavailable:
        return b""


def _only_gap(original: bytes, prepared: bytes) -> pdf_gap.Gap:
    """Step 2: what the other process wrote must be the original and one empty gap behind it."""
    try:
        gap = pdf_gap.find(prepared, len(original))
        untouched = prepared.startswith(original) and gap.start > len(original)
        if not untouched or gap.contents(prepared):
            raise Malformed("the prepared file is not the original with an empty gap")
    except Malformed as problem:
        raise SelfCheckFailed(problem.detail) from None
    return gap


def _rehearse(signed: bytes) -> None:
    """Step 3: but for the value of the signature, a stranger must find everything in order."""
    found = examined(signed)
    if found.error:
        raise DocumentNotSealable(found.error, found.detail)
    if not found.signatures:
        raise DocumentNotSealable("unreadable", "the seal would not be found in the file")
    *before, last = found.signatures
    integrity = foreign_integrity([*before, replace(last, valid=True)])
    if integrity.result == "fail":
        raise DocumentNotSealable("altered", integrity.detail)
    if last.coverage != "file":
        raise DocumentNotSealable("unreadable", "the seal would not cover the whole file")


def _must_verify(sealed: bytes, gap: pdf_gap.Gap) -> None:
    """Step 5: the signature in the gap is one over everything around it."""
    try:
        signed = cms.read_signed_data(gap.contents(sealed))
        verify_signer(signed, cms.DATA, gap.digest(sealed, signed.algorithm.digest))
    except (Malformed, Doubt) as problem:
        raise SelfCheckFailed(f"the sealed file cannot be verified: {problem}") from None


def _prepared(
    data: bytes, place: SealPlacement, digest: str, reserved: int, now: datetime
) -> bytes:
    order = json.dumps(_order(place, digest, reserved, now)).encode()
    try:
        done = subprocess.run(  # noqa: S603 - our own program, nothing of the file in its arguments
            [sys.executable, "-I", str(_PROGRAM)],
            input=len(order).to_bytes(4, "big") + order + data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=WALL_SECONDS,
            check=False,
            env={},
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        raise DocumentNotSealable("too_complex", "reading the file takes too long") from None
    if done.returncode != 0 or not done.stdout:
        raise DocumentNotSealable("too_complex", "reading the file needs more than we give")
    if done.stdout[:1] == b"+":
        return done.stdout[1:]
    refused = json.loads(done.stdout[1:])
    raise DocumentNotSealable(refused["refused"], refused["detail"])


def _order(place: SealPlacement, digest: str, reserved: int, now: datetime) -> dict[str, Any]:
    return {
        "name": place.name,
        "picture": _text(place.picture),
        "box": place.box,
        "page": place.page,
        "reason": place.reason,
        "certificates": [_text(der) for der in place.evidence.certificates],
        "lists": [_text(der) for der in place.evidence.lists],
        "digest": digest,
        "reserved": reserved,
        "signed_at": now.replace(microsecond=0).isoformat(),
    }


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
