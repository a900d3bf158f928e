"""`Idp`: the identity provider's use cases, from "who is it?" to "here is your token".

A facade: every part answers one question, and this file puts them together. What happens between an
authorization request and its code is an interaction; signing out and the person's own page are
here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from foundation.clock import Clock
from foundation.database import Database
from foundation.jobs import Jobs, open_jobs
from foundation.outbound import Outbound
from idp.accounts.administration import Administration
from idp.accounts.authenticators.interface import Answer
from idp.accounts.authenticators.password import PASSWORD
from idp.accounts.backchannel import Notices
from idp.accounts.closing import Closing, EndElsewhere
from idp.accounts.flow import Challenge, Choose, Denied
from idp.accounts.frontchannel import FrontChannel
from idp.accounts.names import Names
from idp.accounts.numbers import Numbers
from idp.accounts.people import People
from idp.accounts.sessions import Sessions
from idp.authorize.interaction import (
    Decision,
    Interaction,
    Interactions,
)
from idp.authorize.jwt_responses import JwtResponses
from idp.authorize.pushed import PushedRequests
from idp.authorize.request_intake import RequestIntake
from idp.authorize.rules import RequestRefused
from idp.clients.administration import ClientAdministration
from idp.clients.dynamic_registration import Registrations
from idp.clients.mtls import ClientCertificates
from idp.clients.remote_metadata import RemoteMetadata
from idp.clients.service import Clients
from idp.models import Client, Person, Session
from idp.protocol.policy import Policy
from idp.protocol.profiles import PROFILES
from idp.resource.access import TokenReader
from idp.resource.introspection import Introspection
from idp.resource.signed_requests import SignedRequests
from idp.sign_in import Authenticated, SignIn
from idp.sign_out import ConfirmLogout, LoggedOut, SignOut
from idp.store import consents, devices, families, sweeping
from idp.store.replays import ReplayCache
from idp.token.devices import Devices
from idp.token.endpoint import TokenEndpoint
from idp.token.grants import GRANTS, Grants
from idp.token.revocation import Revocations
from idp.token.sender_constraint import SenderConstraints
from idp.token.tokens import ACCESS_TOKEN_LIFETIME, USE, Tokens
from keys import Keys
from ledger import Entry, Ledger

SWEPT_AT_ONCE: Final = 5_000


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
    tokens     signed statements    token_endpoint issues them    access     tokens read back
    introspection does it count?    revocations  tokens given back    pushed   requests by PAR
    registrations  programs register themselves       numbers  one identity number, one account
    sign_ins  a sign-in step by step        sign_outs  a service signs its person out
    devices   sign-in through another screen    notices  services told of a sign-out
    administration  accounts changed, disabled, ended
    front_channel  the same through the browser
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        ledger: Ledger,
        clock: Clock,
        issuer: str,
        client_certificates: ClientCertificates | None = None,
        *,
        jobs: Jobs | None = None,
        outbound: Outbound | None = None,
        grants: Grants = GRANTS,
        policy: Policy | None = None,
        end_elsewhere: EndElsewhere | None = None,
    ) -> None:
        policy = policy or Policy()
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self.issuer = issuer
        self.grants = grants
        keys.ensure(USE)
        self.keys = keys
        self.tokens = Tokens(keys, issuer)
        client_certificates = client_certificates or ClientCertificates()
        self._replays = ReplayCache(database)
        self.senders = SenderConstraints(
            database, self._replays, client_certificates, clock, issuer, policy
        )
        outbound = outbound or Outbound()
        self.clients = Clients(
            database,
            ledger,
            self._replays,
            client_certificates,
            RemoteMetadata(outbound, clock),
            clock,
            issuer,
            grants,
            self.tokens.publish,
            policy=policy,
        )
        self.people = People(database, ledger, clock, PASSWORD.passwords)
        self.jobs = jobs or open_jobs(database, clock)
        self.notices = Notices(
            database, ledger, self.clients, self.tokens, self.jobs, outbound, clock
        )
        self.front_channel = FrontChannel(database, self.clients, clock, issuer)
        self.sessions = Sessions(database, ledger, clock, self.notices)
        closing = Closing(database, self.sessions, end_elsewhere)
        self.numbers = Numbers(database, ledger, clock, closing)
        self.administration = Administration(database, ledger, clock, closing)
        self.names = Names(database, ledger, clock)
        intake = RequestIntake(self.clients, self.tokens, issuer)
        self.pushed = PushedRequests(database, ledger, self.clients, self.senders, intake, clock)
        self._interactions = Interactions(database, ledger, self.clients, intake, clock, issuer)
        self.jwt_responses = JwtResponses(self.clients, self.tokens, clock)
        self.sign_ins = SignIn(database, ledger, self.sessions, self._interactions)
        self.token_endpoint = TokenEndpoint(
            database, ledger, self.clients, self.tokens, self.senders, clock, grants, policy
        )
        signed = SignedRequests(self.clients, self._replays, clock, issuer)
        self.access = TokenReader(
            database, ledger, self.clients, self.tokens, self.senders, signed, clock
        )
        self.introspection = Introspection(database, self.clients, self.tokens, self.access, clock)
        self.client_administration = ClientAdministration(
            database, ledger, self.clients, clock, ACCESS_TOKEN_LIFETIME
        )
        self.sign_outs = SignOut(
            database, ledger, self.clients, self.tokens, self.sessions, self.front_channel, clock
        )
        self.registrations = Registrations(
            database, ledger, self.clients, self.client_administration, clock, issuer
        )
        self.devices = Devices(database, ledger, self.clients, clock, issuer)
        self.revocations = Revocations(database, ledger, self.clients, self.tokens, clock)

    @property
    def api_audience(self) -> str:
        """The audience of access tokens for our own API."""
        return self.tokens.api_audience

    def found(self) -> None:
        """Make, at the first start, the key that clients' libraries expect unless they are told
        otherwise: one that appears with its first signature looks unknown to whoever has our key
        set already. Other algorithms get theirs when a client is registered for them.
        """
        for profile, row in PROFILES.items():
            if profile not in self.clients.forbidden:
                self.tokens.publish(row.default_algorithm)

    # --- the authorization endpoint -------------------------------------------------------------

    def begin(
        self, params: Mapping[str, str], session_id: str | None, browser: str | None = None
    ) -> Decision:
        """A browser arrives with an authorization request (RFC 6749 §4.1.1).

        `browser` is the random id of its cookie; the interaction belongs to it.
        """
        return self._interactions.begin(params, session_id, browser)

    def resume(
        self, interaction_id: str, session_id: str | None, browser: str | None = None
    ) -> Decision:
        """What does this interaction need now? Asked by every page of it, and after every step."""
        return self._interactions.resume(interaction_id, session_id, browser)

    def interaction(
        self,
        interaction_id: str,
        browser: str | None = None,
        session_id: str | None = None,
        now: datetime | None = None,
    ) -> Interaction:
        """What a page of this interaction shows; whether it is `ready` takes a session. Raises
        `InteractionNotFound`, `…Elsewhere`."""
        with self._database.read() as tx:
            return self._interactions.interaction(
                tx, interaction_id, browser, session_id, now or self._clock()
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
        return self._interactions.decide_consent(
            interaction_id, session_id, granted, claims, browser
        )

    def authenticate(
        self,
        interaction: Interaction | None,
        answer: Answer,
        *,
        browser: str | None = None,
        session_id: str | None = None,
        now: datetime | None = None,
    ) -> Choose | Challenge | Denied | Authenticated:
        """One step of a sign-in (`SignIn.answer`)."""
        return self.sign_ins.answer(
            interaction,
            answer,
            browser=browser,
            session_id=session_id,
            now=now or self._clock(),
        )

    def sign_in(
        self, username: str, password: str, *, session_id: str | None = None
    ) -> Choose | Challenge | Denied | Authenticated:
        """Sign in by password to the portal's own pages."""
        answer = {"username": username, "password": password}
        return self.authenticate(None, answer, session_id=session_id)

    # --- signing out ----------------------------------------------------------------------------

    def begin_logout(
        self, params: Mapping[str, str], session_id: str | None
    ) -> LoggedOut | ConfirmLogout | RequestRefused:
        """A client sends its person to sign out (`SignOut.begin`)."""
        return self.sign_outs.begin(params, session_id)

    def keep_logout(
        self, params: Mapping[str, str], by: Client | None = None
    ) -> str | LoggedOut | RequestRefused:
        """The same by a form, which comes without our cookies (`SignOut.keep`)."""
        return self.sign_outs.keep(params, by)

    def finish_logout(self, logout_id: str | None, session_id: str | None) -> str | None:
        """The person confirmed. Answers where the client wants them back, if anywhere."""
        return self.sign_outs.finish(logout_id, session_id)

    def session(self, session_id: str | None) -> Session | None:
        """The live session behind a cookie value."""
        return self.sessions.session(session_id)

    def end_session(self, session_id: str | None) -> bool:
        """Sign out of the session behind a cookie value; False when there was none."""
        return self.sessions.end(session_id)

    # --- the person's own page ------------------------------------------------------------------

    def consents(self, person: Person) -> list[ConsentGiven]:
        """What the person has allowed, newest first."""
        with self._database.read() as tx:
            rows = consents.consents_of(tx, person.id)
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
            withdrawn = consents.withdraw_consent(tx, person.id, client_id)
            mine = {"client_id": client_id, "person_id": person.id}
            families.end_codes(tx, now, "consent_withdrawn", **mine)
            devices.take_back(
                tx, person.id, lambda device: device.request.client_id == client_id, now
            )
            held = families.live_families(tx, **mine)
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

    def settle(self) -> None:
        """Look at the names and numbers of people whom a program before this one added."""
        self.names.settle()
        self.numbers.settle()

    def sweep(self) -> int:
        """Delete what is over, bit by bit; the worker does it every few minutes.

        An older program that still runs beside this one adds people whose name and number nobody
        looked at; they are settled here too.
        """
        self.settle()
        gone = 0
        while True:
            with self._database.write() as tx:
                deleted = sweeping.sweep(tx, self._clock(), SWEPT_AT_ONCE)
            gone += deleted
            if deleted == 0:
                return gone

    def close(self) -> None:
        """Stop the fast lane's threads."""
        for part in (
            self.clients,
            self.token_endpoint,
            self.access,
            self.introspection,
            self.revocations,
            self.pushed,
            self._replays,
            self.devices,
        ):
            part.close()
