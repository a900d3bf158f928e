"""Who is signed in with which browser, and who is about to sign out."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from foundation.database import Tx
from idp.models import Person, Session, idp_sessions, logouts, people
from idp.store.digests import sha256
from idp.store.people import person_of


def add_session(tx: Tx, session: Session) -> None:
    """Store a new session."""
    tx.execute(insert(idp_sessions).values(sid=session.sid, **_proved(session)))


def renew_session(tx: Tx, session: Session, cookie: str, now: datetime) -> bool:
    """Put a new session in the place of the same person's live one behind this cookie value, which
    opens nothing any more; False when there is none by now."""
    table = idp_sessions
    before = (table.c.id_hash == sha256(cookie), table.c.person_id == session.person.id)
    renewed = update(table).where(*before, table.c.sid == session.sid, table.c.expires_at > now)
    return tx.execute(renewed.values(**_proved(session))).rowcount > 0


def session(tx: Tx, session_id: str | None, now: datetime, *, hold: bool = False) -> Session | None:
    """The live session behind a cookie value, of a person who is not disabled; None without one.

    With `hold` it does not end before this transaction does: what is granted on it is there to be
    ended with it.
    """
    if not session_id:
        return None
    return _live(tx, idp_sessions.c.id_hash == sha256(session_id), now, hold=hold)


def session_named(tx: Tx, sid: str, now: datetime) -> Session | None:
    """The live session with this public name. Who knows a name may do nothing by that alone."""
    return _live(tx, idp_sessions.c.sid == sid, now)


def _live(tx: Tx, which: Any, now: datetime, *, hold: bool = False) -> Session | None:
    query = (
        select(idp_sessions, people)
        .join_from(idp_sessions, people, idp_sessions.c.person_id == people.c.id)
        .where(which, idp_sessions.c.expires_at > now, people.c.disabled_at.is_(None))
    )
    if hold:
        query = query.with_for_update(read=True, of=idp_sessions)
    row = tx.execute(query).first()
    return None if row is None else _session_of(row, person_of(row))


def sessions_of(tx: Tx, person: Person, now: datetime) -> list[Session]:
    """The person's live sessions, the latest sign-in first."""
    query = (
        select(idp_sessions)
        .where(idp_sessions.c.person_id == person.id, idp_sessions.c.expires_at > now)
        .order_by(idp_sessions.c.authenticated_at.desc())
    )
    return [_session_of(row, person) for row in tx.execute(query)]


def end_session(tx: Tx, sid: str) -> bool:
    """Delete the session with this public name; False when there was none."""
    ended = tx.execute(delete(idp_sessions).where(idp_sessions.c.sid == sid))
    return ended.rowcount > 0


def _proved(session: Session) -> dict[str, Any]:
    """The columns that follow from a sign-in."""
    return {
        "id_hash": session.id_hash,
        "person_id": session.person.id,
        "authenticated_at": session.authenticated_at,
        "amr": list(session.amr),
        "acr": session.acr,
        "expires_at": session.expires_at,
    }


def _session_of(row: Row[Any], person: Person) -> Session:
    return Session(
        id_hash=row.id_hash,
        sid=row.sid,
        person=person,
        authenticated_at=row.authenticated_at,
        amr=tuple(row.amr),
        acr=row.acr,
        expires_at=row.expires_at,
    )


def add_logout(tx: Tx, logout_id: str, redirect_to: str | None, expires_at: datetime) -> None:
    """Store a sign-out that waits for the person's yes, with the address to go to afterwards."""
    tx.execute(insert(logouts).values(id=logout_id, redirect_to=redirect_to, expires_at=expires_at))


def take_logout(tx: Tx, logout_id: str, now: datetime) -> str | None:
    """Where to go after a pending logout; it is used up."""
    mine = (logouts.c.id == logout_id, logouts.c.expires_at > now)
    return tx.execute(delete(logouts).where(*mine).returning(logouts.c.redirect_to)).scalar()
