"""Initial access tokens and self-made registrations; both kinds of token are known by their hash.

What a registration may ask is kept as JSON text; its caller reads and writes it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, update

from foundation.database import Tx
from idp.models import initial_access_tokens, registrations


def add_initial_token(
    tx: Tx, token_hash: str, bounds: str, uses: int, expires_at: datetime
) -> None:
    """Store an initial access token that allows `uses` registrations (RFC 7591 §1.2)."""
    tx.execute(
        insert(initial_access_tokens).values(
            token_hash=token_hash, bounds=bounds, uses_left=uses, expires_at=expires_at
        )
    )


def usable_bounds(tx: Tx, token_hash: str, now: datetime) -> str | None:
    """What an initial access token allows; None when it is unknown, expired or used up."""
    query = select(initial_access_tokens.c.bounds).where(*_usable(token_hash, now))
    return tx.execute(query).scalar()


def spend(tx: Tx, token_hash: str, now: datetime) -> bool:
    """Use an initial access token once; whoever comes too late finds none left."""
    table = initial_access_tokens
    usable = update(table).where(*_usable(token_hash, now))
    return tx.execute(usable.values(uses_left=table.c.uses_left - 1)).rowcount == 1


def add(tx: Tx, client_id: str, token_hash: str, bounds: str, created_at: datetime) -> None:
    """Store the hash of a new client's registration access token (RFC 7592 §3)."""
    tx.execute(
        insert(registrations).values(
            client_id=client_id, token_hash=token_hash, bounds=bounds, created_at=created_at
        )
    )


def find(tx: Tx, client_id: str, token_hash: str) -> Row[Any] | None:
    """The registration of this client that this token opens."""
    table = registrations
    query = select(table).where(table.c.client_id == client_id, table.c.token_hash == token_hash)
    return tx.execute(query).first()


def _usable(token_hash: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    table = initial_access_tokens
    return table.c.token_hash == token_hash, table.c.uses_left > 0, table.c.expires_at > now
