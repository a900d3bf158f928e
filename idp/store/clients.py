"""Registered clients in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, insert, select, update

from foundation.batching import KEYS, Prepared
from foundation.database import Tx
from idp.models import Client, RegisteredClient, clients


def add_client(tx: Tx, client: Client, secret_hash: str, secret_prefix: str, now: datetime) -> None:
    """Raises `IntegrityError` when the client_id is taken."""
    tx.execute(
        insert(clients).values(
            client_id=client.client_id,
            organisation=client.organisation,
            metadata=client_document(client),
            secret_hash=secret_hash,
            secret_prefix=secret_prefix,
            version=1,
            created_at=now,
        )
    )


def client_rows(tx: Tx, ids: Sequence[str]) -> dict[str, Any]:
    """Rows of these clients by client_id, disabled ones included; unknown ids are left out."""
    return {row.client_id: row for row in _clients(tx, ids)}


def all_client_rows(tx: Tx, organisation: str | None = None) -> list[Row[Any]]:
    """Rows of every client, or of one organisation's; oldest first."""
    query = select(clients).order_by(clients.c.created_at)
    if organisation is not None:
        query = query.where(clients.c.organisation == organisation)
    return list(tx.execute(query))


def replace_client(tx: Tx, client: Client) -> None:
    """Overwrite a client's metadata and organisation, and count its version up."""
    tx.execute(
        update(clients)
        .where(clients.c.client_id == client.client_id)
        .values(
            metadata=msgspec.json.encode(client).decode(),
            organisation=client.organisation,
            version=clients.c.version + 1,
        )
    )


def client_document(client: Client) -> str:
    """A client as its column holds it."""
    return msgspec.json.encode(client).decode()


def set_client(tx: Tx, client_id: str, **values: Any) -> None:
    """Overwrite single columns of a client, and count its version up."""
    tx.execute(
        update(clients)
        .where(clients.c.client_id == client_id)
        .values(version=clients.c.version + 1, **values)
    )


def registered_client(row: Row[Any]) -> RegisteredClient:
    """A row read back, with its metadata decoded."""
    return RegisteredClient(
        client=msgspec.json.decode(row.metadata, type=Client),
        secret_hash=row.secret_hash,
        version=row.version,
        disabled=row.disabled_at is not None,
    )


# The fast lane's statement, compiled once.
_client = (clients.c.metadata, clients.c.secret_hash, clients.c.version, clients.c.disabled_at)
_clients = Prepared(select(clients.c.client_id, *_client).where(clients.c.client_id.in_(KEYS)))
