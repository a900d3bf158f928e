"""Puts the packages together: the one place for server, tests and measurements.

    services = assemble(database=database, keys=keys, clock=clock, issuer="https://…")
    services.certificates.issue(draft_id)

Every service is built when it is first asked for, with all that it needs below it: a test of the
identity provider draws no fonts. Being built is what makes a service take its jobs and hear of
changes, so a process that works for others builds all of them first (`Services.build`).
"""

from functools import cached_property
from typing import Final, TypedDict, Unpack

from fastapi import APIRouter

import certificates.http
import exchange.http
import exchange.subscriptions.http
import idp.web.routes
import keys.http
import ledger.http
import signing.http
from certificates import Batches, Catalogue, Certificates, Renderer
from exchange import PurposeApplications, Purposes, Subscriptions, Verifications, end_show_codes_of
from foundation.batching import HotRoute
from foundation.clock import Clock
from foundation.database import Database
from foundation.jobs import Jobs, open_jobs
from foundation.outbound import Outbound
from idp import GRANTS, ClientCertificates, Grants, Idp, Policy
from keys import Keys
from ledger import Ledger
from server import records
from server.web.access import AccessTokens
from signing import Seals, Signing

_CLOSED: Final = ("verifications", "certificates", "idp", "ledger")


class Given(TypedDict, total=False):
    """What a caller may bring along instead of having it built."""

    ledger: Ledger
    jobs: Jobs
    seals: Seals
    outbound: Outbound
    client_certificates: ClientCertificates
    grants: Grants
    policy: Policy
    catalogue: Catalogue
    renderer: Renderer
    idp: Idp
    certificates: Certificates
    verifications: Verifications


def assemble(
    *,
    database: Database,
    keys: Keys,
    clock: Clock,
    issuer: str,
    specimen: bool = False,
    **given: Unpack[Given],
) -> "Services":
    """All services over one database. `issuer` is the public address; `specimen`: nothing here is
    real, and every certificate says so. What is `given` is used as it is.
    """
    services = Services(database, keys, clock, issuer, specimen=specimen)
    vars(services).update(given)  # where `cached_property` keeps what was built
    return services


class Services:
    """Every package's service, by the name that everybody calls it; made by `assemble`."""

    def __init__(
        self, database: Database, keys: Keys, clock: Clock, issuer: str, *, specimen: bool
    ) -> None:
        self.database = database
        self.keys = keys
        self.clock = clock
        self.issuer = issuer
        self.specimen = specimen

    @cached_property
    def jobs(self) -> Jobs:
        """Background work, kept in the same database."""
        return open_jobs(self.database, self.clock)

    @cached_property
    def outbound(self) -> Outbound:
        """Makes our requests to other servers, at public addresses only."""
        return Outbound()

    @cached_property
    def ledger(self) -> Ledger:
        """Its name is the public address without its scheme (C2SP tlog-checkpoint)."""
        origin = self.issuer.partition("://")[2] + "/ledger"
        return Ledger(self.database, self.keys, self.clock, origin)

    @cached_property
    def seals(self) -> Seals:
        """The register of seals; each act on one becomes a ledger entry."""
        return Seals(self.database, self.keys, self.clock, records.ledger_sink(self.ledger))

    @cached_property
    def signing(self) -> Signing:
        """Seals and validates documents."""
        return Signing(self.seals, self.keys, self.clock)

    @cached_property
    def client_certificates(self) -> ClientCertificates:
        """Trusts no proxy and no authority: no client proves itself by certificate (RFC 8705)."""
        return ClientCertificates()

    @cached_property
    def grants(self) -> Grants:
        """The grant types that the token endpoint offers."""
        return GRANTS

    @cached_property
    def policy(self) -> Policy:
        """What the standards leave to the operator; strict, unless settings say otherwise."""
        return Policy()

    @cached_property
    def idp(self) -> Idp:
        """Accounts, clients, sign-in, consent and tokens."""
        return Idp(
            self.database,
            self.keys,
            self.ledger,
            self.clock,
            self.issuer,
            client_certificates=self.client_certificates,
            jobs=self.jobs,
            outbound=self.outbound,
            grants=self.grants,
            policy=self.policy,
            end_elsewhere=end_show_codes_of,
        )

    @cached_property
    def access(self) -> AccessTokens:
        """Turns access tokens into actors for the other packages' APIs."""
        return AccessTokens(self.idp)

    @cached_property
    def catalogue(self) -> Catalogue:
        """All certificate types, read from their TOML files."""
        return Catalogue.load()

    @cached_property
    def renderer(self) -> Renderer:
        """Draws certificates, with codes that lead to the issuer's address."""
        return Renderer(self.issuer, specimen=self.specimen)

    @cached_property
    def certificates(self) -> Certificates:
        """Drafts, approvals, issuing and the register of certificates."""
        return Certificates(
            self.database,
            self.keys,
            self.signing,
            self.ledger,
            self.jobs,
            self.clock,
            self.catalogue,
            self.issuer,
            renderer=self.renderer,
            specimen=self.specimen,
        )

    @cached_property
    def batches(self) -> Batches:
        """Issuing many certificates from one table."""
        return Batches(self.certificates)

    @cached_property
    def purposes(self) -> Purposes:
        """What departments may ask, and which fields that shows."""
        return Purposes(self.database, self.catalogue, self.clock)

    @cached_property
    def applications(self) -> PurposeApplications:
        """How a department comes by a purpose, and how it loses it."""
        return PurposeApplications(self.purposes, self.ledger)

    @cached_property
    def verifications(self) -> Verifications:
        """Answers questions about certificates, with a verdict and a receipt."""
        return Verifications(
            self.database,
            self.certificates,
            self.signing,
            self.ledger,
            self.keys,
            self.purposes,
            self.clock,
            self.issuer,
        )

    @cached_property
    def subscriptions(self) -> Subscriptions:
        """Tells programs by signed notices that a certificate they follow has changed."""
        return Subscriptions(
            self.database,
            self.verifications,
            self.certificates,
            self.idp.clients,
            self.ledger,
            self.keys,
            self.jobs,
            self.outbound,
            self.clock,
        )

    def build(self) -> None:
        """Build whatever was not asked for yet."""
        for name, part in vars(Services).items():
            if isinstance(part, cached_property):
                getattr(self, name)

    def hot_routes(self) -> list[HotRoute]:
        """The fast lane."""
        return [
            *keys.http.hot_routes(self.keys),
            *ledger.http.hot_routes(self.ledger),
            *idp.web.routes.hot_routes(self.idp),
            *certificates.http.hot_routes(self.certificates),
            *exchange.http.hot_routes(self.verifications, self.access),
            *exchange.subscriptions.http.hot_routes(
                self.subscriptions, self.verifications, self.access
            ),
        ]

    def routers(self) -> list[APIRouter]:
        """Every route for programs, the fast-lane ones as twins."""
        return [
            keys.http.router(self.keys),
            ledger.http.router(self.ledger),
            idp.web.routes.router(self.idp),
            certificates.http.router(self.certificates),
            exchange.http.router(self.verifications, self.access),
            exchange.subscriptions.http.router(self.subscriptions, self.verifications, self.access),
            signing.http.router(self.signing, self.access),
        ]

    def close(self) -> None:
        """Stop the threads of what was built, and let go of the database."""
        for name in _CLOSED:
            if (service := vars(self).get(name)) is not None:
                service.close()
        self.database.close()
