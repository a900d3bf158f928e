"""Requests to addresses that somebody else told us: what is talked to, and what never is."""

import datetime
import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.outbound.client import LONGEST_ANSWER, Outbound, OutboundFailed, OutboundRefused

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Receiver(http.server.BaseHTTPRequestHandler):
    """A service somewhere: it answers what its path says."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/latest/meta-data")
            self.end_headers()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            for _ in range(50):
                self.wfile.write(b".")
                time.sleep(0.05)
        else:
            body = b"x" * (LONGEST_ANSWER + 1) if self.path == "/long" else self.seen()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.send_header("x-got", body.decode())
        self.end_headers()

    def seen(self) -> bytes:
        return f"{self.headers['host']} {self.headers['cookie']}".encode()

    def log_message(self, *_: object) -> None:
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A caller that hangs up is what some tests want."""


def serve(trust: ssl.SSLContext | None = None) -> http.server.ThreadingHTTPServer:
    server = Quiet(("127.0.0.1", 0), Receiver)
    if trust is not None:
        server.socket = trust.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture
def receiver() -> Iterator[str]:
    server = serve()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()


@pytest.fixture
def outbound() -> Outbound:
    return Outbound(LOOPBACK, resolve=lambda host, port: ["127.0.0.1"], seconds=20.0)


def resolves_to(*addresses: str) -> Outbound:
    return Outbound(resolve=lambda host, port: addresses)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
        *("::", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "::10.0.0.1"),
        *("64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::"),
    ],
)
def test_an_inner_address_is_never_talked_to(address: str):
    with pytest.raises(OutboundRefused):
        resolves_to(address).destination("https://client.example/")
    with pytest.raises(OutboundRefused):
        resolves_to("93.184.215.14", address).destination("https://client.example/")


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_is_pinned(address: str):
    where = resolves_to(address).destination("https://client.example:8443/jwks?v=1")

    assert (where.address, where.host, where.authority) == (
        address,
        "client.example",
        "client.example:8443",
    )
    assert address in where.url


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://client.example/", "file:///etc/passwd", "//client.example/", "client.example"),
        *("https://user@client.example/", "https://client.example/#x", "https:///x", ""),
        *(
            "https://client.example:99999/",
            "https://client.example\\@10.0.0.1/",
            "https://例.example",
        ),
        "http://client.example/",
    ],
)
def test_only_a_plain_https_url_is_talked_to(url: str):
    with pytest.raises(OutboundRefused):
        resolves_to("93.184.215.14").destination(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"])
def test_other_spellings_of_this_machine_are_this_machine(host: str):
    with pytest.raises(OutboundRefused):
        Outbound().destination(f"https://{host}/")


def test_a_name_that_changes_its_address_is_asked_once(receiver: str):
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    outbound = Outbound(LOOPBACK, resolve=lambda host, port: next(answers))

    assert outbound.get(receiver).status == 200


def test_the_name_is_told_and_nothing_else_of_us(receiver: str, outbound: Outbound):
    answer = outbound.get(receiver)

    assert answer.body.decode() == f"{receiver.removeprefix('http://')} None"


def test_a_form_arrives(receiver: str, outbound: Outbound):
    answer = outbound.post(receiver, {"logout_token": "a.b.c"})

    assert (answer.status, answer.headers["x-got"]) == (204, "logout_token=a.b.c")


def test_a_redirect_is_an_answer_and_not_an_order(receiver: str, outbound: Outbound):
    assert outbound.get(f"{receiver}/moved").status == 302


@pytest.mark.parametrize(("path", "seconds"), [("/long", 20.0), ("/slow", 1.0)])
def test_an_answer_without_end_is_given_up(receiver: str, path: str, seconds: float):
    outbound = Outbound(LOOPBACK, resolve=lambda host, port: ["127.0.0.1"], seconds=seconds)

    with pytest.raises(OutboundFailed):
        outbound.get(receiver + path)


def test_nobody_there_is_a_failure(outbound: Outbound):
    with pytest.raises(OutboundFailed):
        outbound.get("http://localhost:9")


def test_the_certificate_is_checked_against_the_name_although_the_address_is_used(tmp_path: Path):
    certificate = self_signed("client.example", tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    server = serve(serving)
    trust = ssl.create_default_context(cafile=str(certificate))
    outbound = Outbound(LOOPBACK, resolve=lambda host, port: ["127.0.0.1"], trust=trust)

    assert outbound.get(f"https://client.example:{server.server_port}/").status == 200
    with pytest.raises(OutboundFailed):
        outbound.get(f"https://other.example:{server.server_port}/")
    server.shutdown()


def self_signed(name: str, folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / f"{name}.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
