"""Pending authorization requests in the database, each with the flow of its sign-in.

A sign-in to our own pages is an interaction that no client asked for: its row has no request, and
an id that follows from the browser's cookie. A sign-out that came by form, or that services are
told of, has neither a request nor a browser.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, insert, select, update

from foundation.database import Database, Tx
from idp.models import clients, interactions
from idp.protocol.authorizations import AuthorizationRequest
from idp.store.clients import REGISTRATION
from idp.store.digests import sha256

Document = Mapping[str, Any]


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
    """A request and its row, which also holds the registration of its client, if there is one."""
    query = (
        select(interactions, *REGISTRATION)
        .join_from(
            interactions, clients, clients.c.client_id == interactions.c.client_id, isouter=True
        )
        .where(interactions.c.id == interaction_id)
    )
    row = tx.execute(query).first()
    if row is None or not row.request:
        return None
    return msgspec.json.decode(row.request, type=AuthorizationRequest), row


def finish_interaction(tx: Tx, interaction_id: str, now: datetime) -> None:
    """It led to an answer; a sign-in begins anew."""
    mine = update(interactions).where(interactions.c.id == interaction_id)
    tx.execute(mine.values(finished_at=now, flow=None))


def keep_flow(tx: Tx, interaction_id: str, flow: Document | None) -> None:
    """How far the sign-in of a client's request has come."""
    mine = update(interactions).where(interactions.c.id == interaction_id)
    tx.execute(mine.values(flow=flow))


def own_flow(database: Database, tx: Tx, browser: str) -> Document | None:
    """How far a sign-in to our own pages has come in this browser."""
    query = select(interactions.c.flow).where(interactions.c.id == _own_id(database, browser))
    return tx.execute(query).scalar()


def keep_own_flow(
    database: Database,
    tx: Tx,
    browser: str,
    flow: Document | None,
    now: datetime,
    lifetime: timedelta,
) -> None:
    """The same, written down."""
    kept = {"flow": flow, "expires_at": now + lifetime}
    row = {
        "id": _own_id(database, browser),
        "client_id": "",
        "request": "",
        "browser_hash": sha256(browser),
        "created_at": now,
        **kept,
    }
    tx.execute(database.upsert(interactions, ["id"], kept).values(**row))


def keep_logout(
    tx: Tx,
    interaction_id: str,
    asked: Document,
    now: datetime,
    expires_at: datetime,
    *,
    step: str = "",
) -> None:
    """A sign-out that came by form, for the browser that is sent on with its id; or, at a later
    `step`, what its page needs."""
    tx.execute(
        insert(interactions).values(
            id=interaction_id,
            client_id="",
            request="",
            browser_hash=step,
            created_at=now,
            expires_at=expires_at,
            flow=asked,
        )
    )


def kept_logout(tx: Tx, interaction_id: str, now: datetime, *, step: str = "") -> Document | None:
    """What was kept; a page that is loaded again finds it again."""
    if not interaction_id:
        return None
    mine = (interactions.c.id == interaction_id, interactions.c.browser_hash == step)
    query = select(interactions.c.flow).where(*mine, interactions.c.expires_at > now)
    return tx.execute(query).scalar()


def _own_id(database: Database, browser: str) -> str:
    return database.cipher.blind_index(browser, "interactions of our own pages")[:43]
