"""`Certificates`: from a draft to a sealed certificate, and what the law may do to it afterwards.

    draft → submit → approve (another officer of the same authority) → issue → change_state

* One method is one transaction and one ledger entry; reading a certificate in office leaves an
  entry too, because a citizen may see who looked.
* A certificate of another authority does not exist for an officer: 404, whatever was asked.
* `issue` may be called any number of times and by any number of processes: a draft becomes one
  certificate, because the database allows no second one.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from certificates import fields as field_rules
from certificates import identifier as identifiers
from certificates import rules, store
from certificates.catalogue import Catalogue, CertificateType
from certificates.errors import (
    CertificateNotFound,
    ContentChanged,
    DraftNotFound,
    InvalidFields,
    NoSeal,
    NumberTaken,
    WrongState,
)
from certificates.fields import as_date
from certificates.issuing import Issuer, Made, Order, name_index
from certificates.models import Certificate, Content, Draft, Listing, new_id
from certificates.rendering import Renderer
from certificates.rules import DraftState, State
from certificates.status import Slot, StatusLists, choose_slots, record_change
from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx, is_unique_violation
from foundation.encryption import subject_of
from foundation.errors import Invalid
from foundation.jobs import Jobs
from foundation.paging import MAX_LIMIT, Page, decode_cursor, page_of
from keys import Keys
from ledger import Entry, Ledger
from signing.models import Approval, Seal, SealState
from signing.seals import Seals
from signing.service import Signing

SEALING = "certificates.seal"
SHORTEST_QUERY = 2
_ADMINISTRATION = "《中华人民共和国行政许可法》第六十一条"
_CHANGEABLE = (DraftState.DRAFT, DraftState.RETURNED)


class Certificates:
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
        self.catalogue = catalogue
        self.public_url = public_url
        self.renderer = renderer or Renderer(public_url)
        self.seals = Seals(database, keys, clock)
        self.status_lists = StatusLists(database, keys, clock, public_url)
        self.issuer = Issuer(database.cipher, keys, signing, ledger, self.renderer, public_url)
        self.keys = keys
        self.database = database
        self.ledger = ledger
        self.jobs = jobs
        self.clock = clock
        jobs.register(SEALING, lambda payload: self._seal_task(payload["draft"]))

    def close(self) -> None:
        self.status_lists.close()

    # ── the catalogue ────────────────────────────────────────────────────────────────────────

    def types(self) -> Sequence[CertificateType]:
        """All certificate types."""
        return tuple(self.catalogue.values())

    def type(self, name_or_code: str) -> CertificateType:
        """One type by name or national code. Raises `UnknownType`."""
        return self.catalogue.find(name_or_code)

    # ── drafts ───────────────────────────────────────────────────────────────────────────────

    def draft(self, actor: Actor, type_name: str, fields: Mapping[str, str]) -> Draft:
        """Write a new draft; identifier and QR token are drawn now and stay with it.

        Raises `RoleMissing`, `InvalidFields`, `NumberTaken`, `NoSeal`, `MissingGlyph`.
        """
        rules.check_role(actor, "drafter")
        kind, now = self.catalogue.find(type_name), self.clock()
        checked = self._checked(kind, fields, actor.organisation, now)
        seal = self._usable_seal(actor.organisation, now)
        serial = identifiers.new_serial()
        draft = Draft(
            id=new_id(now, secrets.token_bytes(10)),
            type=kind.name,
            authority=actor.organisation,
            authority_name=actor.organisation_name or seal.owner_name,
            identifier=str(identifiers.compose(kind.code, actor.organisation, serial)),
            number=checked[kind.number.field],
            fields=checked,
            state=DraftState.DRAFT,
            content_digest="",
            drafter=actor.id,
            drafter_name=actor.name,
            approver=None,
            approver_name="",
            approved_at=None,
            returned_because="",
            seal_id=seal.id,
            qr_token=secrets.token_urlsafe(16),
            created_at=now,
            changed_at=now,
            revision=1,
        )
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
        """Hand a draft to a second officer; from now on its content has a digest."""
        rules.check_role(actor, "drafter")
        draft, now = self.find_draft(actor, draft_id), self.clock()
        seal = self._usable_seal(draft.authority, now)
        content = self.content(replace(draft, seal_id=seal.id))
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
        if not reason.strip():
            raise Invalid("a reason is needed", next_step="say what the drafter should change")
        changed = {
            "state": DraftState.RETURNED,
            "returned_because": reason.strip()[:500],
            "approver": None,
            "approver_name": "",
            "approved_at": None,
            "content_digest": "",
        }
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
        now = self.clock()
        with self.database.write() as tx:
            row = store.lock_state(tx, identifier)
            if row is None or row.issuing_authority != actor.organisation:
                raise _unknown()
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
            raise _unknown()
        return changed

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def get(self, actor: Actor, identifier: str) -> Certificate:
        """One certificate, for its holder or for an officer of its authority (who leaves an entry).

        Raises `CertificateNotFound` for everybody else.
        """
        return self._look(actor, identifier, "certificate.viewed")

    def pdf(self, actor: Actor, identifier: str) -> bytes:
        """The sealed PDF, under the same rule as `get`."""
        return self.rendition(actor, identifier, "pdf")

    def rendition(self, actor: Actor, identifier: str, form: str) -> bytes:
        """A rendition ("pdf", "dc+sd-jwt", "cwt-qr"), under the same rule as `get`."""
        certificate = self._look(actor, identifier, "certificate.downloaded", form)
        with self.database.read() as tx:
            data = store.rendition(tx, certificate.id, form)
        if data is None:
            raise CertificateNotFound(f"this certificate has no rendition {form[:20]!r}")
        return data

    def search(
        self,
        actor: Actor,
        query: str = "",
        *,
        state: State | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[Listing]:
        """The certificates of the actor's authority: all, newest first, or those that match.

        A query is an identifier, a holder's code or exact name, or the beginning of a licence
        number; fewer than two characters are refused.
        """
        text = query.strip()
        limit = min(max(limit, 1), MAX_LIMIT)
        if text and len(text) < SHORTEST_QUERY:
            raise Invalid(f"type at least {SHORTEST_QUERY} characters to search")
        with self.database.read() as tx:
            if text:
                return Page(tuple(self._matching(tx, actor.organisation, text, limit)))
            before = decode_cursor(after, str)[0] if after else None
            found = store.listed(
                tx, actor.organisation, before=before, state=state, limit=limit + 1
            )
        return page_of(found, limit, lambda listing: (listing.id,))

    def held_by(self, subjects: Collection[str]) -> list[Certificate]:
        """The certificates of a holder (the person and those they represent), newest first."""
        if not subjects:
            return []
        with self.database.read() as tx:
            return store.held_by(tx, subjects, MAX_LIMIT)

    def load_many(self, tx: Tx, keys: Sequence[str]) -> Mapping[str, Certificate]:
        """Certificates by number or identifier in one query; for `exchange`, which asks the law."""
        return store.load_many(tx, keys)

    def load_by_tokens(self, tx: Tx, tokens: Sequence[str]) -> Mapping[str, Certificate]:
        """Certificates by QR token in one query; for `exchange`."""
        return store.load_by_tokens(tx, tokens)

    def by_identifier(self, identifier: str) -> Certificate | None:
        """For `exchange`, which writes the entry."""
        with self.database.read() as tx:
            return store.by_identifier(tx, identifier)

    def by_qr_token(self, token: str) -> Certificate | None:
        """For `exchange`, which writes the entry."""
        with self.database.read() as tx:
            return store.load_by_tokens(tx, [token]).get(token)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def usable_seal(self, authority: str) -> Seal:
        """The authority's seal that can be used now. Raises `NoSeal`."""
        return self._usable_seal(authority, self.clock())

    def _checked(
        self, kind: CertificateType, given: Mapping[str, str], authority: str, now: datetime
    ) -> dict[str, str]:
        normal, _ = field_rules.normalise(kind, given)
        done = field_rules.complete(kind, normal, authority, rules.civil_date(now))
        errors = field_rules.check(kind, done)
        if errors:
            raise InvalidFields(
                f"{len(errors)} field(s) break a rule of {kind.labels['en']}",
                next_step="correct the fields that are named",
                errors=errors,
            )
        return done

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
            return store.by_draft(tx, draft.id)

    def _order(self, draft: Draft) -> Order:
        if draft.state is not DraftState.APPROVED or not draft.approver or not draft.approved_at:
            raise _wrong_state(draft)
        approval = Approval(draft.content_digest, draft.drafter, draft.approver, draft.approved_at)
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

    def _look(self, actor: Actor, identifier: str, kind: str, form: str = "") -> Certificate:
        with self.database.read() as tx:
            certificate = store.by_identifier(tx, identifier)
        if certificate is None:
            raise _unknown()
        if certificate.subject in actor.subjects:
            return certificate
        if not actor.organisation or certificate.issuing_authority != actor.organisation:
            raise _unknown()
        entry = Entry(
            kind=kind,
            actor=actor,
            at=self.clock(),
            subject=certificate.subject,
            certificate=identifier,
            purpose="administration",
            legal_basis=_ADMINISTRATION,
            case_ref=certificate.number,
            disclosed=tuple(certificate.fields),
            details={"type": certificate.type} | ({"format": form} if form else {}),
        )
        with self.database.write() as tx:
            self.ledger.append(tx, entry)
        return certificate

    def _matching(self, tx: Tx, authority: str, text: str, limit: int) -> list[Listing]:
        cipher = self.database.cipher
        kinds = {kind.holder.kind for kind in self.catalogue.values()}
        subjects = [subject_of(cipher, kind, text.upper()) for kind in sorted(kinds)]
        return store.matching(tx, authority, text, subjects, name_index(cipher, text), limit)

    def _entry(self, kind: str, actor: Actor, draft: Draft, now: datetime) -> Entry:
        holder = self.catalogue.find(draft.type).holder
        subject = subject_of(self.database.cipher, holder.kind, draft.fields[holder.code])
        details = {"type": draft.type}
        if draft.content_digest:
            details["content_digest"] = draft.content_digest
        return Entry(
            kind=kind,
            actor=actor,
            at=now,
            subject=subject,
            certificate=draft.identifier,
            details=details,
        )


