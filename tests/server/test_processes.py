"""The serving process: how long it listens, and what a stop signal does."""

import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.simulators.office import Office, open_office


@pytest.fixture
def office(tmp_path: Path):
    with open_office(tmp_path) as office:
        yield office


def test_an_idle_connection_outlives_the_patience_of_common_clients(office: Office) -> None:
    """httpx and nginx's upstreams keep one for 5 to 60 seconds; ours must not end before."""
    limits = httpx.Limits(keepalive_expiry=60)
    with httpx.Client(base_url=office.origin, limits=limits) as client:
        first = client.get("/verify")
        time.sleep(6.5)  # the server's default would have been 5
        second = client.get("/verify")
        connection = second.extensions["network_stream"].get_extra_info("socket")

    assert (first.status_code, second.status_code) == (200, 200)
    assert connection is not None
    earlier = first.extensions["network_stream"]
    assert earlier is second.extensions["network_stream"], "the connection was not kept"


def test_a_stop_signal_drains_first_and_ends_with_0(office: Office) -> None:
    (process,) = office.processes
    ready = f"http://127.0.0.1:{office.management_port}/readyz"

    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    draining = httpx.get(ready)
    still_served = httpx.get(f"{office.origin}/verify")

    assert draining.status_code == 503
    assert still_served.status_code == 200
    assert process.wait(timeout=30) == 0


def test_a_port_that_is_taken_is_told_with_what_to_do(office: Office, tmp_path: Path) -> None:
    again = office.start(YINZHENG_MANAGEMENT_PORT="0")

    assert again.wait(timeout=60) == 6
    assert "next: stop the other program, or set YINZHENG_PORT" in office.said()
