"""Ask once, be answered once: the same Idempotency-Key repeats the answer instead of the act.

The key belongs to one client and is tied to the digest of the body: the same key with another body
is a mistake that is told. What was decided (verdict, checks, values, entry id) is kept under the
key in the very transaction that commits its ledger entry. So whatever happens after it, a process
killed, a key service that does not answer, the decision is there at once for whoever asks again:
it is signed as it is, nothing is decided anew, and there is never a second entry. On the fast lane
the answer is signed before that transaction, and kept as it leaves. Of requests that
run at the same time one commits; the others give up what they decided and repeat it.

A question that was not answered (malformed, or refused before it had an entry) leaves its key free.
Answers hold personal values, so they are stored encrypted, and for a day.

After draft-ietf-httpapi-idempotency-key-header-07.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Generic, TypeVar

import orjson

from exchange import consent, store
from exchange.errors import IdempotencyKeyReused, RequestInFlight
from exchange.store import Kept
from foundation.actor import Actor
from foundation.batching import (
    GroupWriter,
    Loader,
)
from foundation.canonical import b64url
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import Malformed, YinzhengError

HEADER = "idempotency-key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
# Refusals that have an entry: a repeat is the same refusal.
_RECORDED: Mapping[str, Callable[[], YinzhengError]] = {
    "show_code_expired": consent.expired,
    "show_code_unknown": consent.unknown,
}

A = TypeVar("A")  # an answer: one verdict or many
A_contra = TypeVar("A_contra", contravariant=True)
_Place = tuple[str, str]  # client and key
_Signed = tuple[str, str, str, str]  # client, key, digest of the body, answer


@dataclass(slots=True)
class IdempotencyClaim(Generic[A_contra]):
    """One request's place among those a client asks once. `write` is how its answer leaves; `kept`
    what was kept of it, signed or not."""

    place: _Place
    body_digest: str
    at: datetime
    database: Database = field(repr=False)
    write: Callable[[A_contra], bytes] = field(repr=False)
    kept: bytes = field(default=b"", init=False, repr=False)

    def keep(self, tx: Tx, answer: A_contra) -> None:
        """Keep an answer, signed or still to be signed, in the transaction of its entry.

        Raises `RequestInFlight` when the place is taken; then the entry must not be written.
        """
        self.kept = self.write(answer)
        self._keep(tx, self.kept.decode())

    def keep_refusal(self, tx: Tx, refusal: YinzhengError) -> None:
        """The same for a refusal that has an entry (of `_RECORDED`)."""
        self._keep(tx, orjson.dumps({"refused": refusal.code}).decode())

    def _keep(self, tx: Tx, answer: str) -> None:
        kept = Kept(self.body_digest, answer, self.at)
        if not store.keep_answer(tx, self.database, *self.place, kept):
            raise RequestInFlight(
                "the first request with this Idempotency-Key is still running",
                next_step="ask again in a second",
            )


class IdempotencyKeys:
    """Answers by client and key. `sign` answers the receipt with an id, signed once more."""

    def __init__(
        self, database: Database, clock: Clock, sign: Callable[[str], Awaitable[str]]
    ) -> None:
        self._database = database
        self._clock = clock
        self._sign = sign
        self._loader: Loader[_Place, Kept] = Loader(database, store.kept_answers)
        self._writer: GroupWriter[_Signed, None] = GroupWriter(database, _keep_signed)

    def close(self) -> None:
        """Stop looking keys up and finish writing those that were given."""
        self._loader.close()
        self._writer.close()

    async def once(
        self,
        actor: Actor,
        key: str,
        body: bytes,
        act: Callable[[IdempotencyClaim[A]], Awaitable[A]],
        write: Callable[[A], bytes],
    ) -> tuple[bytes, bool]:
        """The answer of `act`, and whether it is a repeated one.

        1. What was decided under this key before is repeated.
        2. Else it is decided now; `act` keeps it with its entry (`Claim.keep`).
        3. Somebody else was faster: what they decided is repeated, and ours never was.
        4. An answer that was kept unsigned is kept signed, so that every repeat is the same, byte
           for byte.
        Raises `IdempotencyKeyReused` and `RequestInFlight`, and what `act` raises.
        """
        if not _KEY.fullmatch(key):
            raise Malformed("an Idempotency-Key has 1 to 255 visible ASCII characters")
        digest = b64url(sha256(body).digest())
        claim = IdempotencyClaim((actor.id, key), digest, self._clock(), self._database, write)
        kept = await self._kept(claim)
        if kept is None:
            try:
                answer = write(await act(claim))  # 2
            except RequestInFlight:
                kept = await self._kept(claim)
                if kept is None:
                    raise
            else:
                if answer != claim.kept:  # 4
                    await self._writer.submit((*claim.place, digest, answer.decode()))
                return answer, False
        return await self._repeated(claim, kept), True  # 1, 3

    async def _kept(self, claim: IdempotencyClaim[A]) -> Kept | None:
        """What is kept in this place. Raises `IdempotencyKeyReused` when it is another's."""
        kept = await self._loader.get(claim.place)
        if kept is None or kept.at < claim.at - store.ANSWERS_KEPT:
            return None
        if kept.body_digest != claim.body_digest:
            raise IdempotencyKeyReused(
                "this Idempotency-Key was used with another body",
                next_step="use a new key for a new request",
            )
        return kept

    async def _repeated(self, claim: IdempotencyClaim[A], kept: Kept) -> bytes:
        """The kept answer, signed now if nobody could sign it before."""
        answer = orjson.loads(kept.answer)
        if refused := answer.get("refused"):
            raise _RECORDED[refused]()
        if answer["receipt"]:
            return kept.answer.encode()
        answer["receipt"] = await self._sign(answer["receipt_id"])
        signed = orjson.dumps(answer)
        await self._writer.submit((*claim.place, claim.body_digest, signed.decode()))
        return signed


def _keep_signed(tx: Tx, answers: Sequence[_Signed]) -> list[None]:
    for answer in answers:
        store.keep_signed(tx, *answer)
    return [None] * len(answers)
