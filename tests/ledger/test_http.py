"""The published log, and a reader that shares no line of code with the one who wrote it."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from foundation.actor import SYSTEM
from foundation.errors import YinzhengError
from ledger import Entry
from ledger.http import hot_routes, router


@pytest.fixture
def client(ledger):
    app = FastAPI()
    app.include_router(router(ledger))
    app.add_exception_handler(
        YinzhengError, lambda _, error: JSONResponse({"code": error.code}, error.status)
    )
    with TestClient(app) as client:
        yield client


def grow(ledger, database, clock, count):
    refs = []
    with database.write() as tx:
        for _ in range(count):
            at = clock.advance(timedelta(milliseconds=1))
            entry = Entry(kind="verification", actor=SYSTEM, at=at, subject="5b" * 32)
            refs.append(ledger.append(tx, entry))
    ledger.integrate_all()
    return refs


class IndependentReader:
    """Reads a log as its standard describes it, knowing only its URL and its key.

    Written from c2sp.org/tlog-tiles and signed-note alone, straight and slow on purpose.
    """

    def __init__(self, get, vkey):
        self.get = get
        self.name, key_id, key = vkey.split("+", 2)
        self.key_id = bytes.fromhex(key_id)
        self.key = base64.b64decode(key)[1:]

    def checkpoint(self):
        text, signatures = self.get("checkpoint").decode().split("\n\n")
        text += "\n"
        for line in signatures.strip().split("\n"):
            dash, name, encoded = line.split(" ")
            blob = base64.b64decode(encoded)
            if (dash, name, blob[:4]) == ("—", self.name, self.key_id):
                Ed25519PublicKey.from_public_bytes(self.key).verify(blob[4:], text.encode())
                origin, size, root, _ = text.split("\n")
                return origin, int(size), base64.b64decode(root)
        raise AssertionError("not signed by the log")

    def entries(self, size):
        for number in range((size + 255) // 256):
            width = min(256, size - 256 * number)
            bundle = self.get("tile/entries/" + self.path(number, width))
            while bundle:
                length = 2 + bundle[0] * 256 + bundle[1]
                yield bundle[2:length]
                bundle = bundle[length:]

    def tile(self, level, number, width):
        tile = self.get(f"tile/{level}/" + self.path(number, width))
        return [tile[at : at + 32] for at in range(0, len(tile), 32)]

    def root(self, hashes):
        if len(hashes) == 1:
            return hashes[0]
        half = 1
        while half * 2 < len(hashes):
            half *= 2
        node = b"\x01" + self.root(hashes[:half]) + self.root(hashes[half:])
        return hashlib.sha256(node).digest()

    def path(self, number, width):
        digits = str(number).zfill((len(str(number)) + 2) // 3 * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        path = "/".join([*("x" + group for group in groups[:-1]), groups[-1]])
        return path if width == 256 else f"{path}.p/{width}"


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_an_independent_reader_recomputes_the_checkpoint(ledger, database, clock, client, size):
    grow(ledger, database, clock, size)
    vkey = client.get("/ledger/keys").text.strip()
    reader = IndependentReader(lambda path: client.get(f"/ledger/{path}").content, vkey)

    origin, signed_size, root = reader.checkpoint()
    entries = list(reader.entries(signed_size))
    leaves = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]

    assert (origin, signed_size, len(entries)) == (ledger.origin, size, size)
    assert reader.root(leaves) == root
    assert all(json.loads(entry)["kind"] == "verification" for entry in entries)
    for number in range((size + 255) // 256):
        width = min(256, size - 256 * number)
        assert reader.tile(0, number, width) == leaves[256 * number :][:width]
    if size >= 256:
        full = [reader.root(leaves[256 * n : 256 * n + 256]) for n in range(size // 256)]
        assert reader.tile(1, 0, size // 256) == full


def test_partial_tiles_of_older_checkpoints_stay_readable(ledger, database, clock, client):
    grow(ledger, database, clock, 100)
    before = client.get("/ledger/tile/0/000.p/100")
    grow(ledger, database, clock, 300)

    assert client.get("/ledger/tile/0/000.p/100").content == before.content
    assert client.get("/ledger/tile/0/000").content.startswith(before.content)


def test_tiles_are_cached_for_ever_and_the_checkpoint_is_not(ledger, database, clock, client):
    grow(ledger, database, clock, 3)

    tile = client.get("/ledger/tile/0/000.p/3")
    checkpoint = client.get("/ledger/checkpoint")

    assert tile.headers["content-type"] == "application/octet-stream"
    assert "immutable" in tile.headers["cache-control"]
    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "public, max-age=1"


def test_a_bundle_is_compressed_for_those_who_ask(ledger, database, clock, client):
    grow(ledger, database, clock, 50)
    url = "/ledger/tile/entries/000.p/50"

    plain = client.get(url, headers={"accept-encoding": "identity"})
    packed = client.get(url, headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < len(plain.content)


def test_an_empty_log_shows_its_signed_beginning(ledger, client):
    assert client.get("/ledger/checkpoint").text.startswith(f"{ledger.origin}\n0\n")


@pytest.mark.parametrize(
    "path",
    [
        "0/000",
        "0/000.p/4",
        "0/001.p/1",
        "1/000.p/1",
        "entries/000",
        "entries/001.p/1",
        "63/x999/x999/x999/x999/x999/999",
        "0/000.p/03",
        "../../keys/jwks.json",
        "%2e%2e/%2e%2e/keys",
        "0/000.p/1%00",
    ],
)
def test_what_the_log_does_not_have_is_not_found(ledger, database, clock, client, path):
    grow(ledger, database, clock, 3)

    assert client.get(f"/ledger/tile/{path}").status_code == 404


def test_the_fast_lane_offers_the_checkpoint(ledger):
    assert [(route.method, route.path) for route in hot_routes(ledger)] == [
        ("GET", "/ledger/checkpoint")
    ]
