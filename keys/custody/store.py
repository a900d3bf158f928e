"""Questions that keys ask the database. Every function takes the caller's transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, select, update
from sqlalchemy import func as sql

from foundation.database import Database, Tx
from keys.encoding.jose import public_key_of
from keys.encoding.x509 import RevocationReason
from keys.models import (
    Key,
    KeyCertificate,
    KeyState,
    KeyUse,
    destroyed_keys,
    key_authority_hashes,
    key_certificates,
    key_crls,
    key_ocsp_answers,
    key_uses,
    keys,
)

_USE = tuple(each.name for each in fields(KeyUse))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row of `keys`: the public `key`, and where its private half is. Never leaves `keys`."""

    key: Key
    backend: str
    handle: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredCrl:
    """A signed revocation list of one authority; `number` grows by one with each (RFC 5280
    §5.2.3)."""

    number: int
    der: bytes = field(repr=False)
    this_update: datetime
    next_update: datetime


def active_key(tx: Tx, use: str) -> StoredKey | None:
    """The key that signs for this use now."""
    row = tx.execute(
        select(keys).where(keys.c.use == use, keys.c.state == KeyState.ACTIVE)
    ).one_or_none()
    return None if row is None else _stored(row)


def key_by_kid(tx: Tx, kid: str) -> StoredKey | None:
    """The key of this thumbprint, in whichever state."""
    row = tx.execute(select(keys).where(keys.c.kid == kid)).one_or_none()
    return None if row is None else _stored(row)


def keys_of(tx: Tx, uses: Sequence[str], states: Sequence[KeyState] = ()) -> list[StoredKey]:
    """The keys of some uses, newest version first; of all states when none is named."""
    query = select(keys).where(keys.c.use.in_(uses))
    if states:
        query = query.where(keys.c.state.in_(states))
    return [_stored(row) for row in tx.execute(query.order_by(keys.c.use, keys.c.version.desc()))]


def uses(tx: Tx) -> list[str]:
    """Every use that has or had a key, in alphabetical order."""
    return list(tx.execute(select(keys.c.use).distinct().order_by(keys.c.use)).scalars())


def next_version(tx: Tx, use: str) -> int:
    """The version of the use's next key; the first one is 1."""
    highest = tx.execute(select(sql.max(keys.c.version)).where(keys.c.use == use)).scalar()
    return int(highest or 0) + 1


def add_key(tx: Tx, database: Database, stored: StoredKey) -> bool:
    """Add a key; False when its use has one in this state, or of this version, already."""
    return bool(tx.execute(database.insert_or_ignore(keys).values(**_values(stored))).rowcount == 1)


def lock_key(tx: Tx, kid: str) -> StoredKey | None:
    """A key, its row locked until the transaction ends.

    Locked before it is read: what was read while waiting for the lock would be old.
    """
    tx.execute(select(keys.c.kid).where(keys.c.kid == kid).with_for_update())
    return key_by_kid(tx, kid)


def _values(stored: StoredKey) -> dict[str, Any]:
    """The column values of a new row."""
    key = stored.key
    return {
        "kid": key.kid,
        "use": key.use,
        "version": key.version,
        "algorithm": key.algorithm,
        "state": key.state,
        "backend": stored.backend,
        "handle": stored.handle,
        "public_jwk": dict(key.public_jwk),
        "created_at": key.created_at,
        "activated_at": key.activated_at,
        "not_after": key.not_after,
        "per_minute": key.per_minute,
    }


def change_state(
    tx: Tx, kid: str, before: KeyState, after: KeyState, now: datetime, **columns: Any
) -> bool:
    """Move one key from `before` to `after`; False when another process already did."""
    stamp = {
        KeyState.ACTIVE: "activated_at",
        KeyState.RETIRING: "retiring_at",
        KeyState.RETIRED: "retired_at",
    }[after]
    changed = tx.execute(
        update(keys)
        .where(keys.c.kid == kid, keys.c.state == before)
        .values(state=after, **{stamp: now}, **columns)
    )
    return changed.rowcount == 1


def add_certificate(tx: Tx, database: Database, certificate: KeyCertificate) -> None:
    """Add a certificate, unless another process stored one under the same number."""
    values = {column.name: getattr(certificate, column.name) for column in key_certificates.columns}
    tx.execute(database.insert_or_ignore(key_certificates).values(**values))


def add_authority_hash(tx: Tx, database: Database, digest: str, kid: str) -> None:
    """Make an authority's key findable by a hash of it, in hexadecimal."""
    tx.execute(database.insert_or_ignore(key_authority_hashes).values(hash=digest, kid=kid))


