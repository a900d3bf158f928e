"""When a session ends, its services are told, and who did not confirm can be seen."""

import http.server
import ipaddress
import threading
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs

import jwt
import pytest

from foundation.actor import SYSTEM
from foundation.jobs import LONGEST_WAIT, OUTBOUND
from foundation.outbound.client import Outbound
from idp import Idp
from idp.accounts.backchannel import EVENT, TRIED_FOR
from idp.protocol.errors import InvalidClientMetadata, NoSuchNotice
from server.services import assemble
from tests.idp.world import ISSUER, RelyingParty, World


class Service(http.server.ThreadingHTTPServer):
    """A client's server: it keeps the logout tokens it was sent and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tokens: list[str] = []
        self.answer = 200
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/backchannel"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        assert self.headers["content-type"] == "application/x-www-form-urlencoded"
        self.server.tokens += parse_qs(body)["logout_token"]
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def idp(database, keys, ledger, clock) -> Iterator[Idp]:
    """As in a sandbox: services on this machine may be talked to."""
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)
    idp = assemble(
        database=database,
        keys=keys,
        clock=clock,
        issuer=ISSUER,
        ledger=ledger,
        outbound=Outbound(loopback),
    ).idp
    yield idp
    idp.close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.shutdown()


@pytest.fixture
def client(world: World, service: Service) -> RelyingParty:
    return world.client(backchannel_logout_uri=service.uri)


def signed_in_and_out(world: World, *clients: RelyingParty) -> list[dict]:
    """A browser visits the clients and signs out; answers their ID tokens' claims."""
    browser = world.browser()
    tokens = []
    for each in clients:
        told = each.exchange(each.code(browser)).json()["id_token"]
        tokens.append(jwt.decode(told, options={"verify_signature": False}))
    world.idp.end_session(browser.session_id)
    return tokens


def test_a_service_is_told_with_a_token_that_is_as_the_standard_says(world, client, service, clock):
    [id_token] = signed_in_and_out(world, client)

    world.idp.jobs.run_pending()

    [token] = service.tokens
    assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"
    claims = world.verify(token, audience=client.id, issuer=ISSUER)
    assert claims.keys() == {"iss", "aud", "sub", "sid", "iat", "exp", "jti", "events"}
    assert (claims["sub"], claims["sid"]) == (id_token["sub"], id_token["sid"])
    assert claims["events"] == {EVENT: {}}
    assert claims["exp"] - claims["iat"] == 120
    assert world.idp.notices.of(world.chen)[0].state == "confirmed"
    assert world.idp.notices.unconfirmed(world.chen) == []


def test_every_service_of_the_session_is_told_and_no_other(world, client, service):
    second = world.client("second", backchannel_logout_uri=service.uri)
    world.client("never-visited", backchannel_logout_uri=service.uri)
    silent = world.client("wants-no-notice")
    signed_in_and_out(world, client, second, silent)

    world.idp.jobs.run_pending()

    told = {jwt.decode(each, options={"verify_signature": False})["aud"] for each in service.tokens}
    assert told == {client.id, "second"}


def test_a_pairwise_client_is_told_its_own_name_of_the_person(world: World, service: Service):
    client = world.client("pair", subject_type="pairwise", backchannel_logout_uri=service.uri)
    [id_token] = signed_in_and_out(world, client)

    world.idp.jobs.run_pending()

    told = jwt.decode(service.tokens[0], options={"verify_signature": False})["sub"]
    assert told == id_token["sub"] != world.chen.id


def test_a_service_that_is_down_is_told_again_with_a_new_token(world, client, service, clock):
    service.answer = 503
    signed_in_and_out(world, client)
    deliver(world)
    [waiting] = world.idp.notices.unconfirmed(world.chen)
    assert (waiting.state, waiting.attempts) == ("waiting", 1)
    assert waiting.problem == "the service answered 503"

    service.answer = 204
    deliver(world)

    first, second = (jwt.decode(t, options={"verify_signature": False}) for t in service.tokens)
    assert first["jti"] != second["jti"]
    assert world.idp.notices.unconfirmed(world.chen) == []


def test_a_service_that_never_confirms_is_given_up_and_stays_on_the_list(world, client, service):
    service.answer = 400
    signed_in_and_out(world, client)

    for _ in range(100):
        deliver(world)

    [notice] = world.idp.notices.unconfirmed(world.chen)
    assert notice.state == "given_up"
    assert notice.attempts == len(service.tokens) < 100
    assert notice.client.client_id == client.id
    assert [entry["verdict"] for entry in world.entries("idp.logout_told")] == ["given_up"]


