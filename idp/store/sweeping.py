"""What is over and goes: bit by bit, over all tables of this package."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from foundation.database import Tx
from idp.models import (
    device_codes,
    idp_sessions,
    initial_access_tokens,
    interactions,
    logout_notices,
    logouts,
    pushed_requests,
    replays,
    revocations,
    sign_in_attempts,
    token_families,
)


def sweep(tx: Tx, now: datetime, most: int) -> int:
    """Delete what is over, at most `most` rows of each table, so that no writer waits for long.
    Interactions stay a day more, so that a late tab finds its way back."""
    over = (
        (idp_sessions, idp_sessions.c.expires_at <= now),
        (initial_access_tokens, initial_access_tokens.c.expires_at <= now),
        (device_codes, device_codes.c.expires_at <= now - timedelta(days=1)),
        (logouts, logouts.c.expires_at <= now),
        (pushed_requests, pushed_requests.c.expires_at <= now - timedelta(days=1)),
        (interactions, interactions.c.expires_at <= now - timedelta(days=1)),
        # As long as a session may live: its services are to be told when it ends.
        (token_families, token_families.c.expires_at <= now - timedelta(hours=8)),
        (logout_notices, logout_notices.c.created_at <= now - timedelta(days=30)),
        (revocations, revocations.c.expires_at <= now),
        (replays, replays.c.expires_at <= now),
        (sign_in_attempts, sign_in_attempts.c.last_failure_at <= now - timedelta(days=1)),
    )
    gone = 0
    for table, condition in over:
        [key] = table.primary_key.columns
        few = select(key).where(condition).limit(most)
        gone += tx.execute(delete(table).where(key.in_(few))).rowcount
    return gone
