"""The authorization endpoint as an interaction over several requests and pages.

The interaction is kept in the database under its own id: several tabs, a reload, the back button or
a restart of the server lose nothing, because every step asks `resume` what comes next.

    begin ── Login ──▶ page /signin/{id} ── authenticate ──┐
      │                                                    ▼
      ├──── Consent ─▶ page /consent/{id} ─ decide_consent ─▶ Granted(code, state, iss)
      └──── Refused (to the client, or only to the person)

- An interaction belongs to the browser that began it (attack 10): another one gets
  `InteractionElsewhere`.
- A finished interaction still answers: it continues to its own client with a new code.
"""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row

from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.ids import uuid7
from idp.authorize import rules
from idp.authorize.entries import consent, refusal
from idp.authorize.pushed import reference_hash
from idp.authorize.request_intake import RequestIntake
from idp.authorize.rules import Consent, Granted, Login, RequestRefused
from idp.clients.service import Clients
from idp.models import Client, Person, Session, Texts
from idp.protocol.authorizations import Agreement, AuthorizationRequest, Family
from idp.protocol.claims import CLAIMS
from idp.protocol.errors import InteractionElsewhere, InteractionNotFound
from idp.protocol.subjects import subject_for
from idp.store import consents, digests, families, interactions, pushed, sessions
from idp.store.families import StoredCode
from idp.token.grants.authorization_code import CODE_LIFETIME, new_code
from ledger import Ledger

INTERACTION_LIFETIME: Final = timedelta(hours=1)

Decision = Login | Consent | Granted | RequestRefused


@dataclass(frozen=True, slots=True)
class ClaimView:
    """One kind of personal data as the consent page names it."""

    name: str
    label: Texts
    essential: bool


@dataclass(frozen=True, slots=True)
class Interaction:
    """A pending request as its page shows it.

    `ready`: whoever is signed in satisfies it already, because they signed in in another tab.
    `flow` is how far its sign-in has come, as stored.
    """

    id: str
    step: Literal["pending", "done"]
    ready: bool
    client: Client
    scopes: tuple[str, ...]
    claims: tuple[ClaimView, ...]
    login_hint: str
    ui_locales: tuple[str, ...]
    expires_at: datetime
    request: AuthorizationRequest = field(repr=False)
    flow: Mapping[str, Any] | None = field(default=None, repr=False)


