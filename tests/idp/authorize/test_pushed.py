"""Pushed and signed authorization requests, and answers by form."""

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from idp import Consent, Granted
from tests.idp.world import ISSUER, REDIRECT_URI, RelyingParty, World


@pytest.fixture
def strict(world: World) -> RelyingParty:
    """A client of the default profile, that may refresh and learn a name."""
    return world.client(
        "strict",
        profile="fapi2",
        token_endpoint_auth_method="private_key_jwt",
        grant_types=("authorization_code", "refresh_token"),
    )


def test_a_strict_client_pushes_signs_in_and_refreshes_with_bound_tokens(world, strict):
    tokens = strict.tokens()
    fresh = strict.refresh(tokens["refresh_token"]).json()

    assert tokens["token_type"] == fresh["token_type"] == "DPoP"
    assert strict.userinfo(fresh["access_token"]).json()["name"] == "陈静怡"


def test_a_push_is_answered_with_a_reference_for_a_minute_and_a_half(world, strict):
    response = strict.post("/oauth/par", strict.request())

    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert 60 <= response.json()["expires_in"] <= 90


def test_a_client_that_must_push_cannot_ask_openly(world: World, strict: RelyingParty):
    answer = world.browser().authorize(strict.request())

    assert answer.location.startswith(REDIRECT_URI)
    assert answer.params["error"] == "invalid_request"
    assert "push" in answer.params["error_description"]


def test_a_plain_client_may_push_and_may_be_registered_to_have_to(world: World, client):
    other = world.client("other", require_pushed_authorization_requests=True)

    assert client.exchange(client.code()).status_code == 200
    assert world.browser().authorize(client.push(client.request())).path.startswith("/signin/")
    assert world.browser().authorize(other.request()).params["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"scope": "openid identity"}, "invalid_scope"),
        ({"claims": '{"id_token": {"id_number": null}}'}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"request_uri": "https://client.example/request"}, "invalid_request"),
        ({"client_id": "another"}, "invalid_request"),
    ],
)
def test_a_wrong_push_hears_at_once_what_is_wrong(world, strict, changes, error):
    response = strict.post("/oauth/par", strict.request(**changes))

    assert (response.status_code, response.json()["error"]) == (400, error)
    assert response.json()["error_description"]


def test_a_push_beyond_the_purpose_is_refused_in_words_and_in_the_ledger(world, strict):
    response = strict.post("/oauth/par", strict.request(claims='{"userinfo": {"roles": null}}'))

    assert "purpose does not cover the claim roles" in response.json()["error_description"]
    assert world.entries("idp.authorization_refused")[0]["verdict"] == "invalid_scope"


def test_a_reload_and_the_back_button_go_on_where_the_browser_was(world, strict, clock):
    browser, carried = world.browser(), strict.push(strict.request())

    first = browser.authorize(carried)
    clock.advance(timedelta(minutes=10))  # long after the reference alone would have expired
    again = browser.authorize(carried)
    browser.sign_in(again.interaction_id)
    after = browser.authorize(carried)

    assert first.location == again.location
    assert after.path == f"/consent/{first.interaction_id}"


def test_a_reload_at_the_very_end_still_ends_at_the_client_but_the_reference_is_used_up(
    world: World, strict: RelyingParty
):
    browser, carried = world.browser(), strict.push(strict.request())
    answer = browser.authorize(carried)
    browser.sign_in(answer.interaction_id)
    granted = world.idp.decide_consent(
        answer.interaction_id, browser.session_id, True, browser=browser.id
    )

    again = world.idp.resume(answer.interaction_id, browser.session_id, browser.id)
    from_the_start = browser.authorize(carried)

    assert isinstance(granted, Granted)
    assert isinstance(again, Granted)
    assert strict.exchange(dict(again.parameters)["code"]).status_code == 200
    assert from_the_start.status == 400


def test_sign_in_again_counts_from_the_arrival_not_from_the_push(world, strict, clock):
    carried = strict.push(strict.request(prompt="login"))
    browser = world.browser()
    other = world.client("other", first_party=True)
    clock.advance(timedelta(seconds=5))
    other.code(browser)  # somebody signs in between the push and the arrival
    clock.advance(timedelta(seconds=5))

    assert browser.authorize(carried).path.startswith("/signin/")


