"""How a department comes by a purpose, and how it loses it.

    apply ─▶ applied ─▶ approve ─▶ approved ─▶ end ─▶ ended
                     ├▶ refuse  ─▶ refused
                     └▶ withdraw ─▶ withdrawn

- Who applied decides about nothing: `check` says so, and so does a constraint of the database.
- Approving registers one purpose a type, ending deletes them in the transaction of the act. They
  are read anew for every question, so no endpoint of ours answers under an ended purpose.
- Every act is a ledger entry. The department, the purpose, its bases and types are public; what
  somebody wrote as a reason is not, because a free text may name people.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from exchange import application_store as store
from exchange.errors import (
    ApplicationDecided,
    ApplicationFourEyes,
    ApplicationNotFound,
    MayNotDecide,
    PurposeNotAllowed,
    ReasonMissing,
)
from exchange.models import CHANNELS, PurposeApplication, PurposeForm
from exchange.purposes import Purposes
from foundation.actor import Actor, ActorKind
from foundation.codes import is_organisation_code
from foundation.database import Tx
from foundation.errors import FieldError
from ledger import Entry, Ledger

OPERATOR: Final = "operator"
APPLICANTS: Final = ("drafter", "approver")
DECISIONS: Final = frozenset({"approve", "refuse"})
REASONED: Final = frozenset({"refuse", "end"})
LONGEST_TEXT: Final = 200
LARGEST_NUMBER: Final = 10_000_000
LONGEST_RETENTION: Final = 36_500  # days

# act -> the state where it begins, and where it leads
_MOVES: Final = {
    "approve": ("applied", "approved"),
    "refuse": ("applied", "refused"),
    "withdraw": ("applied", "withdrawn"),
    "end": ("approved", "ended"),
}
_ARTICLE: Final = re.compile(r"第.+[条條]|§|\b(?:art|article|sec|section)\b", re.IGNORECASE)


class PurposeApplications:
    """Applies, decides and ends; every method takes the caller's transaction."""

    def __init__(self, purposes: Purposes, ledger: Ledger) -> None:
        self._purposes = purposes
        self._ledger = ledger

    def apply(self, tx: Tx, form: PurposeForm, *, by: Actor, now: datetime) -> str:
        """Ask for a purpose; answers the application's id.

        Raises `PurposeNotAllowed`, which names every mistake, and `MayNotDecide`.
        """
        _must_speak_for(by, form.organisation)
        if mistakes := list(self._mistakes(form)):
            raise PurposeNotAllowed(
                f"{form.code or 'this purpose'} cannot be applied for: {mistakes[0].detail}",
                next_step="correct the named fields and apply again",
                errors=mistakes,
            )
        application_id = f"purpose-{secrets.token_hex(8)}"
        store.add(tx, application_id, form, by=by.id, now=now)
        self._append(tx, "applied", self.get(tx, application_id), by, now, "")
        return application_id

    def approve(self, tx: Tx, application_id: str, *, by: Actor, now: datetime) -> None:
        """Grant what was applied for, as the catalogue allows it today.

        Raises `ApplicationFourEyes`, `MayNotDecide`, `ApplicationDecided`, `PurposeHeld`,
        `PurposeNotAllowed`.
        """
        form = self._act(tx, application_id, "approve", by, now, "").form
        for type_name in form.types:
            self._purposes.register(tx, self._purposes.asked_for(form, type_name), application_id)

    def refuse(self, tx: Tx, application_id: str, reason: str, *, by: Actor, now: datetime) -> None:
        """Refuse it, and say why. Raises as `approve` does, and `ReasonMissing`."""
        self._act(tx, application_id, "refuse", by, now, reason)

    def withdraw(self, tx: Tx, application_id: str, *, by: Actor, now: datetime) -> None:
        """Take an application back before anybody decided."""
        self._act(tx, application_id, "withdraw", by, now, "")

    def end(self, tx: Tx, application_id: str, reason: str, *, by: Actor, now: datetime) -> None:
        """End a purpose: from this commit on nobody is answered under it."""
        self._act(tx, application_id, "end", by, now, reason)
        store.take_back(tx, application_id)

    def get(self, tx: Tx, application_id: str) -> PurposeApplication:
        """The application with this id. Raises `ApplicationNotFound`."""
        found = store.find(tx, application_id)
        if found is None:
            raise ApplicationNotFound(
                f"there is no application {application_id}", next_step="purposes list"
            )
        return found

    def all(self, tx: Tx, state: str = "", organisation: str = "") -> Sequence[PurposeApplication]:
        """Applications in a state and of a department, newest first; "" is any."""
        return store.all_in(tx, state, organisation)

    def _act(
        self, tx: Tx, application_id: str, act: str, by: Actor, now: datetime, reason: str
    ) -> PurposeApplication:
        found = self.get(tx, application_id)
        check(found, act, by, reason)
        begins, leads = _MOVES[act]
        who = "decided" if act in DECISIONS else "ended"
        changed = {f"{who}_by": by.id, f"{who}_at": now}
        if not store.move(tx, application_id, begins, leads, changed, reason):
            raise ApplicationDecided(
                f"the application is not {begins} any more",
                next_step="look at it again: purposes show",
            )
        self._append(tx, leads, found, by, now, reason)
        return found

    def _mistakes(self, form: PurposeForm) -> Iterable[FieldError]:
        yield from form_mistakes(form)
        published = self._purposes.legal_bases(form.code)
        for basis in form.legal_bases:
            named = len(basis) <= LONGEST_TEXT and _ARTICLE.search(basis)
            if not (named or basis in published):
                rule = "name the law and its article (第…条, §), or a basis that the type publishes"
                yield FieldError("/legal_bases", "article", rule)
        for type_name in form.types:
            yield from self._purposes.mistakes(self._purposes.asked_for(form, type_name))

    def _append(
        self,
        tx: Tx,
        state: str,
        application: PurposeApplication,
        by: Actor,
        now: datetime,
        reason: str,
    ) -> None:
        form = application.form
        entry = Entry(
            kind=f"exchange.purpose_{state}",
            actor=by,
            at=now,
            purpose=form.code,
            legal_basis="；".join(form.legal_bases),
            details={
                "application": application.id,
                "organisation": form.organisation,
                "types": " ".join(form.types),
            },
            private={"reason": reason} if reason else {},
        )
        self._ledger.append(tx, entry)


