"""What a seal was at every moment: owner, certificate periods, dated states.

States are only ever added with the present date, so a history is immutable up to the moment of
reading: who asks may keep it, and asks again about later moments.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from foundation.database import Tx
from signing.models import STOPPED, SealState, seal_states, seal_versions, seals


@dataclass(frozen=True, slots=True)
class SealHistory:
    """Owner, certificate periods and dated states of one seal, known up to `known_until`."""

    owner: str
    periods: tuple[tuple[datetime, datetime], ...]
    states: tuple[tuple[datetime, str], ...]
    known_until: datetime

    def in_force(self, at: datetime) -> bool | None:
        """Was it active at that moment, with a certificate in its period? False when it was stopped
        then; None outside its periods and before its use, where a wrong clock is as likely.
        """
        state = next((state for since, state in reversed(self.states) if since <= at), None)
        if state in STOPPED:
            return False
        covered = any(begin <= at <= end for begin, end in self.periods)
        return True if state == SealState.ACTIVE and covered else None


def read_histories(
    tx: Tx, seal_ids: Iterable[str], known_until: datetime
) -> dict[str, SealHistory]:
    """The histories of some seals, from three small queries."""
    ids = list(seal_ids)
    versions = select(
        seal_versions.c.seal_id, seal_versions.c.valid_from, seal_versions.c.valid_until
    )
    periods: dict[str, list[tuple[datetime, datetime]]] = {}
    for seal_id, begin, end in tx.execute(versions.where(seal_versions.c.seal_id.in_(ids))):
        periods.setdefault(seal_id, []).append((begin, end))
    changes = select(seal_states.c.seal_id, seal_states.c.since, seal_states.c.state)
    changes = changes.order_by(seal_states.c.since, seal_states.c.id)
    states: dict[str, list[tuple[datetime, str]]] = {}
    for seal_id, since, state in tx.execute(changes.where(seal_states.c.seal_id.in_(ids))):
        states.setdefault(seal_id, []).append((since, state))
    owners = select(seals.c.id, seals.c.owner).where(seals.c.id.in_(ids))
    return {
        seal_id: SealHistory(
            owner, tuple(periods.get(seal_id, ())), tuple(states.get(seal_id, ())), known_until
        )
        for seal_id, owner in tx.execute(owners)
    }
