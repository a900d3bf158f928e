"""`Signing`: seal what two people have seen, and validate whatever comes in.

Sealing checks the approval itself, although certificates has checked it before: the keys would
sign anything, so this is the last place where four eyes can be insisted on.

    sealed = signing.seal_pdf(seal, pdf, approval, content_digest=…, now=now, box=(400, 90, 119))
    signing.validate_pdf(sealed.data).indication == "valid"
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from foundation.canonical import b64url
from foundation.clock import Clock
from foundation.database import Tx
from foundation.errors import Malformed
from keys import (
    KeyMayNotSign,
    Keys,
    NoActiveKey,
    PendingUses,
    SigningAuthorization,
    UnknownCertificate,
)
from keys.encoding.algorithms import algorithm
from signing import rules
from signing.errors import PdfNotOurs, SealNotUsableNow
from signing.foreign import examination, sealing
from signing.formats import SIGNATURES, SealingTask, SealPlace
from signing.formats.pdf import PdfSealer, completed, looks_sealed
from signing.models import Approval, Box, Level, Seal, SealedDocument, Validation
from signing.seals.registry import Seals
from signing.trust.certificates import Doubt, Trust, certificate_digest
from signing.trust.checks import Judge
from signing.trust.evidence import EvidenceSource
from signing.validation.service import validate, validate_detached

USUAL_PLACE: Final = SealPlace()
_REMEMBERED = 1000


class Signing:
    """Seals and validates documents. `anchors` are further trusted roots (DER)."""

    def __init__(self, seals: Seals, keys: Keys, clock: Clock) -> None:
        self.seals = seals
        self._keys = keys
        self._clock = clock
        self._sealers: dict[str, PdfSealer] = {}
        self._trust: Trust | None = None

    def seal_pdf(
        self,
        seal: Seal,
        pdf: bytes,
        approval: Approval,
        *,
        content_digest: str,
        now: datetime,
        box: Box,
        page: int = 0,
        reason: str = "",
        level: Level = "B-LT",
        pending_uses: PendingUses | None = None,
    ) -> SealedDocument:
        """Seal a PDF of our renderer as PAdES B-LT, visibly, allowing no later change.

        `content_digest` is that of the content which `pdf` shows and must be the approved one;
        `box` is left, bottom and side of the seal in points, from the lower left corner of `page`
        (counted from 0). The use of the seal's key is recorded before it signs, or by the caller,
        who then keeps the `pending_uses` (`Keys.sign`). The level reached is "B-B" when no
        time-stamp could be had: then `complete_pdf` adds it later.

        Raises `FourEyesViolated`, `ContentNotApproved`, `ApprovalFromFuture`, `SealNotUsable`,
        `PdfNotOurs`, and what `Keys.sign` raises.
        """
        rules.must_be_approved(approval, content_digest, now)
        rules.must_be_usable(seal, now)
        if level == "B-LT" and not self._keys.time.ours:
            level = "B-T"  # another authority's revocation lists are not ours to embed
        sign = self._signer(seal, approval.order(now, purpose=reason), pending_uses)
        data, reached, digest = self._sealer(seal).seal_with_digest(
            pdf, sign, now=now, box=box, page=page, reason=reason, level=level
        )
        pending = reached == "B-B" and level != "B-B"
        return SealedDocument(data, reached, b64url(digest), seal.kid, now, pending)

    def complete_pdf(self, data: bytes, *, now: datetime) -> SealedDocument:
        """Add the time-stamp that a file sealed by us had to go without; for the queue to call.

        No signed byte changes, and the length stays; the digest of the file is a new one. A file
        that has its time-stamp comes back as it is, and so does every file while the authority is
        still silent (`time_stamp_pending`). Raises `PdfNotOurs` for any other or changed file.
        """
        try:
            stamped = self._completed(data, now)
        except (Doubt, Malformed) as problem:
            raise PdfNotOurs(f"the seal is not intact: {problem}") from None
        found = self.validate_pdf(stamped, examination.OWN)
        level = found.level or "B-B"
        return SealedDocument(stamped, level, found.digest, found.kid, now, level == "B-B")

    def _completed(self, data: bytes, now: datetime) -> bytes:
        if looks_sealed(data):
            return completed(data, self._keys.time.stamp, now)
        found = self.validate(data, budget=examination.OWN)
        if found.seal is None or not _is_intact(found):
            raise PdfNotOurs("not a document that a seal of this house is on, or it was changed")
        return sealing.completed(data, self._keys.time.stamp, now)

    def seal_file(
        self,
        seal: Seal,
        data: bytes,
        approval: Approval,
        *,
        now: datetime,
        form: str = "cms",
        place: SealPlace = USUAL_PLACE,
        reason: str = "",
        level: Level = "B-LT",
        pending_uses: PendingUses | None = None,
    ) -> SealedDocument:
        """Sign any file as it is, in a format of `SIGNATURES`: on a page, or beside the file.

        The approved content is the file: `approval` names its SHA-256. What a file can make go
        wrong goes wrong before the key is used; a PDF takes seconds. Raises what `seal_pdf` raises
        and, for a PDF, `DocumentNotSealable` instead of `PdfNotOurs`, `DocumentTooLarge`, and
        `Unavailable`.
        """
        rules.must_be_approved(approval, _digest(data), now)
        rules.must_be_usable(seal, now)
        chain, row = self._credential(seal)
        task = SealingTask(
            seal=seal,
            chain=chain,
            algorithm=row,
            sign=self._signer(seal, approval.order(now, purpose=reason), pending_uses),
            time=self._keys.time,
            evidence=EvidenceSource(self._keys, seal.use).at,
            now=now,
            place=place,
            reason=reason,
            level=level,
        )
        return SIGNATURES[form].seal(data, task)

    def keep(self, tx: Tx, seal: Seal, pending_uses: PendingUses) -> None:
        """Record the uses of a seal's key in the transaction that what it sealed leaves with.

        Raises `SealNotUsable` when the key was stopped meanwhile.
        """
        try:
            self._keys.keep(tx, [pending_uses])
        except KeyMayNotSign:
            raise rules.stopped(seal) from None

    def validate(
        self, data: bytes, signature: bytes = b"", budget: examination.Budget = examination.PUBLIC
    ) -> Validation:
        """Answer what is known about a document, or about a file and the signature beside it.

        Raises `DocumentTooLarge`; a foreign PDF may take seconds, so call it off the event loop,
        and `Unavailable` when the `budget` of those who ask is spent.
        """
        judge = Judge(self._anchors(), self.seals.seal_at, self._clock())
        if signature:
            return validate_detached(data, signature, judge)
        return validate(data, judge, partial(examination.examine, budget=budget))

    def validate_pdf(
        self, data: bytes, budget: examination.Budget = examination.PUBLIC
    ) -> Validation:
        """`validate` for a document that carries its seal."""
        return self.validate(data, budget=budget)

    def _anchors(self) -> Trust:
        if self._trust is None:
            authority = self._keys.authority
            self._trust = Trust(
                [authority.certificate("root")],
                authority.first_revoked,
                self._keys.time.anchors if not self._keys.time.ours else (),
            )
        return self._trust

    def _credential(self, seal: Seal) -> tuple[list[bytes], str]:
        """Chain and algorithm of the seal's key, which must still be the registered one."""
        try:
            key, chain = self._keys.active(seal.use), self._keys.chain(seal.use)
        except UnknownCertificate:
            raise SealNotUsableNow(
                f"the certificate of the seal {seal.name} was revoked",
                next_step="Ask the keeper to renew it.",
            ) from None
        except NoActiveKey:
            raise rules.stopped(seal) from None
        if key.kid != seal.kid or certificate_digest(chain[0]) != seal.certificate_digest:
            raise _outdated(seal)
        return chain, key.algorithm

    def _sealer(self, seal: Seal) -> PdfSealer:
        sealer = self._sealers.get(seal.certificate_digest)
        if sealer is None:
            sealer = self._new_sealer(seal)
            while len(self._sealers) >= _REMEMBERED:
                self._sealers.pop(next(iter(self._sealers)), None)
            self._sealers[seal.certificate_digest] = sealer
        return sealer

    def _new_sealer(self, seal: Seal) -> PdfSealer:
        chain, row = self._credential(seal)
        return PdfSealer(
            chain=chain,
            algorithm=row,
            stamp=self._keys.time.stamp,
            longest_token=self._keys.time.longest_token(),
            evidence=EvidenceSource(self._keys, seal.use).at,
            name=seal.name,
            picture=seal.picture,
        )

    def _signer(
        self, seal: Seal, order: SigningAuthorization, pending_uses: PendingUses | None
    ) -> Callable[[bytes], bytes]:
        """Sign with the key of the seal's certificate, and notice when it is no longer that key."""

        def sign(message: bytes) -> bytes:
            try:
                signature = self._keys.sign(
                    seal.use, message, order=order, pending_uses=pending_uses
                )
            except (NoActiveKey, KeyMayNotSign):
                raise rules.stopped(seal) from None
            if signature.kid != seal.kid:
                raise _outdated(seal)
            return algorithm(signature.algorithm).from_jose(signature.value)

        return sign


def _is_intact(found: Validation) -> bool:
    """Unchanged since its last signature; an earlier signer may have seen less ("unknown")."""
    return found.covers_whole_file and found.check("integrity").result != "fail"


def _digest(data: bytes) -> str:
    return b64url(hashlib.sha256(data).digest())


def _outdated(seal: Seal) -> SealNotUsableNow:
    return SealNotUsableNow(
        f"the key of the seal {seal.name} was replaced", next_step="Ask the keeper to renew it."
    )