def check(application: PurposeApplication, act: str, by: Actor, reason: str = "") -> None:
    """Whether this person may take this act: the one place that knows.

    Deciding takes an operator who did not apply; the department itself may withdraw and end.
    Raises `ApplicationFourEyes`, `MayNotDecide`, `ApplicationDecided`, `ReasonMissing`.
    """
    if act in DECISIONS:
        if by.kind is not ActorKind.PERSON or not by.may(OPERATOR):
            raise MayNotDecide("an operator decides", next_step="ask somebody with that role")
        if by.id == application.applied_by:
            raise ApplicationFourEyes(
                "who applied for a purpose cannot decide about it",
                next_step="let another operator decide",
            )
    else:
        _must_speak_for(by, application.form.organisation)
    if application.state != _MOVES[act][0]:
        raise ApplicationDecided(
            f"the application is {application.state}, not {_MOVES[act][0]}",
            next_step="look at it again: purposes show",
        )
    if act in REASONED and not 0 < len(reason.strip()) <= LONGEST_TEXT:
        wrong = FieldError("/reason", "required", f"1 to {LONGEST_TEXT} characters")
        raise ReasonMissing("say why", errors=[wrong], next_step="give a reason")


def form_mistakes(form: PurposeForm) -> Iterable[FieldError]:
    """What is wrong in a form whatever the catalogue says, field by field."""
    if not is_organisation_code(form.organisation):
        rule = "an 18-character unified social credit code with its check digit (GB 32100)"
        yield FieldError("/organisation", "credit_code", rule)
    if not 0 < len(form.service_item.strip()) <= LONGEST_TEXT:
        yield FieldError("/service_item", "length", f"1 to {LONGEST_TEXT} characters")
    if not form.types:
        yield FieldError("/types", "required", "name at least one certificate type")
    if not form.fields and not form.predicates:
        yield FieldError("/fields", "required", "name fields, or predicates to be answered")
    if form.channel not in CHANNELS:
        yield FieldError("/channel", "unknown_channel", f"one of {', '.join(CHANNELS)}")
    if not 0 <= form.retention_days <= LONGEST_RETENTION:
        yield FieldError("/retention_days", "range", f"0 to {LONGEST_RETENTION} days")
    if not 0 < form.quota <= LARGEST_NUMBER:
        yield FieldError("/quota", "range", f"1 to {LARGEST_NUMBER} questions a day")


def _must_speak_for(by: Actor, organisation: str) -> None:
    own = by.organisation == organisation and any(by.may(role) for role in APPLICANTS)
    if by.kind is not ActorKind.PERSON or not (own or by.may(OPERATOR)):
        raise MayNotDecide(
            "only an operator, or a drafter or approver of the department, may do this",
            next_step="ask somebody with that role",
        )
