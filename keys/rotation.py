"""Carries out what `rules` decides: the next key of a use, in one transaction, on every database.

Two processes that rotate at once do each step once: a state is only ever left by an UPDATE that
still finds it, and a use has at most one active key by constraint.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from foundation.database import Database, Tx
from keys.custody import rules, store
from keys.custody.key_stores import Custody
from keys.custody.rules import Act, Change
from keys.custody.store import StoredKey
from keys.encoding.x509 import RevocationReason
from keys.errors import NoActiveKey
from keys.models import Key, KeyState
from keys.pki.authority import Authority

Decide = Callable[[Sequence[Key], datetime, rules.RotationPolicy], list[Change]]


class Rotation:
    """Moves keys through their states; who caches keys forgets them afterwards."""

    def __init__(self, database: Database, custody: Custody, authority: Authority) -> None:
        self._database = database
        self._custody = custody
        self._authority = authority

    def apply(self, use: str, now: datetime, decide: Decide) -> list[Change]:
        """Decide about the keys of one use, and do it."""
        with self._database.write() as tx:
            stored = {each.key.kid: each for each in store.keys_of(tx, [use])}
            changes = decide([each.key for each in stored.values()], now, rules.policy_for(use))
            for change in changes:
                self._change(tx, use, change, stored, now)
        return changes

    def due(self, now: datetime) -> list[str]:
        """The uses with something due; asked without a lock, because most nights there is none."""
        with self._database.read() as tx:
            keys = [each.key for each in store.keys_of(tx, store.uses(tx))]
        by_use: dict[str, list[Key]] = {}
        for key in keys:
            by_use.setdefault(key.use, []).append(key)
        return [
            use
            for use, its_keys in by_use.items()
            if rules.next_states(its_keys, now, rules.policy_for(use))
        ]

    def replace_stolen(self, use: str, now: datetime) -> None:
        """A successor that signs at once; the old key revoked and destroyed. `NoActiveKey`."""
        with self._database.write() as tx:
            stored = {each.key.kid: each for each in store.keys_of(tx, [use])}
            old = _active(stored)
            if old is None:
                raise NoActiveKey(f"the use {use} has no active key")
            for change in rules.asked_rotation(
                [each.key for each in stored.values()], now, rules.policy_for(use), at_once=True
            ):
                self._change(tx, use, change, stored, now)
            self._authority.revoke_key(tx, old.key.kid, RevocationReason.KEY_COMPROMISE, now)
            self._custody.retire(tx, old, now)

    def destroy(self, tx: Tx, use: str, now: datetime) -> None:
        """Destroy every private half of a use."""
        for stored in store.keys_of(tx, [use]):
            if stored.key.state != KeyState.RETIRED:
                store.change_state(tx, stored.key.kid, stored.key.state, KeyState.RETIRING, now)
                self._custody.retire(tx, stored, now)

    def _change(
        self, tx: Tx, use: str, change: Change, stored: dict[str, StoredKey], now: datetime
    ) -> None:
        match change.act:
            case Act.STAGE:
                self._stage(tx, use, stored)
            case Act.ACTIVATE:
                self._activate(tx, change.kid, stored, now)
            case Act.RETIRE:
                self._custody.retire(tx, stored[change.kid], now)

    def _stage(self, tx: Tx, use: str, stored: dict[str, StoredKey]) -> None:
        active = _active(stored)
        algorithm = active.key.algorithm if active else "ES256"
        per_minute = active.key.per_minute if active else None
        staged = self._custody.create(tx, use, algorithm, KeyState.STAGED, per_minute=per_minute)
        if staged is None:
            return
        stored[staged.key.kid] = staged
        if active is not None:
            self._authority.certify_successor(tx, active.key.kid, staged)

    def _activate(self, tx: Tx, kid: str, stored: dict[str, StoredKey], now: datetime) -> None:
        staged = kid or next(
            each.key.kid for each in stored.values() if each.key.state == KeyState.STAGED
        )
        for each in stored.values():
            if each.key.state == KeyState.ACTIVE:
                store.change_state(tx, each.key.kid, KeyState.ACTIVE, KeyState.RETIRING, now)
        store.change_state(tx, staged, KeyState.STAGED, KeyState.ACTIVE, now)


def _active(stored: dict[str, StoredKey]) -> StoredKey | None:
    return next((each for each in stored.values() if each.key.state == KeyState.ACTIVE), None)
