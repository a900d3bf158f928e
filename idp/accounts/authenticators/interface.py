"""What a way to prove who one is answers, and the values that pass between it and a sign-in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from foundation.database import Tx
from idp.models import Person

Answer = Mapping[str, str]
"""The fields of a form as they were sent; `authenticator` names the one they answer."""

Proof = Literal["done", "again", "denied"]
"""Proved; not proved, the same question stands; not proved, and the sign-in starts over."""


@dataclass(frozen=True, slots=True)
class SignInAccount:
    """A person who can sign in, with what their row itself holds of a password."""

    person: Person
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EnrolledCredential:
    """One thing that a person enrolled. `id` is unique among theirs; `secret` verifies it."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page shows of a challenge, and what is stored until it is answered."""

    shown: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How far a sign-in has come. The first five fields are stored between its pages.

    `username` is what was typed, folded; `proved` are names of authenticators; `authenticator` is
    the one that was chosen, `state` what it asked. The rest are facts, read anew for every step:
    `wanted` the levels that were asked for, `credentials` by name of the authenticator, `wait` the
    seconds before anything is looked at.
    """

    username: str = ""
    proved: tuple[str, ...] = ()
    authenticator: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    begun_at: datetime | None = None

    wanted: tuple[str, ...] = ()
    account: SignInAccount | None = None
    credentials: Mapping[str, tuple[EnrolledCredential, ...]] = field(default_factory=dict)
    wait: int = 0

    @property
    def person(self) -> Person | None:
        """Whose account the typed user name opens; None when it opens none."""
        return self.account.person if self.account else None


class Authenticator(Protocol):
    """One way to prove who one is: an object without state, shared between threads.

    `amr` are its methods (RFC 8176), from which the level that it reaches follows; `begins` says
    whether it may be the first step, then one of its `fields`, which a form has to fill, is the
    `username`.
    """

    @property
    def name(self) -> str:
        """The stable name that forms and stored flows refer to it by."""
        ...

    @property
    def amr(self) -> tuple[str, ...]:
        """Its authentication methods, as the ID token lists them (RFC 8176)."""
        ...

    @property
    def begins(self) -> bool:
        """Whether a sign-in may start with it."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the form fields that its answer is read from."""
        ...

    def challenge(self, person: Person | None, flow: Flow) -> Asked:
        """What its page needs. A flow that has its `state` already is asked the same again, so that
        a reload, a second tab or a restart changes nothing. Nobody may learn whether `person` is
        None."""
        ...

    def verify(self, flow: Flow, answer: Answer, now: datetime) -> Proof:
        """Does the answer prove it? Outside any transaction, so it may be slow. Without credentials
        it costs the same and proves nothing."""
        ...

    def accept(self, tx: Tx, flow: Flow, answer: Answer, now: datetime) -> bool:
        """Use up what counts once, in the transaction that goes on; False: it was used before."""
        ...

    def enrol(self, tx: Tx, person: Person, credential: EnrolledCredential, now: datetime) -> None:
        """Store a credential for `person`, in the caller's transaction."""
        ...

    def list(self, tx: Tx, account: SignInAccount) -> tuple[EnrolledCredential, ...]:
        """What the account can use with it; empty when nothing is enrolled."""
        ...

    def remove(self, tx: Tx, person: Person, credential_id: str) -> bool:
        """Answers whether there was one."""
        ...
