"""What people answered clients that asked for their data."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select

from foundation.database import Database, Tx
from idp.models import consents
from idp.protocol.authorizations import Agreement


def agreement(tx: Tx, person_id: str, client_id: str, *, hold: bool = False) -> Agreement | None:
    """What this person answered this client the last time; None when never asked. With `hold` it
    is not withdrawn before this transaction ends."""
    query = select(consents).where(
        consents.c.person_id == person_id, consents.c.client_id == client_id
    )
    if hold:
        query = query.with_for_update(read=True)
    row = tx.execute(query).first()
    return None if row is None else agreement_of(row)


def agreement_of(row: Row[Any]) -> Agreement:
    """A row of `consents` as a value."""
    return Agreement(
        frozenset(row.scopes), frozenset(row.claims), frozenset(row.answered), row.granted_at
    )


def remember_agreement(
    database: Database,
    tx: Tx,
    person_id: str,
    client_id: str,
    agreement: Agreement,
    now: datetime,
) -> None:
    """Keep what the person answered the client, in place of any earlier answer."""
    values = {
        "scopes": sorted(agreement.scopes),
        "claims": sorted(agreement.claims),
        "answered": sorted(agreement.answered),
        "granted_at": now,
    }
    row = {"person_id": person_id, "client_id": client_id, **values}
    tx.execute(database.upsert(consents, ["person_id", "client_id"], values).values(**row))


def consents_of(tx: Tx, person_id: str) -> list[Row[Any]]:
    """Rows of what a person agreed to, newest first."""
    query = select(consents).where(consents.c.person_id == person_id)
    return list(tx.execute(query.order_by(consents.c.granted_at.desc())))


def withdraw_all(tx: Tx, client_id: str) -> None:
    """Forget what people answered a client that is gone."""
    tx.execute(delete(consents).where(consents.c.client_id == client_id))


def withdraw_consent(tx: Tx, person_id: str, client_id: str) -> bool:
    """Forget what the person answered the client; False when there was nothing."""
    mine = (consents.c.person_id == person_id, consents.c.client_id == client_id)
    return tx.execute(delete(consents).where(*mine)).rowcount > 0
