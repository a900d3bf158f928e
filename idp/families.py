"""Token families in the database: codes, refresh tokens, revocations. Set-based, for the fast lane.

Each function handles a whole batch with one statement, inside the caller's transaction. What must
happen at most once is a DELETE or UPDATE … RETURNING: only the rows it answers were ours to take,
whatever another process does at the same time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from foundation.database import Database, Tx
from foundation.prepared import KEYS, Prepared, Rows
from idp.models import (
    Authorization,
    Family,
    authorization_codes,
    refresh_tokens,
    revocations,
    token_families,
)

CLOCK_LEEWAY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class StoredCode:
    """An authorization code that has not been exchanged yet."""

    code_hash: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    authorization: Authorization
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredRefreshToken:
    """A refresh token with the family it belongs to. `used_at`: when it was rotated away."""

    token_hash: str
    family: Family
    expires_at: datetime
    used_at: datetime | None


def add_code(tx: Tx, code: StoredCode) -> None:
    tx.execute(
        insert(authorization_codes).values(
            code_hash=code.code_hash,
            client_id=code.client_id,
            redirect_uri=code.redirect_uri,
            code_challenge=code.code_challenge,
            person_id=code.authorization.person_id,
            sid=code.authorization.sid,
            authorization=msgspec.json.encode(code.authorization).decode(),
            expires_at=code.expires_at,
        )
    )


def codes(tx: Tx, hashes: Collection[str]) -> dict[str, StoredCode]:
    return {
        row.code_hash: StoredCode(
            row.code_hash,
            row.client_id,
            row.redirect_uri,
            row.code_challenge,
            _authorization(row),
            row.expires_at,
        )
        for row in _codes(tx, hashes)
    }


def take_codes(tx: Tx, hashes: Collection[str]) -> frozenset[str]:
    """Remove these codes; answers those that were still there."""
    return frozenset(row.code_hash for row in _take_codes(tx, hashes))


def families_of_codes(tx: Tx, hashes: Collection[str]) -> dict[str, Family]:
    """Families that grew from these codes: who finds one here has sent a code twice."""
    return {row.code_hash: _family(row) for row in _families_of_codes(tx, hashes)}


def families(tx: Tx, ids: Collection[str]) -> dict[str, Family]:
    return {row.id: _family(row) for row in _families(tx, ids)}


def clients_of_session(tx: Tx, sid: str) -> list[str]:
    """Every client that a session signed in to, whatever became of the tokens."""
    query = select(token_families.c.client_id).where(token_families.c.sid == sid).distinct()
    return list(tx.execute(query).scalars())


def add_families(tx: Tx, new: Sequence[tuple[Family, str | None]]) -> None:
    """Store families, each with the hash of the code it grew from."""
    _add_families(tx, [_family_row(family, code) for family, code in new])


def add_refresh_tokens(
    tx: Tx, new: Sequence[tuple[str, str]], now: datetime, expires_at: datetime
) -> None:
    """Store (token_hash, family_id) pairs; one that is already there stays as it is."""
    _add_refresh_tokens(tx, [(token, family, now, expires_at) for token, family in new])


def refresh_tokens_of(tx: Tx, hashes: Collection[str]) -> dict[str, StoredRefreshToken]:
    return {
        row.token_hash: StoredRefreshToken(
            row.token_hash, _family(row), row.token_expires_at, row.used_at
        )
        for row in _refresh_tokens(tx, hashes)
    }


def use_refresh_tokens(tx: Tx, hashes: Collection[str], now: datetime) -> frozenset[str]:
    """Mark these as rotated away; answers those that were still unused."""
    return frozenset(row.token_hash for row in _use_refresh_tokens(tx, hashes, now=now))


def revoke_families(
    database: Database,
    tx: Tx,
    ids: Collection[str],
    reason: str,
    now: datetime,
    access_lifetime: timedelta,
) -> frozenset[str]:
    """End families and every access token of theirs; answers those that were alive."""
    if not ids:
        return frozenset()
    table = token_families
    ended = (
        update(table)
        .where(table.c.id.in_(ids), table.c.revoked_at.is_(None))
        .values(revoked_at=now, revoked_reason=reason)
        .returning(table.c.id)
    )
    alive = frozenset(tx.execute(ended).scalars())
    revoke(database, tx, dict.fromkeys(alive, now + access_lifetime + CLOCK_LEEWAY))
    return alive


def revoke(database: Database, tx: Tx, ids: Mapping[str, datetime]) -> None:
    """Remember that these ids (of tokens or families) no longer count, until the given time."""
    if ids:
        rows = [{"id": each, "expires_at": until} for each, until in ids.items()]
        tx.execute(database.insert_or_ignore(revocations), rows)


def revoked(tx: Tx, ids: Collection[str]) -> frozenset[str]:
    return frozenset(row.id for row in _revoked(tx, ids))


def live_families(tx: Tx, **where: str) -> list[Family]:
    """Families that are not revoked, by any of client_id, person_id, sid."""
    conditions = [token_families.c[column] == value for column, value in where.items()]
    query = select(token_families).where(token_families.c.revoked_at.is_(None), *conditions)
    return [_family(row) for row in tx.execute(query)]


def _family_row(family: Family, code_hash: str | None) -> tuple[Any, ...]:
    """In the order of `_add_families`."""
    return (
        family.id,
        family.client_id,
        family.authorization.person_id,
        family.authorization.sid,
        code_hash,
        msgspec.json.encode(family.authorization).decode(),
        family.created_at,
        family.expires_at,
    )


def _family(row: Any) -> Family:
    return Family(
        row.id,
        row.client_id,
        _authorization(row),
        row.created_at,
        row.expires_at,
        row.revoked_at is not None,
    )


def _authorization(row: Any) -> Authorization:
    return msgspec.json.decode(row.authorization, type=Authorization)


# --- the fast lane's statements, compiled once ------------------------------------------------

_codes = Prepared(select(authorization_codes).where(authorization_codes.c.code_hash.in_(KEYS)))
_take_codes = Prepared(
    delete(authorization_codes)
    .where(authorization_codes.c.code_hash.in_(KEYS))
    .returning(authorization_codes.c.code_hash)
)
_families = Prepared(select(token_families).where(token_families.c.id.in_(KEYS)))
_families_of_codes = Prepared(select(token_families).where(token_families.c.code_hash.in_(KEYS)))
_add_families = Rows(
    token_families,
    "id",
    "client_id",
    "person_id",
    "sid",
    "code_hash",
    "authorization",
    "created_at",
    "expires_at",
)
_refresh_tokens = Prepared(
    select(
        refresh_tokens.c.token_hash,
        refresh_tokens.c.expires_at.label("token_expires_at"),
        refresh_tokens.c.used_at,
        token_families,
    )
    .join_from(refresh_tokens, token_families, refresh_tokens.c.family_id == token_families.c.id)
    .where(refresh_tokens.c.token_hash.in_(KEYS))
)
_use_refresh_tokens = Prepared(
    update(refresh_tokens)
    .where(refresh_tokens.c.token_hash.in_(KEYS), refresh_tokens.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
    .returning(refresh_tokens.c.token_hash)
)
_add_refresh_tokens = Rows(
    refresh_tokens, "token_hash", "family_id", "issued_at", "expires_at", ignore=True
)
_revoked = Prepared(select(revocations.c.id).where(revocations.c.id.in_(KEYS)))
