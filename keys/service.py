"""`Keys`: everyone asks for a use, never for a key.

- The active key of a use is remembered for a few seconds, so after a rotation in one process the
  others still sign with the old key for that long; it is then `retiring` and still published.
- Staged and retiring keys are published too: verifiers meet a new key before it signs and keep an
  old one as long as what it signed lives.
- A key made inside a transaction that was not committed is invisible to everybody else, including
  the caches here.

    keys.ensure("idp.tokens")
    token = keys.jws("idp.tokens", {"sub": "…"}, typ="at+jwt")
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, TypeVar

import orjson

from foundation.bounded import Bounded
from foundation.clock import Clock
from foundation.database import Database, Tx
from keys.custody import rules, store
from keys.custody.backends import Backend
from keys.custody.key_stores import Custody
from keys.custody.rules import Change
from keys.custody.signing_policy import PendingUses
from keys.custody.store import StoredKey
from keys.encoding.algorithms import algorithm as algorithm_row
from keys.encoding.jose import VerificationKey, assemble, encoded_header
from keys.errors import ActiveKeyExists, KeyMayNotSign, NoActiveKey, UnknownCertificate, UnknownKey
from keys.models import Key, KeyState, KeyUse, Signature
from keys.pki.authority import Authority
from keys.pki.ocsp import OcspResponder
from keys.pki.responders import Responders
from keys.policy import SigningAuthorization, SigningRequest
from keys.rotation import Rotation
from keys.timestamping.external_time import TimeSource
from keys.timestamping.timestamps import Credential, TimestampAuthority

ACTIVE_FOR: Final = 5.0
TSA: Final = "tsa"
_CAPACITY: Final = 10_000
_KID = re.compile(r"[A-Za-z0-9_-]{43}\Z")
# Threads that wait for keys outside this process: as many signatures are asked for at once.
_WAITING: Final = 8
_PUBLISHED = (KeyState.STAGED, KeyState.ACTIVE, KeyState.RETIRING)

T = TypeVar("T")


class Keys:
    """Keys by use.

    `backend` makes new keys; `older_backends` still open theirs. `public_url` is written into
    certificates as the place of `/pki/…` (left out when empty), `name` is the organisation that the
    certificate authority says it is; `time_source` stamps what is sealed (left out: our own
    authority, which also answers at /tsa). `monotonic` counts seconds for
    the caches and is only replaced by tests.
    """

    def __init__(
        self,
        database: Database,
        backend: Backend,
        clock: Clock,
        public_url: str = "",
        *,
        older_backends: Sequence[Backend] = (),
        name: str = "Yinzheng",
        time_source: TimeSource | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._monotonic = monotonic
        self._custody = Custody(database, [backend, *older_backends], clock)
        self._prompt = all(each.prompt for each in (backend, *older_backends))
        self._threads = ThreadPoolExecutor(_WAITING, thread_name_prefix="keys")
        self.authority = Authority(database, self._custody, clock, public_url=public_url, name=name)
        self.timestamps = TimestampAuthority(self._timestamp_credential, clock)
        self.time: TimeSource = time_source or self.timestamps
        self._rotation = Rotation(database, self._custody, self.authority)
        self._responders = Responders(database, self._custody, self.authority, clock, name)
        self.ocsp = OcspResponder(self._responders, clock)
        self._active: Bounded[str, tuple[float, StoredKey]] = Bounded(_CAPACITY)
        self._found: Bounded[str, tuple[float, Key]] = Bounded(_CAPACITY)
        self._headers: Bounded[tuple[str, str], bytes] = Bounded(_CAPACITY)
        self._chains: Bounded[str, tuple[float, list[bytes]]] = Bounded(_CAPACITY)

    def establish(self) -> None:
        """Make the certificate authority and the time-stamp authority, once; at start-up."""
        with self._database.write() as tx:
            self.authority.establish(tx)
            self._custody.ensure(tx, TSA, "ES256")
            self.authority.certificate_for(tx, TSA, "timestamp", self._timestamp_name())

    def ensure(self, use: str, algorithm: str = "ES256") -> Key:
        """The active key of `use`; made in a transaction of its own when there is none."""
        try:
            return self.active(use)
        except NoActiveKey:
            with self._database.write() as tx:
                self._custody.ensure(tx, use, algorithm)
            return self.active(use)

    def create(
        self,
        tx: Tx,
        use: str,
        algorithm: str = "ES256",
        *,
        not_after: datetime | None = None,
        per_minute: int | None = None,
    ) -> Key:
        """A new active key inside the caller's transaction. Raises `ActiveKeyExists`.

        `not_after` and `per_minute` (signatures) are bound to the key for its whole life.
        """
        stored = self._custody.create(
            tx, use, algorithm, not_after=not_after, per_minute=per_minute
        )
        if stored is None:
            raise ActiveKeyExists(f"the use {use} already has an active key")
        return stored.key

    def active(self, use: str) -> Key:
        """The key that signs for `use`. Raises `NoActiveKey`."""
        return self._current(use).key

    def find(self, kid: str) -> Key:
        """The key with this id, in any state. Raises `UnknownKey`.

        Ids have the form of a thumbprint; anything else is unknown without asking the database.
        """
        remembered = self._found.get(kid)
        if remembered is not None and remembered[0] > self._monotonic():
            return remembered[1]
        stored = None
        if _KID.match(kid):
            with self._database.read() as tx:
                stored = store.key_by_kid(tx, kid)
        if stored is None:
            raise UnknownKey("no key has this kid")
        self._found.put(kid, (self._monotonic() + ACTIVE_FOR, stored.key))
        return stored.key

    def trusted(self, *uses: str) -> Callable[[Mapping[str, Any]], VerificationKey | None]:
        """A `key_for` for `verify_compact`: our own keys of these uses that are not retired."""

        def key_for(header: Mapping[str, Any]) -> VerificationKey | None:
            try:
                key = self.find(header.get("kid", ""))
            except UnknownKey:
                return None
            return key.verification if key.use in uses and key.state in _PUBLISHED else None

        return key_for

    def sign(
        self,
        use: str,
        message: bytes,
        *,
        order: SigningAuthorization | None = None,
        pending_uses: PendingUses | None = None,
    ) -> Signature:
        """Sign a whole message; the signature is in JOSE/COSE form.

        A seal key needs an `order`. Its use is recorded before the signature exists, in a
        transaction of its own, or in the caller's, which then must `keep` the `pending_uses`.
        Raises `OrderRefused`, `KeyMayNotSign`, `SigningRateExceeded`, `KeyStoreUnavailable`.
        """
        if order is None:
            stored = self._current(use)
            value = self._custody.jose_signer(stored)(message)
            return Signature(stored.key.kid, stored.key.algorithm, value)
        return self.sign_many(use, [SigningRequest(message, order)], pending_uses=pending_uses)[0]

    async def off_loop(self, act: Callable[[], T]) -> T:
        """What `act`, which signs, answers or raises; for whoever stands on the event loop.

        Keys of this process sign in less time than a thread takes to be asked. Any other custody
        may fall silent: then only threads of this service wait for it, and all else is answered.
        """
        return act() if self._prompt else await self.on_thread(act)

    async def on_thread(self, act: Callable[[], T]) -> T:
        """`off_loop` for what may also open a key or ask the database."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def sign_many(
        self,
        use: str,
        requests: Sequence[SigningRequest],
        *,
        pending_uses: PendingUses | None = None,
    ) -> list[Signature]:
        """Sign several messages with one key: one check, one record, all of them or none."""
        stored = self._current(use)
        kid, row = stored.key.kid, algorithm_row(stored.key.algorithm)
        signed = self._custody.sign(stored, requests, pending_uses)
        return [Signature(kid, row.name, row.to_jose(each)) for each in signed]

    def keep(self, tx: Tx, pending_uses: Iterable[PendingUses]) -> None:
        """Record uses of seal keys in the transaction that keeps what they sealed.

        A key that was stopped meanwhile fails the transaction (`KeyMayNotSign`), and a key cannot
        be stopped before the transaction ends: what is kept was sealed by a key in use.
        """
        uses = [use for pending_uses in pending_uses for use in pending_uses.uses]
        if not uses:
            return
        states = store.states_held(tx, {use.kid for use in uses})
        if any(state != KeyState.ACTIVE for state in states):
            raise KeyMayNotSign("the key of the seal was stopped meanwhile")
        store.add_uses(tx, uses)

    def uses_of(
        self, use: str, *, before: int | None = None, limit: int = 50
    ) -> list[tuple[int, KeyUse]]:
        """Who had what signed with a seal key and why, newest first; continue from a number."""
        with self._database.read() as tx:
            return store.uses_made(tx, use, before, limit)

    def uses_for(self, document: str) -> list[tuple[int, KeyUse]]:
        """Every signature by order for the content with this digest, oldest first."""
        with self._database.read() as tx:
            return store.uses_for(tx, document)

    def sign_der(self, use: str, message: bytes) -> bytes:
        """Sign a whole message; the signature is in X.509/CMS form. Not for seal keys."""
        return self._custody.signer(self._current(use))(message)

    def jws(
        self,
        use: str,
        payload: Mapping[str, Any] | bytes,
        *,
        typ: str,
        header: Mapping[str, object] | None = None,
        order: SigningAuthorization | None = None,
        pending_uses: PendingUses | None = None,
    ) -> str:
        """A compact JWS of type `typ` with our `kid`; `header` adds parameters such as `x5c`.

        `order` and `pending_uses` as for `sign`.
        """
        stored = self._current(use)
        prefix = self._header(stored.key, typ) if not header else _header(stored.key, typ, header)
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        if order is None:
            return assemble(prefix, body, self._custody.jose_signer(stored))
        return assemble(
            prefix,
            body,
            lambda message: self.sign(use, message, order=order, pending_uses=pending_uses).value,
        )

    def jwks(self, *uses: str) -> dict[str, Any]:
        """The JWK Set (RFC 7517 §5) of some uses: staged, active and retiring, public only."""
        with self._database.read() as tx:
            published = store.keys_of(tx, uses, _PUBLISHED)
        return {"keys": [dict(stored.key.public_jwk) for stored in published]}

    def inventory(self, *uses: str) -> list[Key]:
        """Every key of some uses (of all uses when none is named), newest version first."""
        with self._database.read() as tx:
            return [stored.key for stored in store.keys_of(tx, uses or store.uses(tx))]

    def chain(self, use: str) -> list[bytes]:
        """DER certificates of the active key, leaf first. Raises `UnknownCertificate`."""
        kid = self._current(use).key.kid
        remembered = self._chains.get(kid)
        if remembered is not None and remembered[0] > self._monotonic():
            return remembered[1]
        with self._database.read() as tx:
            chain = [certificate.der for certificate in self.authority.chain_of(tx, kid)]
        self._chains.put(kid, (self._monotonic() + ACTIVE_FOR, chain))
        return chain

    def revocation_lists(self, *uses: str, now: datetime | None = None) -> list[bytes]:
        """The current list (DER) of every authority above the active keys of these uses."""
        kids = [self._current(use).key.kid for use in uses]
        return self.authority.crls_above(kids, now or self._clock())

    def rotate(self, use: str, now: datetime | None = None, *, at_once: bool = False) -> Key:
        """Ask for the next key of `use`; answers the key that signs afterwards.

        The first call publishes a staged key; a call after the publishing period (a day) makes it
        sign. `at_once` does both now: for keys nobody has cached, or when time is short.
        """
        self._rotation.apply(
            use,
            now or self._clock(),
            lambda keys, at, policy: rules.asked_rotation(keys, at, policy, at_once=at_once),
        )
        self._forget(use)
        return self.active(use)

    def compromised(self, use: str, now: datetime | None = None) -> Key:
        """The active key is no longer ours alone: answers its successor, which signs at once.

        The old key leaves the JWK Set, its private half is destroyed and its certificates are
        revoked with reason key_compromise, all in one transaction.
        """
        self._rotation.replace_stolen(use, now or self._clock())
        self._forget(use)
        return self.active(use)

    def stop(self, tx: Tx, use: str, now: datetime) -> None:
        """Let a use sign no more; what it signed still verifies, and its key can be destroyed."""
        active = store.active_key(tx, use)
        if active is not None:
            kid, retiring = active.key.kid, KeyState.RETIRING
            store.change_state(tx, kid, KeyState.ACTIVE, retiring, now)
        self._forget(use)

    def destroy(self, tx: Tx, use: str, now: datetime) -> None:
        """Destroy every private half of a use for ever; what they signed still verifies."""
        self._rotation.destroy(tx, use, now)
        self._forget(use)

    def rotate_due(self, now: datetime | None = None) -> list[Change]:
        """The regular job: authorities and certificates near their end, then every key state that
        is due, then the status answers of the next hours.
        """
        at = now or self._clock()
        with self._database.read() as tx:
            ending = self.authority.ending(tx, at)
        for use in ending:
            self.rotate(use, at, at_once=True)  # nobody caches an authority: it is sent along
        with self._database.write() as tx:
            self.authority.renew_due(tx, at)
        changes: list[Change] = []
        for use in self._rotation.due(at):
            changes += self._rotation.apply(use, at, rules.next_states)
            self._forget(use)
        self._responders.presign(self.ocsp, at)
        return changes

    def _current(self, use: str) -> StoredKey:
        remembered = self._active.get(use)
        if remembered is not None and remembered[0] > self._monotonic():
            return remembered[1]
        with self._database.read() as tx:
            stored = store.active_key(tx, use)
        if stored is None:
            raise NoActiveKey(f"the use {use} has no active key")
        self._active.put(use, (self._monotonic() + ACTIVE_FOR, stored))
        return stored

    def _timestamp_name(self) -> dict[str, str]:
        return {
            "organization_name": self._name,
            "common_name": f"{self._name} Time-stamp Authority",
        }

    def _timestamp_credential(self) -> Credential:
        try:
            stored, chain = self._current(TSA), self.chain(TSA)
        except (NoActiveKey, UnknownCertificate):
            self.establish()
            stored, chain = self._current(TSA), self.chain(TSA)
        return Credential(
            kid=stored.key.kid,
            algorithm=stored.key.algorithm,
            sign=self._custody.signer(stored),
            chain=chain,
        )

    def _header(self, key: Key, typ: str) -> bytes:
        prefix = self._headers.get((key.kid, typ))
        if prefix is None:
            prefix = _header(key, typ, {})
            self._headers.put((key.kid, typ), prefix)
        return prefix

    def _forget(self, use: str) -> None:
        self._active.drop(use)
        self._chains.clear()
        self._found.clear()


def _header(key: Key, typ: str, more: Mapping[str, object]) -> bytes:
    return encoded_header({**more, "alg": key.algorithm, "kid": key.kid, "typ": typ})
