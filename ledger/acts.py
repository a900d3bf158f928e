"""The last act on a certificate's status: what the registry's row is held against when it is read.

Whoever can write into the tables could make a revoked licence valid with one UPDATE: its row is not
signed, and the status list is signed from the same tables. So every act on a status (issued,
suspended, restored, revoked …) leaves a witness in the transaction of its ledger entry: one row a
certificate, with the number of the act, the entry, and a tag under this service's key over both and
over everything that the certificate's row then says of its status.

- Another status, an older row put back, a row of another certificate: the tag does not fit.
- Only the last act is kept: there is no older tag in the tables that one could go back to.
- An act's number stands in its log entry too ("act"; issuing is always 1), so `fsck` finds what
  nobody can see in one read: row *and* witness put back together from an old copy.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from foundation.encryption import FieldCipher

_CONTEXT = "ledger_status_acts.tag"


@dataclass(slots=True)
class StatusAct:
    """One act, and the status it left a certificate in. `ordinal` counts from 1 (issued)."""

    certificate: str
    ordinal: int
    state: str
    since: datetime
    reason: str
    entry_id: str

    def tag(self, cipher: FieldCipher) -> str:
        """HMAC-SHA-256 over all of it, 64 hexadecimal characters."""
        since = self.since.astimezone(UTC)
        said = [self.certificate, self.ordinal, self.state, since, self.reason, self.entry_id]
        return cipher.blind_index(orjson.dumps(said).decode(), _CONTEXT)

    def is_witnessed(self, cipher: FieldCipher, tag: str) -> bool:
        """Whether this tag was made for exactly this act; compared in constant time."""
        return hmac.compare_digest(self.tag(cipher), tag)
