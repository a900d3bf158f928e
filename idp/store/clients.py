"""Registered clients in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, insert, select, update

from foundation.batching import KEYS, Prepared
from foundation.database import Tx
from idp.models import Client, RegisteredClient, clients

_listed: Final = [each for each in clients.c if each.name != "logo"]  # which is large
_NO_SECOND: Final = {"second_secret_hash": "", "second_secret_prefix": ""}


def add_client(
    tx: Tx,
    client: Client,
    secret_hash: str,
    secret_prefix: str,
    logo: bytes | None,
    now: datetime,
) -> None:
    """Raises `IntegrityError` when the client_id is taken."""
    tx.execute(
        insert(clients).values(
            client_id=client.client_id,
            organisation=client.organisation,
            metadata=client_document(client),
            secret_hash=secret_hash,
            secret_prefix=secret_prefix,
            version=1,
            logo=logo,
            created_at=now,
        )
    )


def client_rows(tx: Tx, ids: Sequence[str]) -> dict[str, Any]:
    """Rows of these clients by client_id, disabled ones included; unknown ids are left out."""
    return {row.client_id: row for row in _clients(tx, ids)}


def all_client_rows(tx: Tx, organisation: str | None = None) -> list[Row[Any]]:
    """Rows of every client that is not deleted, or of one organisation's; oldest first."""
    query = select(*_listed).where(clients.c.deleted_at.is_(None)).order_by(clients.c.created_at)
    if organisation is not None:
        query = query.where(clients.c.organisation == organisation)
    return list(tx.execute(query))


def whole_row(tx: Tx, client_id: str) -> Row[Any] | None:
    """Everything about one client, a deleted one too."""
    return tx.execute(select(clients).where(clients.c.client_id == client_id)).first()


def held(tx: Tx, client_id: str) -> Client | None:
    """The registration of a client that is not deleted, locked until this transaction ends."""
    query = select(clients.c.metadata, clients.c.deleted_at).where(clients.c.client_id == client_id)
    row = tx.execute(query.with_for_update()).first()
    if row is None or row.deleted_at is not None:
        return None
    return msgspec.json.decode(row.metadata, type=Client)


def is_deleted(tx: Tx, client_id: str) -> bool:
    """Whether a client was ended for ever; its row is locked until this transaction ends."""
    return held(tx, client_id) is None


def enable(tx: Tx, client_id: str) -> bool:
    """Undo `disabled_at`; False when it was not set, or the client is deleted."""
    disabled = clients.c.disabled_at.is_not(None), clients.c.deleted_at.is_(None)
    again = update(clients).where(clients.c.client_id == client_id, *disabled)
    version = clients.c.version + 1
    return bool(tx.execute(again.values(disabled_at=None, version=version)).rowcount)


def delete(tx: Tx, client_id: str, now: datetime) -> None:
    """Mark a client as gone for ever; its secrets and its picture are."""
    set_client(tx, client_id, disabled_at=now, deleted_at=now, logo=None, **only_secret("", ""))


def only_secret(secret_hash: str, prefix: str) -> dict[str, str]:
    """The columns of a client with this one secret, or with "" none."""
    return {"secret_hash": secret_hash, "secret_prefix": prefix, **_NO_SECOND}


def add_second_secret(tx: Tx, client_id: str, secret_hash: str, prefix: str) -> bool:
    """False when the client has two already."""
    free = clients.c.client_id == client_id, clients.c.second_secret_hash == ""
    second = {"second_secret_hash": secret_hash, "second_secret_prefix": prefix}
    added = update(clients).where(*free).values(version=clients.c.version + 1, **second)
    return bool(tx.execute(added).rowcount)


def end_secret(tx: Tx, client_id: str, prefix: str) -> bool:
    """Forget one of two secrets; the one that stays is the first. False when there is one only."""
    two = clients.c.client_id == client_id, clients.c.second_secret_hash != ""
    moved = {
        "secret_hash": clients.c.second_secret_hash,
        "secret_prefix": clients.c.second_secret_prefix,
    }
    version = clients.c.version + 1
    for column, kept in ((clients.c.second_secret_prefix, {}), (clients.c.secret_prefix, moved)):
        ended = update(clients).where(*two, column == prefix)
        if tx.execute(ended.values(**kept, **_NO_SECOND, version=version)).rowcount:
            return True
    return False


def client_document(client: Client) -> str:
    """A client as its column holds it."""
    return msgspec.json.encode(client).decode()


def logo(tx: Tx, client_id: str, digest: str) -> bytes | None:
    """The picture of an enabled client, if it is the one that its metadata name so."""
    enabled = clients.c.client_id == client_id, clients.c.disabled_at.is_(None)
    row: Any = tx.execute(select(clients.c.logo, *REGISTRATION).where(*enabled)).first()
    if row is None or row.logo is None or registered_client(row).client.logo != digest:
        return None
    return bytes(row.logo)


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
        secret_hashes=tuple(filter(None, (row.secret_hash, row.second_secret_hash))),
        version=row.version,
        disabled=row.disabled_at is not None,
    )


# The fast lane's statement, compiled once.
_secrets = clients.c.secret_hash, clients.c.second_secret_hash
REGISTRATION = clients.c.metadata, *_secrets, clients.c.version, clients.c.disabled_at
_clients = Prepared(select(clients.c.client_id, *REGISTRATION).where(clients.c.client_id.in_(KEYS)))
