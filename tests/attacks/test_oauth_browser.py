"""Attacks 6 to 10 and 12: redirects, cross-site requests, sessions, leaks through the browser."""

import pytest
from starlette.responses import Response

from foundation.actor import SYSTEM
from idp import Authenticated, Cookies
from idp.authorize import form_post
from idp.protocol.errors import InteractionElsewhere
from tests.idp.fixtures import app, client, http, idp, runner, world  # noqa: F401
from tests.idp.world import ISSUER, LOGGED_OUT_URI, PASSWORD, REDIRECT_URI, RelyingParty, World

NEARLY = [
    REDIRECT_URI + "x",
    REDIRECT_URI + "/sub",
    REDIRECT_URI + "&extra=1",
    REDIRECT_URI + "#fragment",
    "https://food.example.gov.cn/callback",
    "https://food.example.gov.cn/callback/..;/x?from=idp",
    "https://food.example.gov.cn/./callback?from=idp",
    "https://food.example.gov.cn:443/callback?from=idp",
    "https://food.example.gov.cn./callback?from=idp",
    "https://FOOD.example.gov.cn/callback?from=idp",
    "HTTPS://food.example.gov.cn/callback?from=idp",
    "http://food.example.gov.cn/callback?from=idp",
    "https://evil.example/callback?from=idp",
    "https://food.example.gov.cn@evil.example/callback?from=idp",
    "https://a@b@food.example.gov.cn/callback?from=idp",
    "https://food.example.gov.cn%2f@evil.example/callback?from=idp",
    "https://food.example.gov.cn\\@evil.example/callback?from=idp",
    "https://food.example.gov.cn/callback?from=idp%00",
    "https://food.example.gov.cn/Callback?from=idp",
    "https://food.exаmple.gov.cn/callback?from=idp",  # a Cyrillic а
    "https://food.example.gov.cn/callback?from=idp ",
    "//food.example.gov.cn/callback?from=idp",
    "http://127.0.0.1/callback?from=idp",
    "http://localhost/callback?from=idp",
    "http://[::1]/callback?from=idp",
    "javascript:alert(1)",
    "",
]


@pytest.mark.parametrize("uri", NEARLY)
def test_06_a_redirect_uri_that_is_nearly_right_is_wrong_and_never_followed(world, client, uri):
    response = world.http.get("/oauth/authorize", client.request(redirect_uri=uri))

    assert response.status_code == 400
    assert "location" not in response.headers
    assert "redirect_uri" in response.json()["detail"]


APP_URIS = (
    "http://127.0.0.1/cb?from=idp",
    "http://[::1]:9000/cb",
    "http://localhost:9000/cb",
    "cn.gov.example.app:/cb",
)


@pytest.fixture
def app_at_home(world: World) -> RelyingParty:
    return world.client("at-home", application_type="native", redirect_uris=APP_URIS)


@pytest.mark.parametrize(
    "uri",
    [
        *APP_URIS, "http://127.0.0.1:80/cb?from=idp", "http://127.0.0.1:51004/cb?from=idp",
        "http://[::1]/cb", "http://[::1]:65535/cb",
    ],
)  # fmt: skip
def test_06_an_app_listens_at_any_port_of_its_own_machine(world: World, app_at_home, uri):
    """RFC 8252 §7.3: "The authorization server MUST allow any port to be specified at the time of
    the request for loopback IP redirect URIs". The table above says the opposite for web clients
    only: nobody but a program on the person's machine can be listening there."""
    code = app_at_home.code(redirect_uri=uri)

    assert app_at_home.exchange(code, redirect_uri=uri).status_code == 200


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:51004/cb", "http://127.0.0.1:51004/cb?from=idp&x=1",
        "http://127.0.0.1:51004/cb/../cb?from=idp", "http://127.0.0.1:51004/CB?from=idp",
        "https://127.0.0.1:51004/cb?from=idp", "http://127.0.0.2:51004/cb?from=idp",
        "http://127.1:51004/cb?from=idp", "http://2130706433:51004/cb?from=idp",
        "http://127.0.0.1.evil.example:51004/cb?from=idp",
        "http://127.0.0.1:51004@evil.example/cb?from=idp",
        "http://127.0.0.1:@evil.example/cb?from=idp", "http://127.0.0.1:/cb?from=idp",
        "http://x@127.0.0.1:51004/cb?from=idp", "http://127.0.0.1:0/cb?from=idp",
        "http://127.0.0.1:65536/cb?from=idp", "http://127.0.0.1:+80/cb?from=idp",
        "http://127.0.0.1:\uff18\uff10/cb?from=idp", "http://127.0.0.1:51004\\@evil.example/cb?from=idp",
        "HTTP://127.0.0.1:51004/cb?from=idp", "http://127.0.0.1:51004/cb?from=idp#x",
        "http://[::1]:9001/cb?from=idp", "http://[0:0:0:0:0:0:0:1]:9000/cb",
        "http://[::ffff:127.0.0.1]:9000/cb", "http://127.0.0.1:9000/cb",
        "http://localhost/cb", "http://localhost:9001/cb",
        "cn.gov.example.app:/CB", "cn.gov.example.app://cb", "CN.gov.example.app:/cb",
        "cn.gov.example.app:80/cb", "app:/cb",
    ],
)  # fmt: skip
def test_06_nothing_but_the_port_of_a_loopback_address_may_differ(world, app_at_home, uri):
    response = world.http.get("/oauth/authorize", app_at_home.request(redirect_uri=uri))

    assert response.status_code == 400
    assert "location" not in response.headers


