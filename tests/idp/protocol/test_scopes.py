"""Scopes that nobody knows are ignored and the granted ones told, wherever a client asks."""

import pytest

from exchange.http import SCOPE as VERIFY
from idp.protocol.errors import InvalidScope
from idp.protocol.scopes import API_SCOPES, about_a_person, understood
from idp.token.grants.device_code import DeviceCode
from signing.http import SCOPE as VALIDATE
from tests.idp.world import ISSUER, RelyingParty, World

DEVICE_CODE = DeviceCode.grant_type
ISSUER_API = f"{ISSUER}/api/v1"
UNTIDY = "  openid unheard-of  profile openid groups offline_access "


def test_the_scopes_of_our_own_api_are_known_to_the_provider():
    assert {VERIFY, VALIDATE} == API_SCOPES


@pytest.mark.parametrize("text", ["", " ", "   "])
def test_spaces_alone_ask_for_nothing(client: RelyingParty, text: str):
    assert understood(text, client.registered) == ()


def test_what_is_known_stays_in_its_order_and_once(client: RelyingParty):
    found = understood("verifications  identity nobody profile identity ", client.registered)

    assert found == ("verifications", "identity", "profile")


@pytest.mark.parametrize("text", ["openid\u00a0profile", "openid\nprofile", 'a"b', "a\\b", "名"])
def test_a_value_with_other_characters_is_no_scope(client: RelyingParty, text: str):
    with pytest.raises(InvalidScope, match="list"):
        understood(text, client.registered)


def test_who_asks_for_nothing_known_hears_where_the_known_ones_are(client: RelyingParty):
    with pytest.raises(InvalidScope, match="scopes_supported"):
        about_a_person("groups email-address", client.registered)


def test_a_scope_of_this_provider_beyond_the_registration_is_refused(client: RelyingParty):
    with pytest.raises(InvalidScope, match="not registered for the scope identity"):
        about_a_person("openid identity groups", client.registered)


def test_a_sign_in_is_granted_what_is_known_and_told_so(world: World, client: RelyingParty):
    tokens = client.tokens(scope=UNTIDY)

    assert tokens["scope"] == "openid profile offline_access"
    assert world.verify(tokens["access_token"], audience=ISSUER_API)["scope"] == tokens["scope"]
    [given] = world.idp.consents(world.chen)
    assert set(given.scopes) == {"openid", "profile", "offline_access"}


def test_a_pushed_request_too(world: World):
    client = world.client("pushing", require_pushed_authorization_requests=True)

    assert client.tokens(scope=UNTIDY)["scope"] == "openid profile offline_access"


def test_a_device_too(world: World):
    kiosk = world.client("kiosk", grant_types=("authorization_code", "refresh_token", DEVICE_CODE))
    asked = kiosk.post("/oauth/device", {"scope": UNTIDY}).json()
    session = world.sign_in("chen").session_id
    world.idp.devices.answer(session, asked["user_code"], True)

    tokens = kiosk.token({"grant_type": DEVICE_CODE, "device_code": asked["device_code"]}).json()

    assert tokens["scope"] == "openid profile offline_access"


def test_a_client_by_itself_too(client: RelyingParty):
    form = {"grant_type": "client_credentials", "scope": " groups  verifications "}

    assert client.token(form).json()["scope"] == "verifications"


def test_a_client_by_itself_gets_nothing_else_than_it_asked_for(client: RelyingParty):
    answer = client.token({"grant_type": "client_credentials", "scope": "groups"})

    assert answer.json()["error"] == "invalid_scope"


def test_who_repeats_the_first_request_when_refreshing_gets_the_same_scopes(client: RelyingParty):
    tokens = client.tokens(scope=UNTIDY)

    again = client.refresh(tokens["refresh_token"], scope=UNTIDY)

    assert again.json()["scope"] == "openid profile offline_access"
