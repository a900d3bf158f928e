"""Stands in front of every private key in its process: policy first, then the record, then signing.

- What is recorded is the digest of the very bytes that are signed, computed here.
- The record is committed before the signature exists; or, for a caller that keeps what it seals in
  one transaction, it is handed to that transaction as a `PendingUses`, and what is signed leaves
  only with that commit.
- A key that this database knows as retiring or retired signs no order, whoever still holds its
  handle.
- Signatures per minute are counted per key in this process; a key service counts for all.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from foundation.canonical import b64url
from foundation.clock import Clock
from foundation.database import Database
from keys import policy as policies
from keys.custody import store
from keys.custody.backends import Signer
from keys.errors import KeyMayNotSign, SigningRateExceeded
from keys.models import KeyState, KeyUse
from keys.policy import KeyPolicy, SigningRequest


@dataclass(slots=True)
class PendingUses:
    """Uses of seal keys that the caller's transaction must record by `Keys.keep`."""

    uses: list[KeyUse] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """An opened key and what it may do; `elsewhere` signs where a key service checks the policy."""

    kid: str
    policy: KeyPolicy
    sign: Signer = field(repr=False)
    elsewhere: Callable[[Sequence[SigningRequest]], list[bytes]] | None = field(
        default=None, repr=False
    )

    @property
    def unlimited(self) -> bool:
        """Whether no rule could ever refuse this key: nothing need be checked."""
        rules = self.policy
        return not rules.by_order_only and rules.not_after is None and rules.per_minute is None


class SigningPolicy:
    """Signs with opened keys, by their policies."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._minutes: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def sign(
        self,
        key: OpenedKey,
        requests: Sequence[SigningRequest],
        pending_uses: PendingUses | None = None,
    ) -> list[bytes]:
        """Signatures in X.509/CMS form, in order; all of them or none.

        Raises `KeyMayNotSign`, `OrderRefused`, `SigningRateExceeded`.
        """
        if key.elsewhere is not None:
            return key.elsewhere(requests)
        now = self._clock()
        policies.must_allow(key.policy, requests, now)
        self._count(key, len(requests), now)
        self._record(key, requests, now, pending_uses)
        return [key.sign(request.message) for request in requests]

    def _record(
        self,
        key: OpenedKey,
        requests: Sequence[SigningRequest],
        now: datetime,
        pending_uses: PendingUses | None,
    ) -> None:
        uses = [_use(key, request, now) for request in requests if request.order is not None]
        if not uses:
            return
        if pending_uses is not None:
            pending_uses.uses += uses
            return
        with self._database.write() as tx:
            state = store.state_of(tx, key.kid)
            if state not in {None, KeyState.ACTIVE}:
                raise KeyMayNotSign(f"the key {key.kid} is {state}")
            store.add_uses(tx, uses)

    def _count(self, key: OpenedKey, wanted: int, now: datetime) -> None:
        allowed = key.policy.per_minute
        if allowed is None:
            return
        minute = int(now.timestamp()) // 60
        with self._lock:
            counted, done = self._minutes.get(key.kid, (minute, 0))
            done = done if counted == minute else 0
            if done + wanted > allowed:
                raise SigningRateExceeded(
                    f"the key of {key.policy.use} signs at most {allowed} times a minute",
                    retry_after=60 - int(now.timestamp()) % 60,
                )
            self._minutes[key.kid] = (minute, done + wanted)


def _use(key: OpenedKey, request: SigningRequest, now: datetime) -> KeyUse:
    order = request.order
    assert order is not None
    return KeyUse(
        at=now,
        kid=key.kid,
        use=key.policy.use,
        digest=b64url(hashlib.sha256(request.message).digest()),
        document=order.document,
        approval=order.approval,
        drafter=order.drafter,
        approver=order.approver,
        actor=order.actor,
        purpose=order.purpose,
    )