def test_06_a_web_client_never_chooses_a_port(world: World):
    web = world.client("web", redirect_uris=APP_URIS)
    uri = "http://127.0.0.1:51004/cb?from=idp"

    response = world.http.get("/oauth/authorize", web.request(redirect_uri=uri))

    assert response.status_code == 400


def test_06_a_code_goes_back_to_the_port_it_was_asked_for(world: World, app_at_home):
    code = app_at_home.code(redirect_uri="http://[::1]:9001/cb")

    other = app_at_home.exchange(code, redirect_uri="http://[::1]:9002/cb")

    assert other.json()["error"] == "invalid_grant"


def test_06_a_missing_redirect_uri_is_not_guessed(world: World, client: RelyingParty):
    response = world.http.get("/oauth/authorize", client.request(redirect_uri=None))

    assert response.status_code == 400


def test_06_an_unknown_client_never_redirects(world: World, client: RelyingParty):
    for client_id in ("nobody", "", "' OR 1=1 --", "x" * 5000):
        response = world.http.get("/oauth/authorize", client.request(client_id=client_id))

        assert response.status_code == 400
        assert "location" not in response.headers


def test_06_the_token_endpoint_compares_the_redirect_uri_again(world: World, client):
    code = client.code()

    response = client.exchange(code, redirect_uri=REDIRECT_URI + "x")

    assert response.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", LOGGED_OUT_URI + "/..", LOGGED_OUT_URI + "?x=1", REDIRECT_URI, "//e"],
)
@pytest.mark.parametrize("with_hint", [True, False])
def test_07_no_open_redirect_at_logout(world: World, client: RelyingParty, target, with_hint):
    browser = world.browser()
    tokens = client.exchange(client.code(browser)).json()
    proof = {"id_token_hint": tokens["id_token"]} if with_hint else {"client_id": client.id}

    response = browser.get("/oauth/logout", {**proof, "post_logout_redirect_uri": target})

    assert response.status_code == 400
    assert "location" not in response.headers
    assert world.idp.session(browser.session_id) is not None


def test_07_no_redirect_at_logout_for_a_client_nobody_named(world: World):
    response = world.http.get("/oauth/logout", {"post_logout_redirect_uri": LOGGED_OUT_URI})

    assert response.status_code == 400


def test_08_every_redirect_is_a_303(world: World, client: RelyingParty):
    browser = world.browser()
    answers = [
        browser.get("/oauth/authorize", client.request()),
        browser.get("/oauth/authorize", client.request(scope="x")),
        browser.post("/oauth/authorize", client.request()),
        browser.get("/oauth/logout"),
        browser.post("/oauth/logout", {"client_id": client.id}),
    ]

    assert {answer.status_code for answer in answers} == {303}


def test_09_a_forged_logout_link_asks_and_does_not_sign_out(world: World, client: RelyingParty):
    browser = world.browser()
    client.code(browser)

    browser.get("/oauth/logout", {"client_id": client.id})

    assert world.idp.session(browser.session_id) is not None


def test_09_a_hint_about_somebody_elses_session_does_not_sign_out(world: World, client):
    attackers = client.exchange(client.code(world.browser())).json()["id_token"]
    browser = world.browser()
    client.code(browser)

    response = browser.get("/oauth/logout", {"id_token_hint": attackers})

    assert response.headers["location"].startswith("/signout")
    assert world.idp.session(browser.session_id) is not None


def test_09_a_forged_hint_ends_nothing_by_itself(world: World, client: RelyingParty):
    """It counts as no hint: the person is asked."""
    browser = world.browser()
    hint = client.exchange(client.code(browser)).json()["id_token"]

    response = browser.get("/oauth/logout", {"id_token_hint": hint[:-8] + "AAAAAAAA"})

    assert response.headers["location"].startswith("/signout?logout=")
    assert world.idp.session(browser.session_id) is not None


