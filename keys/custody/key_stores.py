"""Making keys and signing with them: the only place where a backend is spoken to.

- Every signature passes the key's policy (`signing_policy`); a key that no rule could refuse is
  not slowed.
- `ensure` makes the active key of a use exactly once, whatever number of processes ask: the row is
  inserted or ignored under the partial unique index, then read back.
- An opened key (`Signer`) is cached by kid: opening costs up to 80 signatures. It is an immutable
  fact, so the cache is bounded but never goes stale; what may sign is decided by the caller.
- A key belongs to the backend that made it; a key of another backend cannot be opened here.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from foundation.bounded import Bounded
from foundation.clock import Clock
from foundation.database import Database, Tx
from keys.custody import store
from keys.custody.backends import Backend, PolicyCheckingBackend, Signer
from keys.custody.signing_policy import OpenedKey, PendingUses, SigningPolicy
from keys.custody.store import StoredKey
from keys.encoding.algorithms import Algorithm, algorithm
from keys.encoding.jose import jwk_of
from keys.errors import KeyDamaged, KeyMayNotSign
from keys.models import Key, KeyState
from keys.policy import KeyPolicy, SigningRequest

_CAPACITY = 10_000


class Custody:
    """Private keys behind `backends`, known by their rows in `database`.

    The first backend makes new keys; the others still open what they made, so that an installation
    can move into a hardware module key by key.
    """

    def __init__(self, database: Database, backends: Sequence[Backend], clock: Clock) -> None:
        self._database = database
        self._backend = backends[0]
        self._backends = {each.scheme: each for each in backends}
        self._clock = clock
        self._signing_policy = SigningPolicy(database, clock)
        self._opened: Bounded[str, OpenedKey] = Bounded(_CAPACITY)
        self._jose_signers: Bounded[str, Signer] = Bounded(_CAPACITY)

    def ensure(self, tx: Tx, use: str, algorithm_name: str) -> StoredKey:
        """The active key of `use`, made now if there is none."""
        existing = store.active_key(tx, use)
        if existing is None:
            self.create(tx, use, algorithm_name)
            existing = store.active_key(tx, use)
        if existing is None:
            raise KeyDamaged(f"the use {use} has a row that is neither active nor replaceable")
        return existing

    def create(
        self,
        tx: Tx,
        use: str,
        algorithm_name: str,
        state: KeyState = KeyState.ACTIVE,
        *,
        not_after: datetime | None = None,
        per_minute: int | None = None,
    ) -> StoredKey | None:
        """A new key of `use`; None when another process was first."""
        policy = KeyPolicy(use, store.next_version(tx, use), not_after, per_minute)
        stored = self._generate(algorithm(algorithm_name), policy, state, self._clock())
        if not store.add_key(tx, self._database, stored):
            self._backend.destroy(stored.key.kid, stored.handle)
            return None
        return stored

    def sign(
        self,
        stored: StoredKey,
        requests: Sequence[SigningRequest],
        pending_uses: PendingUses | None = None,
    ) -> list[bytes]:
        """Signatures in X.509/CMS form, in order; all of them or none."""
        return self._signing_policy.sign(self._open(stored), requests, pending_uses)

    def signer(self, stored: StoredKey) -> Signer:
        """A function that signs whole messages in X.509/CMS form, without an order."""
        key = self._open(stored)
        if key.unlimited:
            return key.sign
        return lambda message: self._signing_policy.sign(key, [SigningRequest(message)])[0]

    def jose_signer(self, stored: StoredKey) -> Signer:
        """The same in JOSE/COSE form."""
        kid = stored.key.kid
        signer = self._jose_signers.get(kid)
        if signer is None:
            translate = algorithm(stored.key.algorithm).to_jose
            signer = self._jose_signers.put(kid, _translated(translate, self.signer(stored)))
        return signer

    def retire(self, tx: Tx, stored: StoredKey, now: datetime) -> bool:
        """Destroy a retiring key's private half; the public one stays for those who verify."""
        kid = stored.key.kid
        retiring, retired = KeyState.RETIRING, KeyState.RETIRED
        if not store.change_state(tx, kid, retiring, retired, now, handle=b""):
            return False
        self._backend_of(stored).destroy(kid, stored.handle)
        self.forget(kid)
        return True

    def forget(self, kid: str) -> None:
        """Drop an opened key from this process."""
        self._opened.drop(kid)
        self._jose_signers.drop(kid)

    def _open(self, stored: StoredKey) -> OpenedKey:
        """The key, opened once and remembered."""
        kid = stored.key.kid
        return self._opened.get(kid) or self._opened.put(kid, self._newly_opened(stored))

    def _newly_opened(self, stored: StoredKey) -> OpenedKey:
        key = stored.key
        if key.state == KeyState.RETIRED or not stored.handle:
            raise KeyMayNotSign(f"the key {key.kid} is retired")
        row, backend = algorithm(key.algorithm), self._backend_of(stored)
        sign = backend.signer(row, key.kid, key.policy, stored.handle)
        elsewhere = None
        if isinstance(backend, PolicyCheckingBackend):
            elsewhere = partial(backend.sign_many, row, key.kid, key.policy, stored.handle)
        return OpenedKey(key.kid, key.policy, sign, elsewhere)

    def _backend_of(self, stored: StoredKey) -> Backend:
        backend = self._backends.get(stored.backend)
        if backend is None:
            raise KeyDamaged(
                f"the key {stored.key.kid} is kept by {stored.backend}, which is not open here",
                next_step="start with the key backend that made this key",
            )
        return backend

    def _generate(
        self, row: Algorithm, policy: KeyPolicy, state: KeyState, now: datetime
    ) -> StoredKey:
        new = self._backend.generate(row, policy)
        jwk = {**jwk_of(new.public_key), "kid": new.kid, "alg": row.name, "use": "sig"}
        key = Key(
            kid=new.kid,
            use=policy.use,
            version=policy.version,
            algorithm=row.name,
            state=state,
            public_jwk=jwk,
            public_key=new.public_key,
            created_at=now,
            activated_at=now if state == KeyState.ACTIVE else None,
            not_after=policy.not_after,
            per_minute=policy.per_minute,
        )
        return StoredKey(key, self._backend.scheme, new.handle)


def _translated(translate: Callable[[bytes], bytes], native: Signer) -> Signer:
    return lambda message: translate(native(message))
