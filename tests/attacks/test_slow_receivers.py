"""Attack 52: whoever we ask answers a byte every while, or never; nobody else waits for that.

The server is a real one; how long an exchange may take is what each part is told when it is made.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from threading import Event

import pytest

from foundation.clock import system_clock
from foundation.outbound import Outbound, OutboundFailed
from keys.errors import TimestampUnavailable
from keys.external_time import ATTEMPTS, ExternalTimestamps
from tests.simulators.slow import Mode, SlowServer

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


def stamp(external: ExternalTimestamps) -> None:
    external.stamp(hashlib.sha256(b"a seal's signature").digest(), system_clock())
