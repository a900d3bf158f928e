"""A grant type that exists in this file alone, and that the whole provider knows all the same.

The dummy turns a ticket (think of a number drawn in a service hall) into tokens for the client. It
reads a parameter of its own that may come more than once, and is nothing for browser programs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import httpx
import pytest

from foundation.actor import SYSTEM
from foundation.database import Tx
from idp import GRANTS, Client, Idp
from idp.protocol.errors import InvalidClientMetadata, InvalidGrant
from idp.protocol.grant_types import GrantTypes
from idp.protocol.syntax import parameter
from idp.token.grants.grant_type import GrantType, NotRedeemed
from idp.token.tokens import Grant
from server.services import assemble
from tests.idp.clients.test_registration import BOUNDS, DOCUMENT, Registrar, party
from tests.idp.world import ISSUER, RelyingParty, World

TICKET = "urn:example:grant-type:ticket"
GOOD = "A-007"
SPENT = "A-006"


@dataclass(frozen=True, slots=True)
class TicketRequest:
    client: Client
    ticket: str
    counters: tuple[str, ...]
    now: datetime


class Ticket(GrantType[TicketRequest]):
    """A row like any other."""

    grant_type = label = TICKET
    parameters = ("ticket", "counter")
    repeated = frozenset({"counter"})

    @classmethod
    def objection(cls, client: Client, offered: GrantTypes) -> str:
        return "tickets are not for apps" if client.profile == "public" else ""

    def check(
        self,
        form: Mapping[str, str],
        client: Client,
        confirmation: Mapping[str, str],
        now: datetime,
    ) -> TicketRequest:
        counters = tuple(form.get("counter", "").split())
        return TicketRequest(client, parameter(form, "ticket"), counters, now)

    def redeem(self, tx: Tx, requests: Sequence[TicketRequest]) -> list[Grant | NotRedeemed]:
        return [
            Grant(client=each.client, scopes=each.counters, jti=each.ticket)
            if each.ticket == GOOD
            else NotRedeemed(InvalidGrant("the ticket was called before"))
            for each in requests
        ]


@pytest.fixture
def idp(database, keys, ledger, clock) -> Iterator[Idp]:
    grants = MappingProxyType({**GRANTS, TICKET: Ticket})
    idp = assemble(
        database=database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger, grants=grants
    ).idp
    yield idp
    idp.close()


@pytest.fixture
def hall(world: World) -> RelyingParty:
    return world.client("hall", grant_types=(TICKET, "client_credentials"))


@pytest.fixture
def registrar(world: World) -> Registrar:
    return Registrar(world)


def send(client: RelyingParty, *pairs: tuple[str, str]) -> httpx.Response:
    """A token request whose parameters may come more than once."""
    _, headers = client.authenticated({})
    headers |= {"content-type": "application/x-www-form-urlencoded"}
    body = str(httpx.QueryParams(list(pairs)))
    return client.http.post("/oauth/token", content=body, headers=headers)


def test_its_request_becomes_a_token_and_a_ledger_entry(world: World, hall: RelyingParty):
    response = hall.token({"grant_type": TICKET, "ticket": GOOD, "counter": "three"})

    claims = world.verify(response.json()["access_token"], audience=f"{ISSUER}/api/v1")
    assert (claims["sub"], claims["jti"], claims["scope"]) == ("hall", GOOD, "three")
    assert "refresh_token" not in response.json()
    [entry] = world.entries("idp.token_issued")
    assert entry["details"] == {"grant_type": TICKET, "scope": "three", "jti": GOOD}
    assert entry["actor"]["id"] == "hall"


def test_requests_that_wait_together_get_their_own_results(world: World, hall: RelyingParty):
    _, headers = hall.authenticated({})
    forms = [{"grant_type": TICKET, "ticket": each} for each in (GOOD, SPENT, GOOD)]

    responses = world.http.together(
        *(world.http.client.post("/oauth/token", data=each, headers=headers) for each in forms)
    )

    assert [response.status_code for response in responses] == [200, 400, 200]
    assert len(world.entries("idp.token_issued")) == 2


@pytest.mark.parametrize(
    ("form", "error"),
    [({}, "invalid_request"), ({"ticket": SPENT}, "invalid_grant")],
)
def test_its_refusals_are_told_and_recorded(world: World, hall: RelyingParty, form, error):
    response = hall.token({"grant_type": TICKET, **form})

    assert (response.status_code, response.json()["error"]) == (400, error)
    assert world.entries("idp.token_refused")[-1]["verdict"] == error


def test_a_client_that_is_not_registered_for_it_is_refused(client: RelyingParty):
    response = client.token({"grant_type": TICKET, "ticket": GOOD})

    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")


def test_what_may_repeat_is_for_its_row_to_say(world: World, hall: RelyingParty):
    counters = (("counter", "three"), ("counter", "four"))
    own = ("grant_type", "client_credentials")

    mine = send(hall, ("grant_type", TICKET), ("ticket", GOOD), *counters)
    ticket_twice = send(hall, ("grant_type", TICKET), ("ticket", GOOD), ("ticket", GOOD))
    of_another = send(hall, own, *counters)
    resources = send(hall, own, *[("resource", f"{ISSUER}/api/v1")] * 2)

    assert mine.json()["scope"] == "three four"
    assert ticket_twice.json()["error"] == of_another.json()["error"] == "invalid_request"
    assert resources.status_code == 200


def test_discovery_and_the_api_description_tell_it(world: World):
    told = world.http.get("/.well-known/openid-configuration").json()
    token = world.app.openapi()["paths"]["/oauth/token"]["post"]["requestBody"]["content"]

    assert told["grant_types_supported"] == [*GRANTS, TICKET]
    assert told["response_types_supported"] == ["code"]
    described = token["application/x-www-form-urlencoded"]["schema"]["properties"]
    assert {"ticket", "counter", "code", "device_code", "refresh_token"} <= described.keys()


def test_an_officer_registers_for_it_who_it_is_for(world: World, hall: RelyingParty):
    assert TICKET in hall.registered.grant_types

    with pytest.raises(InvalidClientMetadata) as caught:
        world.client(
            "app", profile="public", token_endpoint_auth_method="none", grant_types=(TICKET,)
        )

    assert [error.detail for error in caught.value.errors] == ["tickets are not for apps"]


def test_a_program_registers_itself_for_it(world: World, registrar: Registrar):
    token = world.idp.registrations.allow(BOUNDS, by=SYSTEM, uses=2)

    made = registrar.register(token, grant_types=[TICKET], redirect_uris=[])
    refused = registrar.register(
        token, grant_types=[TICKET, "authorization_code"], token_endpoint_auth_method="none"
    )

    assert made.status_code == 201, made.text
    assert (made.json()["grant_types"], made.json()["response_types"]) == ([TICKET], [])
    form = {"grant_type": TICKET, "ticket": GOOD}
    assert party(world, made.json()).token(form).status_code == 200
    assert refused.json()["error"] == "invalid_client_metadata"
    assert "tickets are not for apps" in refused.json()["error_description"]


def test_without_its_row_nobody_knows_it(database, keys, ledger, clock):
    idp = assemble(database=database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger).idp
    described = {**DOCUMENT, "grant_types": [TICKET]}

    with pytest.raises(InvalidClientMetadata) as caught:
        idp.registrations.register(idp.registrations.allow(BOUNDS, by=SYSTEM), described)

    assert [error.pointer for error in caught.value.errors] == ["/grant_types"]
    idp.close()
