"""Notices of ended sessions: which service is told, and what came of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select

from foundation import delivery
from foundation.database import Tx
from idp.models import logout_notices

_SHOWN = 100
_LISTED = 1_000


def add(
    tx: Tx, notice_id: str, client_id: str, person_id: str, sid: str, created_at: datetime
) -> None:
    """Store a notice that no attempt has been made to send yet."""
    tx.execute(
        insert(logout_notices).values(
            id=notice_id,
            client_id=client_id,
            person_id=person_id,
            sid=sid,
            created_at=created_at,
            attempts=0,
            problem="",
        )
    )


def waiting(tx: Tx, notice_id: str) -> Row[Any] | None:
    """The notice, unless it was confirmed or given up."""
    return delivery.waiting(tx, logout_notices.c.confirmed_at, notice_id)


def attempted(tx: Tx, notice_id: str, now: datetime, problem: str, *, given_up: bool) -> None:
    """Count an attempt; "" for `problem` says that it was confirmed."""
    confirmed = logout_notices.c.confirmed_at
    delivery.attempted(tx, confirmed, notice_id, now, problem, given_up=given_up)


def begin_again(tx: Tx, notice_id: str) -> bool:
    """Let a notice that was given up be sent again; False when it was not."""
    return delivery.begin_again(tx, logout_notices.c.confirmed_at, notice_id)


def unconfirmed(tx: Tx, client_id: str) -> Sequence[Row[Any]]:
    """Notices that wait or were given up, newest first; of one client, or with "" of all."""
    query = select(logout_notices).where(logout_notices.c.confirmed_at.is_(None))
    if client_id:
        query = query.where(logout_notices.c.client_id == client_id)
    newest = logout_notices.c.created_at.desc(), logout_notices.c.id
    return tx.execute(query.order_by(*newest).limit(_LISTED)).all()


def about(tx: Tx, person_id: str) -> Sequence[Row[Any]]:
    """The latest notices about a person's sessions, newest first."""
    query = select(logout_notices).where(logout_notices.c.person_id == person_id)
    return tx.execute(query.order_by(logout_notices.c.created_at.desc()).limit(_SHOWN)).all()
