"""Time-stamps that come later: a licence sealed while no time-stamp could be had is completed.

The seal is valid without one (level B-B) and the holder need not wait; the job asks again until the
authority answers, adds the time-stamp to the stored file, and changes nothing that was signed.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from certificates.issuing.making import MadeCertificate
from certificates.register import store
from foundation.canonical import b64url
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.jobs import OUTBOUND, Jobs
from keys import TimestampUnavailable
from signing import Signing

COMPLETING: Final = "certificate.complete"


class Completion:
    """Remembers what waits for a time-stamp, and adds it."""

    def __init__(self, database: Database, signing: Signing, jobs: Jobs, clock: Clock) -> None:
        self._database = database
        self._signing = signing
        self._jobs = jobs
        self._clock = clock
        # Of the authority that may be slow, and one after another: it is one server (attack 52).
        jobs.register(
            COMPLETING, lambda payload: self.complete(payload["certificate"]), lane=OUTBOUND
        )

    def later(self, tx: Tx, all_made: Sequence[MadeCertificate]) -> None:
        """Enqueue what was sealed without a time-stamp, in the transaction that keeps it."""
        for made in all_made:
            if made.time_stamp_pending:
                key = f"{COMPLETING}/{made.certificate_id}"
                payload = {"certificate": made.certificate_id}
                self._jobs.enqueue(tx, COMPLETING, payload, lock=COMPLETING, key=key)

    def complete(self, certificate_id: str) -> None:
        """Add the time-stamp. Raises `TimestampUnavailable` while there is none."""
        with self._database.read() as tx:
            data = store.rendition(tx, certificate_id, "pdf")
        if data is None:
            return
        sealed = self._signing.complete_pdf(data, now=self._clock())
        if sealed.time_stamp_pending:
            raise TimestampUnavailable("still no time-stamp", retry_after=30)
        with self._database.write() as tx:
            before = b64url(hashlib.sha256(data).digest())
            store.replace_rendition(tx, certificate_id, "pdf", before, sealed.data)
