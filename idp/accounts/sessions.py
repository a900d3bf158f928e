"""Signing in and out: how somebody becomes a session, and how a session ends.

- A sign-in always makes a new session id; the one the browser had before ends (session fixation,
  attack 10).
- Ending a session ends the tokens that grew out of it, except those the person allowed to work
  offline (OIDC Core §11).
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.accounts.backchannel import Notices
from idp.models import Person, Session
from idp.store import devices, digests, families, sessions
from idp.token.tokens import ACCESS_TOKEN_LIFETIME
from ledger import Entry, Ledger

SESSION_LIFETIME: Final = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """`session_id` is the secret for the browser's cookie; it is stored nowhere."""

    session_id: str
    session: Session


class Sessions:
    """Everybody who is signed in."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        notices: Notices,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._notices = notices

    def session(self, session_id: str | None) -> Session | None:
        """The live session behind a cookie value."""
        if not session_id:
            return None
        with self._database.read() as tx:
            return sessions.session(tx, session_id, self._clock())

    def of(self, person: Person) -> list[Session]:
        """Every browser in which the person is signed in, newest first."""
        with self._database.read() as tx:
            return sessions.sessions_of(tx, person, self._clock())

    def end(self, session_id: str | None) -> bool:
        """Sign out. Answers whether there was a session."""
        if not session_id:
            return False
        with self._database.write() as tx:
            session = sessions.session(tx, session_id, self._clock())
            return session is not None and self.close(tx, session, "signed_out")

    def end_one_of(self, person: Person, sid: str) -> bool:
        """Sign out another browser of the same person."""
        with self._database.write() as tx:
            mine = sessions.sessions_of(tx, person, self._clock())
            found = next((session for session in mine if session.sid == sid), None)
            return found is not None and self.close(tx, found, "signed_out_elsewhere")

    def close(self, tx: Tx, session: Session, reason: str, now: datetime | None = None) -> bool:
        """End a session and every token of it that may not work offline; one ledger entry. Its
        services are told (`backchannel`)."""
        now = now or self._clock()
        sessions.end_session(tx, session.sid)
        families.end_codes(tx, now, reason, sid=session.sid)
        devices.take_back(
            tx, session.person.id, lambda device: device.is_online_in(session.sid), now
        )
        self._notices.announce(tx, session, now)
        online = [
            family.id
            for family in families.live_families(tx, sid=session.sid)
            if family.authorization.ends_with_session
        ]
        families.revoke_families(self._database, tx, online, reason, now, ACCESS_TOKEN_LIFETIME)
        entry = Entry(
            kind="idp.session_ended",
            actor=session.person.actor,
            at=now,
            subject=session.person.subject,
            details={"reason": reason, "families": str(len(online))},
        )
        self._ledger.append(tx, entry)
        return True

    def open(
        self,
        tx: Tx,
        person: Person,
        amr: tuple[str, ...],
        acr: str,
        replaces: str | None,
        now: datetime,
    ) -> OpenedSession:
        """Somebody proved who they are; `replaces` is the session id that the browser had before.
        One ledger entry."""
        session_id = secrets.token_urlsafe(32)
        session = Session(
            id_hash=digests.sha256(session_id),
            sid=self._continued(tx, person, replaces, now) or secrets.token_urlsafe(16),
            person=person,
            authenticated_at=now,
            amr=amr,
            acr=acr,
            expires_at=now + SESSION_LIFETIME,
        )
        sessions.add_session(tx, session)
        entry = Entry(
            kind="idp.signed_in",
            actor=person.actor,
            at=now,
            subject=person.subject,
            verdict="signed_in",
            details={"amr": " ".join(amr), "acr": session.acr},
        )
        self._ledger.append(tx, entry)
        return OpenedSession(session_id, session)

    def _continued(self, tx: Tx, person: Person, replaces: str | None, now: datetime) -> str | None:
        """The browser's former session never survives a sign-in. Its public name does when the same
        person signs in again, so that what they are doing elsewhere goes on.
        """
        old = sessions.session(tx, replaces, now)
        if old is None:
            return None
        if old.person.id != person.id:
            self.close(tx, old, "replaced", now)
            return None
        sessions.forget_cookie(tx, old.id_hash)
        return old.sid
