"""A time-stamp authority of somebody else: HTTP outside, `openssl ts` inside, with a CA of its own.

It implements RFC 3161 for real; `mode` makes it misbehave the way authorities do: "slow", "dead"
(hangs up), "busy" (503), "hiccup" (busy once), "rejecting" (a proper refusal), "wrong_nonce" and
"wrong_digest" (an honest token for another question), "stranger" (a token by a CA nobody agreed on)
and "chatty" (endless).
"""

import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from asn1crypto import tsp

_CONFIGURATION = """
oid_section = oids
[oids]
policy = 1.3.6.1.4.1.99999.1
[tsa]
default_tsa = config
[config]
dir = .
serial = serial
signer_cert = {name}.pem
certs = {name}-ca.pem
signer_key = {name}.key
signer_digest = sha256
default_policy = policy
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = critical,timeStamping
"""


class TimeStampAuthority:
    """Listens on a free port of this machine; a context manager."""

    def __init__(self, folder: Path, key: str = "rsa:2048") -> None:
        self.folder = folder
        self.mode = "good"
        self.asked = 0
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "serial").write_text("01\n")
        for name in ("known", "stranger"):
            self._make(name, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/tsr"

    @property
    def root(self) -> Path:
        """The PEM file of the CA that callers have agreed to believe."""
        return self.folder / "known-ca.pem"

    def __enter__(self) -> "TimeStampAuthority":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, query: bytes) -> bytes:
        """A TimeStampResp by openssl, for the query or for the one this mode mistakes it for."""
        name = "stranger" if self.mode == "stranger" else "known"
        with self._lock:  # openssl keeps its serial number in a file
            (self.folder / "query").write_bytes(self._misread(query))
            self._openssl(
                *("ts", "-reply", "-config", f"{name}.cnf", "-queryfile", "query"),
                *("-out", "reply"),
            )
            return (self.folder / "reply").read_bytes()

    def _misread(self, query: bytes) -> bytes:
        if self.mode == "rejecting":
            return b"\x30\x00"
        asked = tsp.TimeStampReq.load(query)
        if self.mode == "wrong_nonce":
            asked["nonce"] = asked["nonce"].native ^ 1
        if self.mode == "wrong_digest":
            asked["message_imprint"]["hashed_message"] = bytes(32)
        return asked.dump(force=True)

    def _make(self, name: str, key: str) -> None:
        (self.folder / f"{name}.cnf").write_text(_CONFIGURATION.format(name=name))
        for each, extensions in ((f"{name}-ca", "ca"), (name, "leaf")):
            issued = () if extensions == "ca" else ("-CA", f"{name}-ca.pem")
            by = () if extensions == "ca" else ("-CAkey", f"{name}-ca.key")
            self._openssl(
                *("req", "-x509", "-newkey", key, "-nodes", "-days", "30", "-subj", f"/CN={each}"),
                *("-keyout", f"{each}.key", "-out", f"{each}.pem", "-config", f"{name}.cnf"),
                *("-extensions", extensions, *issued, *by),
            )

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode and not (self.folder / "reply").exists():
            raise RuntimeError(done.stderr)


def _handler(authority: TimeStampAuthority) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            authority.asked += 1
            query = self.rfile.read(int(self.headers["content-length"]))
            if authority.mode == "dead":
                self.connection.close()
                return
            if authority.mode in {"busy", "hiccup"}:
                authority.mode = "good" if authority.mode == "hiccup" else "busy"
                self.send_error(503)
                return
            if authority.mode == "slow":
                time.sleep(1.5)
            answer = authority.reply(query)
            self.send_response(200)
            self.send_header("content-type", "application/timestamp-reply")
            self.end_headers()
            try:
                self.wfile.write(answer)
                while authority.mode == "chatty":
                    self.wfile.write(bytes(65_536))
            except OSError:
                pass  # the caller has heard enough

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    return Handler
