"""The seal registry (国办发〔2025〕33号): whose seal is it, what does it look like, is it valid?

A seal is registered to a department with its statutory name; registering makes the key, the
certificate and the picture in one transaction. A new key or picture is a new version of the seal;
documents under old versions stay verifiable. States are dated, so validity at any past moment is
one indexed query, and a revocation never reaches back behind its date.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from keys import Keys
from signing import appearance, rules, store
from signing.errors import SealExists, UnknownSeal
from signing.models import Seal, SealChange, SealState, seal_versions, seals
from signing.trust import certificate_digest


class Seals:
    """Registers seals, changes their state, and answers questions about them."""

    def __init__(self, database: Database, keys: Keys, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    def register(
        self,
        tx: Tx,
        *,
        owner: str,
        owner_name: str,
        name: str,
        code: str,
        by: Actor,
        now: datetime,
        algorithm: str = "ES256",
    ) -> Seal:
        """A new active seal with key, certificate and picture.

        `owner` is the department's 18-character code, `name` the statutory name on the arc, `code`
        the seal code below. Raises `SealExists`, `SealNameRefused`, `GlyphMissing`.
        """
        rules.must_be_a_code(code)
        seal_id = f"seal-{secrets.token_hex(8)}"
        row = {"id": seal_id, "owner": owner, "owner_name": owner_name, "name": name, "code": code}
        try:
            tx.execute(insert(seals).values(**row, registered_at=now))
        except IntegrityError as error:
            if is_unique_violation(error):
                raise SealExists(f"the seal code {code} is taken") from None
            raise
        self._add_version(tx, row, 1, algorithm, now)
        store.add_state(tx, seal_id, SealState.ACTIVE, since=now, by=by.id, reason="registered")
        return self._must_find(tx, seal_id)

    def renew(self, tx: Tx, seal_id: str, *, now: datetime, algorithm: str = "ES256") -> Seal:
        """The next version of a seal: new key, new certificate, newly drawn picture."""
        seal = self._must_find(tx, seal_id)
        rules.must_be_next(seal.state, SealState.REVOKED)  # only a living seal is renewed
        row = {
            "id": seal.id,
            "owner": seal.owner,
            "owner_name": seal.owner_name,
            "name": seal.name,
            "code": seal.code,
        }
        self._add_version(tx, row, seal.version + 1, algorithm, now)
        return self._must_find(tx, seal_id)

    def suspend(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reason: str) -> Seal:
        """Nothing may be sealed until `resume`; a signature made meanwhile is not valid."""
        return self._change(tx, seal_id, SealState.SUSPENDED, by, now, reason)

    def resume(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reason: str) -> Seal:
        """Make a suspended seal active again."""
        return self._change(tx, seal_id, SealState.ACTIVE, by, now, reason)

    def revoke(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reason: str) -> Seal:
        """End a seal for ever; what it sealed before `now` stays valid."""
        return self._change(tx, seal_id, SealState.REVOKED, by, now, reason)

    def get(self, seal_id: str) -> Seal:
        """The seal in its newest version. Raises `UnknownSeal`."""
        with self._database.read() as tx:
            return self._must_find(tx, seal_id)

    def for_owner(self, owner: str) -> Sequence[Seal]:
        """All seals of a department, oldest first."""
        with self._database.read() as tx:
            return store.seals_of(tx, owner)

    def all(self) -> Sequence[Seal]:
        """Every registered seal."""
        with self._database.read() as tx:
            return store.all_seals(tx)

    def history(self, seal_id: str) -> Sequence[SealChange]:
        """Every dated state of a seal, oldest first."""
        with self._database.read() as tx:
            return store.history(tx, seal_id)

    def valid_at(self, tx: Tx, seal_id: str, at: datetime) -> bool:
        """Was this seal active, and a certificate of it valid, at that moment?"""
        return store.valid_at(tx, seal_id, at)

    def then(self, certificate: str, at: datetime) -> store.SealThen | None:
        """The seal with this certificate digest, as it was at a moment."""
        with self._database.read() as tx:
            return store.seal_then(tx, certificate, at)

    def svg(self, seal: Seal) -> str:
        """The picture for pages."""
        return seal.svg

    def _change(
        self, tx: Tx, seal_id: str, to: SealState, by: Actor, now: datetime, reason: str
    ) -> Seal:
        seal = self._must_find(tx, seal_id)
        rules.must_be_next(seal.state, to)
        store.add_state(tx, seal_id, to, since=now, by=by.id, reason=reason)
        return self._must_find(tx, seal_id)

    def _add_version(
        self, tx: Tx, row: dict[str, str], version: int, algorithm: str, now: datetime
    ) -> None:
        picture = appearance.draw(row["name"], row["code"])
        use = f"seal/{row['id']}" if version == 1 else f"seal/{row['id']}/{version}"
        key = self._keys.create(tx, use, algorithm)
        certificate = self._keys.authority.certificate_for(tx, use, "seal", _subject(row))
        tx.execute(
            insert(seal_versions).values(
                seal_id=row["id"],
                version=version,
                use=use,
                kid=key.kid,
                certificate=certificate.der,
                certificate_digest=certificate_digest(certificate.der),
                picture=picture.pdf,
                svg=picture.svg,
                valid_from=certificate.not_before,
                valid_until=certificate.not_after,
            )
        )

    def _must_find(self, tx: Tx, seal_id: str) -> Seal:
        seal = store.seal_by_id(tx, seal_id)
        if seal is None:
            raise UnknownSeal("there is no such seal")
        return seal


def _subject(row: dict[str, str]) -> dict[str, str]:
    """Who the certificate names: the seal, its owner, and the owner's code (EN 319 412-3 §4.2)."""
    return {
        "country_name": "CN",
        "organization_name": row["owner_name"],
        "organization_identifier": f"NTRCN-{row['owner']}",
        "common_name": row["name"],
        "serial_number": row["code"],
    }
