"""What sealing depends on fails: nothing is half-sealed, and the queue finishes later.

Real parts: the key service is a process that is killed and stopped, the hardware module is SoftHSM
behind the wire of p11-kit, the time-stamp authority is `openssl ts` behind HTTP, the database is
each of both.
"""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.rules import DraftState
from foundation.clock import system_clock
from foundation.database import Database
from keys import Keys
from keys.custody.backends.pkcs11 import Pkcs11Backend
from keys.custody.backends.remote import RemoteBackend
from keys.custody.backends.software import SoftwareBackend
from keys.timestamping.external_time import LEFT_ALONE, ExternalTimestamps, TimeSource
from tests.certificates.conftest import PUBLIC_URL, renderer
from tests.certificates.sealing_office import Office
from tests.keys.key_process import Process
from tests.keys.remote_module import RemoteModule, the_remote_module
from tests.simulators.tsa import TimeStampAuthority

__all__ = ["renderer"]


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
    nothing_is_half_sealed(office, lambda: fault(service))
    assert service.recorded(office.seal.kid, office.seal.use) >= 2


def silent(module: RemoteModule) -> Callable[[], None]:
    """Stop the module in its tracks."""
    module.stop_answering()
    return module.answer_again


def gone(module: RemoteModule) -> Callable[[], None]:
    """Kill the module; what is returned starts it again."""
    module.kill()
    return module.start


@pytest.mark.softhsm
@pytest.mark.p11kit
# python-pkcs11 closes a search that the lost module does not know any more when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", [silent, gone], ids=["does not answer", "gone"])
def test_without_the_hardware_module_nothing_is_half_sealed_and_the_queue_finishes_later(
    sqlite_database: Database,
    master_key: bytes,
    renderer: object,
    fault: Callable[[RemoteModule], Callable[[], None]],
) -> None:
    module = the_remote_module()
    backend = Pkcs11Backend(module.token.uri(), answer_within=1.0)
    older = [SoftwareBackend(master_key)]
    keys = Keys(sqlite_database, backend, system_clock, PUBLIC_URL, older_backends=older)
    office = Office(sqlite_database, keys, renderer)

    nothing_is_half_sealed(office, lambda: fault(module))
    office.close()


def nothing_is_half_sealed(office: Office, fault: Callable[[], Callable[[], None]]) -> None:
    """Approve, let what holds the keys fail, work in vain, let it come back, and work again."""
    draft = office.approved()
    back = fault()
    try:
        for _ in range(10):  # longer than any other failure would be tried again
            office.work(after=timedelta(minutes=6))
        assert office.state(draft) is DraftState.APPROVED
        assert office.issued() == 0
    finally:
        back()

    until = time.monotonic() + 60  # after a silence the key service is left alone for a moment
    while office.state(draft) is DraftState.APPROVED and time.monotonic() < until:
        office.work(after=timedelta(minutes=6))
        time.sleep(0.2)

    assert office.state(draft) is DraftState.SEALED
    assert office.issued() == 1
    assert office.signing.validate_pdf(office.pdf()).indication == "valid"


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
        answer_within=20.0,
        monotonic=lambda: ticks[0],
    )
