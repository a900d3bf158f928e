"""How often somebody may ask in vain: guessing numbers must cost more than it finds.

Numbers are short and partly in sequence, so whoever may ask without limit finds them all. Honest
askers rarely miss. So only misses are charged, an answer that finds something is free, and whoever
has missed too often waits before the next question is even looked up.

- A miss is an answer that tells a guesser something about the register: not found, or not permitted
  although the question was in order. A question refused for its form (a purpose that is not held, a
  misspelt legal basis, a file that is no certificate) is answered the same whatever exists, and
  costs nothing: a mistake in one letter must not stop a department.
- The allowance is per asker and process, and comes back with time. Each program and each person has
  one of its own, so that a program that errs holds up nobody but itself:

    a program or a person        300 at once, then one a second
    an anonymous address          30 at once, then six a minute
"""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from threading import Lock

from foundation.actor import Actor, ActorKind
from foundation.bounded import Bounded
from foundation.errors import TooManyRequests

ASKERS = 100_000  # remembered at once; the one who missed longest ago is forgotten first


@dataclass(frozen=True, slots=True)
class Allowance:
    """`burst` misses at once, `rate` more a second."""

    burst: int
    rate: float


KNOWN = Allowance(burst=300, rate=1.0)
UNKNOWN = Allowance(burst=30, rate=0.1)


class Quota:
    """Counts misses. One per process."""

    def __init__(self) -> None:
        self._missed: Bounded[str, tuple[float, datetime]] = Bounded(ASKERS)
        self._lock = Lock()

    def check(self, actor: Actor, address: str, now: datetime) -> None:
        """Raise `TooManyRequests` while the asker has used up their misses."""
        asker, allowance = _asker(actor, address)
        over = self._owed(asker, allowance, now) - allowance.burst
        if over >= 0:
            raise TooManyRequests(
                "too many questions found nothing",
                retry_after=max(1, ceil((over + 1) / allowance.rate)),
                next_step="check the numbers against the documents before asking again",
            )

    def charge(self, actor: Actor, address: str, now: datetime, misses: int) -> None:
        """Count some misses."""
        if misses:
            asker, allowance = _asker(actor, address)
            with self._lock:
                owed = self._owed(asker, allowance, now)
                self._missed.put(asker, (owed + misses, now))

    def _owed(self, asker: str, allowance: Allowance, now: datetime) -> float:
        """Misses that time has not forgiven yet."""
        found = self._missed.get(asker)
        if found is None:
            return 0.0
        missed, at = found
        return max(0.0, missed - max(0.0, (now - at).total_seconds()) * allowance.rate)


def _asker(actor: Actor, address: str) -> tuple[str, Allowance]:
    """Strangers are told apart by their address."""
    if actor.kind is ActorKind.ANONYMOUS:
        return f"address/{address}", UNKNOWN
    return f"{actor.kind}/{actor.id}", KNOWN
