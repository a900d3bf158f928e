"""Token families in the database: codes, refresh tokens, revocations. Set-based, for the fast lane.

Each function handles a whole batch with one statement, inside the caller's transaction. What must
happen at most once is decided under a lock: `codes` and `families(…, lock=True)` read the rows for
update, so whatever another process does with the same code or refresh token comes before or after.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, insert, literal, select, update

from foundation.batching import (
    KEYS,
    Prepared,
    Rows,
)
from foundation.database import Database, Tx
from foundation.ids import leading_uuid
from idp.models import consents, revocations, token_families
from idp.protocol.authorizations import Agreement, Authorization, Family

CLOCK_LEEWAY = timedelta(seconds=60)
_STORED: Final = (
    "id",
    "client_id",
    "person_id",
    "sid",
    "authorization",
    "code_hash",
    "redirect_uri",
    "code_challenge",
    "issued_at",
    "refresh_number",
    "expires_at",
)


@dataclass(frozen=True, slots=True)
class StoredCode:
    """A code, by the family that it begins, with what its exchange must match."""

    family: Family
    redirect_uri: str
    code_challenge: str


def family_in(token: str) -> str:
    """The family that a code or refresh token names: both begin with its id. "" for none."""
    return leading_uuid(token)


def add_code(tx: Tx, code: StoredCode, relying_on: Agreement | None = None) -> bool:
    """Store a family whose code waits to be exchanged. `relying_on` is what its person agreed to
    as it was read without a lock: it stands until this transaction ends, or the answer is False
    and nothing is stored."""
    if relying_on is None:
        _add(tx, [_row(code)])
        return True
    columns = [token_families.c[name] for name in _STORED]
    values = [literal(each, of.type) for each, of in zip(_row(code), columns, strict=True)]
    agreed = (
        consents.c.person_id == code.family.authorization.person_id,
        consents.c.client_id == code.family.client_id,
        consents.c.granted_at == relying_on.granted_at,
    )
    held = select(*values).select_from(consents).where(*agreed).with_for_update(read=True)
    added = insert(token_families).from_select(columns, held, include_defaults=False)
    return tx.execute(added.returning(token_families.c.id)).first() is not None


def drop_code(tx: Tx, family_id: str) -> None:
    """Remove a family that this transaction has added."""
    tx.execute(delete(token_families).where(token_families.c.id == family_id))


def add_family(tx: Tx, family: Family) -> None:
    """Store a family that needs no code."""
    _add(tx, [_row(StoredCode(family, "", ""))])


def codes(tx: Tx, ids: Collection[str]) -> dict[str, StoredCode]:
    """The codes of these families, used or not; locked."""
    return {
        row.id: StoredCode(_family(row), row.redirect_uri, row.code_challenge)
        for row in _locked(tx, ids)
    }


def families(tx: Tx, ids: Collection[str], *, lock: bool = False) -> dict[str, Family]:
    """Families by id; with `lock`, their rows are read for update. Unknown ids are left out."""
    return {row.id: _family(row) for row in (_locked if lock else _families)(tx, ids)}


def begin(
    tx: Tx, ids: Collection[str], now: datetime, expires_at: datetime, refresh_number: int
) -> None:
    """The codes of these families were exchanged."""
    _begin(tx, ids, now=now, until=expires_at, number=refresh_number)


def authorize(tx: Tx, family: Family) -> None:
    """Write down what was authorized anew."""
    _authorize(tx, [family.id], document=_document(family.authorization))


def rotate(tx: Tx, ids: Collection[str], now: datetime) -> None:
    """The live refresh token of these families gives way to the next."""
    _rotate(tx, ids, now=now)


def touch(tx: Tx, ids: Collection[str], now: datetime) -> None:
    """Tokens of these families were issued again; their live refresh token stays."""
    _touch(tx, ids, now=now)


def clients_of_session(tx: Tx, sid: str) -> list[str]:
    """Every client that a session signed in to, whatever became of the tokens."""
    table = token_families
    begun = (table.c.sid == sid, table.c.issued_at.is_not(None))
    return list(tx.execute(select(table.c.client_id).where(*begun).distinct()).scalars())


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
    """Those of these ids (of tokens or families) that no longer count."""
    return frozenset(row.id for row in _revoked(tx, ids))


def live_families(tx: Tx, **where: str) -> list[Family]:
    """Families with tokens that are not revoked, by any of client_id, person_id, sid."""
    table = token_families
    alive = (table.c.revoked_at.is_(None), table.c.issued_at.is_not(None))
    query = select(table).where(*_matching(where), *alive)
    return [_family(row) for row in tx.execute(query)]


def end_codes(tx: Tx, now: datetime, reason: str, **where: str) -> None:
    """Codes that still wait are worth nothing from now on."""
    table = token_families
    waiting = (table.c.issued_at.is_(None), table.c.revoked_at.is_(None))
    ended = update(table).where(*_matching(where), *waiting)
    tx.execute(ended.values(revoked_at=now, revoked_reason=reason))


def _matching(where: Mapping[str, str]) -> list[Any]:
    return [token_families.c[column] == value for column, value in where.items()]


def _row(code: StoredCode) -> tuple[Any, ...]:
    """In the order of `_STORED`."""
    family = code.family
    return (
        family.id,
        family.client_id,
        family.authorization.person_id,
        family.authorization.sid,
        _document(family.authorization),
        family.code_hash,
        code.redirect_uri,
        code.code_challenge,
        family.issued_at,
        family.refresh_number,
        family.expires_at,
    )


def _family(row: Any) -> Family:
    return Family(
        row.id,
        row.client_id,
        msgspec.json.decode(row.authorization, type=Authorization),
        row.code_hash,
        row.expires_at,
        row.issued_at,
        row.refresh_number,
        row.revoked_at is not None,
    )


def _document(authorization: Authorization) -> str:
    return msgspec.json.encode(authorization).decode()


# --- the fast lane's statements, compiled once ------------------------------------------------

_add = Rows(token_families, *_STORED)
_families = Prepared(select(token_families).where(token_families.c.id.in_(KEYS)))
_locked = Prepared(  # in one order everywhere, so that two processes never wait for each other
    select(token_families)
    .where(token_families.c.id.in_(KEYS))
    .order_by(token_families.c.id)
    .with_for_update()
)
_these = update(token_families).where(token_families.c.id.in_(KEYS))
_begin = Prepared(
    _these.values(
        issued_at=bindparam("now"),
        expires_at=bindparam("until"),
        refresh_number=bindparam("number"),
    )
)
_authorize = Prepared(_these.values(authorization=bindparam("document")))
_rotate = Prepared(
    _these.values(issued_at=bindparam("now"), refresh_number=token_families.c.refresh_number + 1)
)
_touch = Prepared(_these.values(issued_at=bindparam("now")))
_revoked = Prepared(select(revocations.c.id).where(revocations.c.id.in_(KEYS)))
