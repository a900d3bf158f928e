"""What sealing depends on fails: nothing is half-sealed, and the queue finishes later.

Real parts: the key service is a process that is killed and stopped, the time-stamp authority is
`openssl ts` behind HTTP, the database is each of both.
"""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, select

from certificates import Certificates
from certificates.catalogue import Catalogue
from certificates.models import certificates as certificate_rows
from certificates.models import renditions
from certificates.rules import DraftState
from foundation.clock import system_clock
from foundation.database import Database
from foundation.jobs import Jobs, open_jobs
from keys import Keys
from keys.backends.remote import RemoteBackend
from keys.backends.software import SoftwareBackend
from keys.external_time import LEFT_ALONE, ExternalTimestamps, TimeSource
from ledger import Ledger
from signing import Seals, Signing
from tests.certificates.conftest import AUTHORITY, FOOD, LI, PUBLIC_URL, WANG, renderer
from tests.keys.key_process import Process
from tests.simulators.clock import MovableClock
from tests.simulators.tsa import TimeStampAuthority

__all__ = ["renderer"]


class Office:
    """An authority with a seal, and the certificate room over given keys."""

    def __init__(self, database: Database, keys: Keys, renderer: object) -> None:
        self.clock = MovableClock(system_clock())  # the queue's clock; waiting is moving it
        self.database = database
        self.keys = keys
        keys.establish()
        self.ledger = Ledger(database, keys, system_clock, "yinzheng.test/log")
        self.jobs: Jobs = open_jobs(database, self.clock)
        self.seals = Seals(database, keys, system_clock)
        self.signing = Signing(self.seals, keys, system_clock)
        with database.write() as tx:
            self.seal = self.seals.register(
                tx,
                owner=AUTHORITY,
                owner_name="示例市市场监督管理局",
                name="示例市市场监督管理局",
                code="9900010000000",
                by=LI,
                now=system_clock() - timedelta(minutes=1),  # signatures tell whole seconds
            )
        self.certificates = Certificates(
            database,
            keys,
            self.signing,
            self.ledger,
            self.jobs,
            system_clock,
            Catalogue.load(),
            PUBLIC_URL,
            renderer=renderer,
        )

    def approved(self) -> str:
        """A draft that two people have agreed to; sealing it is in the queue."""
        room = self.certificates
        draft = room.submit(WANG, room.draft(WANG, "food-business-licence", FOOD).id)
        room.approve(LI, draft.id, draft.content_digest)
        return draft.id

    def work(self, *, after: timedelta = timedelta(0)) -> None:
        self.clock.advance(after)
        self.jobs.run_pending()

    def state(self, draft_id: str) -> DraftState:
        return self.certificates.find_draft(LI, draft_id).state

    def issued(self) -> int:
        with self.database.read() as tx:
            return tx.execute(select(func.count()).select_from(certificate_rows)).scalar_one()

    def pdf(self) -> bytes:
        with self.database.read() as tx:
            query = select(renditions.c.data).where(renditions.c.format == "pdf")
            return bytes(tx.execute(query).scalar_one())

    def close(self) -> None:
        self.certificates.close()
        self.ledger.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("key-service"))
    process.start()
    yield process
    process.end(signal.SIGTERM)


@pytest.fixture
def office(
    sqlite_database: Database, master_key: bytes, service: Process, renderer: object
) -> Iterator[Office]:
    """Its private keys are all in the key service."""
    remote = RemoteBackend(f"unix:{service.path}", answer_within=1.0)
    keys = Keys(
        sqlite_database,
        remote,
        system_clock,
        PUBLIC_URL,
        older_backends=[SoftwareBackend(master_key)],
    )
    built = Office(sqlite_database, keys, renderer)
    yield built
    built.close()


def away(service: Process) -> Callable[[], None]:
    """Kill the key service; what is returned starts it again."""
    service.end(signal.SIGKILL)
    return service.start


def hung(service: Process) -> Callable[[], None]:
    """Stop the key service in its tracks, as a module does that does not answer."""
    service.process.send_signal(signal.SIGSTOP)
    return lambda: service.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("fault", [away, hung], ids=["killed", "does not answer"])
def test_without_the_key_service_nothing_is_half_sealed_and_the_queue_finishes_later(
    office: Office, service: Process, fault: Callable[[Process], Callable[[], None]]
) -> None:
    draft = office.approved()
    back = fault(service)
    try:
        for _ in range(10):  # longer than any other failure would be tried again
            office.work(after=timedelta(minutes=6))
        assert office.state(draft) is DraftState.APPROVED
        assert office.issued() == 0
    finally:
        back()

    office.work(after=timedelta(minutes=6))

    assert office.state(draft) is DraftState.SEALED
    assert office.issued() == 1
    assert office.signing.validate_pdf(office.pdf()).indication == "valid"
    assert service.recorded(office.seal.kid, office.seal.use) >= 2


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TimeStampAuthority]:
    with TimeStampAuthority(tmp_path / "tsa") as running:
        yield running


@pytest.mark.openssl
def test_a_licence_sealed_without_a_time_stamp_gets_it_from_the_queue(
    database: Database, master_key: bytes, renderer: object, authority: TimeStampAuthority
) -> None:
    ticks = [0.0]
    keys = Keys(
        database,
        SoftwareBackend(master_key),
        system_clock,
        PUBLIC_URL,
        time_source=outside(authority, ticks),
    )
    office = Office(database, keys, renderer)
    draft = office.approved()
    authority.mode = "dead"

    office.certificates.issue(draft)
    sealed = office.pdf()
    before = office.signing.validate_pdf(sealed)
    office.work()
    still = office.pdf()
    authority.mode, ticks[0] = "good", LEFT_ALONE + 1
    for _ in range(8):
        office.work(after=timedelta(minutes=6))
        if office.pdf() != still:
            break
        time.sleep(0.5)  # PostgreSQL's queue waits by its own clock
    after = office.signing.validate_pdf(office.pdf())

    assert (before.level, before.check("time").result, still) == ("B-B", "unknown", sealed)
    assert (after.level, after.indication) == ("B-T", "valid")
    office.close()


def outside(authority: TimeStampAuthority, ticks: list[float]) -> TimeSource:
    root = x509.load_pem_x509_certificate(authority.root.read_bytes())
    return ExternalTimestamps(
        authority.url,
        [root.public_bytes(Encoding.DER)],
        system_clock,
        answer_within=1.0,
        monotonic=lambda: ticks[0],
    )
