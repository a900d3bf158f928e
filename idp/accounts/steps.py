"""What the state machine (`flow`) needs from the database before a step, and leaves there after it.

- Read without a lock; verify outside any transaction; then one transaction locks the counter,
  judges the wait again (others tried too), and counts, or goes on and opens the session.
- An attempt is counted or forgotten in the transaction that answers it: what no answer came of
  (the database was away) counts for nothing.
- Failures are forgotten when somebody is signed in, not by a step on the way: else a known first
  factor would buy free guesses at the second.
- Right or wrong, an attempt is one ledger entry. The name that was tried is never in clear.
"""

from dataclasses import replace
from datetime import datetime

from foundation.actor import ANONYMOUS
from foundation.database import Database, Tx
from idp.accounts.authenticators import AUTHENTICATORS, amr_of
from idp.accounts.authenticators.interface import Answer, Flow, SignInAccount
from idp.accounts.flow import Challenge, Choose, Denied, SignedIn, Step, answered, denied
from idp.accounts.sessions import OpenedSession, Sessions
from idp.models import Person
from idp.store import people
from idp.store.attempts import AttemptFacts, Attempts
from ledger import Entry, Ledger


class Steps:
    """Reads the facts of a flow, and writes down what became of a step."""

    def __init__(self, database: Database, ledger: Ledger, sessions: Sessions) -> None:
        self._ledger = ledger
        self._sessions = sessions
        self._attempts = Attempts(database)

    def read(
        self,
        tx: Tx,
        flow: Flow,
        answer: Answer,
        client_id: str,
        replaces: str | None,
        now: datetime,
    ) -> tuple[Flow, AttemptFacts]:
        """The flow with its facts, for an answer that is going to be verified, and what will be
        relied on if it is right. Who is unknown is looked up like who is known."""
        seen = self._attempts.look(tx, flow.username, client_id, replaces, now)
        return replace(self._enrolled(tx, flow, seen.account, answer), wait=seen.wait), seen

    def enrolled(self, tx: Tx, flow: Flow) -> Flow:
        """The flow with its account and what can be asked of it, for a page."""
        return self._enrolled(tx, flow, people.account(tx, flow.username), {})

    def _enrolled(
        self, tx: Tx, flow: Flow, known: tuple[Person, str | None] | None, answer: Answer
    ) -> Flow:
        if known is None:
            return flow
        account = SignInAccount(*known)
        rows = list(AUTHENTICATORS.values())
        if not (flow.wanted or flow.proved):
            rows = [each for each in [answered(flow, answer)] if each]
        held = {each.name: each.list(tx, account) for each in rows}
        return replace(flow, account=account, credentials=held)

    def settle(
        self,
        tx: Tx,
        flow: Flow,
        answer: Answer,
        step: Step,
        replaces: str | None,
        seen: AttemptFacts,
        now: datetime,
    ) -> Choose | Challenge | Denied | OpenedSession:
        """What a verified answer leads to; `step` is what it looked like without the lock, and
        `seen` on what.

        1. Hold the counter, judge the wait again.
        2. Wrong: count, and say so in one sentence for all causes. What counts once and was used
           meanwhile is wrong too.
        3. A step on the way changes no count.
        4. Right: forget the count, where holding it did not yet; make a session.
        """
        authenticator = answered(flow, answer)
        assert authenticator is not None
        # 1.
        key = self._attempts.key(flow.username)
        held = self._attempts.hold(tx, key, now, seen if isinstance(step, SignedIn) else None)
        if wait := max(flow.wait, held.wait):
            self._refuse(tx, "too_many_attempts", flow, now)
            return denied(flow, authenticator, "too_many_attempts", wait)
        # 2.
        if not isinstance(step, Denied) and not authenticator.accept(tx, flow, answer, now):
            step = denied(flow, authenticator, "wrong_credentials")
        if isinstance(step, Denied):
            self._attempts.failed(tx, key, now, held.forgotten)
            self._refuse(tx, "wrong_credentials", flow, now)
            return step
        # 3.
        if not isinstance(step, SignedIn):
            assert flow.person is not None
            self._note(tx, flow.person, step.flow.proved, now)
            return step
        # 4.
        self._attempts.succeeded(tx, key, held)
        return self._sessions.open(tx, step.person, step.amr, step.acr, replaces, seen, now)

    def _refuse(self, tx: Tx, verdict: str, flow: Flow, now: datetime) -> None:
        entry = Entry(
            kind="idp.sign_in_refused",
            actor=ANONYMOUS,
            at=now,
            subject=flow.person.subject if flow.person else "",
            verdict=verdict,
            private={"username": flow.username},
        )
        self._ledger.append(tx, entry)

    def _note(self, tx: Tx, person: Person, proved: tuple[str, ...], now: datetime) -> None:
        entry = Entry(
            kind="idp.sign_in_continued",
            actor=ANONYMOUS,
            at=now,
            subject=person.subject,
            details={"amr": " ".join(amr_of(proved))},
        )
        self._ledger.append(tx, entry)
