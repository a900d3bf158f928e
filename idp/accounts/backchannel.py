"""Back-channel logout: every service of an ended session is told so, server to server
(OpenID Connect Back-Channel Logout 1.0).

    a session ends ─▶ one notice per service, in the same transaction ─▶ job ─▶ POST ─▶ confirmed

- A service that is out of order is told again, ever later, for three days; then the notice is
  given up. The person sees which services did not confirm that they signed them out, and an
  operator may let them be told again.
- The logout token is made when it is sent and lives two minutes; every attempt has a new one.
- It is sent to the registered address only, by `foundation.outbound.client`.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, Literal

from sqlalchemy import Row

from foundation.actor import Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.jobs import OUTBOUND, Jobs, wait_after
from foundation.outbound import (
    Outbound,
    OutboundError,
    place_of,
)
from idp.clients.service import Clients
from idp.models import Client, Person, Session
from idp.protocol.errors import LogoutNotConfirmed, NoSuchNotice
from idp.protocol.subjects import subject_for
from idp.store import families, logout_notices
from idp.token.tokens import Tokens
from ledger import Entry, Ledger

TASK: Final = "idp.logout_notice"
TYPE: Final = "logout+jwt"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
TOKEN_LIFETIME: Final = timedelta(minutes=2)  # §2.4: preferably at most two minutes
TRIED_FOR: Final = timedelta(hours=72)  # over a weekend

State = Literal["waiting", "confirmed", "given_up"]


@dataclass(frozen=True, slots=True)
class LogoutNotice:
    """What a service was told and what it answered; of whose session is nobody's business here."""

    id: str
    client: Client
    ended_at: datetime
    state: State
    attempts: int
    problem: str


