"""`Drafts`: the way of one certificate to its approval, with two people on it.

    draft → submit → approve (another officer of the same authority), or return

* One method is one transaction and one ledger entry.
* What is approved is a digest: of the fields, the type, the page and the seal.
* A draft of another authority does not exist for an officer: 404, whatever was asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from certificates import rules
from certificates.catalogue import Catalogue, CertificateType
from certificates.catalogue.fields import MAX_NOTE, checked_note
from certificates.errors import ContentChanged, DraftNotFound, NoSeal, NumberTaken, WrongState
from certificates.issuing.drafting import (
    checked_fields,
    content_of,
    entry_about,
    new_draft,
    subject_of_draft,
)
from certificates.issuing.rendering import Renderer
from certificates.models import Content, Draft
from certificates.register import store
from certificates.rules import DraftState
from foundation.actor import SYSTEM, Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.errors import YinzhengError
from foundation.jobs import Jobs
from foundation.paging import MAX_LIMIT, Page, decode_cursor, page_of
from ledger import Entry, Ledger
from signing import (
    Seal,
    Seals,
    SealState,
)

SEALING = "certificates.seal"
_CHANGEABLE = (DraftState.DRAFT, DraftState.RETURNED)


class Drafts:
    """What is written, shown to a second officer, and agreed to or returned."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        catalogue: Catalogue,
        seals: Seals,
        renderer: Renderer,
        jobs: Jobs,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._catalogue = catalogue
        self._seals = seals
        self._renderer = renderer
        self._jobs = jobs

    def draft(self, actor: Actor, type_name: str, fields: Mapping[str, str]) -> Draft:
        """Write a new draft; identifier and QR token are drawn now and stay with it.

        Raises `RoleMissing`, `InvalidFields`, `NumberTaken`, `NoSeal`, `MissingGlyph`.
        """
        rules.check_role(actor, "drafter")
        kind, now = self._catalogue.find(type_name), self._clock()
        checked = self._checked(kind, fields, actor.organisation, now)
        seal = self.usable_seal(actor.organisation, now)
        draft = new_draft(kind, actor, seal, checked, now)
        with self._database.write() as tx:
            self._refuse_taken_number(tx, draft.authority, draft.number)
            store.insert_draft(
                tx, {name: getattr(draft, name) for name in Draft.__dataclass_fields__}
            )
            self._ledger.append(tx, self._entry("certificate.drafted", actor, draft, now))
        return draft

    def update(self, actor: Actor, draft_id: str, fields: Mapping[str, str]) -> Draft:
        """Change the fields of a draft that is not under review."""
        rules.check_role(actor, "drafter")
        now = self._clock()
        draft = self.find_draft(actor, draft_id)
        kind = self._catalogue.find(draft.type)
        checked = self._checked(kind, fields, draft.authority, now)
        number = checked[kind.number.field]
        changed = {"fields": checked, "number": number, "state": DraftState.DRAFT}
        with self._database.write() as tx:
            if number != draft.number:
                self._refuse_taken_number(tx, draft.authority, number)
            self._change(tx, draft, _CHANGEABLE, now, changed)
            self._ledger.append(tx, self._entry("certificate.redrafted", actor, draft, now))
            return self._reload(tx, draft)

    def discard(self, actor: Actor, draft_id: str) -> None:
        """Throw away a draft that is not under review."""
        rules.check_role(actor, "drafter")
        draft, now = self.find_draft(actor, draft_id), self._clock()
        with self._database.write() as tx:
            if draft.state not in _CHANGEABLE or not store.delete_draft(tx, draft):
                raise wrong_state(draft)
            self._ledger.append(tx, self._entry("certificate.draft_discarded", actor, draft, now))

    def submit(self, actor: Actor, draft_id: str) -> Draft:
        """Hand a draft to a second officer; from now on its content has a digest.

        Raises `LayoutOverflow` when the content does not fit its page.
        """
        rules.check_role(actor, "drafter")
        draft, now = self.find_draft(actor, draft_id), self._clock()
        seal = self.usable_seal(draft.authority, now)
        content = self.content(replace(draft, seal_id=seal.id))
        self._renderer.pdf(self._catalogue.find(draft.type), content, now, None)  # does it fit?
        changed = {
            "state": DraftState.SUBMITTED,
            "content_digest": content.digest,
            "seal_id": seal.id,
            "drafter": actor.id,  # whoever submits answers for it
            "drafter_name": actor.name,
            "returned_because": "",
        }
        with self._database.write() as tx:
            self._change(tx, draft, _CHANGEABLE, now, changed)
            self._ledger.append(tx, self._entry("certificate.submitted", actor, draft, now))
            return self._reload(tx, draft)

    def return_(self, actor: Actor, draft_id: str, reason: str) -> Draft:
        """Send a draft back to its drafter with a reason; also ends an approval not yet sealed."""
        draft, now = self.find_draft(actor, draft_id), self._clock()
        rules.check_approval(actor, draft.drafter, draft.authority)
        changed = returned(checked_note(reason, "say what the drafter should change"))
        with self._database.write() as tx:
            self._change(tx, draft, (DraftState.SUBMITTED, DraftState.APPROVED), now, changed)
            self._ledger.append(tx, self._entry("certificate.returned", actor, draft, now))
            return self._reload(tx, draft)

    def approve(self, actor: Actor, draft_id: str, content_digest: str) -> Draft:
        """Agree to exactly the content with this digest; sealing follows as a job.

        Raises `RoleMissing`, `OwnDraft`, `OtherAuthority`, and `ContentChanged` when the draft is
        not (any more) what the approver saw.
        """
        draft, now = self.find_draft(actor, draft_id), self._clock()
        rules.check_approval(actor, draft.drafter, draft.authority)
        if draft.state is not DraftState.SUBMITTED:
            raise wrong_state(draft)
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
        with self._database.write() as tx:
            self._change(tx, draft, (DraftState.SUBMITTED,), now, changed)
            self._jobs.enqueue(tx, SEALING, {"draft": draft.id}, key=sealing_key(draft.id))
            self._ledger.append(tx, self._entry("certificate.approved", actor, draft, now))
            return self._reload(tx, draft)

    def give_back(self, draft_id: str, problem: YinzhengError) -> None:
        """Return an approved draft that cannot be sealed as it is; the reason is the problem."""
        now = self._clock()
        with self._database.write() as tx:
            draft = store.draft_by_id(tx, draft_id)
            if draft is None or draft.state is not DraftState.APPROVED:
                return
            changed = returned(problem.detail)
            self._change(tx, draft, (DraftState.APPROVED,), now, changed)
            self._ledger.append(tx, self._entry("certificate.returned", SYSTEM, draft, now))

    def find_draft(self, actor: Actor, draft_id: str) -> Draft:
        """A draft of the actor's own authority. Raises `DraftNotFound`."""
        with self._database.read() as tx:
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
        with self._database.read() as tx:
            found = store.drafts_of(
                tx, actor.organisation, state=state, before=before, limit=limit + 1
            )
        return page_of(found, limit, lambda draft: (draft.id,))

    def preview(self, draft_id: str, actor: Actor) -> bytes:
        """The page as it will be sealed, as PDF; codes that need a signature are left out."""
        draft = self.find_draft(actor, draft_id)
        kind = self._catalogue.find(draft.type)
        return self._renderer.pdf(kind, self.content(draft), self._clock(), None)

    def preview_png(self, draft_id: str, actor: Actor, ppi: float = 110) -> bytes:
        """The same page as a picture."""
        draft = self.find_draft(actor, draft_id)
        kind = self._catalogue.find(draft.type)
        return self._renderer.png(kind, self.content(draft), self._clock(), ppi)

    def content(self, draft: Draft) -> Content:
        """What sealing this draft today would say; its digest is what an approver agrees to."""
        return content_of(
            self._catalogue.find(draft.type),
            draft.fields,
            identifier=draft.identifier,
            qr_token=draft.qr_token,
            authority=draft.authority,
            authority_name=draft.authority_name,
            seal_id=draft.seal_id,
            template_hash=self._renderer.template_hash,
        )

    def usable_seal(self, authority: str, now: datetime) -> Seal:
        """The authority's seal that can be used at a moment. Raises `NoSeal`."""
        for seal in self._seals.for_owner(authority):
            if seal.state is SealState.ACTIVE and seal.valid_from <= now <= seal.valid_until:
                return seal
        raise NoSeal(
            "your authority has no usable seal",
            retry_after=3600,
            next_step="ask the keeper of seals to register or renew one",
        )

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _checked(
        self, kind: CertificateType, fields: Mapping[str, str], authority: str, now: datetime
    ) -> dict[str, str]:
        def taken(number: str) -> bool:
            with self._database.read() as tx:
                return bool(store.taken_numbers(tx, authority, [number]))

        return checked_fields(kind, fields, authority, now, self._renderer, taken)

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
            raise wrong_state(draft)
        if not store.change_draft(tx, draft, dict(values) | {"changed_at": now}):
            raise WrongState(
                "somebody else changed the draft just now", next_step="open the draft again"
            )

    def _reload(self, tx: Tx, draft: Draft) -> Draft:
        changed = store.draft_by_id(tx, draft.id)
        if changed is None:
            raise DraftNotFound("there is no such draft in your authority")
        return changed

    def _entry(self, kind: str, actor: Actor, draft: Draft, now: datetime) -> Entry:
        type_ = self._catalogue.find(draft.type)
        subject = subject_of_draft(self._database.cipher, type_, draft)
        return entry_about(kind, actor, draft, subject, now)


def sealing_key(draft_id: str) -> str:
    """The key of the job that seals a draft."""
    return f"{SEALING}/{draft_id}"


def returned(reason: str) -> dict[str, Any]:
    """The columns of a draft that went back to its drafter."""
    return {
        "state": DraftState.RETURNED,
        "returned_because": reason[:MAX_NOTE],
        "approver": None,
        "approver_name": "",
        "approved_at": None,
        "content_digest": "",
    }


def wrong_state(draft: Draft) -> WrongState:
    """The refusal of an act that the draft's state does not allow."""
    return WrongState(
        f"the draft is {draft.state}", next_step="open the draft again", state=draft.state
    )
