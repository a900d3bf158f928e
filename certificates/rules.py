"""Pure decisions about certificates: states and legal acts, four eyes, validity, visible names.

The law knows more ways for a certificate to end than a status list has values, so the legal act is
kept in our record and mapped down: national code (the numbers of the national licence feed) and
Token Status List value (0 valid, 1 invalid, 2 suspended) stand beside each state in one table.

    ACTIVE ⇄ SUSPENDED        暂扣, ended by 暂扣发还
    ACTIVE, SUSPENDED → WITHDRAWN | REVOKED | CANCELLED | SUPERSEDED      for ever
    EXPIRED                   never stored: computed from `valid_until`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from types import MappingProxyType

from certificates.errors import (
    IllegalTransition,
    InvalidReason,
    OtherAuthority,
    OwnDraft,
    RoleMissing,
)
from foundation.actor import Actor, ActorKind

LOCAL = timezone(timedelta(hours=8), "UTC+8")  # dates on a certificate are civil dates of one zone
_END_OF_TIME = datetime.max.replace(tzinfo=LOCAL)


class State(StrEnum):
    """The legal state of an issued certificate."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class DraftState(StrEnum):
    """Where a draft is on its way to the seal."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class StateFacts:
    """What a state is called elsewhere. `status_value` is its Token Status List value."""

    national_code: str
    status_value: int
    labels: Mapping[str, str]


def _facts(code: str, value: int, hans: str, hant: str, en: str) -> StateFacts:
    return StateFacts(code, value, {"zh-Hans": hans, "zh-Hant": hant, "en": en})


STATES: Mapping[State, StateFacts] = MappingProxyType(
    {
        State.ACTIVE: _facts("01", 0, "有效", "有效", "Valid"),
        State.SUSPENDED: _facts("02", 2, "暂扣", "暫扣", "Suspended"),
        State.WITHDRAWN: _facts("03", 1, "撤销", "撤銷", "Withdrawn"),
        State.CANCELLED: _facts("04", 1, "注销", "註銷", "Cancelled"),
        State.EXPIRED: _facts("05", 0, "失效（已过期）", "失效（已過期）", "Expired"),
        State.SUPERSEDED: _facts("05", 1, "失效（已换发）", "失效（已換發）", "Superseded"),
        State.REVOKED: _facts("07", 1, "吊销", "吊銷", "Revoked"),
    }
)


@dataclass(frozen=True, slots=True)
class ActReason:
    """Why an act was done: a stable code, its words, and the law it stands on by default."""

    code: str
    labels: Mapping[str, str]
    legal_basis: str


def _reason(code: str, hans: str, hant: str, en: str, law: str) -> ActReason:
    return ActReason(code, {"zh-Hans": hans, "zh-Hant": hant, "en": en}, law)


_LICENSING = "《中华人民共和国行政许可法》"
_PENALTY = "《中华人民共和国行政处罚法》"

REASONS: Mapping[State, tuple[ActReason, ...]] = MappingProxyType(
    {
        State.SUSPENDED: (
            _reason(
                "rectification_ordered",
                "责令改正期间暂扣",
                "責令改正期間暫扣",
                "Held while a violation is put right",
                _PENALTY + "第九条",
            ),
            _reason(
                "under_investigation",
                "调查期间暂扣",
                "調查期間暫扣",
                "Held during an investigation",
                _PENALTY + "第九条",
            ),
        ),
        State.ACTIVE: (
            _reason(
                "suspension_lifted",
                "暂扣期满发还",
                "暫扣期滿發還",
                "Suspension ended",
                _PENALTY + "第九条",
            ),
        ),
        State.WITHDRAWN: (
            _reason(
                "obtained_by_deception",
                "以欺骗、贿赂等不正当手段取得",
                "以欺騙、賄賂等不正當手段取得",
                "Obtained by deception or bribery",
                _LICENSING + "第六十九条第二款",
            ),
            _reason(
                "wrongly_granted",
                "违法作出准予许可决定",
                "違法作出准予許可決定",
                "Granted unlawfully",
                _LICENSING + "第六十九条第一款",
            ),
        ),
        State.REVOKED: (
            _reason(
                "serious_violation",
                "严重违法行为",
                "嚴重違法行為",
                "Serious violation",
                _PENALTY + "第九条",
            ),
            _reason(
                "register_record",
                "依登记机关记录吊销",
                "依登記機關紀錄吊銷",
                "Revoked in the source register",
                _PENALTY + "第九条",
            ),
        ),
        State.CANCELLED: (
            _reason(
                "holder_request",
                "持证主体申请注销",
                "持證主體申請註銷",
                "At the holder's request",
                _LICENSING + "第七十条",
            ),
            _reason(
                "holder_ceased",
                "持证主体终止或死亡",
                "持證主體終止或死亡",
                "The holder ceased or died",
                _LICENSING + "第七十条",
            ),
            _reason(
                "register_record",
                "依登记机关记录注销",
                "依登記機關紀錄註銷",
                "Cancelled in the source register",
                _LICENSING + "第七十条",
            ),
        ),
        State.SUPERSEDED: (
            _reason(
                "replaced",
                "已换发新证",
                "已換發新證",
                "Replaced by a new certificate",
                _LICENSING + "第四十九条",
            ),
        ),
    }
)

_ENDS = frozenset({State.WITHDRAWN, State.REVOKED, State.CANCELLED, State.SUPERSEDED})
TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.ACTIVE: _ENDS | {State.SUSPENDED},
        State.SUSPENDED: _ENDS | {State.ACTIVE},
        State.WITHDRAWN: frozenset(),
        State.REVOKED: frozenset(),
        State.CANCELLED: frozenset(),
        State.SUPERSEDED: frozenset(),
    }
)


OFFICES = frozenset({"drafter", "approver", "auditor"})  # who may look into the register


def holds_office(actor: Actor) -> bool:
    """Does a person of some authority hold an office that looks into its register?"""
    return actor.kind is ActorKind.PERSON and bool(actor.organisation and actor.roles & OFFICES)


def check_role(actor: Actor, role: str) -> None:
    """Raise `RoleMissing` unless the actor acts for an authority and holds the office `role`."""
    if not actor.organisation or not actor.may(role):
        raise RoleMissing(f"this needs the office of {role}", role=role)


def check_approval(actor: Actor, drafter: str, authority: str) -> None:
    """Four eyes: the approver holds the office, serves the same authority, and is not the drafter.

    Raises `RoleMissing`, `OtherAuthority` or `OwnDraft`. The database says the same once more.
    """
    check_role(actor, "approver")
    if actor.organisation != authority:
        raise OtherAuthority("the draft belongs to another authority")
    if actor.id == drafter:
        raise OwnDraft(
            "the person who drafted it cannot approve it",
            next_step="ask another approver of your authority",
        )


def may_approve(actor: Actor, drafter: str, authority: str) -> bool:
    """`check_approval` as a question."""
    try:
        check_approval(actor, drafter, authority)
    except (RoleMissing, OtherAuthority, OwnDraft):
        return False
    return True


def check_transition(present: State, wanted: State, reason_code: str) -> ActReason:
    """The `ActReason` of a legal change of state. Raises `IllegalTransition` or `InvalidReason`."""
    if wanted not in TRANSITIONS.get(present, frozenset()):
        raise IllegalTransition(
            f"a certificate that is {present} cannot become {wanted}",
            next_step="reload the certificate and look at its present state",
            present=present,
            wanted=wanted,
        )
    for reason in REASONS[wanted]:
        if reason.code == reason_code:
            return reason
    known = ", ".join(reason.code for reason in REASONS[wanted])
    raise InvalidReason(f"{reason_code[:40]!r} is no reason for {wanted}; known: {known}")


def civil_date(at: datetime) -> date:
    """The calendar day of an instant where certificates are dated (UTC+8)."""
    return at.astimezone(LOCAL).date()


def starts(day: date) -> datetime:
    """The first instant of a civil day."""
    return datetime(day.year, day.month, day.day, tzinfo=LOCAL)


def ends(day: date) -> datetime:
    """The instant after the last of a civil day: valid until and including `day`.

    9999-12-31, which registers write for "no end", is followed by nothing that can be told.
    """
    return starts(day) + timedelta(days=1) if day < date.max else _END_OF_TIME


def state_at(
    stored: State, valid_from: date | None, valid_until: date | None, at: datetime
) -> State:
    """The state that counts at an instant: what was decided, else EXPIRED once time ran out.

    A certificate that has not begun is still ACTIVE here; whoever assesses it looks at
    `valid_from` too.
    """
    if stored in (State.ACTIVE, State.SUSPENDED) and valid_until is not None:
        return State.EXPIRED if at >= ends(valid_until) else stored
    return stored


def masked_name(name: str, holder_kind: str) -> str:
    """A name for lists: persons keep the first character, organisations are public."""
    if holder_kind != "person" or len(name) < 2:
        return name
    return name[0] + "*" * (len(name) - 1)
