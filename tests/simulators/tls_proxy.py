"""A proxy that ends TLS in front of the house, as an operator would set one up.

It asks every connection for a client certificate, hands what it saw to the server behind in
`Client-Cert` (RFC 9440 §2.2), and drops that header when it came from outside.
"""

import base64
import http.client
import http.server
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "content-length"}
_OURS = {"client-cert", "client-cert-chain"}


class TlsProxy(http.server.ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1; `url` is where. `upstream` may be named later."""

    daemon_threads = True

    def __init__(self, certificate: Path, client_authorities: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(certificate)
        trust.load_verify_locations(client_authorities)
        trust.verify_mode = ssl.CERT_OPTIONAL
        self.socket = trust.wrap_socket(self.socket, server_side=True)
        self.upstream = ""
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TlsProxy
    connection: ssl.SSLSocket

    def do_GET(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOP_BY_HOP | _OURS}
        shown = self.connection.getpeercert(binary_form=True)
        if shown is not None:
            headers["Client-Cert"] = f":{base64.b64encode(shown).decode()}:"
        behind = http.client.HTTPConnection(urlsplit(self.server.upstream).netloc, timeout=30)
        behind.request(self.command, self.path, body, headers)
        answer = behind.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        behind.close()

    def log_message(self, *_: object) -> None:
        pass
