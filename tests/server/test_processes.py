"""The serving process: how long it listens, and what a stop signal does."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.simulators.office import PATIENCE, Office, open_office
from tests.simulators.postgresql import Cluster


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
    management = httpx.Client(base_url=f"http://127.0.0.1:{office.management_port}")
    with management, httpx.Client(base_url=office.origin) as visitor:
        assert management.get("/readyz").status_code == 200

        process.send_signal(signal.SIGTERM)
        while management.get("/readyz").status_code == 200:  # the signal has not arrived yet
            pass
        still_served = visitor.get("/verify")

        assert still_served.status_code == 200
    assert process.wait(timeout=PATIENCE) == 0


def test_a_port_that_is_taken_is_told_with_what_to_do(office: Office, tmp_path: Path) -> None:
    again = office.start(YINZHENG_MANAGEMENT_PORT="0")

    assert again.wait(timeout=PATIENCE) == 6
    assert "next: stop the other program, or set YINZHENG_PORT" in office.said()


@pytest.mark.postgres
def test_a_web_process_that_dies_is_started_again_while_the_others_serve(
    cluster: Cluster, tmp_path: Path
) -> None:
    url = cluster.url(f"processes_{tmp_path.name[-6:]}")
    with open_office(tmp_path, url, YINZHENG_PROCESSES="2") as office:
        (parent,) = office.processes
        office.wait_until_ready(office.management_port + 1)
        before = children_of(parent.pid)

        os.kill(before[0], signal.SIGKILL)
        while before[0] in children_of(parent.pid):  # its last thread may still hold the port
            time.sleep(0.01)
        answers = [httpx.get(f"{office.origin}/verify").status_code for _ in range(5)]
        deadline = time.monotonic() + PATIENCE
        while len(set(children_of(parent.pid)) - set(before[:1])) < 2:
            assert time.monotonic() < deadline, "nobody took the dead one's place"
            time.sleep(0.1)
        office.wait_until_ready(office.management_port)

        assert len(before) == 2
        assert set(answers) == {200}
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(timeout=PATIENCE) == 0
        assert children_of(parent.pid) == []


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []
