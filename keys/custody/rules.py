"""When a key changes state. Pure: dates in, changes out (NIST SP 800-57 part 1 §5.3 in small).

    staged ──(published long enough, and the active key is due)──▶ active
    active ──(its successor became active)──▶ retiring
    retiring ──(nothing it signed is still alive)──▶ retired

- Verifiers cache our JWKS, so a key is published (`publish`) before it signs.
- A retiring key stays published (`overlap`) as long as what it signed may be presented.
- Compromise skips both waits: the successor signs at once and the old key leaves the JWKS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from keys.models import KeyState


class Dated(Protocol):
    """What the rules need to know of a key."""

    @property
    def kid(self) -> str:
        """The key's name: the thumbprint of its public half (RFC 7638)."""

    @property
    def state(self) -> KeyState:
        """Staged, active, retiring or retired."""

    @property
    def created_at(self) -> datetime:
        """When the key was made."""

    @property
    def activated_at(self) -> datetime | None:
        """When it began to sign; None before that."""

    @property
    def retiring_at(self) -> datetime | None:
        """When it stopped signing; None before that."""


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How long each state lasts. A `lifetime` of None means: only when somebody asks."""

    lifetime: timedelta | None = timedelta(days=90)
    publish: timedelta = timedelta(days=1)
    overlap: timedelta = timedelta(days=30)


class Act(StrEnum):
    """What may be done to the keys of one use: add the next one, let it sign, or retire one."""

    STAGE = "stage"
    ACTIVATE = "activate"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class Change:
    """One step. `kid` is empty for STAGE: the key does not exist yet."""

    act: Act
    kid: str = ""


def policy_for(use: str) -> RotationPolicy:
    """Token keys turn over by themselves; keys with certificates when their keeper asks."""
    if use.startswith(("seal/", "ca.", "ocsp/")) or use in {"tsa", "ledger.checkpoint"}:
        return RotationPolicy(lifetime=None, overlap=timedelta(days=3650))
    if use.startswith("certificates."):
        return RotationPolicy(lifetime=timedelta(days=365), overlap=timedelta(days=3650))
    return RotationPolicy()


def next_states(keys: Sequence[Dated], now: datetime, policy: RotationPolicy) -> list[Change]:
    """What is due at `now` among the keys of one use. Empty when nothing is."""
    changes = [
        Change(Act.RETIRE, key.kid)
        for key in keys
        if key.state == KeyState.RETIRING
        and key.retiring_at is not None
        and now >= key.retiring_at + policy.overlap
    ]
    active = _only(keys, KeyState.ACTIVE)
    staged = _only(keys, KeyState.STAGED)
    if active is None or active.activated_at is None or policy.lifetime is None:
        return changes
    due = active.activated_at + policy.lifetime
    if staged is None and now >= due - policy.publish:
        changes.append(Change(Act.STAGE))
    elif staged is not None and now >= due and now >= staged.created_at + policy.publish:
        changes.append(Change(Act.ACTIVATE, staged.kid))
    return changes


def asked_rotation(
    keys: Sequence[Dated], now: datetime, policy: RotationPolicy, *, at_once: bool = False
) -> list[Change]:
    """What somebody who asks for rotation gets: a staged key first, its activation when ripe.

    `at_once` (compromise, or a first key nobody has used) does both steps now.
    """
    staged = _only(keys, KeyState.STAGED)
    if staged is None:
        return [Change(Act.STAGE), Change(Act.ACTIVATE)] if at_once else [Change(Act.STAGE)]
    if at_once or now >= staged.created_at + policy.publish:
        return [Change(Act.ACTIVATE, staged.kid)]
    return []


def _only(keys: Sequence[Dated], state: KeyState) -> Dated | None:
    return next((key for key in keys if key.state == state), None)
