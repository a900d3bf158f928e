"""The authorization endpoint over HTTP: who is redirected where, and with what."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from idp import Consent, Granted, Login, RequestRefused
from idp.protocol.errors import InteractionElsewhere, InteractionNotFound
from server.services import assemble
from tests.idp.world import ISSUER, REDIRECT_URI, Answer, RelyingParty, World


def test_a_person_signs_in_consents_and_comes_back_with_code_state_and_issuer(world, client):
    browser = world.browser()

    answer = browser.authorize(client.request())
    assert (answer.status, answer.path.rpartition("/")[0]) == (303, "/signin")
    signed_in = browser.sign_in(answer.interaction_id)
    assert isinstance(signed_in.next, Consent)
    granted = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, True, browser=browser.id
    )

    assert isinstance(granted, Granted)
    assert granted.redirect_to.startswith(REDIRECT_URI + "&code=")
    assert dict(granted.parameters) == {
        "code": dict(granted.parameters)["code"],
        "state": client.state,
        "iss": ISSUER,
    }


def test_a_second_service_needs_no_second_password(world: World, client: RelyingParty):
    browser = world.browser()
    client.code(browser)
    other = world.client("school-office")

    answer = browser.authorize(other.request())

    assert answer.path.startswith("/consent/")


def test_what_was_agreed_once_is_not_asked_again(world: World, client: RelyingParty):
    browser = world.browser()
    client.code(browser)

    answer = browser.authorize(client.request())

    assert answer.location.startswith(REDIRECT_URI)
    assert "code" in answer.params


def test_prompt_none_answers_login_required_to_the_client(world: World, client: RelyingParty):
    answer = world.browser().authorize(client.request(prompt="none"))

    assert answer.params["error"] == "login_required"
    assert answer.params["state"] == client.state
    assert answer.params["iss"] == ISSUER


def test_prompt_login_asks_for_the_password_although_somebody_is_signed_in(world, client):
    browser = world.browser()
    client.code(browser)

    answer = browser.authorize(client.request(prompt="login"))

    assert answer.path.startswith("/signin/")
    assert isinstance(browser.sign_in(answer.interaction_id).next, Granted)


def test_max_age_asks_again_when_the_sign_in_is_too_old(world: World, client: RelyingParty, clock):
    browser = world.browser()
    client.code(browser)
    clock.advance(timedelta(minutes=10))

    assert browser.authorize(client.request(max_age="3600")).params.get("code")
    assert browser.authorize(client.request(max_age="60")).path.startswith("/signin/")


def test_max_age_counts_until_the_code_for_who_signed_in_while_the_request_waited(
    world: World, client: RelyingParty, clock
):
    browser = world.browser()
    waiting = browser.authorize(client.request(max_age="60")).interaction_id
    other = browser.authorize(client.request()).interaction_id
    browser.sign_in(other)

    def ready() -> bool:
        return world.idp.interaction(waiting, browser.id, browser.session_id).ready

    assert ready()
    clock.advance(timedelta(minutes=4))
    assert ready(), "there is time to read and answer"
    clock.advance(timedelta(minutes=2))
    assert not ready()
    assert isinstance(world.idp.resume(waiting, browser.session_id, browser.id), Login)
    assert not isinstance(browser.sign_in(waiting).next, Login)


def test_a_person_who_says_no_goes_back_with_access_denied(world: World, client: RelyingParty):
    browser = world.browser()
    answer = browser.authorize(client.request())
    browser.sign_in(answer.interaction_id)

    refused = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, False, browser=browser.id
    )

    assert isinstance(refused, RequestRefused)
    assert refused.error == "access_denied"
    assert refused.redirect_to is not None
    assert refused.redirect_to.startswith(REDIRECT_URI)


def test_two_tabs_each_finish_at_their_own_client(world: World, client: RelyingParty):
    browser = world.browser()
    other = world.client("school-office", first_party=True)
    first = browser.authorize(client.request())
    second = browser.authorize(other.request())

    browser.sign_in(first.interaction_id)
    in_second_tab = world.idp.resume(second.interaction_id, browser.session_id, browser.id)
    in_first_tab = world.idp.decide_consent(
        first.interaction_id, browser.session_id, True, browser=browser.id
    )

    assert isinstance(in_second_tab, Granted)
    assert isinstance(in_first_tab, Granted)
    assert dict(in_second_tab.parameters)["state"] == other.state
    assert dict(in_first_tab.parameters)["state"] == client.state


def test_a_reload_after_the_end_continues_to_the_same_client(world: World, client: RelyingParty):
    browser = world.browser()
    answer = browser.authorize(client.request())
    browser.sign_in(answer.interaction_id)
    world.idp.decide_consent(answer.interaction_id, browser.session_id, True, browser=browser.id)

    again = world.idp.resume(answer.interaction_id, browser.session_id, browser.id)

    assert isinstance(again, Granted)
    assert world.idp.interaction(answer.interaction_id, browser.id).step == "done"


def test_a_restart_in_the_middle_loses_nothing(world, client, database, keys, ledger, clock):
    browser = world.browser()
    answer = browser.authorize(client.request())
    restarted = assemble(
        database=database, keys=keys, clock=clock, issuer=ISSUER, ledger=ledger
    ).idp

    assert isinstance(restarted.resume(answer.interaction_id, None, browser.id), Login)
    restarted.close()


def test_an_expired_request_says_the_way_back(world: World, client: RelyingParty, clock):
    browser = world.browser()
    other = world.client("home", client_uri="https://food.example.gov.cn/")
    answer = browser.authorize(other.request())
    clock.advance(timedelta(hours=2))

    with pytest.raises(InteractionNotFound) as caught:
        world.idp.resume(answer.interaction_id, None, browser.id)

    assert caught.value.params["client_uri"] == "https://food.example.gov.cn/"
    assert caught.value.next_step


def test_a_page_learns_who_asks_for_what_and_why(world: World, client: RelyingParty):
    browser = world.browser()
    claims = '{"userinfo": {"name": {"essential": true}}}'
    answer = browser.authorize(client.request(claims=claims, scope="openid profile"))

    shown = world.idp.interaction(answer.interaction_id, browser.id)

    assert shown.client.purpose["en"] == "Food licences"
    assert [claim.name for claim in shown.claims] == ["name", "preferred_username", "locale"]
    assert [claim.name for claim in shown.claims if claim.essential] == ["name"]
    assert all(set(claim.label) == {"zh-Hans", "zh-Hant", "en"} for claim in shown.claims)


def test_a_claim_the_person_declines_is_not_told_and_not_asked_again(world, client):
    browser = world.browser()
    answer = browser.authorize(client.request())
    browser.sign_in(answer.interaction_id)
    granted = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, True, claims=["locale"], browser=browser.id
    )

    tokens = client.exchange(dict(granted.parameters)["code"]).json()

    assert client.userinfo(tokens["access_token"]).json().keys() == {"sub", "locale"}
    assert "code" in browser.authorize(client.request()).params


def test_a_posted_request_goes_on_as_the_same_request_and_nothing_of_it_is_in_an_address(
    world: World, client: RelyingParty
):
    """OIDC Core §3.1.2.1; an address is in histories and in the logs of proxies."""
    browser = world.browser()
    hint = client.exchange(client.code(browser)).json()["id_token"]
    params = client.request(id_token_hint=hint)

    response = world.http.post("/oauth/authorize", params)  # of another site: without cookies
    told = dict(parse_qsl(urlsplit(response.headers["location"]).query))
    answer = browser.authorize(told)

    assert response.status_code == 303
    assert response.headers["location"].startswith(f"{ISSUER}/oauth/authorize?")
    assert told.keys() == {"client_id", "request_uri"}
    assert answer.params["state"] == params["state"]
    assert "code" in answer.params


def test_a_posted_request_that_is_refused_is_answered_at_once(world: World, client: RelyingParty):
    told = Answer(world.http.post("/oauth/authorize", client.request(response_type="token")))
    kept = world.http.post("/oauth/authorize", client.request(redirect_uri="https://else.test/"))

    assert told.location.startswith(client.registered.redirect_uris[0])
    assert told.params["error"] == "unsupported_response_type"
    assert kept.status_code == 400
    assert "location" not in kept.headers


def test_a_form_may_bring_a_pushed_request_too(world: World, client: RelyingParty):
    pushed = client.push(client.request())

    answer = Answer(world.http.post("/oauth/authorize", {**pushed, "state": "not in the push"}))

    assert answer.params == pushed
    assert world.browser().authorize(answer.params).path.startswith("/signin/")


def test_another_browser_cannot_go_on_with_the_request(world: World, client: RelyingParty):
    answer = world.browser().authorize(client.request())
    other = world.browser()
    other.authorize(client.request())

    with pytest.raises(InteractionElsewhere):
        world.idp.resume(answer.interaction_id, None, other.id)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "  "}, "invalid_scope"),
        ({"scope": "openid identity"}, "invalid_scope"),
        ({"scope": "openid certificates.verify"}, "invalid_scope"),
        ({"scope": "unheard-of groups"}, "invalid_scope"),
        ({"scope": "openid\tprofile"}, "invalid_scope"),
        ({"scope": 'openid "'}, "invalid_scope"),
        ({"claims": "{"}, "invalid_request"),
        ({"claims": '{"userinfo": {"id_number": null}}'}, "invalid_scope"),
        ({"claims": '{"userinfo": {"name": 1}}'}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "magic"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "１"}, "invalid_request"),
        ({"request_uri": "https://a.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"resource": "https://other.example/"}, "invalid_target"),
        ({"nonce": "n" * 5000}, "invalid_request"),
    ],
)
def test_a_wrong_request_goes_back_to_the_client_with_its_error(world, client, changes, error):
    answer = world.browser().authorize(client.request(**changes))

    assert answer.status == 303
    assert answer.location.startswith(REDIRECT_URI)
    assert answer.params["error"] == error
    assert answer.params["error_description"]
    assert answer.params["iss"] == ISSUER


def test_what_the_standard_does_not_know_is_ignored(world: World, client: RelyingParty):
    answer = world.browser().authorize(
        client.request(colour="blue", claims='{"userinfo": {"x": null}}')
    )

    assert answer.path.startswith("/signin/")


def test_every_refusal_is_in_the_ledger(world: World, client: RelyingParty):
    world.browser().authorize(client.request(scope="openid identity"))
    world.clock.advance(timedelta(seconds=1))
    world.browser().authorize(client.request(redirect_uri="https://evil.example/"))

    assert [each["verdict"] for each in world.entries("idp.authorization_refused")] == [
        "invalid_scope",
        "invalid_request",
    ]


def test_the_age_that_a_client_is_registered_with_counts_unless_the_request_names_one(
    world: World, clock
):
    aged = world.client("aged", default_max_age=60)
    browser = world.browser()
    browser.sign_in(browser.authorize(aged.request()).interaction_id)
    aged.code(browser)
    clock.advance(timedelta(minutes=10))

    assert browser.authorize(aged.request(max_age="3600")).params.get("code")
    assert browser.authorize(aged.request(prompt="none")).params["error"] == "login_required"
    assert browser.authorize(aged.request()).path.startswith("/signin/")
    assert browser.authorize(aged.push(aged.request())).path.startswith("/signin/")
