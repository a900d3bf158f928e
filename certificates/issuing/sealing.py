"""`Sealing`: from an approved draft to one certificate.

* It may be asked any number of times and by any number of processes: a draft becomes one
  certificate, because the database allows no second one.
* What is sealed was approved, says the draft's row *and* the ledger: whoever can only write into
  our tables gets nothing sealed (attack 49).
"""

from sqlalchemy.exc import IntegrityError

from certificates.catalogue import Catalogue
from certificates.errors import (
    ContentChanged,
    DraftNotFound,
    InvalidFields,
    LayoutOverflow,
    MissingGlyph,
    NumberTaken,
    WrongState,
)
from certificates.issuing.completing import Completion
from certificates.issuing.drafts import SEALING, Drafts, sealing_key, wrong_state
from certificates.issuing.making import CertificateMaker, MadeCertificate, Order
from certificates.models import Certificate, Draft
from certificates.register import store
from certificates.register.status import choose_slots
from certificates.rules import DraftState
from foundation.clock import Clock
from foundation.database import Database, is_unique_violation
from foundation.errors import Unavailable
from foundation.jobs import Jobs, Trouble
from ledger import Ledger
from signing import Approval, SealNotUsable, Seals

_NOT_SEALABLE = (
    ContentChanged,
    InvalidFields,
    LayoutOverflow,
    MissingGlyph,
    NumberTaken,
    SealNotUsable,
)


class Sealing:
    """Seals approved drafts, when asked and as a job."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        catalogue: Catalogue,
        seals: Seals,
        drafts: Drafts,
        maker: CertificateMaker,
        completion: Completion,
        jobs: Jobs,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._catalogue = catalogue
        self._seals = seals
        self._drafts = drafts
        self._maker = maker
        self._completion = completion
        self._jobs = jobs
        jobs.register(SEALING, lambda payload: self._seal_task(payload["draft"]))

    def issue(self, draft_id: str) -> Certificate:
        """Seal an approved draft; the certificate it became, if it has been sealed already.

        Raises `WrongState`, `ContentChanged`, `NumberTaken`, and what signing and rendering raise.
        """
        for _ in range(3):  # a lost race for a status slot is simply drawn again
            with self._database.read() as tx:
                draft, done = store.draft_by_id(tx, draft_id), store.by_draft(tx, draft_id)
            if draft is None:
                raise DraftNotFound("there is no such draft")
            if done is not None:
                return done
            if (certificate := self._issue_once(draft)) is not None:
                return certificate
        raise WrongState("the draft changed while it was being sealed", next_step="try again")

    def trouble(self, draft: Draft) -> Trouble | None:
        """Why an approved draft is not sealed yet, if an attempt failed."""
        if draft.state is not DraftState.APPROVED:
            return None
        return next(iter(self._jobs.troubles(sealing_key(draft.id), limit=1)), None)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _issue_once(self, draft: Draft) -> Certificate | None:
        """One attempt; None when another process was faster and the question is open again."""
        order, now = self._order(draft), self._clock()
        slot = choose_slots(self._database, 1, now)[0]
        made = self._maker.make(order, self._seals.get(draft.seal_id), slot, now)
        try:
            return self._keep(draft, made)
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            with self._database.read() as tx:
                done = store.by_draft(tx, draft.id)
                taken = store.number_in_use(tx, draft.authority, draft.number)
            if taken and done is None:
                raise NumberTaken(
                    f"the number {draft.number} was used meanwhile",
                    next_step="return the draft and give it another number",
                ) from None
            return None

    def _keep(self, draft: Draft, made: MadeCertificate) -> Certificate | None:
        with self._database.write() as tx:
            sealed = {"state": DraftState.SEALED, "changed_at": made.at}
            if not store.change_draft(tx, draft, sealed):
                return None
            self._maker.keep(tx, [made])
            self._completion.later(tx, [made])
            return store.by_draft(tx, draft.id)

    def _order(self, draft: Draft) -> Order:
        if draft.state is not DraftState.APPROVED or not draft.approver or not draft.approved_at:
            raise wrong_state(draft)
        self._must_be_in_the_ledger(draft)
        approval = Approval(
            draft.content_digest,
            draft.drafter,
            draft.approver,
            draft.approved_at,
            reference=draft.id,
        )
        return Order(
            self._catalogue.find(draft.type),
            self._drafts.content(draft),
            approval,
            draft.approver_name,
            draft_id=draft.id,
        )

    def _must_be_in_the_ledger(self, draft: Draft) -> None:
        """The approval that the row claims, with this content, at this moment, by this officer."""
        claimed = (draft.content_digest, draft.approved_at, draft.approver_name)
        known = any(
            (each.details.get("content_digest"), each.at, each.actor_name) == claimed
            for each in self._ledger.history(draft.identifier)
            if each.kind == "certificate.approved"
        )
        if not known:
            raise ContentChanged(
                "the ledger knows no approval of this content",
                next_step="return the draft, look at it again and submit it once more",
            )

    def _seal_task(self, draft_id: str) -> None:
        """The job. What lies outside (keys, clocks, the database) rises and is tried again."""
        try:
            self.issue(draft_id)
        except (DraftNotFound, WrongState) as problem:
            with self._database.read() as tx:
                draft = store.draft_by_id(tx, draft_id)
            if draft is not None and draft.state is DraftState.APPROVED:
                raise Unavailable("others were faster, again and again", retry_after=1) from problem
            # returned or discarded meanwhile: nothing to seal
        except _NOT_SEALABLE as problem:
            if problem.passing:
                raise
            self._drafts.give_back(draft_id, problem)  # trying again would not help
