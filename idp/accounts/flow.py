"""A sign-in as a state machine: `advance(flow, answer, now)` says what comes next.

    Choose ── a way is chosen ──▶ Challenge ── answered ──▶ SignedIn
                  ▲                   │  ▲  └── enough proved? no ──▶ Choose or Challenge
                  └── starts over ────┴──┴── Denied: again, or not before so many seconds

No database, no clock. Whoever calls reads the facts of a `Flow` before and writes what follows;
only `verify` of an authenticator takes long, so this runs outside any transaction.

- An answer names its authenticator, so a form that the back button brought up is still what it was.
- Whoever names an account begins anew: what somebody proved before is never carried over.
- Reached is enough when it is at least what was asked for, or all that the person has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from idp.accounts.authenticators import AUTHENTICATORS, amr_of, default
from idp.accounts.authenticators.interface import Answer, Authenticator, Flow
from idp.models import Person
from idp.protocol.acr import acr_of, acr_satisfies
from idp.protocol.syntax import normal_name

FLOW_LIFETIME: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Choose:
    """The person chooses one of these authenticators, by name."""

    flow: Flow = field(repr=False)
    authenticators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Challenge:
    """This authenticator asks. `fields` are those of its form, `shown` is what its page needs."""

    flow: Flow = field(repr=False)
    authenticator: str
    fields: tuple[str, ...]
    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Denied:
    """Not like this. `retry_after` seconds must pass before another attempt is looked at (0: at
    once); `page` is where the person tries again."""

    reason: Literal["wrong_credentials", "too_many_attempts"]
    retry_after: int = 0
    page: Choose | Challenge | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Enough is proved: this person, by these methods (RFC 8176), at this level."""

    person: Person
    amr: tuple[str, ...]
    acr: str


Step = Choose | Challenge | Denied | SignedIn


def started(flow: Flow, answer: Answer, now: datetime) -> Flow:
    """The flow that an answer belongs to, before its facts are read: the stored one, or a new one
    when it names an account. What was asked before a name was known is asked still."""
    username = answer.get("username")
    if username is None:
        return replace(flow, begun_at=flow.begun_at or now)
    username = normal_name(username)
    begun = Flow(username=username, begun_at=now, wanted=flow.wanted)
    if flow.proved:
        return begun
    return replace(begun, authenticator=flow.authenticator, state=flow.state)


def answered(flow: Flow, answer: Answer) -> Authenticator | None:
    """The authenticator that this answer is for, if it may come now."""
    name = answer.get("authenticator") or default().name
    return next((each for each in ways(flow) if each.name == name), None)


def advance(flow: Flow, answer: Answer, now: datetime) -> Step:
    """What comes next, for a `started` flow with its facts.

    1. A choice is no attempt.
    2. Whoever has to wait is not looked at.
    3. The answer is for an authenticator that may come now, and holds; an account that is not there
       or not enabled fails like a wrong answer.
    4. Enough: signed in. Else the next of what the person has enrolled.
    """
    # 1.
    if chosen := answer.get("choose", ""):
        return opening(replace(flow, authenticator=chosen, state={}))
    authenticator = answered(flow, answer)
    if authenticator is None:
        return opening(flow)
    # 2.
    if flow.wait:
        return denied(flow, authenticator, "too_many_attempts", flow.wait)
    # 3.
    proof = authenticator.verify(flow, answer, now)
    if proof == "denied":
        return Denied("wrong_credentials", page=opening(Flow(wanted=flow.wanted)))
    person = flow.person
    if proof != "done" or person is None or person.disabled:
        return denied(flow, authenticator, "wrong_credentials")
    # 4.
    flow = replace(flow, proved=(*flow.proved, authenticator.name), authenticator="", state={})
    amr = amr_of(flow.proved)
    if acr_satisfies(acr_of(amr), flow.wanted) or not ways(flow):
        return SignedIn(person, amr, acr_of(amr))
    return opening(flow)


def opening(flow: Flow) -> Choose | Challenge:
    """The page of a flow as it stands."""
    open_now = {each.name: each for each in ways(flow)}
    chosen = open_now.get(flow.authenticator)
    if chosen is None and len(open_now) == 1:
        [chosen] = open_now.values()
    if chosen is None:
        return Choose(replace(flow, authenticator="", state={}), tuple(open_now))
    return challenge(flow, chosen)


def challenge(flow: Flow, authenticator: Authenticator) -> Challenge:
    """Ask by this authenticator; what it asked before stands."""
    before = flow.state if flow.authenticator == authenticator.name else {}
    asked = authenticator.challenge(flow.person, replace(flow, state=before))
    several = len(ways(flow)) > 1
    name = authenticator.name if several or asked.state else ""
    flow = replace(flow, authenticator=name, state=asked.state)
    return Challenge(flow, authenticator.name, authenticator.fields, asked.shown)


def denied(
    flow: Flow,
    authenticator: Authenticator,
    reason: Literal["wrong_credentials", "too_many_attempts"],
    retry_after: int = 0,
) -> Denied:
    """No, and the same question again."""
    return Denied(reason, retry_after, challenge(flow, authenticator))


def ways(flow: Flow) -> list[Authenticator]:
    """What may come now: any that begins, and after it any other that the person has enrolled and
    that would prove more."""
    if not flow.proved:
        return [each for each in AUTHENTICATORS.values() if each.begins]
    reached = acr_of(amr_of(flow.proved))
    return [
        each
        for each in AUTHENTICATORS.values()
        if flow.credentials.get(each.name) and acr_of(amr_of((*flow.proved, each.name))) != reached
    ]


def stored(flow: Flow) -> dict[str, Any] | None:
    """What is kept of a flow between its pages; None when there is nothing to remember."""
    if not (flow.proved or flow.authenticator or flow.state):
        return None
    return {
        "username": flow.username,
        "proved": list(flow.proved),
        "authenticator": flow.authenticator,
        "state": dict(flow.state),
        "begun_at": flow.begun_at.isoformat() if flow.begun_at else "",
    }


def restored(document: Mapping[str, Any] | None, wanted: tuple[str, ...], now: datetime) -> Flow:
    """A stored flow; an empty one when there is none, when it is over, or when it proved what no
    longer is a row of the table."""
    if document is None or not document["begun_at"]:
        return Flow(wanted=wanted)
    begun_at = datetime.fromisoformat(document["begun_at"])
    unknown = set(document["proved"]) - AUTHENTICATORS.keys()
    if unknown or begun_at <= now - FLOW_LIFETIME:
        return Flow(wanted=wanted)
    return Flow(
        username=document["username"],
        proved=tuple(document["proved"]),
        authenticator=document["authenticator"],
        state=document["state"],
        begun_at=begun_at,
        wanted=wanted,
    )
