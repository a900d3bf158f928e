"""`Certificates`: from an approved draft to a sealed certificate, and what the law does to it.

    draft → submit → approve (`Drafts`) → issue → change_state

* One method is one transaction and one ledger entry.
* `issue` may be called any number of times and by any number of processes: a draft becomes one
  certificate, because the database allows no second one.
* What is sealed was approved, says the draft's row *and* the ledger: whoever can only write into
  our tables gets nothing sealed (attack 49).
* `followers` are told of a change of state in its own transaction.
* A certificate of another authority does not exist for an officer: 404, whatever was asked.
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from certificates import rules
from certificates.catalogue import Catalogue
from certificates.catalogue.fields import checked_note
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
from certificates.issuing.drafts import SEALING, Drafts, returned, sealing_key, wrong_state
from certificates.issuing.making import Issuer, MadeCertificate, Order
from certificates.issuing.rendering import Renderer
from certificates.models import Certificate, Draft
from certificates.register import acts, store
from certificates.register.service import unknown_certificate
from certificates.register.status import Slot, StatusLists, choose_slots, record_change
from certificates.rules import DraftState, State
from foundation.actor import SYSTEM, Actor
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from foundation.errors import Unavailable, YinzhengError
from foundation.jobs import Jobs, Trouble
from keys import Keys
from ledger import Entry, Ledger, StatusAct
from signing import Approval, SealNotUsable, Signing

_NOT_SEALABLE = (
    ContentChanged,
    InvalidFields,
    LayoutOverflow,
    MissingGlyph,
    NumberTaken,
    SealNotUsable,
)


class Certificates(Drafts):
    """The registry of certificates of all authorities served by this house.

    `specimen`: nothing here is real, and every certificate says so (a sandbox).
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        signing: Signing,
        ledger: Ledger,
        jobs: Jobs,
        clock: Clock,
        catalogue: Catalogue,
        public_url: str,
        *,
        renderer: Renderer | None = None,
        specimen: bool = False,
    ) -> None:
        renderer = renderer or Renderer(public_url, specimen=specimen)
        super().__init__(database, ledger, clock, catalogue, signing.seals, renderer, jobs)
        self.public_url = public_url
        self.specimen = specimen
        self.status_lists = StatusLists(database, keys, clock, public_url)
        self.issuer = Issuer(database.cipher, keys, signing, ledger, renderer, public_url)
        self.completion = Completion(database, signing, jobs, clock)
        self.followers: list[Callable[[Tx, str, datetime], None]] = []
        self.keys = keys
        jobs.register(SEALING, lambda payload: self._seal_task(payload["draft"]))

    def close(self) -> None:
        self.status_lists.close()

    # ── issuing ──────────────────────────────────────────────────────────────────────────────

    def issue(self, draft_id: str) -> Certificate:
        """Seal an approved draft; the certificate it became, if it has been sealed already.

        Raises `WrongState`, `ContentChanged`, `NumberTaken`, and what signing and rendering raise.
        """
        for _ in range(3):  # a lost race for a status slot is simply drawn again
            with self.database.read() as tx:
                draft, done = store.draft_by_id(tx, draft_id), store.by_draft(tx, draft_id)
            if draft is None:
                raise DraftNotFound("there is no such draft")
            if done is not None:
                return done
            if (certificate := self._issue_once(draft)) is not None:
                return certificate
        raise WrongState("the draft changed while it was being sealed", next_step="try again")

    def change_state(
        self, actor: Actor, identifier: str, to: State, reason_code: str, note: str = ""
    ) -> Certificate:
        """Do a legal act to a certificate: suspend, restore, withdraw, revoke, cancel, supersede.

        Visible in the status list as soon as this returns. Raises `CertificateNotFound`,
        `RoleMissing`, `IllegalTransition`, `InvalidReason`, and `StatusContradicted` when the
        present status is not the one that the ledger's last act left: nothing is built on it.
        """
        rules.check_role(actor, "approver")
        note, now = checked_note(note), self.clock()
        with self.database.write() as tx:
            row = store.lock(tx, identifier)
            if row is None or row.issuing_authority != actor.organisation:
                raise unknown_certificate()
            ordinal = acts.next_ordinal(row)
            reason = rules.check_transition(row.state, to, reason_code)
            store.set_state(tx, row.id, to, now, reason.code)
            value = rules.STATES[to].status_value
            if value != rules.STATES[row.state].status_value:
                record_change(tx, Slot(row.status_list, row.status_index), value, now)
            entry = Entry(
                kind=acts.KINDS[to],
                actor=actor,
                at=now,
                subject=row.subject,
                certificate=identifier,
                legal_basis=reason.legal_basis,
                details={
                    "act": str(ordinal),
                    "reason": reason.code,
                    "national_code": rules.STATES[to].national_code,
                },
                private={"note": note} if note else {},
            )
            ref = self.ledger.append(tx, entry)
            act = StatusAct(identifier, ordinal, to, now, reason.code, ref.id)
            self.ledger.witness(tx, {row.id: act})
            for tell in self.followers:
                tell(tx, identifier, now)
            changed = store.by_identifier(tx, identifier)
        if changed is None:
            raise unknown_certificate()
        return changed

    def settle_statuses(self) -> dict[str, list[str]]:
        """Set every status that row, witness and log do not agree on to what the log says.

        Answers the identifiers by what became of them: "witnessed", "restored" or "unknown" (see
        `acts.settle`). Believes the stored log: `ledger fsck` comes first.
        """
        with self.database.read() as tx:
            doubtful = [each.identifier for each in acts.unsettled(tx)]
        outcomes: dict[str, list[str]] = {}
        for identifier in doubtful:
            now = self.clock()
            with self.database.write() as tx:
                certificate = store.lock(tx, identifier)
                if certificate is None:
                    continue
                outcome = acts.settle(tx, self.ledger, certificate, now)
                for tell in self.followers if outcome == "restored" else ():
                    tell(tx, identifier, now)
            outcomes.setdefault(outcome, []).append(identifier)
        return outcomes

    def trouble(self, draft: Draft) -> Trouble | None:
        """Why an approved draft is not sealed yet, if an attempt failed."""
        if draft.state is not DraftState.APPROVED:
            return None
        return next(iter(self.jobs.troubles(sealing_key(draft.id), limit=1)), None)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _issue_once(self, draft: Draft) -> Certificate | None:
        """One attempt; None when another process was faster and the question is open again."""
        order, now = self._order(draft), self.clock()
        slot = choose_slots(self.database, 1, now)[0]
        made = self.issuer.make(order, self.seals.get(draft.seal_id), slot, now)
        try:
            return self._keep(draft, made)
        except IntegrityError as error:
            if not is_unique_violation(error):
                raise
            with self.database.read() as tx:
                done = store.by_draft(tx, draft.id)
                taken = store.number_in_use(tx, draft.authority, draft.number)
            if taken and done is None:
                raise NumberTaken(
                    f"the number {draft.number} was used meanwhile",
                    next_step="return the draft and give it another number",
                ) from None
            return None

    def _keep(self, draft: Draft, made: MadeCertificate) -> Certificate | None:
        with self.database.write() as tx:
            sealed = {"state": DraftState.SEALED, "changed_at": made.at}
            if not store.change_draft(tx, draft, sealed):
                return None
            self.issuer.keep(tx, [made])
            self.completion.later(tx, [made])
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
            self.catalogue.find(draft.type),
            self.content(draft),
            approval,
            draft.approver_name,
            draft_id=draft.id,
        )

    def _must_be_in_the_ledger(self, draft: Draft) -> None:
        """The approval that the row claims, with this content, at this moment, by this officer."""
        claimed = (draft.content_digest, draft.approved_at, draft.approver_name)
        known = any(
            (each.details.get("content_digest"), each.at, each.actor_name) == claimed
            for each in self.ledger.history(draft.identifier)
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
            with self.database.read() as tx:
                draft = store.draft_by_id(tx, draft_id)
            if draft is not None and draft.state is DraftState.APPROVED:
                raise Unavailable("others were faster, again and again", retry_after=1) from problem
            # returned or discarded meanwhile: nothing to seal
        except _NOT_SEALABLE as problem:
            if problem.passing:
                raise
            self._give_back(draft_id, problem)  # trying again would not help

    def _give_back(self, draft_id: str, problem: YinzhengError) -> None:
        """Return an approved draft that cannot be sealed as it is; the reason is the problem."""
        now = self.clock()
        with self.database.write() as tx:
            draft = store.draft_by_id(tx, draft_id)
            if draft is None or draft.state is not DraftState.APPROVED:
                return
            changed = returned(problem.detail)
            self._change(tx, draft, (DraftState.APPROVED,), now, changed)
            self.ledger.append(tx, self._entry("certificate.returned", SYSTEM, draft, now))
