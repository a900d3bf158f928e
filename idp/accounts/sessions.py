"""Signing in and out: how somebody becomes a session, and how a session ends.

- A sign-in always makes a new session id; the one the browser had before ends (session fixation,
  attack 10).
- An attempt is counted or forgotten in the transaction that answers it: what no answer came of
  (the database was away) counts for nothing.
- Right or wrong, an attempt is one ledger entry. The name that was tried is never in clear.
- Ending a session ends the tokens that grew out of it, except those the person allowed to work
  offline (OIDC Core §11).
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from foundation.actor import ANONYMOUS
from foundation.clock import Clock
from foundation.database import Database, Tx
from idp.accounts.authenticators import password as password_authenticator
from idp.accounts.authenticators.password import Passwords
from idp.accounts.backchannel import Notices
from idp.models import Person, Session
from idp.protocol.acr import acr_of
from idp.store import devices, digests, families, people, sessions
from idp.store.attempts import Attempts
from idp.token.tokens import ACCESS_TOKEN_LIFETIME
from ledger import Entry, Ledger

SESSION_LIFETIME: Final = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`session_id` is the secret for the browser's cookie; it is stored nowhere."""

    session_id: str
    session: Session


@dataclass(frozen=True, slots=True)
class Rejected:
    """`retry_after` seconds must pass before another attempt is looked at (0: at once)."""

    reason: Literal["wrong_credentials", "too_many_attempts"]
    retry_after: int = 0


class Sessions:
    """Everybody who is signed in."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        passwords: Passwords,
        notices: Notices,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._passwords = passwords
        self._notices = notices
        self._attempts = Attempts(database)

    def sign_in(
        self, username: str, password: str, *, replaces: str | None = None
    ) -> SignedIn | Rejected:
        """Check a user name and password; `replaces` is the session id the browser had before.

        1. Look who it would be and whether they must wait, without a lock.
        2. Verify, outside any transaction: it is slow on purpose.
        3. In one transaction: hold the counter and judge the wait again: others tried too.
        4. Right: forget the count, make a session. Wrong: count, and say so in one sentence for all
           causes.
        """
        name = username.strip().casefold()[:200]
        key = self._attempts.key(name)
        # 1.
        with self._database.read() as tx:
            wait = self._attempts.glance(tx, key, self._clock())
            person, password_hash = people.account(tx, name) or (None, None)
        # 2.
        good = not wait and self._passwords.verify(password_hash, password)
        with self._database.write() as tx:
            # 3.
            now = self._clock()
            wait = max(wait, self._attempts.hold(tx, key, now))
            if wait:
                self._refuse(tx, "too_many_attempts", name, person)
                return Rejected("too_many_attempts", wait)
            # 4.
            if not good or person is None or person.disabled:
                self._attempts.failed(tx, key, now)
                self._refuse(tx, "wrong_credentials", name, person)
                return Rejected("wrong_credentials")
            self._attempts.succeeded(tx, key)
            return self._open(tx, person, password_authenticator.AMR, replaces)

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

    def close(self, tx: Tx, session: Session, reason: str) -> bool:
        """End a session and every token of it that may not work offline; one ledger entry. Its
        services are told (`backchannel`)."""
        now = self._clock()
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

    def _open(self, tx: Tx, person: Person, amr: tuple[str, ...], replaces: str | None) -> SignedIn:
        now = self._clock()
        session_id = secrets.token_urlsafe(32)
        session = Session(
            id_hash=digests.sha256(session_id),
            sid=self._continued(tx, person, replaces) or secrets.token_urlsafe(16),
            person=person,
            authenticated_at=now,
            amr=amr,
            acr=acr_of(amr),
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
        return SignedIn(session_id, session)

    def _continued(self, tx: Tx, person: Person, replaces: str | None) -> str | None:
        """The browser's former session never survives a sign-in. Its public name does when the same
        person signs in again, so that what they are doing elsewhere goes on.
        """
        old = sessions.session(tx, replaces, self._clock())
        if old is None:
            return None
        if old.person.id != person.id:
            self.close(tx, old, "replaced")
            return None
        sessions.forget_cookie(tx, old.id_hash)
        return old.sid

    def _refuse(self, tx: Tx, verdict: str, name: str, person: Person | None) -> None:
        entry = Entry(
            kind="idp.sign_in_refused",
            actor=ANONYMOUS,
            at=self._clock(),
            subject=person.subject if person else "",
            verdict=verdict,
            private={"username": name},
        )
        self._ledger.append(tx, entry)
