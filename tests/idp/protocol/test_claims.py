"""Which claims are told, where, and what must be agreed before."""

import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import text

from idp.protocol.claims import CLAIMS, SCOPE_CLAIMS, claims_of, released
from idp.token.devices import DeviceView
from idp.token.grants.device_code import DeviceCode
from tests.idp.world import RelyingParty, World

DEVICE_CODE = DeviceCode.grant_type
EMAIL, PHONE = "chen@example.cn", "+8613800000000"
CONTACT = ("email", "email_verified", "phone_number", "phone_number_verified")


@pytest.fixture
def post(world: World) -> RelyingParty:
    """A client that may write to people and call them."""
    return world.client(
        "post",
        scopes=("openid", "email", "phone", "offline_access"),
        claims=("email", "phone_number"),
    )


@pytest.fixture
def plain(world: World) -> RelyingParty:
    """A client that never asks at userinfo."""
    return world.client(
        "plain",
        claims_in_id_token=True,
        scopes=("openid", "profile", "email", "identity", "offline_access"),
        claims=("name", "preferred_username", "locale", "email", "id_number"),
    )


def id_token(tokens: dict[str, Any]) -> dict[str, Any]:
    return jwt.decode(tokens["id_token"], options={"verify_signature": False})


def test_each_claim_of_a_scope_is_in_the_catalogue_and_goes_with_one_that_stands_by_itself():
    assert {name for bundle in SCOPE_CLAIMS.values() for name in bundle} <= CLAIMS.keys()
    assert all(not CLAIMS[claim.about].about for claim in CLAIMS.values() if claim.about)


def test_nobody_is_asked_about_a_claim_that_goes_with_another():
    assert claims_of(["email", "phone"]) == ("email", "phone_number")
    assert released(SCOPE_CLAIMS["email"], {"email"}) == ("email", "email_verified")
    assert released(SCOPE_CLAIMS["email"], {"phone_number"}) == ()


def test_a_claim_without_a_value_is_absent(post: RelyingParty, world: World):
    told = post.userinfo(post.tokens(scope="openid email phone")["access_token"]).json()

    assert told == {"sub": world.chen.id}


@pytest.mark.parametrize("verified", [True, False])
def test_a_value_in_the_register_is_told_and_whether_it_was_verified(world, post, clock, verified):
    at = clock() if verified else None
    world.note(email=EMAIL, email_verified_at=at, phone_number=PHONE, phone_number_verified_at=at)

    told = post.userinfo(post.tokens(scope="openid email phone")["access_token"]).json()

    assert told == {
        "sub": world.chen.id,
        "email": EMAIL,
        "email_verified": verified,
        "phone_number": PHONE,
        "phone_number_verified": verified,
    }
    [entry] = world.entries("idp.userinfo_read")
    assert tuple(entry["disclosed"]) == CONTACT
    assert EMAIL not in str(entry)


def test_the_database_does_not_know_an_address_or_number_in_clear(world: World):
    world.note(email=EMAIL, phone_number=PHONE)

    with world.database.read() as tx:
        query = text("SELECT email, phone_number FROM people WHERE id = :id")
        stored = tx.execute(query, {"id": world.chen.id}).one()

    assert all(bytes(each) and b"chen" not in bytes(each) for each in stored)
    assert all(b"138" not in bytes(each) for each in stored)


def test_a_client_that_is_not_registered_for_an_address_does_not_get_one(client: RelyingParty):
    asked = json.dumps({"userinfo": {"email_verified": None}})

    for answer in (
        client.post("/oauth/par", client.request(scope="openid email")),
        client.post("/oauth/par", client.request(claims=asked)),
    ):
        assert answer.json()["error"] == "invalid_scope"


def test_the_person_is_asked_about_the_address_and_may_say_no(world: World, post: RelyingParty):
    world.note(email=EMAIL, phone_number=PHONE)
    browser = world.browser()
    answer = browser.authorize(post.request(scope="openid email phone"))
    browser.sign_in(answer.interaction_id)
    shown = world.idp.interaction(answer.interaction_id, browser.id)
    granted = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, True, {"phone_number"}, browser.id
    )

    assert [each.name for each in shown.claims] == ["email", "phone_number"]
    code = dict(granted.parameters)["code"]  # type: ignore[union-attr]
    told = post.userinfo(post.exchange(code).json()["access_token"]).json()
    assert told.keys() == {"sub", "phone_number", "phone_number_verified"}


def test_an_essential_word_about_an_address_makes_the_address_essential(world: World, post):
    asked = json.dumps({"userinfo": {"email_verified": {"essential": True}}})
    browser = world.browser()
    answer = browser.authorize(post.request(scope="openid", claims=asked))
    browser.sign_in(answer.interaction_id)

    [shown] = world.idp.interaction(answer.interaction_id, browser.id).claims

    assert (shown.name, shown.essential) == ("email", True)


def test_scope_claims_are_for_userinfo_unless_the_client_is_registered_otherwise(client):
    assert not {*SCOPE_CLAIMS["profile"]} & id_token(client.tokens()).keys()


def test_a_client_that_never_asks_finds_what_was_agreed_in_its_id_token(world: World, plain):
    world.note(email=EMAIL)

    tokens = plain.tokens(scope="openid profile email offline_access")
    again = plain.refresh(tokens["refresh_token"]).json()

    for each in (tokens, again):
        told = id_token(each)
        assert (told["name"], told["email"], told["email_verified"]) == ("陈静怡", EMAIL, False)
        assert told["updated_at"] < told["iat"]
    first, second = world.entries("idp.token_issued")
    assert {"email", "email_verified", "name"} <= {*first["disclosed"]}
    assert first["disclosed"] == second["disclosed"]


def test_what_was_declined_is_not_in_the_id_token_either(world: World, plain: RelyingParty):
    browser = world.browser()
    answer = browser.authorize(plain.request(scope="openid profile"))
    browser.sign_in(answer.interaction_id)
    granted = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, True, {"locale"}, browser.id
    )
    code = dict(granted.parameters)["code"]  # type: ignore[union-attr]

    told = id_token(plain.exchange(code).json())

    assert told["locale"] == "zh-Hans"
    assert not {"name", "preferred_username", "updated_at"} & told.keys()


def test_an_identity_number_leaves_the_id_tokens_an_hour_after_the_sign_in(plain, clock):
    tokens = plain.tokens(scope="openid identity offline_access")
    clock.advance(timedelta(hours=1, minutes=1))

    later = plain.refresh(tokens["refresh_token"]).json()

    assert "id_number" in id_token(tokens)
    assert "id_number" not in id_token(later)
    assert id_token(later)["name"] == "陈静怡"


def test_a_device_that_never_asks_finds_it_too(world: World):
    kiosk = world.client(
        "kiosk", claims_in_id_token=True, grant_types=("authorization_code", DEVICE_CODE)
    )
    asked = kiosk.post("/oauth/device", {"scope": "openid profile"}).json()
    session = world.sign_in("chen").session_id
    assert isinstance(world.idp.devices.look_up(session, asked["user_code"]), DeviceView)
    world.idp.devices.answer(session, asked["user_code"], True, {"name"})

    form = {"grant_type": DEVICE_CODE, "device_code": asked["device_code"]}
    told = id_token(kiosk.token(form).json())

    assert told["name"] == "陈静怡"
    assert "locale" not in told
