"""Signing in and out: how somebody becomes a session, and how a session ends.

- A sign-in always makes a new session id; the one the browser had before ends (session fixation,
  attack 10).
- Ending a session ends the tokens that grew out of it, except those the person allowed to work
  offline (OIDC Core §11).
"""

import dataclasses
import secrets
from dataclasses import dataclass
from datetime import datetime

from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.accounts.backchannel import Notices
from idp.models import SESSION_LIFETIME, Person, Session
from idp.store import devices, digests, families, sessions
from idp.store.attempts import AttemptFacts
from idp.token.tokens import ACCESS_TOKEN_LIFETIME
from ledger import Entry, Ledger


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
        seen: AttemptFacts,
        now: datetime,
    ) -> OpenedSession:
        """Somebody proved who they are; `replaces` is the session id that the browser had before.
        One ledger entry.

        The browser's former session never survives a sign-in. Its public name does when the same
        person signs in again, so that what they are doing elsewhere goes on.
        """
        session_id = secrets.token_urlsafe(32)
        sid = seen.sid if seen.same_person else None
        session = Session(
            id_hash=digests.sha256(session_id),
            sid=sid or secrets.token_urlsafe(16),
            person=person,
            authenticated_at=now,
            amr=amr,
            acr=acr,
            expires_at=now + SESSION_LIFETIME,
        )
        session = self._put(tx, session, replaces, seen, now)
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

    def _put(
        self, tx: Tx, session: Session, replaces: str | None, seen: AttemptFacts, now: datetime
    ) -> Session:
        """Store a session in the place of the one before; as a new one where that has ended since
        it was seen."""
        if seen.same_person and replaces:
            if sessions.renew_session(tx, session, replaces, now):
                return session
            session = dataclasses.replace(session, sid=secrets.token_urlsafe(16))
        elif seen.sid is not None:
            old = sessions.session(tx, replaces, now)
            if old is not None:
                self.close(tx, old, "replaced", now)
        sessions.add_session(tx, session)
        return session
