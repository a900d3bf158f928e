"""What a signature format is: how a file is sealed with it, recognised, and read back.

`SIGNATURES` in this folder's `__init__` is the table. Whatever offers, names or guesses formats
asks it: ways to use a permit, what a download is called, the command line, validation.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from foundation.canonical import b64url
from keys.timestamping import TimeSource
from signing.foreign.examination import Examination
from signing.models import Box, Level, Seal, SealedDocument, Validation
from signing.trust.certificates import Doubt
from signing.trust.checks import INTACT, Judge, Signed, unread
from signing.trust.evidence import Evidence

USUAL_BOX: Final[Box] = (400.0, 100.0, 119.0)  # 42 mm in the lower right of an A4 page


@dataclass(frozen=True, slots=True)
class SealPlace:
    """Where a seal is seen on a page; the page is counted from 0."""

    box: Box = USUAL_BOX
    page: int = 0


@dataclass(frozen=True, slots=True)
class SealingTask:
    """One approved use of one seal, and all that is needed for it.

    `chain` is DER, the seal's certificate first; `sign` signs once, in X.509/CMS form; `evidence`
    collects what the file carries for later years; `place` and `reason` are seen where there is a
    page. `level` is the level wished for.
    """

    seal: Seal
    chain: Sequence[bytes]
    algorithm: str
    sign: Callable[[bytes], bytes]
    time: TimeSource
    evidence: Callable[[datetime], Evidence]
    now: datetime
    place: SealPlace
    reason: str
    level: Level

    def done(self, data: bytes, level: Level, *, pending: bool = False) -> SealedDocument:
        """What leaves; `pending` when a time-stamp was wanted and could not be had."""
        digest = b64url(hashlib.sha256(data).digest())
        return SealedDocument(data, level, digest, self.seal.kid, self.now, pending)


class SignatureFormat(Protocol):
    """One way to sign a file.

    `name` is used in reports, forms and on the command line, `media_type` and `suffix` for what
    leaves. `beside`: sealing answers a signature beside the file, otherwise the sealed file itself.
    """

    @property
    def name(self) -> str:
        """What reports, forms and the command line call the format."""

    @property
    def media_type(self) -> str:
        """The media type of what sealing answers."""

    @property
    def suffix(self) -> str:
        """The ending of the name of the file that sealing answers."""

    @property
    def beside(self) -> bool:
        """Whether sealing answers a signature beside the file and not the sealed file."""

    def recognises(self, data: bytes, *, beside: bool) -> bool:
        """Whether a stranger's bytes are meant to be this: a document that carries its signature,
        or a signature `beside` a file. Reads little and raises nothing."""
        ...

    def seal(self, data: bytes, task: SealingTask) -> SealedDocument:
        """Sign; what is made is read back, or refused, before it leaves."""
        ...

    def verify(
        self,
        data: bytes,
        signature: bytes | None,
        judge: Judge,
        examine: Callable[[bytes], Examination],
    ) -> Validation:
        """The answers to all questions. `signature` is None for a document that carries it;
        `examine` opens a PDF of others in a process of its own."""
        ...


def judged(kind: str, judge: Judge, verify: Callable[[], Signed]) -> Validation:
    """All questions about one signature over the bytes of a whole file; `verify` may `Doubt`."""
    try:
        return judge.signature(kind, INTACT, verify())
    except Doubt as doubt:
        missing = doubt.code == "content_missing"
        return unread(kind, doubt.code, doubt.detail, "unknown" if missing else "fail")