def test_09_consent_cannot_be_decided_from_another_browser(world: World, client: RelyingParty):
    browser = world.browser()
    answer = browser.authorize(client.request())
    browser.sign_in(answer.interaction_id)

    with pytest.raises(InteractionElsewhere):
        world.idp.decide_consent(
            answer.interaction_id, browser.session_id, True, browser="somebody else"
        )


def test_10_a_session_id_from_before_the_sign_in_is_worth_nothing_after_it(world, client):
    browser = world.browser()
    answer = browser.authorize(client.request())
    browser.session_id = "planted-by-the-attacker"

    result = browser.sign_in(answer.interaction_id)

    assert result.session_id != "planted-by-the-attacker"
    assert world.idp.session("planted-by-the-attacker") is None


def test_10_signing_in_again_changes_the_session_id(world: World):
    first = world.sign_in("chen")
    second = world.idp.sign_in("chen", PASSWORD, session_id=first.session_id)

    assert isinstance(second, Authenticated)
    assert world.idp.session(first.session_id) is None
    assert world.idp.session(second.session_id) is not None


def test_10_a_link_to_somebody_elses_sign_in_page_does_not_work(world: World, client):
    attackers = world.browser().authorize(client.request())
    victim = world.browser()
    victim.authorize(client.request())

    with pytest.raises(InteractionElsewhere):
        victim.sign_in(attackers.interaction_id)


def test_10_whoever_signs_in_where_somebody_else_was_takes_nothing_over(world: World, client):
    world.idp.people.add("mallory", "马", PASSWORD, by=SYSTEM)
    browser = world.browser()
    tokens = client.exchange(client.code(browser, scope="openid profile")).json()
    before = browser.session_id

    result = world.idp.sign_in("mallory", PASSWORD, session_id=before)

    assert isinstance(result, Authenticated)
    assert world.idp.session(before) is None
    assert client.introspect(tokens["access_token"]) == {"active": False}
    assert world.entries("idp.session_ended")[0]["details"]["reason"] == "replaced"


def test_10_cookies_cannot_be_planted_or_read_by_neighbours_or_scripts(world: World, client):
    browser = world.http.get("/oauth/authorize", client.request())
    session = Response()
    Cookies(ISSUER).set_session(session, "secret")

    for response, name in ((browser, "browser"), (session, "session")):
        cookie = response.headers["set-cookie"]
        assert cookie.startswith(f"__Host-yz_{name}=")
        for attribute in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert attribute in cookie
        assert "Domain" not in cookie


def test_12_nothing_of_the_sign_in_leaks_through_referrer_or_history(world: World, client):
    browser = world.browser()
    client.code(browser)

    response = browser.get("/oauth/authorize", client.request())

    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert "token" not in response.headers["location"]


def test_12_an_answer_by_form_leaves_nothing_behind(world: World, client: RelyingParty):
    browser = world.browser()
    client.code(browser)

    page = browser.get("/oauth/authorize", client.request(response_mode="form_post"))

    assert 'name="code"' in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "location" not in page.headers


def test_28_an_answer_by_form_is_framed_by_nobody_but_its_service(world: World, client):
    """Which waits for it in a frame, when it renews silently; the answer goes to it anyway."""
    service = "https://food.example.gov.cn"
    answers = [
        world.http.get("/oauth/authorize", client.request(response_mode="form_post", **changes))
        for changes in ({"scope": "beyond"}, {"prompt": "none"})
    ]

    for page in answers:
        assert page.status_code == 200
        policy = page.headers["content-security-policy"].split("; ")
        assert [each for each in policy if each.startswith("frame-")] == [
            f"frame-ancestors {service}"
        ]


@pytest.mark.parametrize("host", ["a;sandbox", "a,b", "[::1]", "a'b", "*"])
def test_28_a_redirect_uri_writes_nothing_into_the_policy(host: str):
    """Whatever a registration lets through: a host that is no plain name is framed by nobody."""
    policy = form_post.page(f"https://{host}/callback", ()).headers["content-security-policy"]

    assert policy.endswith("frame-ancestors 'none'; base-uri 'none'")


def test_12_nothing_with_a_token_in_it_is_kept_on_the_way(world: World, client: RelyingParty):
    exchanged = client.exchange(client.code())
    tokens = exchanged.json()
    form, headers = client.authenticated({"token": tokens["access_token"]})
    answers = [
        exchanged,
        client.refresh(tokens["refresh_token"]),
        client.userinfo(tokens["access_token"]),
        world.http.post("/oauth/introspect", form, headers=headers),
        client.refresh("made up"),
    ]

    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_12_an_access_token_in_a_url_is_not_looked_at(world: World, client: RelyingParty):
    token = client.tokens()["access_token"]

    assert world.http.get("/oauth/userinfo", {"access_token": token}).status_code == 401