def content_of(
    kind: CertificateType,
    fields: Mapping[str, str],
    *,
    identifier: str,
    qr_token: str,
    authority: str,
    authority_name: str,
    seal_id: str,
    template_hash: str,
) -> Content:
    """The content that checked fields make. Raises `InvalidFields` when a date is missing."""
    issued, start = (
        as_date(fields.get(kind.validity.issued)),
        as_date(fields.get(kind.validity.start)),
    )
    if issued is None or start is None:
        raise InvalidFields("a certificate needs its date of issue and the start of its validity")
    return Content(
        identifier=identifier,
        number=fields[kind.number.field],
        type=kind.name,
        type_version=kind.version,
        type_digest=kind.digest,
        template_hash=template_hash,
        authority=authority,
        authority_name=authority_name,
        seal_id=seal_id,
        qr_token=qr_token,
        fields=dict(fields),
        issued_on=issued,
        valid_from=start,
        valid_until=as_date(fields.get(kind.validity.end)),
    )


def _wrong_state(draft: Draft) -> WrongState:
    return WrongState(
        f"the draft is {draft.state}", next_step="open the draft again", state=draft.state
    )


def _unknown() -> CertificateNotFound:
    return CertificateNotFound(
        "there is no such certificate, or it is not yours",
        next_step="check the number, or ask the authority that issued it",
    )
