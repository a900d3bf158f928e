"""Pushed authorization requests in the database."""

from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import insert, or_, select, update

from foundation.database import Tx
from idp.models import pushed_requests
from idp.protocol.authorizations import AuthorizationRequest


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A pushed request. `used`: somebody was authorized through it."""

    request: AuthorizationRequest
    expires_at: datetime
    used: bool


def add(tx: Tx, id_hash: str, request: AuthorizationRequest, expires_at: datetime) -> None:
    """Store a checked request under the hash of its reference."""
    tx.execute(
        insert(pushed_requests).values(
            id_hash=id_hash,
            client_id=request.client_id,
            request=msgspec.json.encode(request).decode(),
            expires_at=expires_at,
        )
    )


def find(tx: Tx, id_hash: str, client_id: str) -> StoredRequest | None:
    """The request behind a reference, if it is this client's (RFC 9126 §2.2)."""
    table = pushed_requests
    mine = (table.c.id_hash == id_hash, table.c.client_id == client_id)
    row = tx.execute(select(table).where(*mine)).first()
    if row is None:
        return None
    request = msgspec.json.decode(row.request, type=AuthorizationRequest)
    return StoredRequest(request, row.expires_at, row.used_by is not None)


def use(tx: Tx, id_hash: str, interaction_id: str) -> bool:
    """Use a reference up for one interaction; False when another one was first (RFC 9126 §7.3)."""
    table = pushed_requests
    free = or_(table.c.used_by.is_(None), table.c.used_by == interaction_id)
    used = update(table).where(table.c.id_hash == id_hash, free).values(used_by=interaction_id)
    return tx.execute(used).rowcount > 0
