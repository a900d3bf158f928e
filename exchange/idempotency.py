"""Ask once, be answered once: the same Idempotency-Key repeats the answer instead of the act.

The key belongs to one client, is unique in the database, and is tied to the digest of the body: the
same key with another body is a mistake that is told. While the first request runs, a second one is
told to wait; a claim whose process died is free again after a minute, and a process that only
seemed dead cannot touch the new claim. Answers hold personal values,
so they are stored encrypted, and for a day.

After draft-ietf-httpapi-idempotency-key-header-07.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from hashlib import sha256

from exchange import store
from exchange.errors import IdempotencyKeyReused, RequestInFlight
from foundation.actor import Actor
from foundation.canonical import b64url
from foundation.clock import Clock
from foundation.database import Database
from foundation.errors import Malformed

HEADER = "idempotency-key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class Replays:
    """Answers by client and key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def once(
        self, actor: Actor, key: str, body: bytes, act: Callable[[], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        """The answer of `act`, and whether it is a repeated one.

        Raises `IdempotencyKeyReused` and `RequestInFlight`; when `act` fails the key is free again.
        """
        if not _KEY.fullmatch(key):
            raise Malformed("an Idempotency-Key has 1 to 255 visible ASCII characters")
        body_digest = b64url(sha256(body).digest())
        started = self._clock()
        earlier = await asyncio.to_thread(self._begin, actor.id, key, body_digest, started)
        if earlier is not None:
            return earlier, True
        try:
            answer = await act()
        except BaseException:
            await asyncio.to_thread(self._drop, actor.id, key, started)
            raise
        await asyncio.to_thread(self._finish, actor.id, key, started, answer)
        return answer, False

    def _begin(self, client: str, key: str, body_digest: str, started: datetime) -> bytes | None:
        with self._database.write() as tx:
            earlier = store.begin_request(tx, self._database, client, key, body_digest, started)
        if earlier is None:
            return None
        if earlier.body_digest != body_digest:
            raise IdempotencyKeyReused(
                "this Idempotency-Key was used with another body",
                next_step="use a new key for a new request",
            )
        if earlier.answer is None:
            raise RequestInFlight(
                "the first request with this Idempotency-Key is still running",
                next_step="ask again in a second",
            )
        return earlier.answer.encode()

    def _finish(self, client: str, key: str, started: datetime, answer: bytes) -> None:
        with self._database.write() as tx:
            store.finish_request(tx, client, key, started, answer.decode())

    def _drop(self, client: str, key: str, started: datetime) -> None:
        with self._database.write() as tx:
            store.drop_request(tx, client, key, started)
