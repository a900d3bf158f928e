"""Attack 29 at the identity provider: addresses that a client names and we are made to visit.

What `foundation.outbound.client` refuses is tested there, name by name; here: that nothing goes
past it.
"""

import gzip
import tracemalloc
import zlib
from ipaddress import ip_network

import pytest
from sqlalchemy import insert

from foundation.actor import SYSTEM
from foundation.outbound.client import Outbound, OutboundFailed
from idp import Idp
from idp.models import logout_notices
from idp.protocol.errors import InvalidClientMetadata, LogoutNotConfirmed
from server.services import assemble
from tests.idp.clients.test_remote_metadata import registration, shelf  # noqa: F401
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import ISSUER, PASSWORD

NO_ADDRESS = [
    "http://public.example/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:5432/",
    "https://user@public.example/",
    "https://public.example\\@127.0.0.1/",
]
INSIDE = [
    "https://169.254.169.254/latest/meta-data/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://10.1.2.3/",
    "https://metadata.internal/",
]


@pytest.fixture
def provider(database, keys, ledger, clock):
    """A provider in production: this machine and private networks are not talked to. Names resolve
    as an attacker's name server would like."""
    addresses = {"metadata.internal": "169.254.169.254", "public.example": "93.184.215.14"}

    def resolve(host: str, port: int) -> list[str]:
        from foundation.outbound.client import system_resolver

        return [addresses[host]] if host in addresses else system_resolver(host, port)

    idp = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=ISSUER,
        ledger=ledger,
        outbound=Outbound(resolve=resolve),
    ).idp
    yield idp
    idp.close()


@pytest.mark.parametrize("field", ["jwks_uri", "sector_identifier_uri", "logo_uri"])
@pytest.mark.parametrize("url", [*INSIDE, *NO_ADDRESS])
def test_29_no_registered_address_leads_inside(provider: Idp, field: str, url: str):
    with pytest.raises(InvalidClientMetadata) as refused:
        provider.clients.add(registration(**{field: url}), by=SYSTEM)

    assert "no answer" not in refused.value.detail, "nobody was even asked"


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_29_nor_can_one_be_registered_that_is_visited_only_later(provider: Idp, url: str):
    plain = {"token_endpoint_auth_method": "client_secret_basic"}

    with pytest.raises(InvalidClientMetadata):
        provider.clients.add(registration(backchannel_logout_uri=url, **plain), by=SYSTEM)


@pytest.mark.parametrize("url", ["https://metadata.internal/", "https://127.0.0.1/"])
def test_29_a_sign_out_is_told_to_no_address_inside(provider: Idp, database, clock, url: str):
    plain = {"token_endpoint_auth_method": "client_secret_basic"}
    told = registration(backchannel_logout_uri=url, **plain)
    provider.clients.add(told, by=SYSTEM)
    chen = provider.people.add("chen", "陈静怡", PASSWORD, by=SYSTEM)
    notice = {"id": "n", "sid": "s", "created_at": clock(), "attempts": 0, "problem": ""}
    with database.write() as tx:
        row = {**notice, "client_id": told.client_id, "person_id": chen.id}
        tx.execute(insert(logout_notices).values(row))

    with pytest.raises(LogoutNotConfirmed, match="may be talked to"):
        provider.notices.deliver({"notice": "n"})


def test_29_no_proxy_of_the_environment_is_sent_what_is_meant_for_others(shelf, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, shelf.url)
    monkeypatch.delenv("no_proxy", raising=False)
    outbound = Outbound((ip_network("127.0.0.0/8"),), resolve=lambda host, port: ["127.0.0.1"])

    with pytest.raises(OutboundFailed):
        outbound.get("http://localhost:9/")

    assert shelf.asked == []


def test_29_an_address_on_this_very_machine_is_not_visited(provider: Idp, shelf):
    shelf.documents["/jwks"] = {"keys": []}

    with pytest.raises(InvalidClientMetadata):
        provider.clients.add(registration(jwks_uri=shelf.url + "/jwks"), by=SYSTEM)

    assert shelf.asked == []


def test_29_a_request_uri_of_the_client_is_never_visited(world, client, shelf):
    shelf.documents["/request"] = b"x.y.z"

    answer = world.browser().authorize(client.request(request_uri=shelf.url + "/request"))
    pushed = client.post("/oauth/par", client.request(request_uri=shelf.url + "/request"))

    assert answer.params["error"] == "request_uri_not_supported"
    assert pushed.json()["error"] == "invalid_request"
    assert shelf.asked == []


def test_29_a_picture_or_page_a_client_names_is_never_fetched_by_us(provider: Idp, shelf):
    provider.clients.add(
        registration(
            token_endpoint_auth_method="client_secret_basic", client_uri=shelf.url + "/home"
        ),
        by=SYSTEM,
    )

    assert shelf.asked == []


@pytest.mark.parametrize(
    ("coding", "bomb"),
    [
        ("gzip", gzip.compress(bytes(50_000_000))),
        ("gzip", gzip.compress(bytes(60_000)) * 100),
        ("deflate", zlib.compress(bytes(50_000_000))),
    ],
    ids=["one member", "many members", "deflate"],
)
def test_29_a_compressed_bomb_is_never_unpacked(shelf, coding: str, bomb: bytes):
    shelf.documents["/jwks"], shelf.headers["/jwks"] = bomb, {"content-encoding": coding}
    outbound = Outbound((ip_network("127.0.0.0/8"),))
    tracemalloc.start()

    with pytest.raises(OutboundFailed, match="too long when it is decompressed"):
        outbound.get(shelf.url + "/jwks")

    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
