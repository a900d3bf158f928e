"""A department that is told of changes: the very program of docs/api.md, and the wire before it."""

import os
import queue
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.simulators.office import free_port

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
ASKING, RECEIVING = PROGRAMS


@dataclass(frozen=True)
class Posted:
    """One request as it was on the wire."""

    path: str
    headers: dict[str, str]
    content: bytes


class Wire(ThreadingHTTPServer):
    """Whoever holds the wire: keeps every notice for itself and says that it arrived."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.caught: queue.Queue[Posted] = queue.Queue()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Wire

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.caught.put(Posted(self.path, headers, content))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Receiver:
    """The documented program in a process of its own; `accepted` are the notices it believed."""

    def __init__(self, house: str, ours: str) -> None:
        self.port = free_port()
        settings = {"SERVICE": house, "OURS": ours, "PORT": str(self.port), "KEYS_KEPT": "0"}
        self.accepted: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", RECEIVING],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self._wait_until_open()

    def believed(self, count: int) -> list[str]:
        """What it accepted, as soon as that is so many."""
        for _ in range(100):
            if len(self.accepted) >= count:
                break
            threading.Event().wait(0.1)
        return list(self.accepted)

    def give(self, posted: Posted) -> int:
        """Hand it a request; answers the status."""
        kept = {k: v for k, v in posted.headers.items() if k not in ("host", "content-length")}
        url = f"http://127.0.0.1:{self.port}{posted.path}"
        return httpx.post(url, content=posted.content, headers=kept).status_code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.accepted.append(line.strip())

    def _wait_until_open(self) -> None:
        for _ in range(100):
            with socket.socket() as probe:
                probe.settimeout(0.1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            threading.Event().wait(0.1)
        raise AssertionError("the documented receiver does not start")