class Notices:
    """Who has to be told, who was, and who did not confirm."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        tokens: Tokens,
        jobs: Jobs,
        outbound: Outbound,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._tokens = tokens
        self._jobs = jobs
        self._outbound = outbound
        self._clock = clock
        jobs.register(TASK, self.deliver, lane=OUTBOUND)

    def announce(self, tx: Tx, session: Session, now: datetime) -> None:
        """Tell every service that the session signed in to, and that wants to be told (§2.5)."""
        served = families.clients_of_session(tx, session.sid)
        for registered in self._clients.known(tx, served).values():
            client = registered.client
            if registered.disabled or not client.backchannel_logout_uri:
                continue
            notice_id = secrets.token_urlsafe(32)
            logout_notices.add(tx, notice_id, client.client_id, session.person.id, session.sid, now)
            self._enqueue(tx, notice_id, client)

    def deliver(self, payload: Mapping[str, Any]) -> None:
        """Send one notice; a job. Raises `LogoutNotConfirmed`, so that the engine tries again
        until we give up: how often is counted here, where a silent key service does not count.

        1. What was confirmed, given up or swept away is not sent again.
        2. The service answers 200 or 204 (§2.8): confirmed.
        3. Anything else is tried again, ever later, for `TRIED_FOR`; then it is given up.
        """
        # 1.
        with self._database.read() as tx:
            notice = logout_notices.waiting(tx, str(payload["notice"]))
            client = self._clients.find(tx, notice.client_id) if notice is not None else None
        if notice is None:
            return
        # 2.
        problem = self._send(client, notice) if client else "the service is not registered any more"
        # 3.
        now = self._clock()
        over = problem and notice.attempts + 1 >= _attempts_within(TRIED_FOR)
        with self._database.write() as tx:
            logout_notices.attempted(tx, notice.id, now, problem, given_up=bool(over))
            if not problem or over:
                self._append(tx, notice, client, now, problem)
        if problem and not over:
            raise LogoutNotConfirmed(problem)

    def of(self, person: Person) -> list[LogoutNotice]:
        """What the person's services were told in the last month, newest first."""
        with self._database.read() as tx:
            return self._notices(tx, logout_notices.about(tx, person.id))

    def unconfirmed(self, person: Person) -> list[LogoutNotice]:
        """The services that did not confirm, or not yet."""
        return [notice for notice in self.of(person) if notice.state != "confirmed"]

    def waiting_or_given_up(self, client_id: str = "") -> list[LogoutNotice]:
        """What was not confirmed, for an operator: newest first, of one client or of all."""
        with self._database.read() as tx:
            return self._notices(tx, logout_notices.unconfirmed(tx, client_id))

    def send_again(self, notice_id: str, *, by: Actor) -> LogoutNotice:
        """Send a notice now: one that waits for its next attempt, or one that was given up, which
        is then tried for as long as a new one. Raises `NoSuchNotice`."""
        now = self._clock()
        with self._database.write() as tx:
            again = logout_notices.begin_again(tx, notice_id)
            row = logout_notices.waiting(tx, notice_id)
            client = self._clients.find(tx, row.client_id) if row is not None else None
            if row is None or client is None:
                raise NoSuchNotice("no notice of this id waits or was given up")
            self._enqueue(tx, notice_id, client)
            details = {"client_id": client.client_id, "given_up": str(again).lower()}
            entry = Entry(kind="idp.logout_told_again", actor=by, at=now, details=details)
            self._ledger.append(tx, entry)
        for job in self._jobs.troubles(_key(notice_id)):
            self._jobs.try_again(job.id)
        return _notice(row, client)

    def _notices(self, tx: Tx, rows: Sequence[Row[Any]]) -> list[LogoutNotice]:
        known = self._clients.known(tx, [row.client_id for row in rows])
        return [_notice(row, known[row.client_id].client) for row in rows if row.client_id in known]

    def _enqueue(self, tx: Tx, notice_id: str, client: Client) -> None:
        lock = place_of(client.backchannel_logout_uri)
        self._jobs.enqueue(tx, TASK, {"notice": notice_id}, lock=lock, key=_key(notice_id))

    def _send(self, client: Client, notice: Row[Any]) -> str:
        """What went wrong, in words without personal data; "" when it was confirmed."""
        subject = subject_for(self._database.cipher, client, notice.person_id)
        claims = logout_claims(
            self._tokens.issuer,
            client.client_id,
            subject,
            notice.sid,
            secrets.token_urlsafe(16),
            self._clock(),
        )
        token = self._tokens.sign(client, claims, typ=TYPE)
        try:
            answer = self._outbound.post(client.backchannel_logout_uri, {"logout_token": token})
        except OutboundError as problem:
            return problem.detail
        return "" if answer.status in (200, 204) else f"the service answered {answer.status}"

    def _append(
        self, tx: Tx, notice: Row[Any], client: Client | None, now: datetime, problem: str
    ) -> None:
        if client is None:
            return
        entry = Entry(
            kind="idp.logout_told",
            actor=client.actor,
            at=now,
            verdict="given_up" if problem else "confirmed",
            details={"client_id": notice.client_id},
        )
        self._ledger.append(tx, entry)


def logout_claims(
    issuer: str, client_id: str, subject: str, sid: str, jti: str, now: datetime
) -> dict[str, Any]:
    """The claims of a logout token (§2.4): never a nonce, so that it is no ID token."""
    seconds = int(now.timestamp())
    return {
        "iss": issuer,
        "aud": client_id,
        "sub": subject,
        "sid": sid,
        "iat": seconds,
        "exp": seconds + int(TOKEN_LIFETIME.total_seconds()),
        "jti": jti,
        "events": {EVENT: {}},
    }


@cache
def _attempts_within(span: timedelta) -> int:
    """How many attempts the engine makes until `span` has passed, the first and last included."""
    attempts, passed, failure = 1, timedelta(0), LogoutNotConfirmed("not yet")
    while passed < span:
        passed += wait_after(attempts, failure, OUTBOUND) or span
        attempts += 1
    return attempts


def _key(notice_id: str) -> str:
    return f"logout/{notice_id}"


def _notice(row: Row[Any], client: Client) -> LogoutNotice:
    state: State = "waiting"
    if row.confirmed_at is not None:
        state = "confirmed"
    elif row.given_up_at is not None:
        state = "given_up"
    return LogoutNotice(row.id, client, row.created_at, state, row.attempts, row.problem)