class Interactions:
    """From an authorization request to a code or a refusal, step by step."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clients: Clients,
        intake: RequestIntake,
        clock: Clock,
        issuer: str,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clients = clients
        self._intake = intake
        self._clock = clock
        self._issuer = issuer

    def begin(
        self, params: Mapping[str, str], session_id: str | None, browser: str | None = None
    ) -> Decision:
        """A browser arrives with an authorization request (RFC 6749 §4.1.1).

        `browser` is the random id of its cookie; the interaction belongs to it.
        """
        now = self._clock()
        client_id = params.get("client_id", "")
        with self._database.read() as tx:
            client = self._clients.find(tx, client_id)
            forbidden = "" if client else self._clients.why_forbidden(tx, client_id)
        reference = reference_hash(params)
        if reference is not None and client is not None:
            return self._begin_pushed(reference, client, session_id, browser, now)
        checked = self._intake.check(params, client, pushed=False, now=now)
        if forbidden:
            checked = RequestRefused("invalid_client", forbidden)
        with self._database.write() as tx:
            if isinstance(checked, RequestRefused) or client is None:
                assert isinstance(checked, RequestRefused)
                self._refuse(tx, client, checked, now)
                return checked
            interaction_id = secrets.token_urlsafe(32)
            self._add(tx, interaction_id, checked, browser)
            session = sessions.session(tx, session_id, now, hold=True)
            return self._continue(tx, interaction_id, checked, client, session, now)

    def _begin_pushed(
        self,
        reference: str,
        client: Client,
        session_id: str | None,
        browser: str | None,
        now: datetime,
    ) -> Decision:
        """The browser brings a reference to a pushed request (RFC 9126 §4).

        1. The reference is this client's.
        2. Nobody was authorized through it yet.                                RFC 9126 §7.3
        3. It is not too old; but where this browser began with it in time (a reload, the back
           button), it goes on.
        4. The interaction begins; "sign in again" counts from now, not from the push.
        """
        interaction_id = self._interaction_of(reference, browser)
        with self._database.write() as tx:
            # 1. to 3.
            stored = pushed.find(tx, reference, client.client_id)
            begun = stored is not None and interactions.interaction(tx, interaction_id) is not None
            if stored is None or stored.used or (not begun and stored.expires_at <= now):
                refused = RequestRefused(
                    "invalid_request_uri",
                    "request_uri is unknown, expired or used",
                    client_uri=client.way_back,
                )
                self._refuse(tx, client, refused, now)
                return refused
            # 4.
            request = replace(stored.request, created_at=now, pushed=reference)
            self._add(tx, interaction_id, request, browser)  # leaves one that is there as it is
            request, client, _ = self._open(tx, interaction_id, browser, now)
            session = sessions.session(tx, session_id, now, hold=True)
            return self._continue(tx, interaction_id, request, client, session, now)

    def _interaction_of(self, reference: str, browser: str | None) -> str:
        """One reference and one browser make one interaction, however often the page is loaded."""
        both = f"{reference}\x00{browser or ''}"
        return self._database.cipher.blind_index(both, "interactions of pushed requests")[:43]

    def _add(
        self, tx: Tx, interaction_id: str, request: AuthorizationRequest, browser: str | None
    ) -> None:
        expires_at = request.created_at + INTERACTION_LIFETIME
        owner = digests.sha256(browser or "")
        interactions.add_interaction(self._database, tx, interaction_id, request, owner, expires_at)

    def resume(
        self, interaction_id: str, session_id: str | None, browser: str | None = None
    ) -> Decision:
        """What does this interaction need now? Asked by every page of it, and after every step."""
        now = self._clock()
        with self._database.write() as tx:
            request, client, _ = self._open(tx, interaction_id, browser, now)
            session = sessions.session(tx, session_id, now, hold=True)
            return self._continue(tx, interaction_id, request, client, session, now)

    def go_on(
        self,
        tx: Tx,
        interaction: Interaction,
        session: Session,
        agreed: Agreement | None,
        now: datetime,
    ) -> Decision:
        """The same, in the transaction that opens this session. `agreed` is a stored consent as it
        was read before: no code is made unless it still stands then."""
        known = interaction.id, interaction.request, interaction.client
        return self._continue(tx, *known, session, now, agreed)

    def ready(self, tx: Tx, interaction: Interaction, session: Session, now: datetime) -> bool:
        """Whether this session satisfies it."""
        known = interaction.id, interaction.request, interaction.client
        step, _ = self._next(tx, *known, session, now)
        return not isinstance(step, Login | RequestRefused)

    def interaction(
        self,
        tx: Tx,
        interaction_id: str,
        browser: str | None,
        session_id: str | None,
        now: datetime,
    ) -> Interaction:
        """What a page of this interaction shows. Raises `InteractionNotFound`, `…Elsewhere`."""
        request, client, row = self._open(tx, interaction_id, browser, now)
        interaction = self._shown(interaction_id, request, client, row)
        session = sessions.session(tx, session_id, now)
        ready = session is not None and self.ready(tx, interaction, session, now)
        return replace(interaction, ready=ready)

    def _shown(
        self, interaction_id: str, request: AuthorizationRequest, client: Client, row: Row[Any]
    ) -> Interaction:
        essential = rules.essential_claims(request)
        return Interaction(
            id=interaction_id,
            step="done" if row.finished_at else "pending",
            ready=False,
            client=client,
            scopes=request.scopes,
            claims=tuple(
                ClaimView(name, CLAIMS[name].label, name in essential)
                for name in rules.asked_claims(request)
            ),
            login_hint=request.login_hint,
            ui_locales=request.ui_locales,
            expires_at=row.expires_at,
            request=request,
            flow=row.flow,
        )

    def decide_consent(
        self,
        interaction_id: str,
        session_id: str | None,
        granted: bool,
        claims: Collection[str] | None = None,
        browser: str | None = None,
    ) -> Decision:
        """The person's answer. `claims` are those they allow (None: all that were asked)."""
        now = self._clock()
        with self._database.write() as tx:
            request, client, _ = self._open(tx, interaction_id, browser, now)
            session = sessions.session(tx, session_id, now, hold=True)
            asked = rules.asked(request)
            step = rules.decide(
                request, client, session, asked, subject=self._subject(client, session),
                interaction_id=interaction_id, issuer=self._issuer, now=now,
            )  # fmt: skip
            if session is None or isinstance(step, Login | RequestRefused):
                return step or Login(interaction_id)
            if not granted:
                interactions.finish_interaction(tx, interaction_id, now)
                refused = rules.denied(request, client, self._issuer)
                self._refuse(tx, client, refused, now, session.person)
                return refused
            allowed = frozenset(rules.asked_claims(request))
            if claims is not None:
                allowed &= frozenset(claims)
            agreement = Agreement(frozenset(request.scopes), allowed, frozenset(asked))
            self._remember(tx, session.person, client, agreement, now)
            granted_now = self._grant(tx, interaction_id, request, client, session, allowed, now)
            assert granted_now is not None, "it relies on the answer of this moment"
            return granted_now

    # --- inside ---------------------------------------------------------------------------------

    def _open(
        self, tx: Tx, interaction_id: str, browser: str | None, now: datetime
    ) -> tuple[AuthorizationRequest, Client, Row[Any]]:
        """The pending request, if it is still open and belongs to this browser."""
        found = interactions.interaction(tx, interaction_id)
        if found is None:
            raise InteractionNotFound(
                "this sign-in request is not known",
                next_step="go back to the service you came from and start again",
            )
        request, row = found
        client = self._clients.enabled(row)
        if client is None or row.expires_at <= now:
            raise InteractionNotFound(
                "this sign-in request has expired",
                next_step="go back to the service you came from and start again",
                client_uri=client.way_back if client else "",
            )
        if not secrets.compare_digest(row.browser_hash, digests.sha256(browser or "")):
            raise InteractionElsewhere(
                "this sign-in request was begun in another browser",
                next_step="open the service in this browser and start again",
                client_uri=client.way_back,
            )
        return request, client, row

    def _continue(
        self,
        tx: Tx,
        interaction_id: str,
        request: AuthorizationRequest,
        client: Client,
        session: Session | None,
        now: datetime,
        agreed: Agreement | None = None,
    ) -> Decision:
        known = interaction_id, request, client, session, now
        step, agreement = self._next(tx, *known, agreed, hold=True)
        if isinstance(step, RequestRefused):
            self._refuse(tx, client, step, now, session.person if session else None)
        if step is not None or session is None:
            return step or Login(interaction_id)
        allowed = frozenset(rules.asked_claims(request))
        if not client.first_party and agreement is not None:
            allowed &= agreement.claims
        granted = self._grant(
            tx, interaction_id, request, client, session, allowed, now, relying_on=agreed
        )
        return granted or self._continue(tx, *known)  # was withdrawn or changed: asked again

    def _next(
        self,
        tx: Tx,
        interaction_id: str,
        request: AuthorizationRequest,
        client: Client,
        session: Session | None,
        now: datetime,
        agreed: Agreement | None = None,
        *,
        hold: bool = False,
    ) -> tuple[Login | Consent | RequestRefused | None, Agreement | None]:
        """What still stands between the request and its code, and what the person agreed to; of our
        own pages nobody is asked."""
        agreement = agreed
        if agreement is None and session is not None and not client.first_party:
            agreement = consents.agreement(tx, session.person.id, client.client_id, hold=hold)
        step = rules.decide(
            request,
            client,
            session,
            agreement.answered if agreement else None,
            subject=self._subject(client, session),
            interaction_id=interaction_id,
            issuer=self._issuer,
            now=now,
        )
        return step, agreement

    def _subject(self, client: Client, session: Session | None) -> str:
        """What the client calls the person of this session."""
        if session is None:
            return ""
        return subject_for(self._database.cipher, client, session.person.id)

    def _grant(
        self,
        tx: Tx,
        interaction_id: str,
        request: AuthorizationRequest,
        client: Client,
        session: Session,
        allowed: Collection[str],
        now: datetime,
        *,
        relying_on: Agreement | None = None,
    ) -> Granted | RequestRefused | None:
        """Make the code (RFC 6749 §4.1.2) and send it home with state and iss (RFC 9207). None,
        and nothing was done, when the consent `relying_on` no longer stands."""
        name = uuid7(now)
        code = new_code(name)
        family = Family(
            id=name,
            client_id=client.client_id,
            authorization=rules.authorization_of(request, client, session, allowed),
            code_hash=digests.sha256(code),
            expires_at=now + CODE_LIFETIME,
        )
        stored = StoredCode(family, request.redirect_uri, request.code_challenge)
        if not families.add_code(tx, stored, relying_on):
            return None
        if request.pushed and not pushed.use(tx, request.pushed, interaction_id):
            families.drop_code(tx, name)
            refused = rules.used_before(request, client, self._issuer)
            self._refuse(tx, client, refused, now, session.person)
            return refused
        interactions.finish_interaction(tx, interaction_id, now)
        state = () if request.state is None else (("state", request.state),)
        return Granted(
            request.redirect_uri,
            (("code", code), *state, ("iss", self._issuer)),
            request.response_mode,
            client,
        )

    def _remember(
        self, tx: Tx, person: Person, client: Client, agreement: Agreement, now: datetime
    ) -> None:
        consents.remember_agreement(self._database, tx, person.id, client.client_id, agreement, now)
        self._ledger.append(tx, consent(client, person, agreement, now))

    def _refuse(
        self,
        tx: Tx,
        client: Client | None,
        refused: RequestRefused,
        now: datetime,
        person: Person | None = None,
    ) -> None:
        self._ledger.append(tx, refusal(client, refused, now, person))
