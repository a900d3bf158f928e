"""`Idp`: the identity provider's use cases, from "who is it?" to "here is your token".

The authorization endpoint is a conversation over several requests and pages. Its state is an
*interaction*, kept in the database under its own id: several tabs, a reload, the back button or a
restart of the server lose nothing, because every step asks `resume` what comes next.

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
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row

from foundation.actor import ANONYMOUS, Actor
from foundation.clock import Clock
from foundation.database import Database, Tx
from foundation.hot import HotRequest
from foundation.jobs import Jobs, open_jobs
from foundation.outbound import Outbound
from idp import families, pushed_store, rules, store
from idp.access import Access
from idp.arrival import Arrivals
from idp.authenticators.password import Passwords
from idp.backchannel import Notices
from idp.claims import CLAIMS
from idp.clients import Clients
from idp.devices import Devices
from idp.dynamic import Registrations
from idp.errors import InteractionElsewhere, InteractionNotFound
from idp.families import StoredCode
from idp.grants.authorization_code import CODE_LIFETIME
from idp.introspection import Introspection
from idp.issuance import Issuance
from idp.models import Agreement, AuthorizationRequest, Client, Person, Session, Texts
from idp.mtls import ClientCertificates
from idp.outside import Outside
from idp.people import People
from idp.pushed import PushedRequests, reference_hash
from idp.replays import Replays
from idp.revocation import Revocations
from idp.rules import Consent, Granted, Login, Refused
from idp.sender import Senders
from idp.sessions import Rejected, Sessions, SignedIn
from idp.subjects import subject_for
from idp.tokens import ACCESS_TOKEN_LIFETIME, USE, Tokens
from keys import Keys
from ledger import Entry, Ledger

INTERACTION_LIFETIME: Final = timedelta(hours=1)
SWEPT_AT_ONCE: Final = 5_000

Decision = Login | Consent | Granted | Refused


@dataclass(frozen=True, slots=True)
class ClaimView:
    """One kind of personal data as the consent page names it."""

    name: str
    label: Texts
    essential: bool


@dataclass(frozen=True, slots=True)
class Interaction:
    """A pending request as its page shows it."""

    id: str
    step: Literal["pending", "done"]
    client: Client
    scopes: tuple[str, ...]
    claims: tuple[ClaimView, ...]
    login_hint: str
    ui_locales: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Somebody signed in. `next` is what their interaction needs now, if there is one."""

    session_id: str
    session: Session
    next: Decision | None = None

    @property
    def person(self) -> Person:
        return self.session.person


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The session is over; `redirect_to` is where the client wants its person back."""

    redirect_to: str | None


@dataclass(frozen=True, slots=True)
class ConfirmLogout:
    """The person is asked first, because anybody could have sent this link."""

    logout_id: str


@dataclass(frozen=True, slots=True)
class ConsentGiven:
    """A standing consent, for the person's own page."""

    client: Client
    scopes: tuple[str, ...]
    claims: tuple[str, ...]
    granted_at: datetime


