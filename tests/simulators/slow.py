"""A server that takes its time: it accepts whoever comes and answers a byte now and then, or never.

`mode` says how: "silent" (accepts and says nothing), "headers" and "body" (a byte every while, for
ever), "handshake" (the same before any TLS), "closed" (hangs up in the midst of its body). It reads
what it is sent, except when "deaf".
"""

import socket
import threading
from typing import Literal

Mode = Literal["silent", "headers", "body", "handshake", "deaf", "closed"]

BEGINNINGS: dict[str, bytes] = {
    "headers": b"HTTP/1.1 200 OK\r\nx-slow: ",
    "body": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 60000\r\n\r\n",
    "handshake": b"\x16\x03\x03\x3f\xff",  # a TLS record of 16 kB begins
    "closed": b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nabc",
}


class SlowServer:
    """Listens on a free port of this machine; a context manager. `asked` counts who came."""

    def __init__(self, mode: Mode, every: float = 0.05) -> None:
        self.mode = mode
        self.asked = 0
        self._every = every
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> "SlowServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            if self.mode != "deaf":
                line.recv(65_536)
            try:
                line.sendall(BEGINNINGS.get(self.mode, b""))
                while self.mode != "closed" and not self._over.wait(self._every):
                    if self.mode in BEGINNINGS:
                        line.sendall(b".")
            except OSError:
                pass  # the caller has waited enough
