"""A signature beside any file: CMS as CAdES wants it (EN 319 122-1), level B-B or B-T.

    signature = make(data, chain=…, algorithm="ES256", sign=…, stamp=…, now=now)
    verify(signature, data)                                # openssl cms -verify -content FILE

- The signed attributes are those of `cms` and the claimed signingTime.
- DER or PEM is read; the content may also lie inside the signature (`verify(signature, None)`).
"""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from foundation.errors import Malformed, Unavailable
from signing import cms
from signing.foreign.examination import Examination
from signing.formats.signature import SealingTask, judged
from signing.models import SealedDocument, Validation
from signing.trust.certificates import Doubt, stamp_of, verify_signer
from signing.trust.checks import Judge, Signed

StampMaker = Callable[[bytes, datetime], bytes]

_PEM = (b"-----BEGIN CMS-----", b"-----BEGIN PKCS7-----")
_PEM_TEXT = re.compile(rb"-----BEGIN (CMS|PKCS7)-----\s([A-Za-z0-9+/=\r\n]*)\s-----END \1-----\Z")


def make(
    data: bytes,
    *,
    chain: Sequence[bytes],
    algorithm: str,
    sign: Callable[[bytes], bytes],
    stamp: StampMaker,
    now: datetime,
) -> tuple[bytes, bool]:
    """A detached signature (DER) over `data`, and whether it carries a time-stamp.

    `sign` signs the DER of the signed attributes; `stamp` makes a token over a SHA-256.
    """
    template = cms.SignerTemplate.of(chain, algorithm, now)
    attributes = template.signed_attributes(hashlib.new(template.algorithm.digest, data).digest())
    signature = sign(attributes)
    try:
        token = stamp(hashlib.sha256(signature).digest(), now)
    except Unavailable:
        token = b""
    return template.assemble(attributes, signature, token), bool(token)


def completed(signature: bytes, stamp: StampMaker, now: datetime) -> bytes:
    """The same signature with the time-stamp it had to go without. Raises `Malformed`."""
    signed = cms.read_signed_data(signature)
    if cms.SIGNATURE_TIME_STAMP in signed.unsigned:
        return signature
    return cms.with_token(signature, stamp(hashlib.sha256(signed.signature).digest(), now))


def looks_signed(data: bytes) -> bool:
    """Whether this may be a CMS SignedData: its OID stands within the first bytes."""
    return data.startswith(_PEM) or (data[:1] == b"\x30" and cms.SIGNED_DATA in data[:32])


def verify(signature: bytes, data: bytes | None) -> Signed:
    """Verify a signature over `data`, or over the content inside it when `data` is None.

    `Doubt`: signature_malformed, digest_mismatch, signature_wrong.
    """
    try:
        signed = cms.read_signed_data(_der(signature))
        claimed = signed.claimed_time()
    except (Malformed, ValueError) as problem:
        raise Doubt("signature_malformed", str(problem)) from None
    content = signed.content if data is None else data
    if content is None:
        raise Doubt("content_missing", "the signed file is needed to verify its signature")
    if data is not None and signed.content not in (None, data):
        raise Doubt("digest_mismatch", "the signature carries another content than the file")
    digest = hashlib.new(signed.algorithm.digest, content).digest()
    certificate = verify_signer(signed, cms.DATA, digest)
    stamp, doubt = stamp_of(signed)
    return Signed(certificate, signed.certificates, claimed, stamp, doubt)


class CmsSignature:
    """CAdES beside the file; the content may also lie inside what is read."""

    name: Final = "cms"
    media_type: Final = "application/octet-stream"  # to be kept, not to be opened
    suffix: Final = ".p7s"
    beside: Final = True

    def recognises(self, data: bytes, *, beside: bool) -> bool:
        """By the first bytes of DER or PEM."""
        return looks_signed(data)

    def seal(self, data: bytes, task: SealingTask) -> SealedDocument:
        """Level B-T, or B-B with its time-stamp pending."""
        made, stamped = make(
            data,
            chain=task.chain,
            algorithm=task.algorithm,
            sign=task.sign,
            stamp=task.time.stamp,
            now=task.now,
        )
        return task.done(made, "B-T" if stamped else "B-B", pending=not stamped)

    def verify(
        self,
        data: bytes,
        signature: bytes | None,
        judge: Judge,
        examine: Callable[[bytes], Examination],
    ) -> Validation:
        """Over the file beside it, or over the content inside."""
        if signature is None:
            return judged(self.name, judge, lambda: verify(data, None))
        return judged(self.name, judge, lambda: verify(signature, data))


def _der(signature: bytes) -> bytes:
    if not signature.startswith(_PEM):
        return signature
    found = _PEM_TEXT.match(signature.strip())
    if found is None:
        raise Malformed("the PEM text is not one CMS signature")
    return base64.b64decode(found[2].translate(None, b"\r\n"), validate=True)
