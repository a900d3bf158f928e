"""Things that may be said once: ids of client assertions and DPoP proofs (RFC 7519 §4.1.7).

An id is remembered until the statement it belongs to could no longer be accepted; the database
decides who was first, across processes. Group-committed, because the fast lane waits for it; what
is used up by something that is written anyway goes into the commit of that (`once`).
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from foundation.batching import Condition, GroupWriter
from foundation.database import Database, Tx
from idp.models import replays


class ReplayCache:
    """`await first(...)` is True exactly once per (kind, speaker, name)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer: GroupWriter[tuple[str, datetime], bool] = GroupWriter(database, self._store)

    async def first(self, kind: str, speaker: str, name: str, until: datetime) -> bool:
        """Whether nobody said this before; answered after the COMMIT that remembers it."""
        return await self._writer.submit((_id(kind, speaker, name), until))

    def once(
        self, kind: str, speaker: str, name: str, until: datetime, refusal: Exception
    ) -> Condition[tuple[str, datetime], bool]:
        """The same for something to be written with it: the second time, that gets `refusal`."""
        item = _id(kind, speaker, name), until
        return self._writer.condition(item, lambda is_first: None if is_first else refusal)

    def close(self) -> None:
        """Commit what was given, then stop."""
        self._writer.close()

    def _store(self, tx: Tx, items: Sequence[tuple[str, datetime]]) -> list[bool]:
        unique = dict(items)
        rows = [{"id": each, "expires_at": until} for each, until in unique.items()]
        statement = self._database.insert_or_ignore(replays).values(rows).returning(replays.c.id)
        new = set(tx.execute(statement).scalars())
        answers = []
        for each, _ in items:
            answers.append(each in new)
            new.discard(each)
        return answers


def _id(kind: str, speaker: str, name: str) -> str:
    text = "\x00".join((kind, speaker, name))
    return hashlib.sha256(text.encode()).hexdigest()
