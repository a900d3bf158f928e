"""Decisions about seals and approvals. Pure: values and times in, an error or nothing out.

The life of a seal follows 国办发〔2025〕33号:

    applied ──▶ approved ──▶ made ──▶ filed ──▶ active ◀──▶ suspended
       └──▶ rejected                               └────┬───────┘
                                                        ▼
                                                     revoked ──▶ destroyed

Who applies does not decide. A revoked seal never comes back; destroyed means that its private keys
are gone.
"""

import re
import unicodedata
from datetime import datetime, timedelta

from foundation.actor import Actor, ActorKind
from signing.errors import (
    ApprovalFromFuture,
    ContentNotApproved,
    DocumentTooLarge,
    FourEyesViolated,
    IllegalSealChange,
    NotTheKeeper,
    SealNameRefused,
    SealNotUsable,
    SealNotUsableNow,
    UnknownSeal,
)
from signing.models import Approval, Permit, Seal, SealApplication, SealKind, SealState

_NEXT = {
    SealState.APPLIED: {SealState.APPROVED, SealState.REJECTED},
    SealState.REJECTED: set[SealState](),
    SealState.APPROVED: {SealState.MADE},
    SealState.MADE: {SealState.FILED},
    SealState.FILED: {SealState.ACTIVE},
    SealState.ACTIVE: {SealState.SUSPENDED, SealState.REVOKED},
    SealState.SUSPENDED: {SealState.ACTIVE, SealState.REVOKED},
    SealState.REVOKED: {SealState.DESTROYED},
    SealState.DESTROYED: set[SealState](),
}
LIVING = frozenset({SealState.ACTIVE, SealState.SUSPENDED})
# What the public register shows: seals that somebody may have met on a document.
PUBLIC = LIVING | {SealState.REVOKED, SealState.DESTROYED}
_CODE = re.compile(r"[0-9A-Z]{6,20}\Z")
_CLOCK_SKEW = timedelta(minutes=1)
MAX_DOCUMENT = 50 * 1024 * 1024
LONGEST_NAME = 60
LONGEST_LINE = 14


def must_be_a_name(name: str) -> None:
    """Refuse a name that people cannot read as one line of visible characters."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise SealNameRefused(f"a seal's name has 1 to {LONGEST_NAME} characters")
    if unicodedata.normalize("NFC", name) != name:
        raise SealNameRefused("the name is not in Unicode normal form C")
    for character in name:
        if unicodedata.category(character)[0] not in "LNPS" and character != " ":
            raise SealNameRefused(
                f"the name holds U+{ord(character):04X}, which nobody can see",
                next_step="Type the name again without copied control characters.",
            )


def must_be_a_code(code: str) -> None:
    """A seal code is 13 digits in national practice; 6 to 20 digits or capitals are accepted."""
    if not _CODE.match(code):
        raise SealNameRefused(f"{code!r} is not a seal code: 6 to 20 digits or capital letters")


def must_be_next(now: SealState, to: SealState) -> None:
    """May a seal in state `now` change to `to`?"""
    if to not in _NEXT[now]:
        raise IllegalSealChange(f"a seal that is {now} cannot become {to}")


def must_be_an_application(application: SealApplication) -> None:
    """Refuse a seal whose words do not fit its kind, or that nobody would keep."""
    must_be_a_name(application.name)
    must_be_a_code(application.code)
    if application.kind == SealKind.STATUTORY and application.line:
        raise SealNameRefused("a statutory seal has nothing under its star")
    if application.kind != SealKind.STATUTORY:
        if not 0 < len(application.line) <= LONGEST_LINE:
            raise SealNameRefused(
                f"a {application.kind} seal says what it is for in 1 to {LONGEST_LINE} characters"
            )
        must_be_a_name(application.line)


def must_work_for(actor: Actor, owner: str) -> None:
    """Only the department itself; to everybody else the seal does not exist."""
    if actor.kind != ActorKind.SYSTEM and actor.organisation != owner:
        raise UnknownSeal("there is no such seal in your department")


def must_decide_for(actor: Actor, owner: str) -> None:
    """Keepers and approvers of the department decide about its seals and their use."""
    must_work_for(actor, owner)
    if actor.kind != ActorKind.SYSTEM and not (actor.may("keeper") or actor.may("approver")):
        raise NotTheKeeper(
            "this needs the office of a keeper of seals or an approver",
            next_step="Ask the keeper of the seal.",
        )


def must_be_usable(seal: Seal, now: datetime) -> None:
    """May this seal sign at this moment?"""
    if seal.state != SealState.ACTIVE:
        raise SealNotUsable(
            f"the seal {seal.name} is {seal.state}",
            next_step="Ask the keeper of the seal; another active seal of the owner may be used.",
        )
    if not seal.valid_from <= now <= seal.valid_until:
        raise SealNotUsableNow(
            f"the certificate of the seal {seal.name} is not valid now",
            next_step="Ask the keeper to renew the seal.",
        )


def permit_state(permit: Permit, now: datetime) -> str:
    """ "asked", "in_force", "used_up", "over" or "withdrawn"."""
    if permit.withdrawn_at is not None:
        return "withdrawn"
    if permit.valid_until < now:
        return "over"
    if permit.approved_at is None:
        return "asked"
    return "in_force" if permit.used < permit.quota else "used_up"


def stopped(seal: Seal) -> SealNotUsableNow:
    """What sealing answers when the key was stopped after the seal was read."""
    return SealNotUsableNow(
        f"the key of the seal {seal.name} was stopped", next_step="Ask the keeper of the seal."
    )


def must_be_approved(approval: Approval, content_digest: str, now: datetime) -> None:
    """Four eyes, the very content that was approved, and an approval that lies in the past."""
    if not approval.drafter or not approval.approver or approval.drafter == approval.approver:
        raise FourEyesViolated(
            "the drafter cannot approve", next_step="Let another officer approve the draft."
        )
    if not approval.content_digest or approval.content_digest != content_digest:
        raise ContentNotApproved(
            "the content changed after it was approved",
            next_step="Submit the draft again and let it be approved as it is now.",
        )
    if approval.approved_at > now + _CLOCK_SKEW:
        raise ApprovalFromFuture("the approval is dated after the sealing")


def must_be_small(data: bytes) -> None:
    """Raises `DocumentTooLarge` above `MAX_DOCUMENT` bytes."""
    if len(data) > MAX_DOCUMENT:
        raise DocumentTooLarge(
            "the document is larger than 50 MB", next_step="Send the document as it was issued."
        )
