"""Questions to the seal tables; every function takes the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, insert, select, update
from sqlalchemy import func as sql

from foundation.database import Tx
from signing.errors import UnknownSeal
from signing.models import (
    Application,
    Seal,
    SealApplication,
    SealChange,
    SealEntry,
    SealKind,
    SealState,
    seal_applications,
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
        """Whether the seal was active and `at` lies in the validity of this version."""
        return self.state == SealState.ACTIVE and self.valid_from <= at <= self.valid_until


def _state_at(at: datetime | None, column: ColumnElement[Any] = seal_states.c.state) -> Any:
    """The newest state of a seal, or the one that held at a moment: one step in an index."""
    held = [seal_states.c.seal_id == seals.c.id]
    if at is not None:
        held.append(seal_states.c.since <= at)
    newest = select(column).where(*held)
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


def add_seal(tx: Tx, seal_id: str, application: SealApplication, now: datetime) -> None:
    """Add a seal that somebody applies for; a taken code violates a unique constraint."""
    tx.execute(insert(seals).values(id=seal_id, registered_at=now, **_columns(application)))


def lock(tx: Tx, seal_id: str) -> None:
    """Nobody else changes this seal until the transaction ends."""
    tx.execute(select(seals.c.id).where(seals.c.id == seal_id).with_for_update())


def add_version(tx: Tx, **values: Any) -> None:
    """Add a made version by its columns; where it is filed is not known yet."""
    tx.execute(insert(seal_versions).values(**values, filing=""))


def _columns(application: SealApplication) -> dict[str, str]:
    """the words of an application as columns of `seals`."""
    return {each.name: str(getattr(application, each.name)) for each in fields(SealApplication)}


def must_find(tx: Tx, seal_id: str) -> SealEntry:
    """A line of the register. Raises `UnknownSeal`."""
    found = entries(tx, seal_id=seal_id)
    if not found:
        raise UnknownSeal("there is no such seal")
    return found[0]


def must_be_made(tx: Tx, seal_id: str) -> Seal:
    """The seal in its newest version. Raises `UnknownSeal` before anything was made."""
    seal = seal_by_id(tx, seal_id)
    if seal is None:
        raise UnknownSeal("there is no such seal")
    return seal


def entries(tx: Tx, *, owner: str | None = None, seal_id: str | None = None) -> list[SealEntry]:
    """The register of a department, or one line of it; oldest first."""
    newest = select(seal_versions.c.version).where(seal_versions.c.seal_id == seals.c.id)
    newest = newest.order_by(seal_versions.c.version.desc()).limit(1).correlate(seals)
    query = select(
        seals,
        _state_at(None).label("state"),
        _state_at(None, seal_states.c.since).label("since"),
        sql.coalesce(newest.scalar_subquery(), 0).label("version"),
    )
    query = query.where(seals.c.owner == owner if seal_id is None else seals.c.id == seal_id)
    rows = tx.execute(query.order_by(seals.c.registered_at, seals.c.id)).all()
    waiting = _waiting(tx, [row.id for row in rows])
    return [_entry(row, waiting.get(row.id)) for row in rows]


def applications(tx: Tx, seal_id: str) -> list[Application]:
    """All applications for a seal and its new versions, the oldest first."""
    query = select(seal_applications).where(seal_applications.c.seal_id == seal_id)
    return _applications(tx, query.order_by(seal_applications.c.id))


def granted(tx: Tx, seal_id: str, version: int) -> Application | None:
    """The approved application for a version."""
    query = select(seal_applications).where(
        seal_applications.c.seal_id == seal_id,
        seal_applications.c.version == version,
        seal_applications.c.decision == SealState.APPROVED,
    )
    return next(iter(_applications(tx, query)), None)


def add_application(
    tx: Tx, seal_id: str, version: int, *, by: str, now: datetime, reason: str
) -> None:
    """Add an application for one version of a seal, still to be decided."""
    tx.execute(
        insert(seal_applications).values(
            seal_id=seal_id,
            version=version,
            reason=reason,
            applied_by=by,
            applied_at=now,
            note="",
        )
    )


def decide(
    tx: Tx, waiting: Application, decision: SealState, *, by: str, now: datetime, note: str
) -> None:
    """Write down who decided about a waiting application; one that is decided stays as it is."""
    tx.execute(
        update(seal_applications)
        .where(
            seal_applications.c.seal_id == waiting.seal_id,
            seal_applications.c.version == waiting.version,
            seal_applications.c.decision.is_(None),
        )
        .values(decision=decision.value, decided_by=by, decided_at=now, note=note)
    )


def set_filing(tx: Tx, seal_id: str, version: int, reference: str) -> None:
    """Keep the reference under which a version was filed with the authority for seals."""
    tx.execute(
        update(seal_versions)
        .where(seal_versions.c.seal_id == seal_id, seal_versions.c.version == version)
        .values(filing=reference)
    )


def keys_of(tx: Tx, seal_id: str) -> list[tuple[str, str]]:
    """Use and kid of every version."""
    query = select(seal_versions.c.use, seal_versions.c.kid)
    query = query.where(seal_versions.c.seal_id == seal_id).order_by(seal_versions.c.version)
    return [(row.use, row.kid) for row in tx.execute(query)]


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
    """Add a state to the seal's history: from when, by whom and why."""
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
        kind=SealKind(row.kind),
        line=row.line,
        keeper=row.keeper,
        keeper_name=row.keeper_name,
    )


def _entry(row: Row[Any], waiting: Application | None) -> SealEntry:
    return SealEntry(
        id=row.id,
        name=row.name,
        line=row.line,
        kind=SealKind(row.kind),
        owner=row.owner,
        owner_name=row.owner_name,
        code=row.code,
        keeper=row.keeper,
        keeper_name=row.keeper_name,
        state=SealState(row.state),
        since=row.since,
        version=row.version,
        waiting=waiting,
    )


def _waiting(tx: Tx, seal_ids: Sequence[str]) -> dict[str, Application]:
    query = select(seal_applications).where(
        seal_applications.c.seal_id.in_(seal_ids), seal_applications.c.decision.is_(None)
    )
    return {each.seal_id: each for each in _applications(tx, query)}


def _applications(tx: Tx, query: Select[Any]) -> list[Application]:
    names = [each.name for each in fields(Application)]
    return [
        Application(**{name: row[name] for name in names}) for row in tx.execute(query).mappings()
    ]
