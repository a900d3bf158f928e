"""Questions to the tables of subscriptions and notices; every function takes the caller's
transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

from sqlalchemy import delete, insert, select

from exchange.models import ChangeNotice, Subscription, status_notices, subscriptions
from foundation import delivery
from foundation.database import Database, Tx

_REPLACED: Final = (
    *("type", "organisation", "purpose", "legal_basis", "case_ref", "url", "expires_at"),
)


def put(tx: Tx, database: Database, wanted: Subscription) -> Subscription:
    """Add a subscription; a program that follows the certificate already keeps the id and the day
    it began. Answers the one that is kept.
    """
    values = asdict(wanted)
    changed = {each: values[each] for each in _REPLACED}
    putting = database.upsert(subscriptions, ["certificate", "client"], changed)
    row = tx.execute(putting.values(**values).returning(*subscriptions.c)).one()
    return Subscription(*row)


def find(tx: Tx, subscription_id: str) -> Subscription | None:
    """The subscription with this id, over or not."""
    row = tx.execute(select(subscriptions).where(subscriptions.c.id == subscription_id)).first()
    return None if row is None else Subscription(*row)


def of_client(tx: Tx, client_id: str, now: datetime, limit: int) -> list[Subscription]:
    """What a program follows at `now`, newest first."""
    query = (
        select(subscriptions)
        .where(subscriptions.c.client == client_id, subscriptions.c.expires_at > now)
        .order_by(subscriptions.c.created_at.desc(), subscriptions.c.id)
        .limit(limit)
    )
    return [Subscription(*row) for row in tx.execute(query)]


def following(tx: Tx, certificate: str, now: datetime) -> Sequence[tuple[str, str]]:
    """Id and address of every subscription to a certificate at `now`."""
    query = select(subscriptions.c.id, subscriptions.c.url).where(
        subscriptions.c.certificate == certificate, subscriptions.c.expires_at > now
    )
    return [(row.id, row.url) for row in tx.execute(query)]


def ended(tx: Tx, now: datetime, limit: int) -> Sequence[str]:
    """Ids of subscriptions whose time is over at `now`."""
    over = select(subscriptions.c.id).where(subscriptions.c.expires_at <= now)
    return tx.execute(over.limit(limit)).scalars().all()


def remove(tx: Tx, ids: Sequence[str]) -> None:
    """Remove subscriptions and their notices."""
    tx.execute(delete(status_notices).where(status_notices.c.subscription.in_(ids)))
    tx.execute(delete(subscriptions).where(subscriptions.c.id.in_(ids)))


def add_notice(tx: Tx, notice_id: str, subscription_id: str, occurred_at: datetime) -> None:
    """Add a notice that nothing was tried for yet."""
    row = {"id": notice_id, "subscription": subscription_id, "occurred_at": occurred_at}
    tx.execute(insert(status_notices).values(**row, attempts=0, problem=""))


def notices_of(tx: Tx, subscription_id: str, limit: int) -> list[ChangeNotice]:
    """The notices of a subscription, newest first."""
    query = (
        select(status_notices)
        .where(status_notices.c.subscription == subscription_id)
        .order_by(status_notices.c.occurred_at.desc(), status_notices.c.id)
        .limit(limit)
    )
    return [ChangeNotice(*row) for row in tx.execute(query)]


def remove_notices_before(tx: Tx, moment: datetime) -> int:
    """Remove notices of changes before a moment; answers how many."""
    return tx.execute(delete(status_notices).where(status_notices.c.occurred_at < moment)).rowcount


def waiting(tx: Tx, notice_id: str) -> ChangeNotice | None:
    """The notice, unless it was delivered or given up."""
    row = delivery.waiting(tx, status_notices.c.delivered_at, notice_id)
    return None if row is None else ChangeNotice(*list(row))


def attempted(tx: Tx, notice_id: str, now: datetime, problem: str, *, given_up: bool) -> None:
    """Count an attempt; "" for `problem` says that it was delivered."""
    delivered = status_notices.c.delivered_at
    delivery.attempted(tx, delivered, notice_id, now, problem, given_up=given_up)
