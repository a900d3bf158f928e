"""The serving process: how it sends, how long it listens, and what a stop signal does."""

import asyncio
import os
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from foundation.batching.routes import HotAnswer, HotRequest, HotRoute
from server.running import processes
from server.running.management import Management, Metrics
from server.settings import Settings
from server.web.hotpath import HotPath
from tests.simulators.office import PATIENCE, Office, free_port, open_office
from tests.simulators.postgresql import Cluster


@pytest.fixture
def office(tmp_path: Path):
    with open_office(tmp_path) as office:
        yield office


class Server:
    """The product's own serving function in a thread; what the app sees of loop and connection."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.loops: list[str] = []
        self.nodelay: list[int] = []
        self._until = threading.Event()
        self._settings = Settings(data_dir=folder, port=self.port, management_port=0)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Server":
        self._thread.start()
        while _is_closed(self.port):
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._until.set()
        self._thread.join(timeout=PATIENCE)

    def _serve(self) -> None:
        async def ordinary(scope: Any, receive: Any, send: Any) -> None:
            self._look()
            if scope["path"] == "/broken":
                raise ValueError("陈静怡 hunter2")
            headers = [(b"content-length", b"4")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"here"})

        async def fast(request: HotRequest) -> HotAnswer:
            self._look()
            return HotAnswer(200, b"here")

        routes = [HotRoute("GET", "/fast", fast, "fast", "Fast")]
        app = HotPath(ordinary, routes, https=False)
        management = Management(Metrics(), {})
        processes.serve(app, management, self._settings, until=self._until)

    def _look(self) -> None:
        """At the loop that runs, and at our side of the connections that are open."""
        self.loops.append(type(asyncio.get_running_loop()).__module__)
        self.nodelay += [_no_delay(each) for each in _accepted_on(self.port)]


def _is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _accepted_on(port: int) -> list[int]:
    """This process's descriptors of connections that were accepted on `port`."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as each:
                if each.getsockname()[1] == port and each.getpeername():
                    found.append(int(name))
        except (OSError, TypeError, IndexError):
            continue
    return found


def _no_delay(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as each:
        return each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def _segments_received(connection: socket.socket) -> int:
    """Segments with data that arrived (Linux: `tcpi_data_segs_in` of `struct tcp_info`)."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int(struct.unpack_from("I", info, 152)[0])


@pytest.mark.parametrize("path", ["/fast", "/ordinary"])
def test_an_answer_on_a_kept_connection_waits_for_no_acknowledgement(tmp_path: Path, path: str):
    """Two sends and Nagle's algorithm cost 40 ms each time: there is one, and no waiting."""
    asked = f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    with Server(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        for _ in range(3):
            before = _segments_received(client)
            client.sendall(asked)
            answer = b""
            while not answer.endswith(b"here"):
                answer += client.recv(65_536)
            assert _segments_received(client) - before == 1

    assert set(server.loops) == {"uvloop"}
    assert set(server.nodelay) == {1}


def test_a_fault_that_reaches_the_web_server_is_not_quoted_in_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its own log would hold the traceback, whose last line is what somebody typed."""
    with Server(tmp_path) as server:
        answer = httpx.get(f"http://127.0.0.1:{server.port}/broken")

    assert answer.status_code == 500
    said = "".join(capfd.readouterr())
    assert "hunter2" not in said, said


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
