"""Signing in and out with a password."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from foundation.actor import SYSTEM
from foundation.errors import Invalid
from idp import Authenticated, Denied
from idp.accounts.authenticators.password import NOBODY, Passwords
from idp.models import idp_sessions, people
from idp.protocol.errors import PersonExists
from idp.store.attempts import FREE_FAILURES, wait_after
from tests.idp.world import LOGGED_OUT_URI, PASSWORD, RelyingParty, World


def test_a_right_password_opens_a_session_that_knows_the_actor(world: World):
    result = world.idp.sign_in("chen", PASSWORD)

    assert isinstance(result, Authenticated)
    session = world.idp.session(result.session_id)
    assert session is not None
    assert session.actor.id == world.chen.id
    assert session.actor.subjects == {world.chen.subject, *world.chen.represents}


def test_the_session_id_itself_is_stored_nowhere(world: World):
    result = world.sign_in("chen")

    with world.database.read() as tx:
        row = tx.execute(select(idp_sessions)).one()
    assert result.session_id not in map(str, row)


def test_a_wrong_password_and_an_unknown_name_are_refused_in_the_same_words(world: World):
    assert world.idp.sign_in("chen", "wrong") == world.idp.sign_in("nobody", "wrong")


def test_user_names_do_not_depend_on_case_and_passwords_not_on_the_input_method(world: World):
    world.idp.people.add("Wide", "宽", "password-123", by=SYSTEM)

    assert isinstance(world.idp.sign_in("wIDE", "password-１２３"), Authenticated)


def test_many_failures_in_a_row_make_the_next_attempt_wait(world: World, clock):
    for _ in range(FREE_FAILURES):
        assert world.idp.sign_in("chen", "wrong") == Denied("wrong_credentials")

    refused = world.idp.sign_in("chen", PASSWORD)
    assert isinstance(refused, Denied)
    assert (refused.reason, refused.retry_after) == ("too_many_attempts", 2)

    clock.advance(timedelta(seconds=2))
    assert isinstance(world.idp.sign_in("chen", PASSWORD), Authenticated)
    assert world.idp.sign_in("chen", "wrong") == Denied("wrong_credentials")


def test_unknown_names_are_slowed_down_like_known_ones(world: World):
    for _ in range(FREE_FAILURES):
        world.idp.sign_in("nobody", "wrong")

    nobody = world.idp.sign_in("nobody", "wrong")
    assert isinstance(nobody, Denied)
    assert nobody.reason == "too_many_attempts"


def test_the_wait_doubles_up_to_a_quarter_of_an_hour():
    waits = [wait_after(failures).total_seconds() for failures in range(4, 40)]

    assert waits[:4] == [0, 2, 4, 8]
    assert max(waits) == waits[-1] == 900


def test_every_attempt_is_in_the_ledger_and_none_names_anybody(world: World):
    world.idp.sign_in("chen", "wrong")
    world.idp.sign_in("chen", PASSWORD)

    [refused], [signed_in] = (
        world.entries("idp.sign_in_refused"),
        world.entries("idp.signed_in"),
    )
    assert refused["verdict"] == "wrong_credentials"
    said = [{**each, "commitments": sorted(each["commitments"])} for each in (refused, signed_in)]
    assert "chen" not in str(said)
    assert signed_in["details"]["amr"] == "pwd"


def test_a_disabled_person_cannot_sign_in_and_is_signed_out(world: World):
    result = world.sign_in("chen")
    with world.database.write() as tx:
        tx.execute(update(people).values(disabled_at=world.clock()))

    assert world.idp.session(result.session_id) is None
    assert world.idp.sign_in("chen", PASSWORD) == Denied("wrong_credentials")


def test_a_session_ends_by_itself(world: World, clock):
    result = world.sign_in("chen")
    clock.advance(timedelta(hours=9))

    assert world.idp.session(result.session_id) is None


def test_signing_in_again_keeps_what_the_same_person_is_doing_elsewhere(world, client):
    browser = world.browser()
    tokens = client.exchange(client.code(browser, scope="openid")).json()
    sid = world.idp.session(browser.session_id).sid

    answer = browser.authorize(client.request(prompt="login"))
    browser.sign_in(answer.interaction_id)

    assert world.idp.session(browser.session_id).sid == sid
    assert client.introspect(tokens["access_token"])["active"]


def test_somebody_else_signing_in_ends_the_session_before(world: World, client: RelyingParty):
    world.idp.people.add("lin", "林志强", PASSWORD, by=SYSTEM)
    browser = world.browser()
    tokens = client.exchange(client.code(browser, scope="openid")).json()
    before = browser.session_id

    answer = browser.authorize(client.request(prompt="login"))
    browser.sign_in(answer.interaction_id, "lin")

    assert world.idp.session(before) is None
    assert client.introspect(tokens["access_token"]) == {"active": False}


def test_signing_out_ends_online_tokens_and_keeps_offline_ones(world, client):
    browser = world.browser()
    online = client.exchange(client.code(browser, scope="openid")).json()
    offline = client.exchange(client.code(browser)).json()

    assert world.idp.end_session(browser.session_id)

    assert world.idp.session(browser.session_id) is None
    assert client.introspect(online["access_token"]) == {"active": False}
    assert client.refresh(offline["refresh_token"]).status_code == 200


def test_a_person_can_sign_another_browser_out(world: World):
    here = world.sign_in("chen")
    there = world.sign_in("chen")

    assert len(world.idp.sessions.of(world.chen)) == 2
    assert world.idp.sessions.end_one_of(world.chen, there.session.sid)
    assert world.idp.session(there.session_id) is None
    assert world.idp.session(here.session_id) is not None


def test_a_client_with_a_hint_about_this_session_signs_out_without_a_question(world, client):
    browser = world.browser()
    tokens = client.exchange(client.code(browser)).json()

    response = browser.get(
        "/oauth/logout",
        {
            "id_token_hint": tokens["id_token"],
            "post_logout_redirect_uri": LOGGED_OUT_URI,
            "state": "bye",
        },
    )

    assert response.status_code == 303
    assert response.headers["location"] == f"{LOGGED_OUT_URI}?state=bye"
    assert world.idp.sessions.of(world.chen) == []


def test_without_a_hint_the_person_is_asked_first(world: World, client: RelyingParty):
    browser = world.browser()
    client.code(browser)
    params = {"client_id": client.id, "post_logout_redirect_uri": LOGGED_OUT_URI}

    response = browser.get("/oauth/logout", params)

    where, _, logout_id = response.headers["location"].partition("?logout=")
    assert where == "/signout"
    assert world.idp.session(browser.session_id) is not None
    assert world.idp.finish_logout(logout_id, browser.session_id) == LOGGED_OUT_URI
    assert world.idp.session(browser.session_id) is None
    assert world.idp.finish_logout(logout_id, None) is None


def test_an_expired_hint_is_still_a_hint(world: World, client: RelyingParty, clock):
    browser = world.browser()
    tokens = client.exchange(client.code(browser)).json()
    clock.advance(timedelta(hours=1))

    response = browser.get("/oauth/logout", {"id_token_hint": tokens["id_token"]})

    assert response.headers["location"] == "/signed-out"


def test_a_user_name_is_given_once(world: World):
    with pytest.raises(PersonExists):
        world.idp.people.add("CHEN", "陈", PASSWORD, by=SYSTEM)


@pytest.mark.parametrize(
    ("username", "name", "password"), [("a", "A", PASSWORD), ("a b", "A", PASSWORD),
                                       ("ab", " ", PASSWORD), ("ab", "A", "short")],
)  # fmt: skip
def test_a_person_is_registered_whole_or_not_at_all(world: World, username, name, password):
    with pytest.raises(Invalid):
        world.idp.people.add(username, name, password, by=SYSTEM)


def test_people_without_an_identity_number_have_pseudonyms_of_their_own(world: World):
    one, two = (world.idp.people.add(f"officer{n}", "王敏", None, by=SYSTEM) for n in range(2))

    assert one.subject != two.subject


def test_no_password_means_no_sign_in_by_password(world: World):
    world.idp.people.add("nopass", "无", None, by=SYSTEM)

    assert world.idp.sign_in("nopass", "") == Denied("wrong_credentials")


def test_a_password_hash_is_argon2id_with_the_owasp_parameters():
    assert Passwords().hash("x" * 8).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_an_unknown_name_costs_the_same_hash_as_a_known_one():
    assert not Passwords().outdated(NOBODY)


def test_the_sweep_removes_what_is_over_and_keeps_what_is_not(world, client, clock):
    old = client.tokens()
    clock.advance(timedelta(days=100))
    live = client.tokens()

    assert world.idp.sweep() > 0

    assert client.introspect(old["refresh_token"]) == {"active": False}
    assert client.introspect(live["access_token"])["active"]


def test_the_sweep_ends_however_much_there_is_to_sweep(world: World, clock, monkeypatch):
    from idp import service

    monkeypatch.setattr(service, "SWEPT_AT_ONCE", 2)
    for at in range(5):
        world.idp.sign_in(f"nobody-{at}", PASSWORD)
    clock.advance(timedelta(days=2))

    assert world.idp.sweep() == 5
    assert world.idp.sweep() == 0
