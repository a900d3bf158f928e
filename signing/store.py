"""Questions to the seal tables; every function takes the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, insert, select

from foundation.database import Tx
from signing.models import (
    Seal,
    SealChange,
    SealState,
    seal_states,
    seal_versions,
    seals,
)


@dataclass(frozen=True, slots=True)
class SealThen:
    """A version of a seal and the state the seal was in at a moment asked about."""

    seal_id: str
    name: str
    owner: str
    owner_name: str
    version: int
    state: SealState | None
    valid_from: datetime
    valid_until: datetime

    def valid_at(self, at: datetime) -> bool:
        return self.state == SealState.ACTIVE and self.valid_from <= at <= self.valid_until


def _state_at(at: datetime | None) -> Any:
    """The newest state of a seal, or the one that held at a moment: one step in an index."""
    held = [seal_states.c.seal_id == seals.c.id]
    if at is not None:
        held.append(seal_states.c.since <= at)
    newest = select(seal_states.c.state).where(*held)
    newest = newest.order_by(seal_states.c.since.desc(), seal_states.c.id.desc()).limit(1)
    return newest.correlate(seals).scalar_subquery()


def _newest() -> Select[Any]:
    other = seal_versions.alias("other")
    newest = (
        select(other.c.version)
        .where(other.c.seal_id == seals.c.id)
        .order_by(other.c.version.desc())
        .limit(1)
        .correlate(seals)
        .scalar_subquery()
    )
    joined = seals.join(
        seal_versions,
        and_(seal_versions.c.seal_id == seals.c.id, seal_versions.c.version == newest),
    )
    return select(seals, seal_versions, _state_at(None).label("state")).select_from(joined)


def seal_by_id(tx: Tx, seal_id: str) -> Seal | None:
    """The seal in its newest version and state."""
    row = tx.execute(_newest().where(seals.c.id == seal_id)).one_or_none()
    return None if row is None else _seal(row)


def seals_of(tx: Tx, owner: str) -> list[Seal]:
    """All seals of a department, oldest first."""
    query = _newest().where(seals.c.owner == owner).order_by(seals.c.registered_at, seals.c.id)
    return [_seal(row) for row in tx.execute(query)]


def all_seals(tx: Tx) -> list[Seal]:
    """All seals, by owner and age (a registry is small: one row per department and seal)."""
    query = _newest().order_by(seals.c.owner, seals.c.registered_at, seals.c.id)
    return [_seal(row) for row in tx.execute(query)]


def seal_then(tx: Tx, certificate_digest: str, at: datetime) -> SealThen | None:
    """Which seal has this certificate, and what was its state at that moment?"""
    query = (
        select(seals, seal_versions, _state_at(at).label("state"))
        .select_from(seals.join(seal_versions, seal_versions.c.seal_id == seals.c.id))
        .where(seal_versions.c.certificate_digest == certificate_digest)
    )
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return SealThen(
        seal_id=row.id,
        name=row.name,
        owner=row.owner,
        owner_name=row.owner_name,
        version=row.version,
        state=SealState(row.state) if row.state else None,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )


def valid_at(tx: Tx, seal_id: str, at: datetime) -> bool:
    """Was any version of the seal valid at that moment, and the seal active?"""
    query = (
        select(seal_versions.c.version)
        .select_from(seals.join(seal_versions, seal_versions.c.seal_id == seals.c.id))
        .where(
            seals.c.id == seal_id,
            seal_versions.c.valid_from <= at,
            seal_versions.c.valid_until >= at,
            _state_at(at) == SealState.ACTIVE,
        )
        .limit(1)
    )
    return tx.execute(query).one_or_none() is not None


def history(tx: Tx, seal_id: str) -> Sequence[SealChange]:
    """Every dated state of a seal, oldest first."""
    query = select(seal_states).where(seal_states.c.seal_id == seal_id)
    rows = tx.execute(query.order_by(seal_states.c.since, seal_states.c.id))
    return [SealChange(SealState(row.state), row.since, row.by, row.reason) for row in rows]


def add_state(
    tx: Tx, seal_id: str, state: SealState, *, since: datetime, by: str, reason: str
) -> None:
    tx.execute(
        insert(seal_states).values(
            seal_id=seal_id, state=state.value, since=since, by=by, reason=reason
        )
    )


def _seal(row: Row[Any]) -> Seal:
    return Seal(
        id=row.id,
        name=row.name,
        owner=row.owner,
        owner_name=row.owner_name,
        code=row.code,
        state=SealState(row.state),
        version=row.version,
        use=row.use,
        kid=row.kid,
        certificate_digest=row.certificate_digest,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        picture=row.picture,
        svg=row.svg,
    )
