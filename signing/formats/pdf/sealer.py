"""Seal the PDFs we render as PAdES B-LT, and verify our seals without a PDF library.

Sealing is composing (`pdf_layout`), one digest, one signature, one time-stamp; the file is then
read back by the validator's own reader before anybody sees it. A time-stamp authority that is not
there lowers the level to B-B explicitly; it never stops the seal. The time-stamp comes later then
(`completed`): into the space reserved for it, so the file keeps its length and every signed byte.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from foundation.errors import Malformed, Unavailable
from keys.encoding.der import read
from signing import cms
from signing.errors import PdfNotOurs, SelfCheckFailed
from signing.formats.pdf.layout import SealedPdf, SealField, compose, read_sealed
from signing.formats.pdf.original import Original, read_original
from signing.models import Box, Level
from signing.trust.certificates import Doubt, Stamp, stamp_of, verify_signer
from signing.trust.evidence import NO_EVIDENCE, Evidence

StampMaker = Callable[[bytes, datetime], bytes]


class PdfSealer:
    """Seals with one version of one seal; everything that does not change is made once.

    `stamp` makes a time-stamp token of at most `longest_token` bytes over a SHA-256, `evidence`
    answers what belongs into a file sealed at a moment.
    """

    def __init__(
        self,
        *,
        chain: Sequence[bytes],
        algorithm: str,
        stamp: StampMaker,
        longest_token: int,
        evidence: Callable[[datetime], Evidence],
        name: str,
        picture: bytes,
    ) -> None:
        self._template = cms.SignerTemplate.of(chain, algorithm)
        self._stamp = stamp
        self._evidence = evidence
        self._name = name
        self._picture = picture
        longest = self._template.longest_signature(longest_token)
        self._reserved = (longest + 511) // 512 * 512

    def seal(
        self,
        pdf: bytes,
        sign: Callable[[bytes], bytes],
        *,
        now: datetime,
        box: Box,
        page: int = 0,
        reason: str = "",
        level: Level = "B-LT",
    ) -> tuple[bytes, Level]:
        """The sealed file and the level it reached. Raises `PdfNotOurs`, or what signing raises.

        `sign` signs the DER of the signed attributes, once, by the order for this document.
        """
        data, reached, _digest = self.seal_with_digest(
            pdf, sign, now=now, box=box, page=page, reason=reason, level=level
        )
        return data, reached

    def seal_with_digest(
        self,
        pdf: bytes,
        sign: Callable[[bytes], bytes],
        *,
        now: datetime,
        box: Box,
        page: int,
        reason: str,
        level: Level,
    ) -> tuple[bytes, Level, bytes]:
        """What `seal` answers, and the SHA-256 of the file, most of which is hashed already."""
        original = read_original(pdf)
        evidence = self._evidence(now) if level == "B-LT" else NO_EVIDENCE
        field = SealField(
            self._name, self._picture, now, box, page, reason, self._reserved, evidence
        )
        section = compose(original, field)
        attributes = self._template.signed_attributes(
            section.digest(self._template.algorithm.digest)
        )
        signature = sign(attributes)
        token = b"" if level == "B-B" else _token(self._stamp, signature, now)
        contents = self._template.assemble(attributes, signature, token)
        sealed = section.filled(contents)
        _self_check(sealed, contents, original)
        digest = section.filled_digest(contents)  # of `sealed`: the check has compared every byte
        if not token:
            return sealed, "B-B", digest
        return sealed, "B-LT" if evidence else "B-T", digest


def completed(data: bytes, stamp: StampMaker, now: datetime) -> bytes:
    """A sealed file with the time-stamp it had to go without.

    It comes back as it was when it has one, or when the authority still does not answer. Raises
    `PdfNotOurs` and `Doubt` for a file that is not intact.
    """
    sealed = read_sealed(data)
    if verify_seal(sealed).stamp is not None:
        return data
    contents = _unpadded(sealed.signature)
    token = _token(stamp, cms.read_signed_data(contents).signature, now)
    if not token:
        return data
    contents = cms.with_token(contents, token)
    stamped = sealed.section.filled(contents)
    _self_check(stamped, contents, sealed.original)
    return stamped


def _token(stamp: StampMaker, signature: bytes, now: datetime) -> bytes:
    try:
        return stamp(hashlib.sha256(signature).digest(), now)
    except Unavailable:
        return b""


def _self_check(sealed: bytes, contents: bytes, original: Original) -> None:
    """What we made must be what our validator reads, byte for byte."""
    try:
        found = read_sealed(sealed, original)
    except PdfNotOurs as problem:
        raise SelfCheckFailed(f"the sealed file cannot be read back: {problem}") from problem
    if not found.signature.startswith(contents):
        raise SelfCheckFailed("the sealed file carries another signature")


@dataclass(frozen=True, slots=True)
class VerifiedSeal:
    """A seal whose mathematics are right; whether its signer is trusted is another question."""

    sealed: SealedPdf
    certificate: bytes
    embedded: tuple[bytes, ...]
    stamp: Stamp | None
    stamp_doubt: Doubt | None


def verify_seal(sealed: SealedPdf) -> VerifiedSeal:
    """Verify digest, signature and time-stamp of a sealed file that has been taken apart.

    `Doubt`: digest_mismatch, signature_malformed, signature_wrong.
    """
    try:
        signed = cms.read_signed_data(_unpadded(sealed.signature))
    except Malformed as problem:
        raise Doubt("signature_malformed", str(problem)) from None
    if signed.content is not None:
        raise Doubt("signature_malformed", "the signature carries content of its own")
    digest = sealed.section.digest(signed.algorithm.digest)
    certificate = verify_signer(signed, cms.DATA, digest)
    stamp, doubt = stamp_of(signed)
    return VerifiedSeal(sealed, certificate, signed.certificates, stamp, doubt)


def _unpadded(gap: bytes) -> bytes:
    _tag, _content, end = read(gap)
    if gap.count(0, end) != len(gap) - end:
        raise Malformed("something is hidden behind the signature")
    return gap[:end]
