"""From settings to an installation that answers.

    settings → database → keys → `services.assemble` → portal → both lanes

`Installation` is a value with the services as attributes. Opening one has no side effect beyond the
database connection and the keys the services need; starting threads or listening is the caller's
decision.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from fastapi import FastAPI

import keys.http
import portal
from foundation.batching.routes import HotRoute
from foundation.clock import Clock, system_clock
from foundation.database import Database
from foundation.encryption import FieldCipher, derive_key
from foundation.errors import Refused
from foundation.jobs import open_jobs
from foundation.outbound import Outbound
from idp import ClientCertificates, Policy
from keys import (
    TSA,
    Keys,
    NoActiveKey,
    UnknownCertificate,
)
from keys.custody import (
    SoftwareBackend,
    load_master_key,
    open_backend,
)
from keys.timestamping import (
    ExternalTimestamps,
    TimeSource,
)
from server import migrations
from server.running.management import Management, Metrics
from server.running.worker import Worker
from server.services import assemble
from server.settings import Settings
from server.web import problems
from server.web.hotpath import HotPath
from server.web.methods import Options
from server.web.middleware import Envelope, Noted, unnoted

TITLE = "Yinzheng"
VERSION = "0.2.0"


class OldSchema(Refused):
    """The database is not at the schema that this program needs."""

    code = "old_schema"


class Installation:
    """All services of one process. Raises `OldSchema`."""

    def __init__(self, settings: Settings, clock: Clock = system_clock) -> None:
        self.settings = settings
        self.clock = clock
        master_key = open_master_key(settings)
        self.database = open_database(settings, master_key)
        _bring_up_to_date(self.database)
        self.jobs = open_jobs(self.database, clock)
        self.keys = open_keys(settings, self.database, master_key, clock)
        _found_authority(self.keys)
        services = assemble(
            database=self.database,
            keys=self.keys,
            clock=clock,
            issuer=settings.issuer,
            specimen=settings.mode == "sandbox",
            jobs=self.jobs,
            outbound=Outbound(settings.networks),
            client_certificates=_certificates(settings),
            policy=_policy(settings),
        )
        services.build()  # before anybody is answered: what is built hears of jobs and changes
        self._services = services
        self.ledger = services.ledger
        self.seals = services.seals
        self.signing = services.signing
        self.idp = services.idp
        self.idp.found()
        self.idp.settle()  # people from before names and numbers were compared, see `migrations`
        self.catalogue = services.catalogue
        self.certificates = services.certificates
        self.batches = services.batches
        self.purposes = services.purposes
        self.applications = services.applications
        self.verifications = services.verifications
        self.subscriptions = services.subscriptions
        self.access = services.access
        self.metrics = Metrics()

    def worker(self) -> Worker:
        """This process's background work, not started yet."""
        return Worker(
            self.jobs,
            self.ledger,
            self.keys,
            self.verifications.forget_old,
            self.subscriptions.forget_ended,
            self.idp.sweep,
        )

    def hot_routes(self) -> list[HotRoute]:
        """The fast-lane routes of every package."""
        return self._services.hot_routes()

    def api(self) -> FastAPI:
        """The framework's application: every route, the fast-lane twins included."""
        app = FastAPI(
            title=TITLE,
            version=VERSION,
            openapi_url="/api/openapi.json",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,  # by 307, to whatever the Host header says (attacks 7 and 8)
            generate_unique_id_function=lambda route: route.name,
        )
        for router in self._services.routers():
            app.include_router(router)
        context = portal.open_context(self)
        app.include_router(portal.build(self, context))
        problems.install(app, context.error_page)
        return app

    def app(self, noted: Noted = unnoted) -> HotPath:
        """The whole ASGI application: the fast lane in front of the framework. `noted` is told of
        every answer."""
        https = self.settings.issuer.startswith("https://")
        count = self.metrics.answered
        framework = Envelope(Options(self.api()), https=https, answered=count, noted=noted)
        return HotPath(framework, self.hot_routes(), https=https, answered=count, noted=noted)

    def management(self) -> Management:
        """The management port's application, with checks of database, schema and signing key."""
        return Management(
            self.metrics,
            {
                "database": self._check_database,
                "schema": self._check_schema,
                "signing_key": self._check_signing_key,
            },
            self.settings.management_token,
        )

    def close(self) -> None:
        """Stop the services' threads and let go of the database."""
        self._services.close()

    def _check_database(self) -> str:
        self.database.ping()
        return ""

    def _check_schema(self) -> str:
        return "" if migrations.is_current(self.database) else "run: python -m server migrate"

    def _check_signing_key(self) -> str:
        self.keys.sign("idp.tokens", b"readiness")
        return ""


