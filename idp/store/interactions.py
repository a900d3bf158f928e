"""Pending authorization requests in the database."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select, update

from foundation.database import Database, Tx
from idp.models import interactions
from idp.protocol.authorizations import AuthorizationRequest


def add_interaction(
    database: Database,
    tx: Tx,
    interaction_id: str,
    request: AuthorizationRequest,
    browser_hash: str,
    expires_at: datetime,
) -> None:
    """One that is there already stays as it is."""
    tx.execute(
        database.insert_or_ignore(interactions).values(
            id=interaction_id,
            client_id=request.client_id,
            request=msgspec.json.encode(request).decode(),
            browser_hash=browser_hash,
            created_at=request.created_at,
            expires_at=expires_at,
        )
    )


def interaction(tx: Tx, interaction_id: str) -> tuple[AuthorizationRequest, Row[Any]] | None:
    query = select(interactions).where(interactions.c.id == interaction_id)
    row = tx.execute(query).first()
    if row is None:
        return None
    return msgspec.json.decode(row.request, type=AuthorizationRequest), row


def finish_interaction(tx: Tx, interaction_id: str, now: datetime) -> None:
    tx.execute(
        update(interactions).where(interactions.c.id == interaction_id).values(finished_at=now)
    )
