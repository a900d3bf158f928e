"""A service sends its person to sign out (OpenID Connect RP-Initiated Logout 1.0)."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.idp.world import LOGGED_OUT_URI, Browser, RelyingParty, World


@pytest.fixture
def visit(world: World, client: RelyingParty) -> tuple[Browser, str]:
    """A browser that is signed in at the client, and the client's ID token."""
    browser = world.browser()
    return browser, client.exchange(client.code(browser)).json()["id_token"]


def logout(browser: Browser, **params: str) -> Any:
    return browser.get("/oauth/logout", params)


def test_with_a_good_hint_the_person_is_signed_out_and_sent_back_with_the_state(world, visit):
    browser, hint = visit

    answer = logout(
        browser, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT_URI, state="a b&c"
    )

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(LOGGED_OUT_URI + "?")
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"state": ["a b&c"]}
    assert world.idp.session(browser.session_id) is None


def test_an_expired_hint_is_still_a_hint(world: World, visit, clock):
    browser, hint = visit
    clock.advance(timedelta(hours=2))

    logout(browser, id_token_hint=hint)

    assert world.idp.session(browser.session_id) is None


def test_a_hint_that_a_former_key_signed_is_still_a_hint(world: World, visit, keys):
    browser, hint = visit
    keys.rotate("idp.tokens", at_once=True)

    logout(browser, id_token_hint=hint)

    assert world.idp.session(browser.session_id) is None


@pytest.mark.parametrize("spoil", ["tampered", "nonsense", "x.y.z"])
def test_a_hint_that_cannot_be_checked_is_none_and_the_person_is_asked(world, visit, spoil: str):
    """Its key may be compromised or long gone: nobody stays signed in because of that, and nobody
    is sent anywhere on its word."""
    browser, hint = visit
    bad = hint[:-8] + "AAAAAAAA" if spoil == "tampered" else spoil

    answer = logout(browser, id_token_hint=bad, post_logout_redirect_uri=LOGGED_OUT_URI)

    assert answer.headers["location"].startswith("/signout?logout=")
    assert world.idp.session(browser.session_id) is not None
    assert world.idp.finish_logout(logout_named(answer), browser.session_id) is None
    assert world.idp.session(browser.session_id) is None


def test_a_hint_of_a_compromised_key_leaves_the_way_back_to_client_id(world, client, visit, keys):
    browser, hint = visit
    keys.compromised("idp.tokens")

    answer = logout(
        browser,
        id_token_hint=hint,
        client_id=client.id,
        post_logout_redirect_uri=LOGGED_OUT_URI,
    )

    assert answer.headers["location"].startswith("/signout?logout=")
    assert world.idp.finish_logout(logout_named(answer), browser.session_id) == LOGGED_OUT_URI


def logout_named(answer: Any) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["logout"][0]


def test_without_any_parameter_the_person_is_asked_and_stays_here(world: World, visit):
    browser, _ = visit

    answer = logout(browser)

    assert answer.headers["location"].startswith("/signout?logout=")
    assert world.idp.session(browser.session_id) is not None
    logout_id = parse_qs(urlsplit(answer.headers["location"]).query)["logout"][0]
    assert world.idp.finish_logout(logout_id, browser.session_id) is None
    assert world.idp.session(browser.session_id) is None


def test_without_a_hint_client_id_names_the_client_and_the_person_is_asked(world, client, visit):
    browser, _ = visit

    answer = logout(browser, client_id=client.id, post_logout_redirect_uri=LOGGED_OUT_URI)

    logout_id = parse_qs(urlsplit(answer.headers["location"]).query)["logout"][0]
    assert world.idp.finish_logout(logout_id, browser.session_id) == LOGGED_OUT_URI


@pytest.mark.parametrize(
    "params",
    [
        {"post_logout_redirect_uri": LOGGED_OUT_URI},  # nobody says whose it is
        {"post_logout_redirect_uri": LOGGED_OUT_URI, "client_id": "unknown"},
        {
            "post_logout_redirect_uri": LOGGED_OUT_URI + "?from=elsewhere",
            "client_id": "food-office",
        },
        {"post_logout_redirect_uri": LOGGED_OUT_URI + "/", "client_id": "food-office"},
    ],
)
def test_a_place_that_the_client_did_not_register_exactly_is_refused(world, visit, params):
    browser, _ = visit

    answer = logout(browser, **params)

    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_the_hint_and_client_id_must_name_the_same_client(world: World, visit):
    browser, hint = visit
    world.client("other")

    assert logout(browser, id_token_hint=hint, client_id="other").status_code == 400