def _bring_up_to_date(database: Database) -> None:
    """One SQLite file has one installation, so it may migrate itself; a shared database is migrated
    once, by hand or by the one-shot process, before anything starts on it.
    """
    if migrations.is_current(database):
        return
    if database.dialect != "sqlite":
        raise OldSchema(
            "the database schema is not this program's", next_step="python -m server migrate"
        )
    migrations.upgrade(database)


def _policy(settings: Settings) -> Policy:
    return Policy(
        refresh_grace=timedelta(seconds=settings.refresh_grace_seconds),
        forbidden_profiles=settings.forbidden_profiles,
        public_clients_without_dpop=settings.public_clients_without_dpop,
    )


def _found_authority(own_keys: Keys) -> None:
    """Make the authorities and the published keys at the first start of all.

    Before anything is signed: a verifier may keep our JWKS for ten minutes, so a key that appears
    with its first signature would look unknown to it.
    """
    try:
        own_keys.chain(TSA)
    except (NoActiveKey, UnknownCertificate):
        own_keys.establish()
    for use in keys.http.FOUNDING_USES:
        own_keys.ensure(use)


def open_master_key(settings: Settings) -> bytes:
    """The master key; a sandbox makes one at its first start, production never does."""
    return load_master_key(settings.master_key, create=settings.mode == "sandbox")


def open_database(settings: Settings, master_key: bytes) -> Database:
    """The database that the settings name; values are encrypted under a key derived from the
    master key. The folder of an SQLite file is made."""
    if settings.database.startswith("sqlite"):  # else nothing of ours may need a writable disk
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    return Database(settings.database, FieldCipher(derive_key(master_key, "database columns")))


def open_keys(settings: Settings, database: Database, master_key: bytes, clock: Clock) -> Keys:
    """Keys in the store that the settings name; software keys made earlier still open."""
    chosen = open_backend(settings.key_store, master_key)
    software = SoftwareBackend(master_key)
    older = [] if chosen.scheme == software.scheme else [software]
    return Keys(
        database,
        chosen,
        clock,
        settings.issuer,
        older_backends=older,
        time_source=_time_source(settings, clock),
    )


def _time_source(settings: Settings, clock: Clock) -> TimeSource | None:
    """The external time-stamp authority, where settings name one."""
    if not settings.tsa_url:
        return None
    roots = x509.load_pem_x509_certificates(settings.tsa_root_file.read_bytes())
    return ExternalTimestamps(
        settings.tsa_url, [each.public_bytes(Encoding.DER) for each in roots], clock
    )


@contextmanager
def opened(settings: Settings, clock: Clock = system_clock) -> Iterator[Installation]:
    """An installation for the length of a block."""
    installation = Installation(settings, clock)
    try:
        yield installation
    finally:
        installation.close()


def _certificates(settings: Settings) -> ClientCertificates:
    """Who may vouch for client certificates: the proxy in front of us, and these authorities."""
    file = settings.client_ca_file
    authorities = load_pem_x509_certificates(file.read_bytes()) if file != Path("") else []
    return ClientCertificates(settings.proxies, authorities, settings.mtls_url.rstrip("/"))