class Idp:
    """The identity provider. Its parts are public: each is one question.

    clients    who may ask          people   who can sign in      sessions   who is signed in
    tokens     signed statements    issuance the token endpoint   access     tokens read back
    introspection does it count?    revocations  tokens given back    pushed   requests by PAR
    registrations  programs register themselves
    devices   sign-in through another screen    notices  services told of a sign-out
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        ledger: Ledger,
        clock: Clock,
        issuer: str,
        certificates: ClientCertificates | None = None,
        *,
        jobs: Jobs | None = None,
        outbound: Outbound | None = None,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self.issuer = issuer
        keys.ensure(USE)
        passwords = Passwords()
        self.keys = keys
        self.tokens = Tokens(keys, issuer)
        certificates = certificates or ClientCertificates()
        self._replays = Replays(database)
        self.senders = Senders(database, self._replays, certificates, clock, issuer)
        outbound = outbound or Outbound()
        self.clients = Clients(
            database, ledger, self._replays, certificates, Outside(outbound, clock), clock, issuer
        )
        self.people = People(database, ledger, clock, passwords)
        self.jobs = jobs or open_jobs(database, clock)
        self.notices = Notices(
            database, ledger, self.clients, self.tokens, self.jobs, outbound, clock
        )
        self.sessions = Sessions(database, ledger, clock, passwords, self.notices)
        self._arrivals = Arrivals(self.clients, self.tokens, issuer)
        self.pushed = PushedRequests(
            database, ledger, self.clients, self.senders, self._arrivals, clock
        )
        self.issuance = Issuance(database, ledger, self.clients, self.tokens, self.senders, clock)
        self.access = Access(database, ledger, self.clients, self.tokens, self.senders, clock)
        self.introspection = Introspection(database, self.clients, self.tokens, self.access, clock)
        self.registrations = Registrations(database, ledger, self.clients, clock, issuer)
        self.devices = Devices(database, ledger, self.clients, clock, issuer)
        self.revocations = Revocations(database, ledger, self.clients, self.tokens, clock)

    @property
    def api_audience(self) -> str:
        """The audience of access tokens for our own API."""
        return self.tokens.api_audience

    # --- the authorization endpoint -------------------------------------------------------------

    def begin(
        self, params: Mapping[str, str], session_id: str | None, browser: str | None = None
    ) -> Decision:
        """A browser arrives with an authorization request (RFC 6749 §4.1.1).

        `browser` is the random id of its cookie; the interaction belongs to it.
        """
        now = self._clock()
        with self._database.read() as tx:
            client = self.clients.find(tx, params.get("client_id", ""))
        reference = reference_hash(params)
        if reference is not None and client is not None:
            return self._begin_pushed(reference, client, session_id, browser)
        checked = self._arrivals.check(params, client, pushed=False, now=now)
        with self._database.write() as tx:
            if isinstance(checked, Refused) or client is None:
                assert isinstance(checked, Refused)
                self._record_refusal(tx, client, checked)
                return checked
            interaction_id = secrets.token_urlsafe(32)
            self._add(tx, interaction_id, checked, browser)
            session = store.session(tx, session_id, now) if session_id else None
            return self._continue(tx, interaction_id, checked, client, session)

    def _begin_pushed(
        self, reference: str, client: Client, session_id: str | None, browser: str | None
    ) -> Decision:
        """The browser brings a reference to a pushed request (RFC 9126 §4).

        1. The reference is this client's.
        2. This browser began with it before (a reload, the back button): it goes on there.
        3. It is neither too old nor used up.
        4. The conversation begins; "sign in again" counts from now, not from the push.
        """
        now = self._clock()
        interaction_id = self._interaction_of(reference, browser)
        with self._database.write() as tx:
            # 1. to 3.
            stored = pushed_store.find(tx, reference, client.client_id)
            begun = stored is not None and store.interaction(tx, interaction_id) is not None
            if stored is None or (not begun and (stored.used or stored.expires_at <= now)):
                refused = Refused(
                    "invalid_request_uri",
                    "request_uri is unknown, expired or used",
                    client_uri=client.client_uri,
                )
                self._record_refusal(tx, client, refused)
                return refused
            # 4.
            request = replace(stored.request, created_at=now, pushed=reference)
            self._add(tx, interaction_id, request, browser)  # leaves one that is there as it is
            request, client, _ = self._open(tx, interaction_id, browser)
            session = store.session(tx, session_id, now) if session_id else None
            return self._continue(tx, interaction_id, request, client, session)

    def _interaction_of(self, reference: str, browser: str | None) -> str:
        """One reference and one browser make one interaction, however often the page is loaded."""
        both = f"{reference}\x00{browser or ''}"
        return self._database.cipher.blind_index(both, "interactions of pushed requests")[:43]

    def _add(
        self, tx: Tx, interaction_id: str, request: AuthorizationRequest, browser: str | None
    ) -> None:
        expires_at = request.created_at + INTERACTION_LIFETIME
        owner = store.sha256(browser or "")
        store.add_interaction(self._database, tx, interaction_id, request, owner, expires_at)

    def resume(
        self, interaction_id: str, session_id: str | None, browser: str | None = None
    ) -> Decision:
        """What does this interaction need now? Asked by every page of it, and after every step."""
        now = self._clock()
        with self._database.write() as tx:
            request, client, _ = self._open(tx, interaction_id, browser)
            session = store.session(tx, session_id, now) if session_id else None
            return self._continue(tx, interaction_id, request, client, session)

    def interaction(self, interaction_id: str, browser: str | None = None) -> Interaction:
        """What a page of this interaction shows. Raises `InteractionNotFound`, `…Elsewhere`."""
        with self._database.read() as tx:
            request, client, row = self._open(tx, interaction_id, browser)
        essential = rules.essential_claims(request)
        return Interaction(
            id=interaction_id,
            step="done" if row.finished_at else "pending",
            client=client,
            scopes=request.scopes,
            claims=tuple(
                ClaimView(name, CLAIMS[name].label, name in essential)
                for name in rules.asked_claims(request)
            ),
            login_hint=request.login_hint,
            ui_locales=request.ui_locales,
            expires_at=row.expires_at,
        )

    def authenticate(
        self,
        interaction_id: str | None = None,
        *,
        username: str,
        password: str,
        browser: str | None = None,
        session_id: str | None = None,
    ) -> Authenticated | Rejected:
        """Sign in, for an interaction or for the portal itself; `session_id` is the old cookie."""
        if interaction_id is not None:
            self.interaction(interaction_id, browser)  # it must be theirs before anything is tried
        result = self.sessions.sign_in(username, password, replaces=session_id)
        if not isinstance(result, SignedIn):
            return result
        if interaction_id is None:
            return Authenticated(result.session_id, result.session)
        decision = self.resume(interaction_id, result.session_id, browser)
        return Authenticated(result.session_id, result.session, decision)

    def sign_in(
        self, username: str, password: str, *, session_id: str | None = None
    ) -> Authenticated | Rejected:
        """Sign in to the portal's own pages."""
        return self.authenticate(None, username=username, password=password, session_id=session_id)

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
            request, client, _ = self._open(tx, interaction_id, browser)
            session = store.session(tx, session_id, now) if session_id else None
            asked = rules.asked(request)
            step = rules.decide(
                request, client, session, asked, subject=self._subject(client, session),
                interaction_id=interaction_id, issuer=self.issuer, now=now,
            )  # fmt: skip
            if session is None or isinstance(step, Login | Refused):
                return step or Login(interaction_id)
            if not granted:
                store.finish_interaction(tx, interaction_id, now)
                refused = rules.denied(request, client, self.issuer)
                self._record_refusal(tx, client, refused, session.person)
                return refused
            allowed = frozenset(rules.asked_claims(request))
            if claims is not None:
                allowed &= frozenset(claims)
            agreement = Agreement(frozenset(request.scopes), allowed, frozenset(asked))
            self._remember(tx, session.person, client, agreement, now)
            return self._grant(tx, interaction_id, request, client, session, allowed)

    # --- signing out ----------------------------------------------------------------------------

    def begin_logout(
        self, params: Mapping[str, str], session_id: str | None
    ) -> LoggedOut | ConfirmLogout | Refused:
        """A client sends its person to sign out (OIDC RP-Initiated Logout 1.0)."""
        hint = self.tokens.read_id_token(params.get("id_token_hint", ""))
        client_id = str(hint["aud"]) if hint else params.get("client_id", "")
        now = self._clock()
        with self._database.write() as tx:
            client = self.clients.find(tx, client_id)
            session = store.session(tx, session_id, now) if session_id else None
            checked = rules.check_logout(params, hint, client, session)
            if isinstance(checked, Refused):
                self._record_refusal(tx, client, checked)
                return checked
            if checked.at_once:
                if session is not None:
                    self.sessions.close(tx, session, "signed_out_by_client")
                return LoggedOut(checked.redirect_to)
            logout_id = secrets.token_urlsafe(32)
            store.add_logout(tx, logout_id, checked.redirect_to, now + INTERACTION_LIFETIME)
            return ConfirmLogout(logout_id)

    def finish_logout(self, logout_id: str | None, session_id: str | None) -> str | None:
        """The person confirmed. Answers where the client wants them back, if anywhere."""
        now = self._clock()
        with self._database.write() as tx:
            session = store.session(tx, session_id, now) if session_id else None
            if session is not None:
                self.sessions.close(tx, session, "signed_out")
            return store.take_logout(tx, logout_id, now) if logout_id else None

    def session(self, session_id: str | None) -> Session | None:
        """The live session behind a cookie value."""
        return self.sessions.session(session_id)

    def end_session(self, session_id: str | None) -> bool:
        return self.sessions.end(session_id)

    # --- the person's own page ------------------------------------------------------------------

    def consents(self, person: Person) -> list[ConsentGiven]:
        """What the person has allowed, newest first."""
        with self._database.read() as tx:
            rows = store.consents_of(tx, person.id)
            known = self.clients.known(tx, [row.client_id for row in rows])
        return [
            ConsentGiven(
                known[row.client_id].client, tuple(row.scopes), tuple(row.claims), row.granted_at
            )
            for row in rows
            if row.client_id in known
        ]

    def withdraw_consent(self, person: Person, client_id: str) -> bool:
        """Take a consent back: every token the client holds for the person ends now."""
        now = self._clock()
        with self._database.write() as tx:
            withdrawn = store.withdraw_consent(tx, person.id, client_id)
            held = families.live_families(tx, client_id=client_id, person_id=person.id)
            families.revoke_families(
                self._database,
                tx,
                [family.id for family in held],
                "consent_withdrawn",
                now,
                ACCESS_TOKEN_LIFETIME,
            )
            if withdrawn or held:
                entry = Entry(
                    kind="idp.consent_withdrawn",
                    actor=person.actor,
                    at=now,
                    subject=person.subject,
                    details={"client_id": client_id, "families": str(len(held))},
                )
                self._ledger.append(tx, entry)
        return withdrawn or bool(held)

    async def actor_of(self, request: HotRequest) -> Actor:
        """Who sends this request to our own API. Raises `InvalidToken`."""
        authorized = await self.access.authorize(request, audience=self.api_audience)
        return authorized.actor

    def sweep(self) -> int:
        """Delete what is over, bit by bit; the worker does it every few minutes."""
        gone = 0
        while True:
            with self._database.write() as tx:
                deleted = store.sweep(tx, self._clock(), SWEPT_AT_ONCE)
            gone += deleted
            if deleted == 0:
                return gone

    def close(self) -> None:
        """Stop the fast lane's threads."""
        for part in (
            self.clients,
            self.issuance,
            self.access,
            self.introspection,
            self.revocations,
            self.pushed,
            self._replays,
            self.devices,
        ):
            part.close()

    # --- inside ---------------------------------------------------------------------------------

    def _open(
        self, tx: Tx, interaction_id: str, browser: str | None
    ) -> tuple[AuthorizationRequest, Client, Row[Any]]:
        """The pending request, if it is still open and belongs to this browser."""
        found = store.interaction(tx, interaction_id)
        if found is None:
            raise InteractionNotFound(
                "this sign-in request is not known",
                next_step="go back to the service you came from and start again",
            )
        request, row = found
        client = self.clients.find(tx, request.client_id)
        if client is None or row.expires_at <= self._clock():
            raise InteractionNotFound(
                "this sign-in request has expired",
                next_step="go back to the service you came from and start again",
                client_uri=client.client_uri if client else "",
            )
        if not secrets.compare_digest(row.browser_hash, store.sha256(browser or "")):
            raise InteractionElsewhere(
                "this sign-in request was begun in another browser",
                next_step="open the service in this browser and start again",
                client_uri=client.client_uri,
            )
        return request, client, row

    def _continue(
        self,
        tx: Tx,
        interaction_id: str,
        request: AuthorizationRequest,
        client: Client,
        session: Session | None,
    ) -> Decision:
        agreement = None
        if session is not None:
            agreement = store.agreement(tx, session.person.id, client.client_id)
        step = rules.decide(
            request,
            client,
            session,
            agreement.answered if agreement else None,
            subject=self._subject(client, session),
            interaction_id=interaction_id,
            issuer=self.issuer,
            now=self._clock(),
        )
        if isinstance(step, Refused):
            self._record_refusal(tx, client, step, session.person if session else None)
        if step is not None or session is None:
            return step or Login(interaction_id)
        allowed = frozenset(rules.asked_claims(request))
        if not client.first_party and agreement is not None:
            allowed &= agreement.claims
        return self._grant(tx, interaction_id, request, client, session, allowed)

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
    ) -> Granted | Refused:
        """Make the code (RFC 6749 §4.1.2) and send it home with state and iss (RFC 9207)."""
        now = self._clock()
        if request.pushed and not pushed_store.use(tx, request.pushed, interaction_id):
            refused = rules.used_before(request, client, self.issuer)
            self._record_refusal(tx, client, refused, session.person)
            return refused
        code = secrets.token_urlsafe(32)
        stored = StoredCode(
            code_hash=store.sha256(code),
            client_id=client.client_id,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            authorization=rules.authorization_of(request, session, allowed),
            expires_at=now + CODE_LIFETIME,
        )
        families.add_code(tx, stored)
        store.finish_interaction(tx, interaction_id, now)
        state = () if request.state is None else (("state", request.state),)
        return Granted(
            request.redirect_uri,
            (("code", code), *state, ("iss", self.issuer)),
            request.response_mode,
        )

    def _remember(
        self, tx: Tx, person: Person, client: Client, agreement: Agreement, now: datetime
    ) -> None:
        store.remember_agreement(self._database, tx, person.id, client.client_id, agreement, now)
        entry = Entry(
            kind="idp.consent_granted",
            actor=person.actor,
            at=now,
            subject=person.subject,
            purpose=client.purpose["zh-Hans"],
            verdict="granted",
            disclosed=tuple(sorted(agreement.claims)),
            details={"client_id": client.client_id, "scope": " ".join(sorted(agreement.scopes))},
        )
        self._ledger.append(tx, entry)

    def _record_refusal(
        self, tx: Tx, client: Client | None, refused: Refused, person: Person | None = None
    ) -> None:
        entry = Entry(
            kind="idp.authorization_refused",
            actor=client.actor if client else ANONYMOUS,
            at=self._clock(),
            subject=person.subject if person else "",
            verdict=refused.error,
            details={"rule": refused.description},
        )
        self._ledger.append(tx, entry)