def test_who_is_signed_out_already_is_only_sent_back(world: World, visit):
    browser, hint = visit
    world.idp.end_session(browser.session_id)

    answer = logout(browser, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT_URI)

    assert answer.headers["location"] == LOGGED_OUT_URI


def test_parameters_nobody_knows_are_ignored(world: World, visit):
    browser, hint = visit

    logout(browser, id_token_hint=hint, logout_hint="chen", ui_locales="zh-Hans", x="1")

    assert world.idp.session(browser.session_id) is None


def posted(world: World, **params: str) -> Any:
    """By a form of another site, which comes without cookies."""
    return world.http.post("/oauth/logout", params)


def test_a_posted_request_signs_out_and_moves_no_id_token_into_an_address(world: World, visit):
    browser, hint = visit
    asked = {"post_logout_redirect_uri": LOGGED_OUT_URI, "state": "a b&c"}

    sent = posted(world, id_token_hint=hint, **asked).headers["location"]
    query = parse_qs(urlsplit(sent).query)
    answer = browser.get("/oauth/logout", query)
    again = browser.get("/oauth/logout", query)  # a reload loses nothing

    assert query.keys() == {"interaction"}
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"state": ["a b&c"]}
    assert again.headers["location"] == answer.headers["location"]
    assert world.idp.session(browser.session_id) is None


def test_a_posted_request_about_another_session_asks(world: World, client: RelyingParty, visit):
    browser, _ = visit
    other = client.exchange(client.code(world.browser())).json()["id_token"]

    sent = posted(world, id_token_hint=other).headers["location"]
    answer = browser.get("/oauth/logout", parse_qs(urlsplit(sent).query))

    assert answer.headers["location"].startswith("/signout?logout=")
    assert world.idp.session(browser.session_id) is not None


def test_a_posted_request_that_is_refused_is_refused_at_once(world: World, visit):
    browser, _ = visit

    answer = posted(world, post_logout_redirect_uri=LOGGED_OUT_URI)

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert world.idp.session(browser.session_id) is not None


def test_a_posted_hint_that_cannot_be_checked_asks_in_the_browser(world: World, visit):
    browser, hint = visit

    sent = posted(world, id_token_hint=hint[:-8], post_logout_redirect_uri=LOGGED_OUT_URI)
    answer = browser.get("/oauth/logout", parse_qs(urlsplit(sent.headers["location"]).query))

    assert answer.headers["location"].startswith("/signout?logout=")


# --- from the service's own server --------------------------------------------------------------


def test_a_service_that_proves_itself_signs_out_the_person_of_its_hint(world, client, visit):
    browser, hint = visit
    form, headers = client.authenticated({"id_token_hint": hint})

    answer = world.http.post("/oauth/logout", form, headers=headers)

    assert answer.status_code == 303
    assert world.idp.session(browser.session_id) is None


def test_a_hint_alone_ends_nothing_without_our_cookie(world: World, visit):
    """An ID token may lie in a log."""
    browser, hint = visit
    stranger = world.browser()

    sent = posted(world, id_token_hint=hint, post_logout_redirect_uri=LOGGED_OUT_URI)
    for answer in (
        logout(stranger, id_token_hint=hint),
        stranger.get("/oauth/logout", parse_qs(urlsplit(sent.headers["location"]).query)),
    ):
        assert answer.headers["location"].startswith("/signout?logout=")
        world.idp.finish_logout(logout_named(answer), None)

    assert world.idp.session(browser.session_id) is not None


@pytest.mark.parametrize("wrong", ["secret", "client", "hint"])
def test_whoever_proves_something_else_ends_nothing(world: World, client, visit, wrong: str):
    browser, hint = visit
    asker = world.client("other") if wrong == "client" else client
    if wrong == "secret":
        asker.secret = "yzs_guess"
    form, headers = asker.authenticated({"id_token_hint": hint[:-8] if wrong == "hint" else hint})

    answer = world.http.post("/oauth/logout", form, headers=headers)

    assert answer.status_code == (401 if wrong == "secret" else 303)
    assert world.idp.session(browser.session_id) is not None


@pytest.mark.parametrize("spoil", ["", "unknown", "old"])
def test_an_interaction_that_is_not_kept_asks(world: World, visit, clock, spoil: str):
    browser, hint = visit
    sent = posted(world, id_token_hint=hint).headers["location"]
    kept = parse_qs(urlsplit(sent).query)["interaction"][0]
    if spoil == "old":
        clock.advance(timedelta(hours=1))

    answer = logout(browser, interaction=kept if spoil == "old" else spoil)

    assert answer.headers["location"].startswith("/signout?logout=")
    assert world.idp.session(browser.session_id) is not None
