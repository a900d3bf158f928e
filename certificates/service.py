"""`Certificates`: from a draft to a sealed certificate, and what the law may do to it afterwards.

    draft → submit → approve (another officer of the same authority) → issue → change_state

* One method is one transaction and one ledger entry; reading a certificate in office leaves an
  entry too, because a citizen may see who looked.
* A certificate of another authority does not exist for an officer: 404, whatever was asked.
* `issue` may be called any number of times and by any number of processes: a draft becomes one
  certificate, because the database allows no second one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from certificates import rules, store
from certificates.catalogue import Catalogue, CertificateType
from certificates.completing import Completion
from certificates.drafting import (
    checked_fields,
    content_of,
    entry_about,
    new_draft,
    subject_of_draft,
)
from certificates.errors import (
    ContentChanged,
    DraftNotFound,
    LayoutOverflow,
    MissingGlyph,
    NoSeal,
    NumberTaken,
    WrongState,
)
from certificates.fields import MAX_NOTE, checked_note
from certificates.issuing import Issuer, Made, Order
from certificates.models import Certificate, Content, Draft
from certificates.register import Register, unknown_certificate
from certificates.rendering import Renderer
from certificates.rules import DraftState, State
from certificates.status import Slot, StatusLists, choose_slots, record_change
from foundation.actor import SYSTEM, Actor
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from foundation.errors import YinzhengError
from foundation.jobs import Jobs
from foundation.paging import MAX_LIMIT, Page, decode_cursor, page_of
from keys import Keys
from ledger import Entry, Ledger
from signing.errors import SealNotUsable
from signing.models import Approval, Seal, SealState
from signing.seals import Seals
from signing.service import Signing

SEALING = "certificates.seal"
_CHANGEABLE = (DraftState.DRAFT, DraftState.RETURNED)


class Certificates(Register):
    """The registry of certificates of all authorities served by this house."""

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
    ) -> None:
        super().__init__(database, ledger, clock, catalogue)
        self.public_url = public_url
        self.renderer = renderer or Renderer(public_url)
        self.seals = Seals(database, keys, clock)
        self.status_lists = StatusLists(database, keys, clock, public_url)
        self.issuer = Issuer(database.cipher, keys, signing, ledger, self.renderer, public_url)
        self.completion = Completion(database, signing, jobs, clock)
        self.keys = keys
        self.jobs = jobs
        jobs.register(SEALING, lambda payload: self._seal_task(payload["draft"]))

    def close(self) -> None:
        self.status_lists.close()

    # ── drafts ───────────────────────────────────────────────────────────────────────────────

    def draft(self, actor: Actor, type_name: str, fields: Mapping[str, str]) -> Draft:
        """Write a new draft; identifier and QR token are drawn now and stay with it.

        Raises `RoleMissing`, `InvalidFields`, `NumberTaken`, `NoSeal`, `MissingGlyph`.
        """
        rules.check_role(actor, "drafter")
        kind, now = self.catalogue.find(type_name), self.clock()
        checked = self._checked(kind, fields, actor.organisation, now)
        seal = self._usable_seal(actor.organisation, now)
        draft = new_draft(kind, actor, seal, checked, now)
        with self.database.write() as tx:
            self._refuse_taken_number(tx, draft.authority, draft.number)
            store.insert_draft(
                tx, {name: getattr(draft, name) for name in Draft.__dataclass_fields__}
            )
            self.ledger.append(tx, self._entry("certificate.drafted", actor, draft, now))
        return draft

    def update(self, actor: Actor, draft_id: str, fields: Mapping[str, str]) -> Draft:
        """Change the fields of a draft that is not under review."""
        rules.check_role(actor, "drafter")
        now = self.clock()
        draft = self.find_draft(actor, draft_id)
        kind = self.catalogue.find(draft.type)
        checked = self._checked(kind, fields, draft.authority, now)
        number = checked[kind.number.field]
        changed = {"fields": checked, "number": number, "state": DraftState.DRAFT}
        with self.database.write() as tx:
            if number != draft.number:
                self._refuse_taken_number(tx, draft.authority, number)
            self._change(tx, draft, _CHANGEABLE, now, changed)
            self.ledger.append(tx, self._entry("certificate.redrafted", actor, draft, now))
            return self._reload(tx, draft)

    def discard(self, actor: Actor, draft_id: str) -> None:
        """Throw away a draft that is not under review."""
        rules.check_role(actor, "drafter")
        draft, now = self.find_draft(actor, draft_id), self.clock()
        with self.database.write() as tx:
            if draft.state not in _CHANGEABLE or not store.delete_draft(tx, draft):
                raise _wrong_state(draft)
            self.ledger.append(tx, self._entry("certificate.draft_discarded", actor, draft, now))

    def submit(self, actor: Actor, draft_id: str) -> Draft:
        """Hand a draft to a second officer; from now on its content has a digest.

        Raises `LayoutOverflow` when the content does not fit its page.
        """
        rules.check_role(actor, "drafter")
        draft, now = self.find_draft(actor, draft_id), self.clock()
        seal = self._usable_seal(draft.authority, now)
        content = self.content(replace(draft, seal_id=seal.id))
        self.renderer.pdf(self.catalogue.find(draft.type), content, now, None)  # does it fit?
        changed = {
            "state": DraftState.SUBMITTED,
            "content_digest": content.digest,
            "seal_id": seal.id,
            "drafter": actor.id,  # whoever submits answers for it
            "drafter_name": actor.name,
            "returned_because": "",
        }
        with self.database.write() as tx:
            self._change(tx, draft, _CHANGEABLE, now, changed)
            self.ledger.append(tx, self._entry("certificate.submitted", actor, draft, now))
            return self._reload(tx, draft)

    def return_(self, actor: Actor, draft_id: str, reason: str) -> Draft:
        """Send a draft back to its drafter with a reason; also ends an approval not yet sealed."""
        draft, now = self.find_draft(actor, draft_id), self.clock()
        rules.check_approval(actor, draft.drafter, draft.authority)
        changed = _returned(checked_note(reason, "say what the drafter should change"))
        with self.database.write() as tx:
            self._change(tx, draft, (DraftState.SUBMITTED, DraftState.APPROVED), now, changed)
            self.ledger.append(tx, self._entry("certificate.returned", actor, draft, now))
            return self._reload(tx, draft)

    def approve(self, actor: Actor, draft_id: str, content_digest: str) -> Draft:
        """Agree to exactly the content with this digest; sealing follows as a job.

        Raises `RoleMissing`, `OwnDraft`, `OtherAuthority`, and `ContentChanged` when the draft is
        not (any more) what the approver saw.
        """
        draft, now = self.find_draft(actor, draft_id), self.clock()
        rules.check_approval(actor, draft.drafter, draft.authority)
        if draft.state is not DraftState.SUBMITTED:
            raise _wrong_state(draft)
        if not content_digest == draft.content_digest == self.content(draft).digest:
            raise ContentChanged(
                "the draft is not what you looked at",
                next_step="open the draft again and look at what changed",
            )
        changed = {
            "state": DraftState.APPROVED,
            "approver": actor.id,
            "approver_name": actor.name,
            "approved_at": now,
        }
        with self.database.write() as tx:
            self._change(tx, draft, (DraftState.SUBMITTED,), now, changed)
            self.jobs.enqueue(tx, SEALING, {"draft": draft.id}, key=f"{SEALING}/{draft.id}")
            self.ledger.append(tx, self._entry("certificate.approved", actor, draft, now))
            return self._reload(tx, draft)

    def find_draft(self, actor: Actor, draft_id: str) -> Draft:
        """A draft of the actor's own authority. Raises `DraftNotFound`."""
        with self.database.read() as tx:
            draft = store.draft_by_id(tx, draft_id)
        if draft is None or not actor.organisation or draft.authority != actor.organisation:
            raise DraftNotFound("there is no such draft in your authority")
        return draft

    def drafts(
        self,
        actor: Actor,
        *,
        state: DraftState | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Draft]:
        """The drafts of the actor's authority, newest first; those not yet sealed by default."""
        before = decode_cursor(after, str)[0] if after else None
        limit = min(max(limit, 1), MAX_LIMIT)
        with self.database.read() as tx:
            found = store.drafts_of(
                tx, actor.organisation, state=state, before=before, limit=limit + 1
            )
        return page_of(found, limit, lambda draft: (draft.id,))

    def preview(self, draft_id: str, actor: Actor) -> bytes:
        """The page as it will be sealed, as PDF; codes that need a signature are left out."""
        draft = self.find_draft(actor, draft_id)
        kind = self.catalogue.find(draft.type)
        return self.renderer.pdf(kind, self.content(draft), self.clock(), None)

    def preview_png(self, draft_id: str, actor: Actor, ppi: float = 110) -> bytes:
        """The same page as a picture."""
        draft = self.find_draft(actor, draft_id)
        kind = self.catalogue.find(draft.type)
        return self.renderer.png(kind, self.content(draft), self.clock(), ppi)

    def content(self, draft: Draft) -> Content:
        """What sealing this draft today would say; its digest is what an approver agrees to."""
        return content_of(
            self.catalogue.find(draft.type),
            draft.fields,
            identifier=draft.identifier,
            qr_token=draft.qr_token,
            authority=draft.authority,
            authority_name=draft.authority_name,
            seal_id=draft.seal_id,
            template_hash=self.renderer.template_hash,
        )

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
        `RoleMissing`, `IllegalTransition`, `InvalidReason`.
        """
        rules.check_role(actor, "approver")
        note, now = checked_note(note), self.clock()
        with self.database.write() as tx:
            row = store.lock_state(tx, identifier)
            if row is None or row.issuing_authority != actor.organisation:
                raise unknown_certificate()
            present = State(row.state)
            reason = rules.check_transition(present, to, reason_code)
            store.set_state(tx, row.id, to, now, reason.code)
            value = rules.STATES[to].status_value
            if value != rules.STATES[present].status_value:
                record_change(tx, Slot(row.status_list, row.status_index), value, now)
            entry = Entry(
                kind=f"certificate.{'restored' if to is State.ACTIVE else to}",
                actor=actor,
                at=now,
                subject=row.subject,
                certificate=identifier,
                legal_basis=reason.legal_basis,
                details={"reason": reason.code, "national_code": rules.STATES[to].national_code},
                private={"note": note} if note else {},
            )
            self.ledger.append(tx, entry)
            changed = store.by_identifier(tx, identifier)
        if changed is None:
            raise unknown_certificate()
        return changed

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def usable_seal(self, authority: str) -> Seal:
        """The authority's seal that can be used now. Raises `NoSeal`."""
        return self._usable_seal(authority, self.clock())

    def _checked(
        self, kind: CertificateType, given: Mapping[str, str], authority: str, now: datetime
    ) -> dict[str, str]:
        return checked_fields(kind, given, authority, now, self.renderer)

    def _usable_seal(self, authority: str, now: datetime) -> Seal:
        for seal in self.seals.for_owner(authority):
            if seal.state is SealState.ACTIVE and seal.valid_from <= now <= seal.valid_until:
                return seal
        raise NoSeal(
            "your authority has no usable seal",
            retry_after=3600,
            next_step="ask the keeper of seals to register or renew one",
        )

    def _refuse_taken_number(self, tx: Tx, authority: str, number: str) -> None:
        if store.taken_numbers(tx, authority, [number]):
            raise NumberTaken(f"the number {number} is already used by your authority")

    def _change(
        self,
        tx: Tx,
        draft: Draft,
        states: Sequence[DraftState],
        now: datetime,
        values: Mapping[str, Any],
    ) -> None:
        if draft.state not in states:
            raise _wrong_state(draft)
        if not store.change_draft(tx, draft, dict(values) | {"changed_at": now}):
            raise WrongState(
                "somebody else changed the draft just now", next_step="open the draft again"
            )

    def _reload(self, tx: Tx, draft: Draft) -> Draft:
        changed = store.draft_by_id(tx, draft.id)
        if changed is None:
            raise DraftNotFound("there is no such draft in your authority")
        return changed

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

    def _keep(self, draft: Draft, made: Made) -> Certificate | None:
        with self.database.write() as tx:
            sealed = {"state": DraftState.SEALED, "changed_at": made.at}
            if not store.change_draft(tx, draft, sealed):
                return None
            self.issuer.keep(tx, [made])
            self.completion.later(tx, [made])
            return store.by_draft(tx, draft.id)

    def _order(self, draft: Draft) -> Order:
        if draft.state is not DraftState.APPROVED or not draft.approver or not draft.approved_at:
            raise _wrong_state(draft)
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

    def _seal_task(self, draft_id: str) -> None:
        try:
            self.issue(draft_id)
        except (DraftNotFound, WrongState):
            return  # returned or discarded meanwhile: nothing to seal
        except (
            ContentChanged,
            LayoutOverflow,
            MissingGlyph,
            NumberTaken,
            SealNotUsable,
        ) as problem:
            self._give_back(draft_id, problem)  # trying again would not help

    def _give_back(self, draft_id: str, problem: YinzhengError) -> None:
        """Return an approved draft that cannot be sealed as it is; the reason is the problem."""
        now = self.clock()
        with self.database.write() as tx:
            draft = store.draft_by_id(tx, draft_id)
            if draft is None or draft.state is not DraftState.APPROVED:
                return
            changed = _returned(problem.detail)
            self._change(tx, draft, (DraftState.APPROVED,), now, changed)
            self.ledger.append(tx, self._entry("certificate.returned", SYSTEM, draft, now))

    def _entry(self, kind: str, actor: Actor, draft: Draft, now: datetime) -> Entry:
        type_ = self.catalogue.find(draft.type)
        subject = subject_of_draft(self.database.cipher, type_, draft)
        return entry_about(kind, actor, draft, subject, now)


def _returned(reason: str) -> dict[str, Any]:
    return {
        "state": DraftState.RETURNED,
        "returned_because": reason[:MAX_NOTE],
        "approver": None,
        "approver_name": "",
        "approved_at": None,
        "content_digest": "",
    }


def _wrong_state(draft: Draft) -> WrongState:
    return WrongState(
        f"the draft is {draft.state}", next_step="open the draft again", state=draft.state
    )