def certificate_of(tx: Tx, kid: str, profile: str | None = None) -> KeyCertificate | None:
    """The newest certificate of a key that was not revoked."""
    query = select(key_certificates).where(
        key_certificates.c.kid == kid, key_certificates.c.revoked_at.is_(None)
    )
    if profile is not None:
        query = query.where(key_certificates.c.profile == profile)
    row = tx.execute(query.order_by(key_certificates.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else _certificate(row)


def certificates_of(tx: Tx, kid: str) -> list[KeyCertificate]:
    """Every certificate that was made for a key, the oldest first."""
    query = select(key_certificates).where(key_certificates.c.kid == kid)
    return [_certificate(row) for row in tx.execute(query.order_by(key_certificates.c.number))]


def certificates_in_use(tx: Tx, profiles: Collection[str]) -> list[KeyCertificate]:
    """The newest certificate of each active key and profile, unless it was revoked."""
    query = (
        select(key_certificates)
        .join(keys, keys.c.kid == key_certificates.c.kid)
        .where(keys.c.state == KeyState.ACTIVE, key_certificates.c.profile.in_(profiles))
        .order_by(key_certificates.c.number)
    )
    latest = {(row.kid, row.profile): row for row in tx.execute(query)}
    return [_certificate(row) for row in latest.values() if row.revoked_at is None]


def certificate_by_serial(tx: Tx, serial: str) -> KeyCertificate | None:
    """The certificate with this serial number, in hexadecimal."""
    row = tx.execute(
        select(key_certificates).where(key_certificates.c.serial == serial)
    ).one_or_none()
    return None if row is None else _certificate(row)


def revoked_among(tx: Tx, serials: Sequence[str]) -> list[KeyCertificate]:
    """Those of the certificates with these serial numbers that are revoked."""
    query = select(key_certificates).where(
        key_certificates.c.serial.in_(serials), key_certificates.c.revoked_at.is_not(None)
    )
    return [_certificate(row) for row in tx.execute(query)]


def next_certificate_number(tx: Tx, kid: str, profile: str) -> int:
    """The number of the key's next certificate of this profile; the first one is 1."""
    query = select(sql.max(key_certificates.c.number)).where(
        key_certificates.c.kid == kid, key_certificates.c.profile == profile
    )
    return int(tx.execute(query).scalar() or 0) + 1


def revoke_certificate(tx: Tx, serial: str, reason: RevocationReason, now: datetime) -> bool:
    """Revoke once; False when it already was (the first date and reason stand)."""
    changed = tx.execute(
        update(key_certificates)
        .where(key_certificates.c.serial == serial, key_certificates.c.revoked_at.is_(None))
        .values(revoked_at=now, reason=reason)
    )
    return changed.rowcount == 1


def revoked_certificates(tx: Tx, issuer_kid: str) -> list[KeyCertificate]:
    """All certificates that this authority revoked, by serial number."""
    query = select(key_certificates).where(
        key_certificates.c.issuer_kid == issuer_kid, key_certificates.c.revoked_at.is_not(None)
    )
    return [_certificate(row) for row in tx.execute(query.order_by(key_certificates.c.serial))]


def add_crl(tx: Tx, issuer_kid: str, crl: StoredCrl) -> None:
    """Add an authority's next revocation list."""
    tx.execute(
        key_crls.insert().values(
            issuer_kid=issuer_kid,
            number=crl.number,
            der=crl.der,
            this_update=crl.this_update,
            next_update=crl.next_update,
        )
    )


def latest_crl(tx: Tx, issuer_kid: str) -> StoredCrl | None:
    """The authority's revocation list with the highest number."""
    query = select(key_crls).where(key_crls.c.issuer_kid == issuer_kid)
    row = tx.execute(query.order_by(key_crls.c.number.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    return StoredCrl(row.number, bytes(row.der), row.this_update, row.next_update)


def authority_by_hash(tx: Tx, key_hash: str) -> str | None:
    """The kid of the authority whose public key has this hash (hexadecimal)."""
    query = select(key_authority_hashes.c.kid).where(key_authority_hashes.c.hash == key_hash)
    return tx.execute(query).scalar()


def presigned_answer(tx: Tx, question: str, now: datetime) -> bytes | None:
    """The OCSP response (DER) kept for a question, if it holds beyond `now`."""
    query = select(key_ocsp_answers.c.der).where(
        key_ocsp_answers.c.question == question, key_ocsp_answers.c.next_update > now
    )
    found = tx.execute(query).scalar()
    return None if found is None else bytes(found)


def authorities_without_answers(tx: Tx, now: datetime, until: datetime) -> list[str]:
    """The kids of authorities that have certificates as `certificates_without_answer` finds."""
    query = select(key_certificates.c.issuer_kid).where(*_unanswered(now, until)).distinct()
    return list(tx.execute(query).scalars())


def certificates_without_answer(
    tx: Tx, issuer_kid: str, now: datetime, until: datetime, limit: int
) -> list[KeyCertificate]:
    """Living certificates of an authority for which no answer holds until then."""
    query = select(key_certificates).where(
        key_certificates.c.issuer_kid == issuer_kid, *_unanswered(now, until)
    )
    return [_certificate(row) for row in tx.execute(query.limit(limit))]


def _unanswered(now: datetime, until: datetime) -> list[ColumnElement[bool]]:
    answered = select(key_ocsp_answers.c.serial).where(
        key_ocsp_answers.c.serial == key_certificates.c.serial,
        key_ocsp_answers.c.next_update > until,
    )
    return [
        key_certificates.c.not_after > now,
        key_certificates.c.profile.not_in(("ocsp", "root", "issuing")),
        ~answered.exists(),
    ]


def drop_answers(tx: Tx, serial: str) -> None:
    """Delete the OCSP responses kept for a certificate."""
    tx.execute(delete(key_ocsp_answers).where(key_ocsp_answers.c.serial == serial))


def add_answer(
    tx: Tx, question: str, serial: str, der: bytes, this_update: datetime, next_update: datetime
) -> None:
    """Keep an OCSP response (DER) for one question about a certificate."""
    tx.execute(
        key_ocsp_answers.insert().values(
            question=question,
            serial=serial,
            der=der,
            this_update=this_update,
            next_update=next_update,
        )
    )


def state_of(tx: Tx, kid: str) -> KeyState | None:
    """The state of a key; None when this database does not know it."""
    state = tx.execute(select(keys.c.state).where(keys.c.kid == kid)).scalar()
    return None if state is None else KeyState(state)


def note_destroyed(tx: Tx, database: Database, kid: str, at: datetime) -> None:
    """Remember that a key was destroyed here, once."""
    tx.execute(database.insert_or_ignore(destroyed_keys).values(kid=kid, at=at))


def is_destroyed(tx: Tx, kid: str) -> bool:
    """Whether the key was destroyed here, as `note_destroyed` remembers."""
    return tx.execute(select(destroyed_keys).where(destroyed_keys.c.kid == kid)).first() is not None


def states_held(tx: Tx, kids: Collection[str]) -> list[KeyState]:
    """The states of some keys, which nobody changes until the transaction ends."""
    query = select(keys.c.state).where(keys.c.kid.in_(kids)).with_for_update(read=True)
    return [KeyState(state) for state in tx.execute(query).scalars()]


def add_uses(tx: Tx, uses_made: Sequence[KeyUse]) -> None:
    """Write down signatures that were made, one row for each."""
    # Not `asdict`, which copies every value deeply: bulk issuing writes thousands a second.
    tx.execute(
        key_uses.insert(), [{name: getattr(use, name) for name in _USE} for use in uses_made]
    )


def uses_made(tx: Tx, use: str, before: int | None, limit: int) -> list[tuple[int, KeyUse]]:
    """Signatures by order of a use, newest first, each with its number; from `before` on."""
    query = select(key_uses).where(key_uses.c.use == use)
    if before is not None:
        query = query.where(key_uses.c.id < before)
    return _numbered(tx, query.order_by(key_uses.c.id.desc()).limit(limit))


def uses_for(tx: Tx, document: str) -> list[tuple[int, KeyUse]]:
    """Every signature made for one content, oldest first."""
    query = select(key_uses).where(key_uses.c.document == document)
    return _numbered(tx, query.order_by(key_uses.c.id))


def _numbered(tx: Tx, query: Select[Any]) -> list[tuple[int, KeyUse]]:
    rows = tx.execute(query).mappings()
    return [(row["id"], KeyUse(**{name: row[name] for name in _USE})) for row in rows]


def _stored(row: Row[Any]) -> StoredKey:
    key = Key(
        kid=row.kid,
        use=row.use,
        version=row.version,
        algorithm=row.algorithm,
        state=KeyState(row.state),
        public_jwk=row.public_jwk,
        public_key=public_key_of(row.public_jwk),
        created_at=row.created_at,
        activated_at=row.activated_at,
        retiring_at=row.retiring_at,
        retired_at=row.retired_at,
        not_after=row.not_after,
        per_minute=row.per_minute,
    )
    return StoredKey(key, row.backend, bytes(row.handle))


def _certificate(row: Row[Any]) -> KeyCertificate:
    return KeyCertificate(
        serial=row.serial,
        kid=row.kid,
        issuer_kid=row.issuer_kid,
        profile=row.profile,
        number=row.number,
        subject=row.subject,
        der=bytes(row.der),
        not_before=row.not_before,
        not_after=row.not_after,
        revoked_at=row.revoked_at,
        reason=None if row.reason is None else RevocationReason(row.reason),
    )
