"""Permits to use a seal (用印审批): asked by one officer, approved by another, for one purpose.

A certificate that two people have approved is its own permit. Everything else that is to be sealed
(a letter, an uploaded file, a run of notices) needs one of these. The quota and the two people are
constraints of the database: however many processes spend at once, a permit for ten seals seals ten
times.

    with database.write() as tx:
        permit = permits.ask(tx, seal.id, purpose="年检通知", quota=10, by=wang, now=now, until=end)
    …       permits.approve(tx, permit, by=li, now=now)
    …       approval = permits.spend(tx, seal.id, permit, purpose="年检通知", …)
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from foundation.actor import Actor, ActorKind
from foundation.database import Tx
from signing import rules, store
from signing.errors import FourEyesViolated, PermitExhausted, PermitNotUsable, UnknownPermit
from signing.models import Approval, Permit, Record, SealAct
from signing.seals import permit_store

LARGEST_QUOTA: Final = 100_000


class Permits:
    """Asks for, approves and spends permits; every method takes the caller's transaction.

    Every act is handed to `record` in that transaction.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    def ask(
        self,
        tx: Tx,
        seal_id: str,
        *,
        purpose: str,
        quota: int,
        by: Actor,
        now: datetime,
        until: datetime,
    ) -> str:
        """Ask to use a seal `quota` times for one purpose until a day; answers the permit's id.

        Raises `UnknownSeal`, `PermitNotUsable` for a purpose, quota or day that makes no sense.
        """
        rules.must_work_for(by, store.must_find(tx, seal_id).owner)
        if not purpose.strip() or len(purpose) > rules.LONGEST_NAME:
            raise PermitNotUsable(f"a purpose has 1 to {rules.LONGEST_NAME} characters")
        if not 0 < quota <= LARGEST_QUOTA or until <= now:
            raise PermitNotUsable(f"a permit is for 1 to {LARGEST_QUOTA} uses and a day to come")
        permit_id = f"permit-{secrets.token_hex(8)}"
        permit_store.add(tx, permit_id, seal_id, purpose, quota, by=by.id, now=now, until=until)
        self._keep(tx, "asked", self._must_find(tx, permit_id), by, now)
        return permit_id

    def approve(self, tx: Tx, permit_id: str, *, by: Actor, now: datetime) -> Permit:
        """Let the asking officer use the seal. Raises `FourEyesViolated`, `PermitNotUsable`."""
        permit = self._theirs(tx, permit_id, by)
        if permit.asked_by == by.id:
            raise FourEyesViolated(
                "who asks for a seal cannot approve it",
                next_step="Let the keeper or another officer approve.",
            )
        if not permit_store.approve(tx, permit_id, by=by.id, now=now):
            raise PermitNotUsable("the permit was approved or withdrawn before")
        self._keep(tx, "approved", permit, by, now)
        return self._must_find(tx, permit_id)

    def withdraw(self, tx: Tx, permit_id: str, *, by: Actor, now: datetime) -> Permit:
        """End a permit before its day; what was sealed stays sealed."""
        permit = self._theirs(tx, permit_id, by)
        # A second withdrawal changes nothing.
        if permit_store.withdraw(tx, permit_id, by=by.id, now=now):
            self._keep(tx, "withdrawn", permit, by, now)
        return self._must_find(tx, permit_id)

    def spend(
        self,
        tx: Tx,
        seal_id: str,
        permit_id: str,
        *,
        purpose: str,
        content_digest: str,
        now: datetime,
        count: int = 1,
        by: Actor | None = None,
    ) -> Approval:
        """Use the permit for one content (or `count` copies of it): what `Signing` wants to see.

        Spent with the caller's transaction: when that fails, so does the use. `by` is who uses it,
        where that is known. Raises `UnknownPermit` (not of this seal), `PermitNotUsable` (not
        approved, over, withdrawn, another purpose, another officer's), `PermitExhausted`.
        """
        spent = permit_store.spend(
            tx,
            seal_id,
            permit_id,
            purpose=purpose,
            count=count,
            now=now,
            by=None if by is None else by.id,
        )
        permit = self.get(tx, seal_id, permit_id)
        if not spent or permit.approved_by is None or permit.approved_at is None:
            raise _refused(permit, purpose, now, by)
        user = by or Actor(ActorKind.PERSON, permit.asked_by)  # whom the permit was given to
        self._keep(tx, "spent", permit, user, now, count=str(count), content_digest=content_digest)
        return Approval(
            content_digest, permit.asked_by, permit.approved_by, permit.approved_at, permit.id
        )

    def approval(
        self,
        tx: Tx,
        seal_id: str,
        permit_id: str,
        *,
        purpose: str,
        content_digest: str,
        now: datetime,
        by: Actor | None = None,
    ) -> Approval:
        """What `spend` would answer, or raise, at this moment; nothing is used.

        What is sealed by it may leave only with the transaction that spends the permit.
        """
        permit = self.get(tx, seal_id, permit_id)
        theirs = by is None or by.id == permit.asked_by
        in_force = rules.permit_state(permit, now) == "in_force" and permit.purpose == purpose
        if not (theirs and in_force) or permit.approved_by is None or permit.approved_at is None:
            raise _refused(permit, purpose, now, by)
        return Approval(
            content_digest, permit.asked_by, permit.approved_by, permit.approved_at, permit.id
        )

    def get(self, tx: Tx, seal_id: str, permit_id: str) -> Permit:
        """A permit of this seal. Raises `UnknownPermit`."""
        permit = self._must_find(tx, permit_id)
        if permit.seal_id != seal_id:
            raise UnknownPermit("there is no such permit for this seal")
        return permit

    def of(self, tx: Tx, seal_id: str) -> Sequence[Permit]:
        """Every permit of a seal, newest first."""
        return permit_store.of_seal(tx, seal_id)

    def _keep(
        self, tx: Tx, act: str, permit: Permit, by: Actor, now: datetime, **details: str
    ) -> None:
        about = {"permit": permit.id, "quota": str(permit.quota), **details}
        private = {"purpose": permit.purpose}
        kind = f"seal.permit_{act}"
        self._record(tx, SealAct(kind, permit.seal_id, by, now, about, private))

    def _theirs(self, tx: Tx, permit_id: str, actor: Actor) -> Permit:
        permit = self._must_find(tx, permit_id)
        rules.must_decide_for(actor, store.must_find(tx, permit.seal_id).owner)
        return permit

    def _must_find(self, tx: Tx, permit_id: str) -> Permit:
        found = permit_store.find(tx, permit_id)
        if found is None:
            raise UnknownPermit("there is no such permit")
        return found


def _refused(
    permit: Permit, purpose: str, now: datetime, by: Actor | None
) -> PermitNotUsable | PermitExhausted:
    """Why a permit could not be spent; the same stable codes everywhere."""
    if by is not None and by.id != permit.asked_by:
        return PermitNotUsable(
            "the permit was given to another officer", next_step="Ask for one of your own."
        )
    if permit.approved_at is None:
        return PermitNotUsable("the permit was not approved", next_step="Ask the keeper.")
    if permit.withdrawn_at is not None or permit.valid_until < now:
        return PermitNotUsable("the permit is over", next_step="Ask for a new one.")
    if permit.purpose != purpose:
        return PermitNotUsable("the permit is for another purpose")
    return PermitExhausted(
        f"the permit was for {permit.quota} uses", next_step="Ask for another permit."
    )
