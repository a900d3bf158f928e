"""The programs that walk through a house are as patient as those of a department must be."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from server.sandbox.visitors import Program


class Slow(BaseHTTPRequestHandler):
    """A house whose ledger takes an entry in only after somebody has asked for its proof twice."""

    asked = 0

    def do_POST(self) -> None:
        self._answer({"access_token": "t"})

    def do_GET(self) -> None:
        type(self).asked += 1
        proof = "c2sp.org/tlog-proof@v1" if self.asked > 2 else None
        self._answer({"entries": [{"proof": proof}]})

    def _answer(self, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_program_asks_for_its_receipt_until_the_proof_is_there(origin: str) -> None:
    program = Program(origin, "bank", "secret")

    file = json.loads(program.receipt_file("r-1"))

    assert file["entries"][0]["proof"]
    program.close()
