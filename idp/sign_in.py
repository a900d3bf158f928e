"""A sign-in between its pages: the state machine of `accounts`, the interaction that it is for.

- One flow for each interaction, one for each browser that signs in to our own pages. It lies in the
  database, so that a restart, a reload, a second tab or the back button find it.
- A step is a read, a verification outside any transaction, and one transaction: from the locked
  counter of failures to the code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.database import Database, Tx
from idp.accounts import flow as flows
from idp.accounts.authenticators import AUTHENTICATORS, default
from idp.accounts.authenticators.interface import Answer, Flow
from idp.accounts.flow import Challenge, Choose, Denied, SignedIn
from idp.accounts.sessions import OpenedSession, Sessions
from idp.accounts.steps import Steps
from idp.authorize.interaction import Decision, Interaction, Interactions
from idp.authorize.rules import Granted
from idp.models import Person, Session
from idp.store import interactions, sessions
from ledger import Ledger


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Somebody signed in. `next` is what their interaction needs now, if there is one."""

    session_id: str
    session: Session
    next: Decision | None = None

    @property
    def person(self) -> Person:
        """Who signed in."""
        return self.session.person


class SignIn:
    """What a sign-in page asks, and what becomes of an answer."""

    def __init__(
        self, database: Database, ledger: Ledger, opened: Sessions, interactions: Interactions
    ) -> None:
        self._database = database
        self._interactions = interactions
        self._steps = Steps(database, ledger, opened)

    def page(
        self,
        interaction: Interaction | None,
        browser: str | None,
        now: datetime,
    ) -> Choose | Challenge:
        """What the sign-in page asks now, for an interaction or for the portal itself. What it must
        remember until the answer comes is written down."""
        with self._database.read() as tx:
            before = self._stored_flow(tx, interaction, browser)
            flow = flows.started(flows.restored(before, _wanted(interaction), now), {}, now)
            if flow.proved:
                flow = self._steps.enrolled(tx, flow)
        page = flows.opening(flow)
        if flows.stored(page.flow) != before:
            with self._database.write() as tx:
                self._keep_flow(tx, interaction, browser, before, page.flow, now)
        return page

    def answer(
        self,
        interaction: Interaction | None,
        answer: Answer,
        *,
        browser: str | None = None,
        session_id: str | None = None,
        now: datetime,
    ) -> Choose | Challenge | Denied | Authenticated:
        """One step of a sign-in, for an interaction that was just read or for the portal itself.

        `answer` are the fields of the form, `session_id` is the old cookie.

        1. Read what it takes, without a lock: also the consent and the old session that it will
           stand on, if it is right.
        2. Verify, outside any transaction: it is slow on purpose.
        3. In one transaction: judge again under the lock, then count, or open the session and go
           on, as far as the code.
        """
        # 1.
        with self._database.read() as tx:
            before = self._stored_flow(tx, interaction, browser)
            flow = flows.started(flows.restored(before, _wanted(interaction), now), answer, now)
            flow, seen = self._steps.read(tx, flow, answer, _asking(interaction), session_id, now)
        # 2.
        step = flows.advance(flow, answer, now)
        attempt = not answer.get("choose") and flows.answered(flow, answer) is not None
        # 3.
        with self._database.write() as tx:
            if attempt:
                came = self._steps.settle(tx, flow, answer, step, session_id, seen, now)
            else:
                assert not isinstance(step, SignedIn), "only an attempt signs anybody in"
                came = step
            if not isinstance(came, OpenedSession):
                self._keep_flow(tx, interaction, browser, before, _flow_after(came), now)
                return came
            decision = None
            if interaction is not None:
                agreed = seen.agreement
                decision = self._interactions.go_on(tx, interaction, came.session, agreed, now)
            if not isinstance(decision, Granted):  # which ends the flow with the interaction
                self._keep_flow(tx, interaction, browser, before, Flow(), now)
            return Authenticated(came.session_id, came.session, decision)

    def fields(self, answer: Answer) -> tuple[str, ...]:
        """Those that the form has to fill that this answer came from; none for a choice."""
        if answer.get("choose"):
            return ()
        named = AUTHENTICATORS.get(answer.get("authenticator") or default().name)
        return named.fields if named else ()

    def ready(self, interaction: Interaction, session_id: str | None, now: datetime) -> bool:
        """Whether whoever is signed in satisfies an interaction that was just read."""
        with self._database.read() as tx:
            session = sessions.session(tx, session_id, now)
            return session is not None and self._interactions.ready(tx, interaction, session, now)

    def _stored_flow(
        self, tx: Tx, interaction: Interaction | None, browser: str | None
    ) -> Mapping[str, Any] | None:
        if interaction is not None:
            return interaction.flow
        return interactions.own_flow(self._database, tx, browser) if browser else None

    def _keep_flow(
        self,
        tx: Tx,
        interaction: Interaction | None,
        browser: str | None,
        before: Mapping[str, Any] | None,
        flow: Flow,
        now: datetime,
    ) -> None:
        document = flows.stored(flow)
        if document == before:
            return
        if interaction is not None:
            interactions.keep_flow(tx, interaction.id, document)
        elif browser:
            lifetime = flows.FLOW_LIFETIME
            interactions.keep_own_flow(self._database, tx, browser, document, now, lifetime)


def _wanted(interaction: Interaction | None) -> tuple[str, ...]:
    """The levels that the client of an interaction asks for."""
    if interaction is None:
        return ()
    return interaction.request.essential_acr or interaction.request.acr_values


def _asking(interaction: Interaction | None) -> str:
    """The client whose stored consent counts; of our own pages nobody is asked."""
    if interaction is None or interaction.client.first_party:
        return ""
    return interaction.client.client_id


def _flow_after(step: Choose | Challenge | Denied) -> Flow:
    """What is remembered of a flow after a step that did not end it."""
    page = step.page if isinstance(step, Denied) else step
    return page.flow if page else Flow()