# --- signed requests ----------------------------------------------------------------------------


@pytest.fixture
def signing(world: World) -> RelyingParty:
    return world.client(
        "signing",
        token_endpoint_auth_method="private_key_jwt",
        require_signed_request_object=True,
        resources=("https://api.example/a", "https://api.example/b"),
    )


def test_a_signed_request_is_as_good_as_a_plain_one(world: World, signing: RelyingParty):
    params = {"client_id": "signing", "request": signing.request_object()}
    browser = world.browser()

    answer = browser.authorize(params)
    decision = browser.sign_in(answer.interaction_id).next

    assert isinstance(decision, Consent)


def test_a_signed_request_may_be_pushed(world: World, signing: RelyingParty):
    carried = signing.push({"request": signing.request_object()})

    assert world.browser().authorize(carried).path.startswith("/signin/")


def test_numbers_and_objects_in_a_signed_request_are_what_they_are_as_parameters(world, signing):
    asked = {"userinfo": {"name": {"essential": True}}}
    text = signing.request_object(
        max_age=60, claims=asked, resource=["https://api.example/a", "https://api.example/b"]
    )
    browser = world.browser()

    answer = browser.authorize({"client_id": "signing", "request": text})

    shown = world.idp.interaction(answer.interaction_id, browser.id)
    assert [claim.name for claim in shown.claims if claim.essential] == ["name"]


def test_what_a_wrong_signed_request_says_is_not_believed_and_never_followed(world, signing):
    response = world.http.get(
        "/oauth/authorize", {"client_id": "signing", "request": signing.request_object() + "x"}
    )

    assert response.status_code == 400
    assert "request object does not verify" in response.json()["detail"]


# --- answers by form ----------------------------------------------------------------------------


class Fields(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.action, self.values, self.buttons, self.scripts = "", {}, 0, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "form":
            self.action = found["action"]
        elif tag == "input":
            self.values[found["name"]] = found["value"]
        elif tag == "button":
            self.buttons += 1
        elif tag == "script":
            self.scripts.append(found.get("src"))


def by_form(world: World, client: RelyingParty, **changes):
    browser = world.browser()
    client.code(browser)
    return browser.get("/oauth/authorize", client.request(response_mode="form_post", **changes))


def test_an_answer_by_form_carries_code_state_and_issuer(world: World, client: RelyingParty):
    response = by_form(world, client)

    form = Fields(response.text)
    assert form.action == REDIRECT_URI
    assert form.values.keys() == {"code", "state", "iss"}
    assert (form.values["state"], form.values["iss"]) == (client.state, ISSUER)
    assert client.exchange(form.values["code"]).status_code == 200


def test_a_refusal_by_form_too(world: World, client: RelyingParty):
    response = by_form(world, client, scope="openid identity")

    assert Fields(response.text).values["error"] == "invalid_scope"
    assert "location" not in response.headers


def test_the_form_works_without_script_and_its_script_within_our_policy(world, client):
    response = by_form(world, client)
    form = Fields(response.text)
    policy = response.headers["content-security-policy"]

    assert form.buttons == 1
    assert form.scripts == ["/oauth/form-post.js"]
    assert "<script>" not in response.text
    assert "script-src 'self'" in policy
    assert re.findall(r'<form[^>]* action="([^"]*)"', response.text) == [REDIRECT_URI]
    assert "frame-ancestors https://food.example.gov.cn;" in policy, "where a silent renewal waits"
    assert "form-action" not in policy, "it would also end the client's own redirects"
    assert world.http.get("/oauth/form-post.js").headers["content-type"] == "text/javascript"


def test_nothing_the_client_sent_can_break_out_of_the_form(world: World, client: RelyingParty):
    browser = world.browser()
    client.code(browser)
    evil = '"><script>alert(1)</script>'

    response = browser.get(
        "/oauth/authorize", client.request(response_mode="form_post", state=evil)
    )

    assert Fields(response.text).values["state"] == evil
    assert "<script>alert" not in response.text


def test_an_app_with_a_scheme_of_its_own_is_told_by_query_that_a_form_is_no_good(world: World):
    app = "com.example.app:/callback"
    client = world.client(redirect_uris=(app,))

    answer = world.browser().authorize(client.request(redirect_uri=app, response_mode="form_post"))

    assert answer.location.startswith(app + "?error=invalid_request")
