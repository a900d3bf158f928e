"""The row of the table for PDFs: a seal on a page, at the level that evidence and time allow."""

from typing import Final

from signing import cms
from signing.foreign import sealing
from signing.formats.pdf.reading import Examine, read
from signing.formats.signature import SealingTask
from signing.models import SealedDocument, Validation
from signing.rules import must_be_small
from signing.trust.checks import Judge
from signing.trust.evidence import NO_EVIDENCE


class PdfSignature:
    """PAdES (EN 319 142-1) on a file that somebody uploaded; what we draw, `PdfSealer` seals."""

    name: Final = "pdf"
    media_type: Final = "application/pdf"
    suffix: Final = "-sealed.pdf"
    beside: Final = False

    def recognises(self, data: bytes, *, beside: bool) -> bool:
        """A PDF may begin with something else (ISO 32000-2 annex I)."""
        return not beside and b"%PDF-" in data[:1024]

    def seal(self, data: bytes, task: SealingTask) -> SealedDocument:
        """The file with the seal on a page; takes seconds.

        Raises `DocumentTooLarge` above 50 MB, `DocumentNotSealable` and `Unavailable` before the
        key is used.
        """
        must_be_small(data)
        evidence = NO_EVIDENCE
        if task.level == "B-LT" and task.time.ours:
            evidence = task.evidence(task.now)
        seal, place = task.seal, task.place
        sealed, reached = sealing.seal(
            data,
            sealing.SealPlacement(
                seal.name, seal.picture, place.box, place.page, task.reason, evidence
            ),
            cms.SignerTemplate.of(task.chain, task.algorithm),
            task.sign,
            None if task.level == "B-B" else task.time.stamp,
            longest_token=task.time.longest_token(),
            now=task.now,
        )
        return task.done(sealed, reached, pending=reached == "B-B" and task.level != "B-B")

    def verify(
        self, data: bytes, signature: bytes | None, judge: Judge, examine: Examine
    ) -> Validation:
        """What is to be said of the file."""
        return read(data, judge, examine)
