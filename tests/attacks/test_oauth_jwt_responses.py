"""Attacks on authorization responses as signed tokens: mixed up, for somebody else, changed."""

import jwt
import pytest

from idp.authorize.jwt_responses import JwtResponses
from idp.authorize.rules import Granted
from idp.protocol.errors import InvalidToken
from idp.token.tokens import Tokens
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import ISSUER, REDIRECT_URI, RelyingParty, World


def answered(world: World, client: RelyingParty) -> str:
    browser = world.browser()
    client.code(browser)
    return browser.authorize(client.request(response_mode="jwt")).params["response"]


def of_the_attacker(world: World, client: RelyingParty) -> str:
    """The worst case of a mix-up: another issuer that even signs with a key we trust."""
    attackers = Tokens(world.idp.keys, "https://id.attacker.example")
    responses = JwtResponses(world.idp.clients, attackers, world.clock)
    granted = Granted(REDIRECT_URI, (("code", "injected"),), "jwt", client.registered)
    return dict(responses.secured(granted).parameters)["response"]


def test_04_an_answer_of_another_provider_or_for_another_client_is_seen_through(world, client):
    mine, others = answered(world, client), answered(world, world.client("other"))

    assert world.verify(mine, audience=client.id, issuer=ISSUER)["code"]
    with pytest.raises(jwt.InvalidAudienceError):
        world.verify(others, audience=client.id, issuer=ISSUER)
    with pytest.raises(jwt.InvalidIssuerError):
        world.verify(of_the_attacker(world, client), audience=client.id, issuer=ISSUER)


@pytest.mark.parametrize("name", ["iss", "aud", "exp"])
def test_04_no_parameter_of_the_request_changes_who_an_answer_is_from(world, client, name):
    browser = world.browser()
    client.code(browser)

    answer = browser.authorize(client.request(response_mode="jwt", **{name: "1"}))

    claims = world.verify(answer.params["response"], audience=client.id, issuer=ISSUER)
    assert claims["exp"] > world.clock().timestamp()


def test_20_an_answer_is_no_token_and_no_token_an_answer(world: World, client: RelyingParty):
    token = answered(world, client)
    typ = jwt.get_unverified_header(token)["typ"]
    tokens = client.tokens()

    assert world.idp.tokens.read_id_token(token) is None
    with pytest.raises(InvalidToken):
        world.idp.tokens.verify_access_token(token, audience=None, now=world.clock())
    for other in ("id_token", "access_token"):
        assert jwt.get_unverified_header(tokens[other])["typ"] != typ


def test_04_what_somebody_changed_on_the_way_does_not_verify(world: World, client: RelyingParty):
    mine, other = answered(world, client).split("."), answered(world, client).split(".")

    with pytest.raises(jwt.InvalidSignatureError):
        world.verify(".".join([mine[0], other[1], mine[2]]), audience=client.id, issuer=ISSUER)
