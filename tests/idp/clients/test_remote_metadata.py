"""What clients keep at addresses of their own: keys and sectors, read from a real server."""

import gzip
import threading
import zlib
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import orjson
import pytest
import structlog.testing
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.jwk import ECKey

from foundation.actor import SYSTEM
from foundation.outbound.client import Outbound
from idp import Client
from idp.protocol.errors import InvalidClientMetadata
from server.services import assemble
from tests.idp.fixtures import app_of
from tests.idp.world import ISSUER, PASSWORD, PURPOSE, REDIRECT_URI, RelyingParty, World, public_jwk

CREDENTIALS = {"grant_type": "client_credentials"}
LOOPBACK = [ip_network("127.0.0.0/8")]


class Shelf:
    """A client's own web server; `documents` are what it answers, under `headers` for each;
    `asked` is what was asked, `wanted` the codings that were asked for."""

    def __init__(self) -> None:
        self.documents: dict[str, object] = {}
        self.asked: list[str] = []
        self.headers: dict[str, dict[str, str]] = {}
        self.wanted: list[str | None] = []
        shelf = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shelf.asked.append(self.path)
                shelf.wanted.append(self.headers["accept-encoding"])
                found = shelf.documents.get(self.path)
                self.send_response(404 if found is None else 200)
                for name, value in shelf.headers.get(self.path, {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(found if isinstance(found, bytes) else orjson.dumps(found))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.server.shutdown()
    shelf.server.server_close()


@pytest.fixture
def world(runner, database, keys, ledger, clock) -> Iterator[World]:
    """A provider that may talk to this machine."""
    idp = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=ISSUER,
        ledger=ledger,
        outbound=Outbound(LOOPBACK),
    ).idp
    chen = idp.people.add("chen", "陈静怡", PASSWORD, by=SYSTEM)
    yield World(app_of(idp), runner, idp, database, clock, chen)
    idp.close()


def registration(**changes) -> Client:
    fields = {
        "client_id": "remote",
        "name": PURPOSE,
        "purpose": PURPOSE,
        "organisation": "x" * 18,
        "organisation_name": "X",
        "profile": "standard",
        "token_endpoint_auth_method": "private_key_jwt",
        "redirect_uris": (REDIRECT_URI,),
        "grant_types": ("client_credentials", "authorization_code"),
        "scopes": ("openid", "verifications"),
        **changes,
    }
    return Client(**fields)


@pytest.fixture
def remote(world: World, shelf: Shelf) -> RelyingParty:
    """A client whose keys are at an address of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    shelf.documents["/jwks"] = {"keys": [public_jwk(key, "key-1")]}
    made = world.idp.clients.add(registration(jwks_uri=shelf.url + "/jwks"), by=SYSTEM)
    shelf.asked.clear()
    return RelyingParty(world, made.client, "", key)


def test_keys_are_read_when_they_are_needed_and_kept_for_a_while(world, remote, shelf, clock):
    assert [remote.token(CREDENTIALS).status_code for _ in range(3)] == [200] * 3
    assert shelf.asked == ["/jwks"]

    clock.advance(timedelta(minutes=6))
    remote.token(CREDENTIALS)
    assert shelf.asked == ["/jwks"] * 2


def test_a_client_rotates_its_keys_without_telling_anybody(world, remote, shelf, clock):
    remote.token(CREDENTIALS)
    clock.advance(timedelta(seconds=30))
    remote.key = ec.generate_private_key(ec.SECP256R1())
    shelf.documents["/jwks"] = {"keys": [public_jwk(remote.key, "key-2")]}

    form = {**CREDENTIALS, **remote.assertion(header={"kid": "key-2"})}

    assert world.http.post("/oauth/token", form).status_code == 200


def test_made_up_kids_do_not_make_us_ask_again_and_again(world, remote, shelf):
    remote.token(CREDENTIALS)

    for at in range(20):
        form = {**CREDENTIALS, **remote.assertion(header={"kid": f"made-up-{at}"})}
        assert world.http.post("/oauth/token", form).status_code == 401

    assert len(shelf.asked) == 1


def test_an_address_out_of_order_does_not_stop_a_client_for_an_hour(world, remote, shelf, clock):
    remote.token(CREDENTIALS)
    shelf.documents.clear()

    clock.advance(timedelta(minutes=30))
    assert remote.token(CREDENTIALS).status_code == 200
    clock.advance(timedelta(minutes=31))
    assert remote.token(CREDENTIALS).json()["error"] == "invalid_client"


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_client_whose_server_compresses_everything_is_not_locked_out(
    world, remote, shelf, clock, coding, pack
):
    remote.token(CREDENTIALS)
    clock.advance(timedelta(seconds=30))
    remote.key = ec.generate_private_key(ec.SECP256R1())
    shelf.documents["/jwks"] = pack(orjson.dumps({"keys": [public_jwk(remote.key, "key-2")]}))
    shelf.headers["/jwks"] = {"content-encoding": coding}

    form = {**CREDENTIALS, **remote.assertion(header={"kid": "key-2"})}

    assert world.http.post("/oauth/token", form).status_code == 200
    assert set(shelf.wanted) == {"identity"}


def test_a_compressed_sector_document_is_read(world: World, shelf: Shelf):
    shelf.documents["/sector"] = gzip.compress(orjson.dumps([REDIRECT_URI]))
    shelf.headers["/sector"] = {"content-encoding": "gzip"}

    assert pairwise(world, "one", sector_identifier_uri=shelf.url + "/sector")


WRONG = [
    (None, {"content-type": "text/html"}, "answer with 200", "status 404, text/html, not encoded"),
    (b"x", {"content-encoding": "br"}, "not known here", "status 200, no content type, br"),
    (b"x", {"content-encoding": "gzip"}, "not in the coding", "no content type, gzip"),
    (b"<html>", {"content-type": "text/html"}, "JSON", "status 200, text/html, not encoded"),
    (b"5", {"content-type": 'a; b="c\\"'}, "", "status 200, a; b=c, not encoded"),
]


@pytest.mark.parametrize(("document", "headers", "reason", "received"), WRONG)
@pytest.mark.parametrize("field", ["jwks_uri", "sector_identifier_uri"])
def test_what_cannot_be_used_is_told_with_what_came_instead(
    world, shelf, field, document, headers, reason, received
):
    shelf.documents["/x"], shelf.headers["/x"] = document, headers
    keys = {} if field == "jwks_uri" else {"token_endpoint_auth_method": "client_secret_basic"}

    with structlog.testing.capture_logs() as logged, pytest.raises(InvalidClientMetadata) as caught:
        world.idp.clients.add(registration(**{field: shelf.url + "/x"}, **keys), by=SYSTEM)

    [error] = caught.value.errors
    assert reason in error.detail
    assert error.detail.endswith(received)
    [line] = logged
    assert (line["field"], line["reason"]) == (field, error.detail)


def test_whoever_runs_the_house_reads_why_keys_cannot_be_had(world, remote, shelf, clock):
    clock.advance(timedelta(hours=2))
    shelf.documents["/jwks"], shelf.headers["/jwks"] = b"x", {"content-encoding": "br"}

    with structlog.testing.capture_logs() as logged:
        assert remote.token(CREDENTIALS).json()["error"] == "invalid_client"

    [line] = [each for each in logged if each["event"] == "client_keys_unread"]
    assert line["address"] == shelf.url
    assert "not known here" in line["reason"]
    assert line["reason"].endswith("received: status 200, no content type, br")


def test_a_signed_request_finds_its_key_there_too(world: World, remote: RelyingParty):
    text = remote.request_object(scope="openid")

    answer = world.browser().authorize({"client_id": "remote", "request": text})

    assert answer.path.startswith("/signin/")


@pytest.mark.parametrize("document", [None, b"x", [], {"keys": "x"}, {}, {"keys": [{}] * 51}])
def test_a_key_set_that_is_none_is_refused_at_registration(world, shelf, document):
    shelf.documents["/jwks"] = document

    with pytest.raises(InvalidClientMetadata) as caught:
        world.idp.clients.add(registration(jwks_uri=shelf.url + "/jwks"), by=SYSTEM)

    assert caught.value.errors[0].pointer == "/jwks_uri"


# --- sectors ------------------------------------------------------------------------------------

SCHOOL = "https://school.example.gov.cn/callback"


def pairwise(world: World, client_id: str, **changes) -> RelyingParty:
    client = registration(
        client_id=client_id,
        token_endpoint_auth_method="client_secret_basic",
        subject_type="pairwise",
        **changes,
    )
    made = world.idp.clients.add(client, by=SYSTEM)
    return RelyingParty(world, made.client, made.client_secret)


def test_services_of_one_sector_know_a_person_by_one_name(world: World, shelf: Shelf):
    shelf.documents["/sector"] = [REDIRECT_URI, SCHOOL]
    sector = {"sector_identifier_uri": shelf.url + "/sector"}
    one = pairwise(world, "one", redirect_uris=(REDIRECT_URI, SCHOOL), **sector)
    two = pairwise(world, "two", **sector)
    alone = pairwise(world, "alone")

    names = [world.verify(each.tokens(scope="openid")["id_token"], audience=each.id)["sub"]
             for each in (one, two, alone)]  # fmt: skip

    assert names[0] == names[1] != names[2]
    assert all(name.startswith("p_") and name != world.chen.id for name in names)


@pytest.mark.parametrize("document", [None, b"x", {}, [], [SCHOOL], [REDIRECT_URI + "x"]])
def test_a_sector_that_does_not_name_the_redirect_uri_is_refused(world, shelf, document):
    shelf.documents["/sector"] = document

    with pytest.raises(InvalidClientMetadata) as caught:
        pairwise(world, "one", sector_identifier_uri=shelf.url + "/sector")

    assert caught.value.errors[0].pointer == "/sector_identifier_uri"


def test_several_hosts_need_a_sector_of_their_own(world: World):
    with pytest.raises(InvalidClientMetadata):
        pairwise(world, "one", redirect_uris=(REDIRECT_URI, SCHOOL))


def test_nobody_is_registered_with_an_address_that_nobody_looked_at(world: World, shelf: Shelf):
    with pytest.raises(InvalidClientMetadata), world.database.write() as tx:
        world.idp.clients.register(tx, registration(jwks_uri=shelf.url + "/jwks"), by=SYSTEM)


def sealed(world: World, shelf: Shelf) -> RelyingParty:
    """A client with a secret whose ID tokens are encrypted to a key at its own address."""
    client = registration(
        token_endpoint_auth_method="client_secret_basic",
        jwks_uri=f"{shelf.url}/jwks",
        id_token_encrypted_response_alg="ECDH-ES",
    )
    made = world.idp.clients.add(client, by=SYSTEM)
    return RelyingParty(world, made.client, made.client_secret)


def encryption_key(kid: str) -> tuple[ec.EllipticCurvePrivateKey, dict]:
    key = ec.generate_private_key(ec.SECP256R1())
    return key, {"keys": [public_jwk(key, kid, use="enc")]}


def test_an_id_token_is_encrypted_to_the_key_that_is_at_the_address_now(world, shelf, clock):
    _, shelf.documents["/jwks"] = encryption_key("old")
    client = sealed(world, shelf)
    key, shelf.documents["/jwks"] = encryption_key("new")
    clock.advance(timedelta(minutes=6))

    id_token = client.tokens(scope="openid")["id_token"]

    opened = jwe.decrypt_compact(id_token, ECKey.import_key(key), algorithms=["ECDH-ES", "A256GCM"])
    assert opened.headers()["kid"] == "new"


def test_a_client_without_an_encryption_key_at_its_address_is_not_registered(world, shelf):
    shelf.documents["/jwks"] = {"keys": [public_jwk(ec.generate_private_key(ec.SECP256R1()), "s")]}

    with pytest.raises(InvalidClientMetadata):
        sealed(world, shelf)


def test_while_the_key_cannot_be_had_the_code_is_not_used_up(world: World, shelf, clock):
    _, jwks = encryption_key("k")
    shelf.documents["/jwks"] = jwks
    client = sealed(world, shelf)
    shelf.documents.clear()
    clock.advance(timedelta(hours=2))
    code = client.code(scope="openid")

    refused = client.exchange(code)
    shelf.documents["/jwks"] = jwks
    clock.advance(timedelta(seconds=11))
    answered = client.exchange(code)

    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert refused.headers["retry-after"] == "10"
    assert answered.json()["id_token"].count(".") == 4


def test_many_who_wait_for_the_same_keys_ask_once(world: World, remote, shelf):
    forms = [{**CREDENTIALS, **remote.assertion()} for _ in range(12)]

    answers = world.http.together(
        *(world.http.client.post("/oauth/token", data=form) for form in forms)
    )

    assert {each.status_code for each in answers} == {200}
    assert shelf.asked == ["/jwks"]


def test_a_pushed_signed_request_waits_for_its_keys_outside_the_event_loop(world, remote, shelf):
    response = remote.post("/oauth/par", {"request": remote.request_object(scope="openid")})

    assert response.status_code == 201
    assert shelf.asked == ["/jwks"], "and the assertion used the same keys"
