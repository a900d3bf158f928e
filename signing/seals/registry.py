"""The seal registry (国办发〔2025〕33号): whose seal is it, what does it look like, is it valid?

- A seal is applied for by one officer and decided by another, then made (key, certificate, picture
  in one transaction), filed and put to use. Each step is a dated state and says who took it.
- A new key or picture is a new version, with an application of its own; documents under old
  versions stay verifiable.
- Validity at any past moment is one indexed query. Times only go forward, so that a revocation
  never reaches back behind its date; two changes of one seal wait for each other.
- Revoking ends the certificates and stops the keys; destroying, or a theft, ends the private keys.

Every method takes the caller's transaction, and the actor who asks; the permits for single uses of
a seal are in `permits`.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from foundation.actor import Actor, ActorKind
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from keys import PROFILES, Keys
from keys.encoding.x509 import RevocationReason
from signing import rules, store
from signing.errors import ApplicationOpen, FourEyesViolated, SealExists
from signing.models import (
    Application,
    Record,
    Seal,
    SealAct,
    SealApplication,
    SealChange,
    SealEntry,
    SealKind,
    SealState,
)
from signing.seals import appearance
from signing.seals.permits import Permits
from signing.trust.certificates import certificate_digest

# Decides about seals that exist already and are entered from another register.
REGISTER = Actor(ActorKind.SYSTEM, "register", name="seal register")


class Seals:
    """Registers seals, changes their state, and answers questions about them.

    Every act is handed to `record` in the transaction that takes it.
    """

    def __init__(self, database: Database, keys: Keys, clock: Clock, record: Record) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._record = record
        self.permits = Permits(record)

    # ── the way to a seal ────────────────────────────────────────────────────────────────────

    def apply(
        self, tx: Tx, application: SealApplication, *, by: Actor, now: datetime, reason: str = ""
    ) -> str:
        """Ask for a seal; answers its id. Raises `SealExists`, `SealNameRefused`, `UnknownSeal`."""
        rules.must_work_for(by, application.owner)
        rules.must_be_an_application(application)
        seal_id = f"seal-{secrets.token_hex(8)}"
        try:
            store.add_seal(tx, seal_id, application, now)
        except IntegrityError as error:
            if is_unique_violation(error):
                raise SealExists(f"the seal code {application.code} is taken") from None
            raise
        store.add_application(tx, seal_id, 1, by=by.id, now=now, reason=reason)
        store.add_state(tx, seal_id, SealState.APPLIED, since=now, by=by.id, reason=reason)
        self._keep(tx, "applied", seal_id, by, now, reason)
        return seal_id

    def apply_for_version(
        self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reason: str
    ) -> int:
        """Ask for a new key, certificate and picture of a living seal; answers the version."""
        entry = self._locked(tx, seal_id)
        rules.must_work_for(by, entry.owner)
        rules.must_be_next(entry.state, SealState.REVOKED)  # only a living seal is renewed
        try:
            store.add_application(tx, seal_id, entry.version + 1, by=by.id, now=now, reason=reason)
        except IntegrityError as error:
            if is_unique_violation(error):
                raise ApplicationOpen("somebody has asked for a new version already") from None
            raise
        version = entry.version + 1
        self._keep(tx, "applied", seal_id, by, now, reason, version=str(version))
        return version

    def approve(
        self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, note: str = ""
    ) -> SealEntry:
        """Grant what is waiting for a decision. Raises `FourEyesViolated`, `ApplicationOpen`."""
        return self._decide(tx, seal_id, by, now, SealState.APPROVED, note)

    def reject(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, note: str) -> SealEntry:
        """Refuse what is waiting for a decision; a version may be asked for again."""
        return self._decide(tx, seal_id, by, now, SealState.REJECTED, note)

    def make(
        self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, algorithm: str = "ES256"
    ) -> Seal:
        """Make what was approved: key, certificate and picture. Raises `ApplicationOpen`."""
        entry = self._locked(tx, seal_id)
        rules.must_decide_for(by, entry.owner)
        granted = store.granted(tx, seal_id, entry.version + 1)
        if granted is None:
            raise ApplicationOpen(
                "nothing was approved that could be made",
                next_step="Apply, and let somebody else approve.",
            )
        self._add_version(tx, entry, granted.version, algorithm, by, now)
        if granted.version == 1:
            self._enter(tx, entry, SealState.MADE, by, now, "")
        self._keep(tx, "made", seal_id, by, now, version=str(granted.version))
        return self._must_find(tx, seal_id)

    def file(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reference: str) -> Seal:
        """Note under which number the newest version is filed with the authority for seals."""
        entry = self._locked(tx, seal_id)
        rules.must_decide_for(by, entry.owner)
        store.set_filing(tx, seal_id, entry.version, reference)
        if entry.state == SealState.MADE:
            self._enter(tx, entry, SealState.FILED, by, now, reference)
        self._keep(tx, "filed", seal_id, by, now, reference, version=str(entry.version))
        return self._must_find(tx, seal_id)

    def activate(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime) -> Seal:
        """Put a filed seal to use."""
        return self._change(tx, "activated", seal_id, SealState.ACTIVE, by, now)

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
        approved_by: Actor = REGISTER,
        kind: SealKind = SealKind.STATUTORY,
        line: str = "",
    ) -> Seal:
        """The whole way at once, for a seal that two people have agreed to elsewhere."""
        application = SealApplication(owner, owner_name, name, code, kind, line, by.id, by.name)
        seal_id = self.apply(tx, application, by=replace(by, organisation=owner), now=now)
        deciding = replace(approved_by, kind=ActorKind.SYSTEM)
        self.approve(tx, seal_id, by=deciding, now=now)
        self.make(tx, seal_id, by=deciding, now=now, algorithm=algorithm)
        self.file(tx, seal_id, by=deciding, now=now, reference=code)
        return self.activate(tx, seal_id, by=deciding, now=now)

    def renew(
        self,
        tx: Tx,
        seal_id: str,
        *,
        by: Actor,
        approved_by: Actor,
        now: datetime,
        algorithm: str = "ES256",
        reason: str = "",
    ) -> Seal:
        """The next version at once: new key, new certificate, newly drawn picture."""
        self.apply_for_version(tx, seal_id, by=by, now=now, reason=reason)
        self.approve(tx, seal_id, by=approved_by, now=now)
        return self.make(tx, seal_id, by=approved_by, now=now, algorithm=algorithm)

    # ── the life of a seal ───────────────────────────────────────────────────────────────────

    def suspend(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reason: str) -> Seal:
        """Nothing may be sealed until `resume`; a signature made meanwhile is not valid."""
        return self._change(tx, "suspended", seal_id, SealState.SUSPENDED, by, now, reason)

    def resume(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reason: str) -> Seal:
        """Make a suspended seal active again."""
        return self._change(tx, "resumed", seal_id, SealState.ACTIVE, by, now, reason)

    def revoke(
        self,
        tx: Tx,
        seal_id: str,
        *,
        by: Actor,
        now: datetime,
        reason: str,
        cause: RevocationReason = RevocationReason.CESSATION_OF_OPERATION,
    ) -> Seal:
        """End a seal for ever, and its certificates with it; what it sealed before stays valid.

        `cause` is what the revocation list says; KEY_COMPROMISE destroys the private keys at once.
        """
        seal = self._change(
            tx, "revoked", seal_id, SealState.REVOKED, by, now, reason, cause=cause.name.lower()
        )
        for use, kid in store.keys_of(tx, seal_id):
            self._keys.stop(tx, use, now)
            self._keys.authority.revoke_key(tx, kid, cause, now)
            if cause == RevocationReason.KEY_COMPROMISE:
                self._keys.destroy(tx, use, now)
        return seal

    def destroy(self, tx: Tx, seal_id: str, *, by: Actor, now: datetime, reason: str) -> Seal:
        """Destroy the private keys of a revoked seal; certificates and pictures stay on record."""
        seal = self._change(tx, "destroyed", seal_id, SealState.DESTROYED, by, now, reason)
        for use, _ in store.keys_of(tx, seal_id):
            self._keys.destroy(tx, use, now)
        return seal

    # ── questions ────────────────────────────────────────────────────────────────────────────

    def get(self, seal_id: str) -> Seal:
        """The seal in its newest version. Raises `UnknownSeal`."""
        with self._database.read() as tx:
            return self._must_find(tx, seal_id)

    def for_owner(self, owner: str) -> Sequence[Seal]:
        """All seals of a department that were made, oldest first."""
        with self._database.read() as tx:
            return store.seals_of(tx, owner)

    def all(self) -> Sequence[Seal]:
        """Every seal that somebody may have met on a document."""
        with self._database.read() as tx:
            return [seal for seal in store.all_seals(tx) if seal.state in rules.PUBLIC]

    def entries(self, owner: str) -> Sequence[SealEntry]:
        """The keeper's view of a department: every seal from its application on, oldest first."""
        with self._database.read() as tx:
            return store.entries(tx, owner=owner)

    def entry(self, seal_id: str, *, by: Actor) -> SealEntry:
        """One line of the register. Raises `UnknownSeal`, also for another department's seal."""
        with self._database.read() as tx:
            found = store.must_find(tx, seal_id)
        rules.must_work_for(by, found.owner)
        return found

    def applications(self, seal_id: str) -> Sequence[Application]:
        """Every application of a seal and what became of it, oldest first."""
        with self._database.read() as tx:
            return store.applications(tx, seal_id)

    def history(self, seal_id: str) -> Sequence[SealChange]:
        """Every dated state of a seal, oldest first."""
        with self._database.read() as tx:
            return store.history(tx, seal_id)

    def valid_at(self, tx: Tx, seal_id: str, at: datetime) -> bool:
        """Was this seal active, and a certificate of it valid, at that moment?"""
        return store.valid_at(tx, seal_id, at)

    def seal_at(self, certificate: str, at: datetime) -> store.SealThen | None:
        """The seal with this certificate digest, as it was at a moment."""
        with self._database.read() as tx:
            return store.seal_then(tx, certificate, at)

    def svg(self, seal: Seal) -> str:
        """The picture for pages."""
        return seal.svg

    def preview(self, application: SealApplication) -> str:
        """What a seal would look like, as SVG, before anybody applies for it."""
        rules.must_be_an_application(application)
        return appearance.draw(application.name, application.code, application.line).svg

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _decide(
        self, tx: Tx, seal_id: str, by: Actor, now: datetime, to: SealState, note: str
    ) -> SealEntry:
        entry = self._locked(tx, seal_id)
        rules.must_decide_for(by, entry.owner)
        waiting = entry.waiting
        if waiting is None:
            raise ApplicationOpen("there is no application to decide about")
        if waiting.applied_by == by.id:
            raise FourEyesViolated(
                "who applies for a seal cannot decide about it",
                next_step="Let another keeper or approver decide.",
            )
        store.decide(tx, waiting, to, by=by.id, now=now, note=note)
        if waiting.version == 1:
            self._enter(tx, entry, to, by, now, note)
        self._keep(tx, str(to), seal_id, by, now, note, version=str(waiting.version))
        return store.must_find(tx, seal_id)

    def _change(
        self,
        tx: Tx,
        act: str,
        seal_id: str,
        to: SealState,
        by: Actor,
        now: datetime,
        reason: str = "",
        **details: str,
    ) -> Seal:
        entry = self._locked(tx, seal_id)
        rules.must_decide_for(by, entry.owner)
        self._enter(tx, entry, to, by, now, reason)
        self._keep(tx, act, seal_id, by, now, reason, **details)
        return self._must_find(tx, seal_id)

    def _keep(
        self,
        tx: Tx,
        act: str,
        seal_id: str,
        by: Actor,
        now: datetime,
        reason: str = "",
        **details: str,
    ) -> None:
        private = {"reason": reason} if reason else {}
        self._record(tx, SealAct(f"seal.{act}", seal_id, by, now, details, private))

    def _enter(
        self, tx: Tx, entry: SealEntry, to: SealState, by: Actor, now: datetime, reason: str
    ) -> None:
        """The next dated state, never before the last one, whatever the clocks say."""
        before = store.must_find(tx, entry.id)
        rules.must_be_next(before.state, to)
        since = max(now, before.since)
        store.add_state(tx, entry.id, to, since=since, by=by.id, reason=reason)

    def _locked(self, tx: Tx, seal_id: str) -> SealEntry:
        """The entry, and nobody else changes this seal until the transaction ends."""
        store.lock(tx, seal_id)
        return store.must_find(tx, seal_id)

    def _add_version(
        self, tx: Tx, entry: SealEntry, version: int, algorithm: str, by: Actor, now: datetime
    ) -> None:
        picture = appearance.draw(entry.name, entry.code, entry.line)
        use = f"seal/{entry.id}" if version == 1 else f"seal/{entry.id}/{version}"
        # The key ends with its certificate, wherever it is asked.
        not_after = now + PROFILES["seal"].lifetime
        key = self._keys.create(tx, use, algorithm, not_after=not_after)
        authority = self._keys.authority
        under = authority.department(tx, entry.owner, entry.owner_name)
        certificate = authority.certificate_for(tx, use, "seal", _subject(entry), under=under)
        store.add_version(
            tx,
            seal_id=entry.id,
            version=version,
            use=use,
            kid=key.kid,
            certificate=certificate.der,
            certificate_digest=certificate_digest(certificate.der),
            picture=picture.pdf,
            svg=picture.svg,
            valid_from=certificate.not_before,
            valid_until=certificate.not_after,
            made_by=by.id,
            made_at=now,
        )

    def _must_find(self, tx: Tx, seal_id: str) -> Seal:
        return store.must_be_made(tx, seal_id)


def _subject(entry: SealEntry) -> dict[str, str]:
    """Who the certificate names: the seal, its owner, and the owner's code (EN 319 412-3 §4.2)."""
    return {
        "country_name": "CN",
        "organization_name": entry.owner_name,
        "organization_identifier": f"NTRCN-{entry.owner}",
        "common_name": entry.name + entry.line,
        "serial_number": entry.code,
    }