def test_a_service_that_is_closed_for_the_weekend_is_told_on_monday(world, client, service, clock):
    if world.database.dialect != "sqlite":
        pytest.skip("procrastinate waits by the clock of PostgreSQL")
    service.answer, began = 503, clock()
    signed_in_and_out(world, client)

    pauses = []
    while clock() - began < TRIED_FOR - 2 * LONGEST_WAIT[OUTBOUND]:
        known, last = len(service.tokens), clock()
        while len(service.tokens) == known:
            world.idp.jobs.run_pending()
            clock.advance(timedelta(minutes=4))
        pauses.append(clock() - last)
    service.answer = 200
    clock.advance(LONGEST_WAIT[OUTBOUND])
    world.idp.jobs.run_pending()

    assert world.idp.notices.unconfirmed(world.chen) == []
    assert max(pauses) <= LONGEST_WAIT[OUTBOUND] + timedelta(minutes=8)
    assert len(service.tokens) < 100


def test_an_operator_sees_what_was_given_up_and_sends_it_again(world, client, service):
    service.answer = 400
    signed_in_and_out(world, client)
    for _ in range(100):
        deliver(world)

    [seen] = world.idp.notices.waiting_or_given_up()
    assert (seen.state, seen.client.client_id) == ("given_up", client.id)
    assert world.idp.notices.waiting_or_given_up("another") == []
    service.answer = 200
    again = world.idp.notices.send_again(seen.id, by=SYSTEM)
    assert (again.state, again.attempts) == ("waiting", 0)
    world.idp.jobs.run_pending()

    assert world.idp.notices.waiting_or_given_up() == []
    assert [e["details"]["given_up"] for e in world.entries("idp.logout_told_again")] == ["true"]
    with pytest.raises(NoSuchNotice):
        world.idp.notices.send_again(seen.id, by=SYSTEM)


def test_an_operator_need_not_wait_for_the_next_attempt(world, client, service):
    service.answer = 503
    signed_in_and_out(world, client)
    world.idp.jobs.run_pending()
    [waiting] = world.idp.notices.waiting_or_given_up()
    service.answer = 200

    world.idp.notices.send_again(waiting.id, by=SYSTEM)
    world.idp.jobs.run_pending()

    assert world.idp.notices.waiting_or_given_up() == []
    assert len(service.tokens) == 2


def test_a_confirmed_notice_is_not_sent_again(world, client, service):
    signed_in_and_out(world, client)

    for _ in range(3):
        deliver(world)

    assert len(service.tokens) == 1


def test_an_inner_address_is_not_talked_to(world: World, database, keys, ledger, clock):
    careful = assemble(database=database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger).idp
    client = world.client("inner", backchannel_logout_uri="http://127.0.0.1:1/x")
    signed_in_and_out(world, client)

    deliver(world, careful)

    [notice] = world.idp.notices.unconfirmed(world.chen)
    assert notice.problem == "the host is not on a network that may be talked to"
    careful.close()


def test_whoever_signs_out_elsewhere_is_told_too(world: World, client, service):
    browser = world.browser()
    client.exchange(client.code(browser))
    session = world.idp.session(browser.session_id)
    assert session is not None

    world.idp.sessions.end_one_of(world.chen, session.sid)
    world.idp.jobs.run_pending()

    assert len(service.tokens) == 1


@pytest.mark.parametrize(
    "uri", ["http://other.example/x", "https://u@other.example/", "https://other.example/#f", "x"]
)
def test_a_place_that_could_not_be_told_is_not_registered(world: World, uri: str):
    with pytest.raises(InvalidClientMetadata):
        world.client("wrong", backchannel_logout_uri=uri)


def test_old_notices_are_swept(world, client, service, clock):
    signed_in_and_out(world, client)
    world.idp.jobs.run_pending()

    clock.advance(timedelta(days=31))
    world.idp.sweep()

    assert world.idp.notices.of(world.chen) == []


def deliver(world: World, idp: Idp | None = None) -> None:
    """What the job engine does, without its waiting: every notice once."""
    from sqlalchemy import select

    from idp.models import logout_notices
    from idp.protocol.errors import LogoutNotConfirmed

    with world.database.read() as tx:
        ids = tx.execute(select(logout_notices.c.id)).scalars().all()
    for each in ids:
        try:
            (idp or world.idp).notices.deliver({"notice": each})
        except LogoutNotConfirmed:
            continue
