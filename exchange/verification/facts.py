"""What the database says to questions: purposes, records and what speaks for them.

One way to look, for whoever asks: many in one tick of the loop, many on a thread of their own, or
one in a transaction. Status is read for every question; nothing is kept.
"""

import asyncio
from collections.abc import Mapping, Sequence

from certificates import Certificate, Certificates
from exchange.purposes import Purposes
from exchange.rules import RecordEvidence
from exchange.verification.decisions import (
    IDENTIFIER,
    NOTHING_FOUND,
    NUMBER,
    TOKEN,
    Facts,
    Key,
)
from exchange.verification.provenance import Provenance
from foundation.batching import Loader
from foundation.database import Database, Tx

_NO_EVIDENCE = RecordEvidence()


class FactFinder:
    """Facts by key: organisation, purpose, by what, and the number or token."""

    def __init__(
        self,
        database: Database,
        certificates: Certificates,
        purposes: Purposes,
        provenance: Provenance,
    ) -> None:
        self._database = database
        self._certificates = certificates
        self._purposes = purposes
        self._provenance = provenance
        self._loader: Loader[Key, Facts] = Loader(database, self.find)

    def close(self) -> None:
        """Stop the loader; nothing may be asked afterwards."""
        self._loader.close()

    async def soon(self, key: Key) -> Mapping[Key, Facts]:
        """On the fast lane: one query for all who ask in this tick."""
        return {key: await self._loader.get(key) or NOTHING_FOUND}

    async def soon_all(self, keys: Sequence[Key]) -> Mapping[Key, Facts]:
        """Many for one asker, off the loop."""

        def find() -> Mapping[Key, Facts]:
            with self._database.read() as tx:
                return self.find(tx, keys)

        return await asyncio.to_thread(find)

    def find(self, tx: Tx, keys: Sequence[Key]) -> Mapping[Key, Facts]:
        """Purposes, records and their evidence for many questions: one query each.

        Nothing is examined for somebody who may not ask about it: that, too, would be an answer.
        """
        grants = self._purposes.load(tx, {(key[0], key[1]) for key in keys})
        records = self._records(tx, keys)
        allowed = [
            record
            for organisation, purpose, by, what in keys
            if (record := records[by].get(what)) and record.type in grants[organisation, purpose]
        ]
        evidence = self._provenance.of(tx, allowed)  # checking a signature takes time that tells
        answers = {}
        for key in keys:
            record = records[key[2]].get(key[3])
            proof = evidence.get(record.identifier, _NO_EVIDENCE) if record else _NO_EVIDENCE
            known = self._purposes.knows(key[1])
            answers[key] = Facts(grants[key[0], key[1]], record, proof, known)
        return answers

    def _records(self, tx: Tx, keys: Sequence[Key]) -> Mapping[str, Mapping[str, Certificate]]:
        """The records behind keys, by what was asked and what it said; one query for each."""
        asked: dict[str, set[str]] = {}
        for _, _, by, what in keys:
            asked.setdefault(by, set()).add(what)
        load = {
            NUMBER: self._certificates.load_many,
            IDENTIFIER: self._certificates.load_many,
            TOKEN: self._certificates.load_by_tokens,
        }
        return {by: load[by](tx, list(wanted - {""})) for by, wanted in asked.items()}
