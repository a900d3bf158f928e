"""What speaks for a record: the signature over its credential, and the history of its seal.

Two kinds of facts are remembered, both immutable:

- "this very row, byte for byte, is what its credential and its digest vouch for". Only the hash of
  the row is kept, never a word of it.
- "until this moment the seal's history was so": states are only ever added with the present date,
  so the past up to the moment of reading cannot change. A certificate sealed after it is looked up
  again.

Status and validity are not remembered: they are read from the database for every question, and the
status is held against the ledger's last act, which is read with it.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from hashlib import sha256
from operator import attrgetter

import orjson

from certificates import (
    RECORD_FACTS,
    CertificateRecord,
)
from certificates.register import is_witnessed
from exchange.rules import RecordEvidence
from foundation.bounded import Bounded
from foundation.clock import Clock
from foundation.database import Tx
from signing import SealHistory, read_histories
from signing.formats import CREDENTIALS

CAPACITY = 200_000
_MARGIN = timedelta(seconds=5)  # clocks of several processes on one database
_facts_of = attrgetter(*RECORD_FACTS)

# Is the record what its credential and its digest say? Slow: verifies a signature.
Vouch = Callable[[CertificateRecord], bool]


class Provenance:
    """Evidence for records. `vouch` is asked once for each record as it stands."""

    def __init__(self, vouch: Vouch, clock: Clock) -> None:
        self._vouch = vouch
        self._clock = clock
        self._vouched: Bounded[bytes, bool] = Bounded(CAPACITY)
        self._seals: dict[str, SealHistory] = {}

    def of(self, tx: Tx, records: Collection[CertificateRecord]) -> dict[str, RecordEvidence]:
        """The evidence for each record, by identifier; three small queries, usually none."""
        histories = self._histories(tx, records)
        return {
            record.identifier: _evidence(record, self._intact(record), histories)
            for record in records
        }

    def _intact(self, record: CertificateRecord) -> bool | None:
        form = CREDENTIALS.get(record.credential_format)
        if form is None or not form.vouches:
            return False  # no certificate was ever issued with that: somebody wrote it there
        if not record.credential:
            return record.is_intact
        row = fingerprint(record)
        return self._vouched.get(row) or (self._vouch(record) and self._vouched.put(row, True))

    def _histories(
        self, tx: Tx, records: Collection[CertificateRecord]
    ) -> Mapping[str, SealHistory]:
        wanted = {
            record.seal_id
            for record in records
            if (known := self._seals.get(record.seal_id)) is None
            or record.issued_at > known.known_until
        }
        if wanted:
            self._seals.update(read_histories(tx, wanted, self._clock() - _MARGIN))
        return self._seals


def fingerprint(record: CertificateRecord) -> bytes:
    """SHA-256 over everything of a record that never changes, as it is stored.

    Encrypted fields count as they lie there: the same ciphertext is the same text.
    """
    facts = orjson.dumps(_facts_of(record))
    parts = (facts, record.sealed_fields, record.credential.encode())
    lengths = b"%d.%d." % (len(facts), len(record.sealed_fields))
    return sha256(b"".join((lengths, *parts))).digest()


def _evidence(
    record: CertificateRecord, intact: bool | None, histories: Mapping[str, SealHistory]
) -> RecordEvidence:
    seal = histories.get(record.seal_id)
    if seal is None:
        return RecordEvidence(intact, is_witnessed(record))
    return RecordEvidence(intact, is_witnessed(record), seal.in_force(record.issued_at), seal.owner)
