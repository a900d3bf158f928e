"""Attacks 1 to 5 and 11: authorization codes, PKCE, forced flows."""

import pytest

from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import ISSUER, RelyingParty, World


@pytest.mark.parametrize("verifier", ["x" * 43, None, ""])
def test_01_authorization_code_injection_fails_and_burns_the_code(
    world: World, client: RelyingParty, verifier
):
    code = client.code()

    injected = client.exchange(code, code_verifier=verifier)
    by_its_owner = client.exchange(code)

    assert injected.json()["error"] == "invalid_grant"
    assert by_its_owner.json()["error"] == "invalid_grant"


def test_02_code_reuse_ends_every_token_of_that_code(world: World, client: RelyingParty):
    code = client.code()
    first = client.exchange(code).json()

    second = client.exchange(code)

    assert second.json()["error"] == "invalid_grant"
    assert client.introspect(first["access_token"]) == {"active": False}
    assert client.userinfo(first["access_token"]).status_code == 401
    assert client.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert world.entries("idp.family_revoked")[0]["verdict"] == "code_reuse"


def test_02_code_reuse_also_after_the_code_would_have_expired(world, client, clock):
    from datetime import timedelta

    code = client.code()
    tokens = client.exchange(code).json()
    clock.advance(timedelta(minutes=5))

    client.exchange(code)

    assert client.introspect(tokens["access_token"]) == {"active": False}


def test_02_a_race_of_exchanges_never_leaves_a_live_token_twice(world: World, client):
    code = client.code()
    form, headers = client.authenticated(
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.registered.redirect_uris[0],
            "code_verifier": client.verifier,
        }
    )

    answers = world.http.together(
        *(world.http.client.post("/oauth/token", data=form, headers=headers) for _ in range(8))
    )

    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) <= 1
    assert all(not client.introspect(each["access_token"])["active"] for each in won)


def test_03_a_code_is_of_no_use_to_another_client_and_stays_good_for_its_owner(world, client):
    thief = world.client("thief")
    code = client.code()
    thief.verifier = client.verifier

    stolen = thief.exchange(code)

    assert stolen.json()["error"] == "invalid_grant"
    assert client.exchange(code).status_code == 200


@pytest.mark.parametrize("changes", [{}, {"scope": "nonsense"}, {"prompt": "none"}])
def test_04_mix_up_every_authorization_response_names_its_issuer(world, client, changes):
    browser = world.browser()
    client.code(browser)

    answer = browser.authorize(client.request(**changes))

    assert answer.params["iss"] == ISSUER


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": ""},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
        {"code_challenge": "=" * 43},
        {"code_challenge": "A" * 44},
    ],
)
def test_05_pkce_cannot_be_downgraded(world: World, client: RelyingParty, changes):
    answer = world.browser().authorize(client.request(**changes))

    assert answer.params["error"] == "invalid_request"


def test_05_a_verifier_nobody_asked_for_is_refused():
    """The second half of §4.8.2: a challenge stripped on the way must not go unnoticed."""
    from datetime import UTC, datetime, timedelta

    from idp.models import Client
    from idp.protocol.authorizations import Authorization, Family
    from idp.store.families import StoredCode
    from idp.token.grants.authorization_code import CodeRequest, CodeVerdict, challenge_of, judge
    from tests.idp.world import PURPOSE

    now = datetime(2026, 1, 1, tzinfo=UTC)
    party = Client(
        client_id="c", name=PURPOSE, purpose=PURPOSE, organisation="", organisation_name=""
    )
    granted = Authorization(
        person_id="p", subject="s", sid="s", scopes=(), auth_time=0, acr="", amr=()
    )
    family = Family("f", "c", granted, "h", now + timedelta(seconds=60))
    request = CodeRequest(party, "f", "h", "https://c/", challenge_of("v" * 43), now)

    assert judge(request, StoredCode(family, "https://c/", "")) is CodeVerdict.VERIFIER


@pytest.mark.parametrize(
    "response_type",
    ["token", "id_token", "id_token token", "code token", "code id_token token", "none", "Code"],
)
def test_11_no_implicit_or_hybrid_flow_whatever_the_client_data_say(world, client, response_type):
    answer = world.browser().authorize(client.request(response_type=response_type))

    assert answer.params["error"] == "unsupported_response_type"
    assert "#" not in answer.location


def test_11_a_response_type_smuggled_in_twice_is_refused_without_a_redirect(world, client):
    params = [*client.request().items(), ("response_type", "token")]

    response = world.http.get("/oauth/authorize", params)

    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.parametrize("mode", ["fragment", "fragment.jwt", "web_message", "FRAGMENT", "JWT"])
def test_11_no_answer_ever_stands_behind_a_hash(world: World, client: RelyingParty, mode: str):
    browser = world.browser()
    client.code(browser)

    answer = browser.authorize(client.request(response_mode=mode))

    assert answer.params["error"] == "invalid_request"
    assert "#" not in answer.location
