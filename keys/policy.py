"""What a key may do, and why it may do it now. Pure: plain values in, a refusal or nothing out.

- A `KeyPolicy` is bound to the private half when the key is made (a software envelope and the
  label in a hardware module both carry it), so whoever can write the database cannot loosen it.
- A key of the use "seal/…" signs by order only: a `SigningAuthorization` says which content,
  approved by whom, drafted by another, is sealed at whose request. No order, no signature: dual
  control is checked here, beside the key, whatever the packages above have checked before (NIST SP
  800-57 part 1 §8.2.2; 国办发〔2025〕33号: each use of an electronic seal is recorded).
- The time an order claims is compared with the key holder's own clock: nobody seals in the past.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from foundation.canonical import canonical
from keys.errors import KeyMayNotSign, OrderRefused, OrderUntimely

# A bulk job stamps its chunk before it seals it; no chunk takes this long.
LATE: Final = timedelta(minutes=5)
EARLY: Final = timedelta(minutes=1)
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What is bound to one key: its use and version, its last day, signatures per minute.

    Together with the key's algorithm, it never changes.
    """

    use: str
    version: int
    not_after: datetime | None = None
    per_minute: int | None = None

    @property
    def by_order_only(self) -> bool:
        """Whether each signature needs an order: so for the keys of seals."""
        return self.use.startswith("seal/")

    def binding(self, kid: str, algorithm: str) -> bytes:
        """The exact bytes that the private half is bound to.

        One algorithm too: an RSA key made for PS256 never signs as RS256 (RFC 8725 §3.1).
        """
        until = None if self.not_after is None else self.not_after.astimezone(UTC).isoformat()
        return canonical([kid, algorithm, self.use, self.version, until, self.per_minute])

    def mark(self, algorithm: str) -> str:
        """A short digest of the policy, for stores that keep a label beside a key."""
        return hashlib.sha256(self.binding("", algorithm)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SigningAuthorization:
    """Why a seal key signs once.

    `document` is the digest of the approved content, `approval` where the approval is written down
    (a draft, a batch row), `actor` who asks for the seal now, `purpose` what for. `signed_at` is
    the time that the signature will claim.
    """

    document: str
    approval: str
    drafter: str
    approver: str
    approved_at: datetime
    actor: str
    signed_at: datetime
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """One message to sign, and the order for it (seal keys only)."""

    message: bytes
    order: SigningAuthorization | None = None


def must_allow(policy: KeyPolicy, requests: Sequence[SigningRequest], now: datetime) -> None:
    """May this key sign these messages now? Raises `KeyMayNotSign`, `OrderRefused`."""
    if policy.not_after is not None and now > policy.not_after:
        raise KeyMayNotSign(
            f"the key of {policy.use} was to sign until {policy.not_after:%Y-%m-%d}",
            next_step="ask its keeper for a new version",
        )
    for request in requests:
        if request.order is not None:
            _must_be_an_order(request.order, now)
        elif policy.by_order_only:
            raise OrderRefused(
                "a seal key signs by order only",
                next_step="name the approved content, its drafter and its approver",
            )


def _must_be_an_order(order: SigningAuthorization, now: datetime) -> None:
    named = (order.document, order.approval, order.drafter, order.approver, order.actor)
    if not all(0 < len(each) <= _LONGEST for each in named) or len(order.purpose) > _LONGEST:
        raise OrderRefused("the order lacks content, approval, drafter, approver or actor")
    if order.drafter == order.approver:
        raise OrderRefused(
            "drafter and approver are the same person", next_step="let another officer approve"
        )
    if not now - LATE <= order.signed_at <= now + EARLY:
        raise OrderUntimely(
            "the signature would claim a time that is not now",
            next_step="set the clock of the asking machine, or ask again",
        )
    if order.approved_at > order.signed_at + EARLY:
        raise OrderUntimely("the approval is dated after the signature")
