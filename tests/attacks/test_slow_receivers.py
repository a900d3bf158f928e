"""Attack 52: whoever we ask answers a byte every while, or never; nobody else waits for that.

The server is a real one; how long an exchange may take is what each part is told when it is made.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from threading import Event, Thread

import pytest

from foundation.clock import system_clock
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.jobs import LANES, OUTBOUND, open_jobs
from foundation.outbound.client import Outbound, OutboundFailed, place_of
from keys.errors import TimestampUnavailable
from keys.timestamping.external_time import ATTEMPTS, ExternalTimestamps
from tests.simulators.receiver import Wire
from tests.simulators.slow import Mode, SlowServer

ROOT = Path(__file__).parents[2]
SECONDS = 0.5
SLACK = 1.0  # a busy machine
LOOPBACK = [ip_network("127.0.0.0/8")]
ONE_BYTE_AT_A_TIME: tuple[Mode, ...] = ("silent", "headers", "body", "deaf")


@contextmanager
def over_in_time(seconds: float = SECONDS) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + SLACK


def outbound() -> Outbound:
    return Outbound(LOOPBACK, seconds=SECONDS)


def get(slow: SlowServer) -> None:
    outbound().get(slow.url)


def post(slow: SlowServer) -> None:
    outbound().post_content(slow.url, bytes(30_000_000), {"content-type": "application/json"})


@pytest.mark.parametrize("ask", [get, post])
@pytest.mark.parametrize("mode", ONE_BYTE_AT_A_TIME)
def test_52_an_exchange_is_over_by_one_deadline(
    mode: Mode, ask: Callable[[SlowServer], None]
) -> None:
    with SlowServer(mode) as slow, over_in_time(), pytest.raises(OutboundFailed, match="within"):
        ask(slow)


@pytest.mark.parametrize("mode", ["silent", "handshake"])
def test_52_so_is_the_handshake_of_tls(mode: Mode) -> None:
    with SlowServer(mode) as slow, over_in_time(), pytest.raises(OutboundFailed, match="within"):
        outbound().get(slow.url.replace("http:", "https:"))


def test_52_so_is_looking_up_a_name() -> None:
    never = Event()

    def hangs(_host: str, _port: int) -> list[str]:
        never.wait(30)
        return []

    way_out = Outbound(LOOPBACK, resolve=hangs, seconds=SECONDS)
    with over_in_time(), pytest.raises(OutboundFailed, match="name service"):
        way_out.get("https://client.example/")
    with over_in_time(), pytest.raises(OutboundFailed, match="name service"):
        way_out.destination("https://client.example/")
    never.set()


@pytest.mark.parametrize("mode", ["silent", "headers", "body"])
def test_52_a_time_stamp_authority_that_drips_costs_two_deadlines_and_is_left_alone(
    mode: Mode,
) -> None:
    with SlowServer(mode) as slow:
        external = ExternalTimestamps(slow.url, [], system_clock, answer_within=SECONDS)

        with over_in_time(ATTEMPTS * SECONDS), pytest.raises(TimestampUnavailable):
            stamp(external)
        with over_in_time(0.0), pytest.raises(TimestampUnavailable, match="lately"):
            stamp(external)

        assert slow.asked == ATTEMPTS


def test_52_nor_is_its_name_waited_for() -> None:
    never = Event()

    def hangs(_host: str, _port: int) -> list[str]:
        never.wait(30)
        return []

    external = ExternalTimestamps(
        "https://tsa.example/", [], system_clock, answer_within=SECONDS, resolve=hangs
    )
    with over_in_time(ATTEMPTS * SECONDS), pytest.raises(TimestampUnavailable):
        stamp(external)
    never.set()


def test_52_a_slow_receiver_stops_neither_sealing_nor_the_notices_of_others(
    database: Database,
) -> None:
    sealed, told = Event(), Event()
    jobs = open_jobs(database, system_clock)
    jobs.register("seal", lambda _: sealed.set())
    jobs.register("tell", lambda payload: tell(payload["url"], told), lane=OUTBOUND)
    stop = Event()
    lanes = [Thread(target=jobs.run_forever, args=(stop, lane)) for lane in LANES]

    with SlowServer("headers") as slow, Wire() as quick:
        with database.write() as tx:
            for url in [*[slow.url] * 30, quick.origin]:
                jobs.enqueue(tx, "tell", {"url": url}, lock=place_of(url))
            jobs.enqueue(tx, "seal", {})
        for lane in lanes:
            lane.start()
        with over_in_time(2.0):  # thirty deadlines are fifteen seconds
            assert sealed.wait(5)
            assert told.wait(5)
        assert 0 < slow.asked < 10
        stop.set()
        for lane in lanes:
            lane.join()
        quick.shutdown()


def test_52_what_we_send_to_others_is_in_their_lane_and_one_after_another_for_each() -> None:
    """Every task that talks to somebody else's server; a new one belongs here."""
    packages = ("idp", "exchange", "certificates")
    files = (file for package in packages for file in (ROOT / package).rglob("*.py"))
    sources = {str(file.relative_to(ROOT)): file.read_text() for file in files}
    sending = {file for file, text in sources.items() if "jobs.register(" in text
               and ("Outbound" in text or "complete_pdf" in text)}  # fmt: skip

    assert sending == {
        "idp/accounts/backchannel.py",
        "exchange/subscriptions/service.py",
        "certificates/issuing/completing.py",
    }
    for file, text in sources.items():
        if file in sending:
            assert text.count("lane=OUTBOUND") == text.count("jobs.register(") == 1
            assert text.count("lock=") >= text.count("_jobs.enqueue(") == 1


def tell(url: str, told: Event) -> None:
    """As the tasks that send notices do."""
    try:
        outbound().post_content(url, b"{}", {})
    except OutboundFailed as problem:
        raise Unavailable(problem.detail, retry_after=60) from None
    told.set()


def stamp(external: ExternalTimestamps) -> None:
    external.stamp(hashlib.sha256(b"a seal's signature").digest(), system_clock())
