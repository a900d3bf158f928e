"""What a service may insist on: one person, one strength of sign-in, recent or not at all."""

import json
from datetime import timedelta

import pytest

from foundation.actor import SYSTEM
from idp import Granted, RequestRefused
from idp.protocol.acr import ACR_PASSWORD, ACR_TWO_FACTORS
from tests.idp.world import ISSUER, PASSWORD, RelyingParty, World


@pytest.fixture
def lin(world: World):
    return world.idp.people.add("lin", "林志强", PASSWORD, by=SYSTEM)


def hint_of(world: World, client: RelyingParty, browser=None) -> str:
    return client.exchange(client.code(browser)).json()["id_token"]


def claims(**halves) -> str:
    return json.dumps(halves)


def test_a_hint_about_who_is_signed_in_passes_silently(world: World, client: RelyingParty):
    browser = world.browser()
    hint = hint_of(world, client, browser)

    answer = browser.authorize(client.request(prompt="none", id_token_hint=hint))

    assert "code" in answer.params


def test_a_hint_about_somebody_else_is_login_required_when_nothing_may_be_shown(world, client, lin):
    hint = hint_of(world, client)
    browser = world.browser()
    page = browser.authorize(client.request())
    browser.sign_in(page.interaction_id, "lin")

    answer = browser.authorize(client.request(prompt="none", id_token_hint=hint))

    assert answer.params["error"] == "login_required"


def test_whoever_is_asked_for_by_name_must_sign_in_and_nobody_else_will_do(world, client, lin):
    subject = world.verify(hint_of(world, client), audience=client.id)["sub"]
    browser = world.browser()
    wanted = claims(id_token={"sub": {"value": subject}})

    page = browser.authorize(client.request(claims=wanted))
    other = browser.sign_in(page.interaction_id, "lin").next
    again = browser.authorize(client.request(claims=wanted))
    herself = browser.sign_in(again.interaction_id, "chen").next

    assert (other.error, type(herself).__name__) == ("login_required", "Granted")
    assert other.redirect_to.startswith("https://food.example.gov.cn/")


def test_a_hint_works_for_pairwise_names_too(world: World):
    client = world.client(subject_type="pairwise")
    browser = world.browser()
    hint = hint_of(world, client, browser)

    answer = browser.authorize(client.request(prompt="none", id_token_hint=hint))

    assert "code" in answer.params


def test_an_expired_hint_is_still_a_hint(world: World, client: RelyingParty, clock):
    browser = world.browser()
    hint = hint_of(world, client, browser)
    clock.advance(timedelta(hours=1))

    answer = browser.authorize(client.request(prompt="none", id_token_hint=hint))

    assert "code" in answer.params


def test_a_hint_that_is_not_ours_or_not_for_this_client_is_refused(world: World, client):
    other = world.client("other", first_party=True)
    foreign = hint_of(world, other)

    for hint in (foreign, foreign[:-8] + "AAAAAAAA", "x"):
        answer = world.browser().authorize(client.request(id_token_hint=hint))
        assert answer.params["error"] == "invalid_request"


def test_a_claim_asked_for_the_id_token_is_told_there_and_in_the_ledger(world, client):
    wanted = claims(id_token={"name": None, "acr": None, "nobody_knows_this": None})

    tokens = client.tokens(scope="openid", claims=wanted)

    told = world.verify(tokens["id_token"], audience=client.id)
    assert told["name"] == world.chen.name
    assert "preferred_username" not in told
    assert client.userinfo(tokens["access_token"]).json().keys() == {"sub"}
    assert [entry["disclosed"] for entry in world.entries("idp.token_issued")] == [["name"]]


def test_a_claim_that_was_declined_is_not_in_the_id_token(world: World, client):
    browser = world.browser()
    page = browser.authorize(client.request(claims=claims(id_token={"name": None})))
    browser.sign_in(page.interaction_id)
    granted = world.idp.decide_consent(
        page.interaction_id, browser.session_id, True, claims=[], browser=browser.id
    )

    assert isinstance(granted, Granted)
    tokens = client.exchange(dict(granted.parameters)["code"]).json()

    assert "name" not in world.verify(tokens["id_token"], audience=client.id)


def test_a_sensitive_claim_is_in_the_id_token_after_a_recent_sign_in_only(world, clock):
    client = world.client(scopes=("openid", "identity"), claims=("name", "id_number"))
    browser, asked = world.browser(), claims(id_token={"name": None, "id_number": None})

    first = client.exchange(client.code(browser, scope="openid", claims=asked)).json()
    clock.advance(timedelta(minutes=61))
    later = client.exchange(client.code(browser, scope="openid", claims=asked)).json()

    told = [world.verify(each["id_token"], audience=client.id) for each in (first, later)]
    assert [each.get("id_number") for each in told] == [world.chen.id_number, None]
    assert [each["name"] for each in told] == [world.chen.name] * 2


def test_an_essential_strength_that_is_not_reached_is_said_so(world: World, client):
    wanted = claims(id_token={"acr": {"essential": True, "values": [ACR_TWO_FACTORS]}})
    browser = world.browser()

    page = browser.authorize(client.request(claims=wanted))
    decision = browser.sign_in(page.interaction_id).next

    assert isinstance(decision, RequestRefused)
    assert decision.error == "unmet_authentication_requirements"
    assert dict(decision.parameters)["iss"] == ISSUER


def test_an_essential_strength_that_is_reached_passes(world: World, client: RelyingParty):
    wanted = claims(id_token={"acr": {"essential": True, "values": ["urn:x", ACR_PASSWORD]}})

    tokens = client.tokens(claims=wanted)

    assert world.verify(tokens["id_token"], audience=client.id)["acr"] == ACR_PASSWORD


def test_a_strength_nobody_here_knows_is_never_reached_when_essential(world, client):
    wanted = claims(id_token={"acr": {"essential": True, "value": "urn:mace:incommon:iap:gold"}})
    browser = world.browser()

    page = browser.authorize(client.request(claims=wanted))

    assert browser.sign_in(page.interaction_id).next.error == "unmet_authentication_requirements"


def test_a_voluntary_strength_is_a_wish_and_the_level_reached_is_told(world: World, client):
    tokens = client.tokens(acr_values=ACR_TWO_FACTORS)

    assert world.verify(tokens["id_token"], audience=client.id)["acr"] == ACR_PASSWORD


@pytest.mark.parametrize(
    "wanted",
    [
        claims(id_token={"acr": {"values": "x"}}),
        claims(id_token={"acr": {"values": [1]}}),
        claims(id_token={"sub": {"value": 7}}),
        claims(id_token={"sub": {"values": ["a", "b"]}}),
        claims(id_token={"sub": {"value": "a"}}, userinfo={"sub": {"value": "b"}}),
        claims(id_token=[]),
        "[]",
        "[" * 5000,
    ],
)
def test_wishes_that_make_no_sense_are_refused(world: World, client: RelyingParty, wanted):
    answer = world.browser().authorize(client.request(claims=wanted))

    assert answer.params["error"] == "invalid_request"
