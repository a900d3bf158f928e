"""Signing in as people really do it: in several tabs, with the back button, with typing errors."""

import base64
import hashlib
import secrets
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import pytest

from foundation.actor import SYSTEM
from idp.protocol.profiles import WEAKENINGS
from portal.frame.language import CODES, Languages
from server.assembly import Installation
from server.sandbox import seeds
from tests.portal.conftest import Browse, sign_in
from tests.portal.surfer import Page, Surfer, query

CLIENT = seeds.SERVICES.client_id
SERVICE = "http://127.0.0.1:8765/"  # where its people come from


def authorize(surfer: Surfer, state: str, **changes: str) -> Page:
    """What the client's own page does: send the browser here with a request of its own."""
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    asked = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": seeds.CALLBACK,
        "scope": "openid profile",
        "prompt": "consent",
        "state": state,
        "nonce": secrets.token_urlsafe(8),
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    } | changes
    return surfer.get("/oauth/authorize?" + urlencode(asked))


def enter(surfer: Surfer, page: Page, username: str = "lin") -> Page:
    return surfer.send(page, page.path, username=username, password=seeds.PASSWORD)


def allow(surfer: Surfer, page: Page, *claims: str) -> dict[str, str]:
    surfer.send(page, page.path, ("decision", "allow"), claim=list(claims))
    assert surfer.left.startswith(seeds.CALLBACK)
    return query(surfer.left)


def test_the_page_names_who_asks_and_consent_names_what_and_why(browse: Browse):
    surfer = browse()
    page = authorize(surfer, "one")
    assert page.path.startswith("/signin/")
    assert "Shili Citizen Services" in page.text
    page = enter(surfer, page)
    assert page.path.startswith("/consent/")
    assert "Use public services signed in" in page.text
    answer = allow(surfer, page)
    assert answer["state"] == "one"
    assert answer["code"]
    assert answer["iss"] == surfer.origin


def test_two_tabs_each_end_at_their_own_request(browse: Browse):
    surfer = browse()
    first, second = authorize(surfer, "tab-1"), authorize(surfer, "tab-2")
    consent_2 = enter(surfer, second)
    consent_1 = enter(surfer, first)
    assert allow(surfer, consent_2)["state"] == "tab-2"
    assert allow(surfer, consent_1)["state"] == "tab-1"


# --- a tab that waited while somebody signed in in another one ------------------------------------


def test_a_waiting_tab_goes_on_as_whoever_signed_in_meanwhile(browse: Browse):
    surfer = browse()
    waiting, other = authorize(surfer, "waiting"), authorize(surfer, "other")
    enter(surfer, other)

    again = surfer.get(waiting.path)
    assert "Continue as 林志强" in again.text
    consent = surfer.send(again, again.path + "/continue")
    assert consent.path.startswith("/consent/")
    assert allow(surfer, consent)["state"] == "waiting"


def test_a_waiting_tab_still_lets_somebody_else_sign_in(browse: Browse):
    surfer = browse()
    waiting = authorize(surfer, "waiting")
    sign_in(surfer, "lin")
    consent = enter(surfer, surfer.get(waiting.path), "chen")
    assert "陈静怡" in consent.text


def test_a_tab_goes_on_only_as_the_person_it_names(browse: Browse):
    """It says Lin; meanwhile Chen signs in: the click must not make Chen go on."""
    surfer = browse()
    waiting = authorize(surfer, "waiting")
    sign_in(surfer, "lin")
    offer = surfer.get(waiting.path)
    sign_in(surfer, "chen")
    page = surfer.send(offer, offer.path + "/continue")
    assert page.status == 403
    assert SERVICE in page.links


def test_going_on_needs_a_form_of_ours_and_the_same_browser(browse: Browse):
    surfer, other = browse(), browse("lin")
    waiting = authorize(surfer, "waiting")
    sign_in(surfer, "lin")
    action = waiting.path + "/continue"
    sent = dict(surfer.get(waiting.path).form(action).values)
    assert surfer.post(action).status == 403
    assert surfer.post(action, sent, headers={"sec-fetch-site": "cross-site"}).status == 403
    assert other.post(action, sent).status == 403
    assert surfer.post(action, sent).path.startswith("/consent/")


def test_whoever_has_signed_out_since_signs_in_again(browse: Browse):
    surfer = browse()
    waiting = authorize(surfer, "waiting")
    sign_in(surfer, "lin")
    offer = surfer.get(waiting.path)
    surfer.send(surfer.get("/me"), "/signout")
    assert "Continue as" not in surfer.get(waiting.path).text
    again = surfer.send(offer, offer.path + "/continue")
    assert again.path == waiting.path
    assert enter(surfer, again).path.startswith("/consent/")


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_session_that_ended_during_consent_leads_to_the_same_sign_in(browse: Browse, decision):
    surfer = browse()
    consent = enter(surfer, authorize(surfer, "ended"), "lin")
    surfer.send(surfer.get("/me"), "/signout")
    signin = surfer.send(consent, consent.path, ("decision", decision))
    assert signin.path == consent.path.replace("/consent/", "/signin/")
    assert surfer.left == ""
    assert allow(surfer, enter(surfer, signin, "lin"))["state"] == "ended"


@pytest.mark.parametrize("code", CODES)
def test_a_browser_that_keeps_no_cookies_is_told_so_and_led_on(browse: Browse, code):
    """The cookie of each page does not come back: nothing is in a circle, no script is needed."""
    surfer = browse(language=code)
    surfer.keep_no_cookies()
    said = {
        "en": "keeps no cookies",
        "zh-Hans": "没有保留本站的 Cookie",
        "zh-Hant": "沒有保留本站的 Cookie",
    }
    for_service = authorize(surfer, "blocked")
    signin = surfer.get("/signin")
    own = surfer.send(signin, "/signin", username="chen", password=seeds.PASSWORD)
    for page, again in ((for_service, for_service.path), (own, "/signin")):
        assert page.status == 403
        assert said[code] in page.text
        assert again in page.links


def test_a_browser_that_keeps_cookies_is_not_told_that_it_does_not(browse: Browse):
    """It opens another browser's sign-in, with no cookie of ours yet."""
    page = authorize(browse(), "elsewhere")
    other = browse().get(page.path)
    assert other.status == 403
    assert "begun in another browser" in other.text


def test_a_form_without_cookies_from_another_site_is_from_another_site(browse: Browse):
    forged = browse().post("/signin", {}, headers={"sec-fetch-site": "cross-site"})
    assert forged.status == 403
    assert "not opened in the present session" in forged.text


TWO_FACTORS = '{"id_token": {"acr": {"essential": true, "value": "urn:yinzheng:acr:2"}}}'


@pytest.mark.parametrize(
    "demand",
    [
        {"prompt": "login"},
        {"prompt": "select_account"},
        {"max_age": "0"},
        {"acr_values": "urn:yinzheng:acr:2"},
        {"claims": TWO_FACTORS},
    ],
)
def test_nobody_goes_on_without_what_the_service_demands(browse: Browse, demand):
    surfer = browse("lin")
    page = authorize(surfer, "demanding", **demand)
    assert page.path.startswith("/signin/")
    assert "Continue as" not in page.text


def test_a_strength_that_nobody_here_reached_is_not_offered(browse: Browse):
    surfer = browse()
    waiting = authorize(surfer, "strong", claims=TWO_FACTORS)
    sign_in(surfer, "lin")
    assert "Continue as" not in surfer.get(waiting.path).text


def test_the_pages_speak_the_language_the_service_asks_for(browse: Browse):
    """OIDC Core §3.1.2.1 ui_locales; what a person chose here goes before it."""
    surfer = browse(language="en")
    page = authorize(surfer, "tongue", ui_locales="fr zh-Hant")
    assert "登入" in page.text
    consent = enter(surfer, page)
    assert "同意" in consent.text
    assert "Sign in" in surfer.get(page.path + "?lang=en").text
    assert "Sign in" in surfer.get(page.path).text


def test_the_name_the_service_knows_stands_in_the_form_and_any_other_may_sign_in(browse: Browse):
    surfer = browse()
    page = authorize(surfer, "hint", login_hint='lin"><b>')
    assert page.form(page.path).value("username") == 'lin"><b>'
    assert "陈静怡" in enter(surfer, page, "chen").text


def test_a_refused_form_leads_back_to_the_service(browse: Browse):
    surfer = browse()
    page = authorize(surfer, "stale")
    refused = surfer.post(page.path, {"username": "lin", "password": seeds.PASSWORD})
    assert refused.status == 403
    assert SERVICE in refused.links


def test_whoever_is_signed_in_is_not_asked_again(browse: Browse):
    surfer = browse("lin")
    page = authorize(surfer, "known")
    assert page.path.startswith("/consent/")


def test_back_and_reload_in_the_middle_break_nothing(browse: Browse):
    surfer = browse()
    signin = authorize(surfer, "again")
    consent = enter(surfer, signin)
    assert surfer.get(consent.path).path == consent.path  # reload
    again = enter(surfer, surfer.get(signin.path))  # back, and the form once more
    assert again.path == consent.path
    assert allow(surfer, again)["state"] == "again"


def test_a_consent_page_of_somebody_else_decides_nothing(browse: Browse):
    """Tab one shows Lin's consent; meanwhile Chen signs in: Lin's click must not become Chen's."""
    surfer = browse()
    consent = enter(surfer, authorize(surfer, "swap"), "lin")
    sign_in(surfer, "chen")
    page = surfer.send(consent, consent.path, ("decision", "allow"))
    assert page.status == 403
    assert surfer.left == ""


def test_an_interaction_belongs_to_the_browser_that_began_it(browse: Browse):
    page = authorize(browse(), "stolen")
    other = browse("chen")
    stolen = other.get(page.path)
    assert stolen.status in {403, 404}
    assert "Shili Citizen Services" not in stolen.text


def test_pressing_allow_twice_leads_back_twice(browse: Browse):
    surfer = browse()
    consent = enter(surfer, authorize(surfer, "twice"))
    first, second = allow(surfer, consent), allow(surfer, consent)
    assert first["state"] == second["state"] == "twice"


def test_an_interaction_that_never_was_says_so_and_leads_on(browse: Browse):
    page = browse().get("/signin/no-such-interaction")
    assert page.status == 410
    assert "/" in page.links


def test_denying_tells_the_client_and_nothing_else(browse: Browse):
    surfer = browse()
    consent = enter(surfer, authorize(surfer, "no"))
    surfer.send(consent, consent.path, ("decision", "deny"))
    answer = query(surfer.left)
    assert answer["error"] == "access_denied"
    assert answer["state"] == "no"
    assert "code" not in answer


def test_optional_data_is_unticked_until_somebody_ticks_it(browse: Browse):
    surfer = browse()
    consent = enter(surfer, authorize(surfer, "ticks"), "long")
    assert [v for n, v in consent.form(consent.path).values if n == "claim"] == []


def test_a_request_that_must_not_be_answered_there_ends_on_our_own_page(browse: Browse):
    surfer = browse()
    page = authorize(surfer, "x", redirect_uri="https://evil.test/callback")
    assert surfer.left == ""
    assert page.status in {400, 403}
    assert SERVICE in page.links
    assert "invalid_request: redirect_uri is not one of those the client registered" in page.text


def test_a_pushed_request_that_is_over_says_that_and_leads_back(browse: Browse):
    page = authorize(browse(), "late", request_uri="urn:ietf:params:oauth:request_uri:" + "x" * 43)
    assert page.status == 400
    assert "waited too long" in page.text
    assert SERVICE in page.links


def test_a_wrong_password_keeps_the_name_and_forgets_the_password(browse: Browse):
    surfer = browse()
    page = surfer.send(surfer.get("/signin"), "/signin", username="lin", password="wrong-0815")
    assert page.status == 422
    form = page.form("/signin")
    assert form.value("username") == "lin"
    assert form.value("password") == ""
    assert "wrong-0815" not in page.html


def test_unknown_people_and_wrong_passwords_look_the_same(browse: Browse):
    surfer = browse()
    shown = [
        surfer.send(surfer.get("/signin"), "/signin", username=name, password="not-it-4711").text
        for name in ("long", "nobody-at-all")
    ]
    assert shown[0] == shown[1]


def test_what_is_missing_is_named_at_its_field(browse: Browse):
    page = browse()
    answer = page.send(page.get("/signin"), "/signin", username="lin", password="")
    assert answer.status == 422
    assert {"username", "password"} & {link.lstrip("#") for link in answer.links} == {"password"}


def test_too_many_tries_name_the_time_of_the_next_one(house, browse: Browse):
    house.idp.people.add("hasty", "何急", seeds.PASSWORD, by=SYSTEM)
    surfer = browse()
    for _ in range(12):
        page = surfer.send(
            surfer.get("/signin"), "/signin", username="hasty", password="wrong again"
        )
        if page.status == 429:
            break
    assert page.status == 429
    assert int(page.answer.headers["retry-after"]) > 0
    assert page.form("/signin").value("username") == "hasty"


@pytest.mark.parametrize("username", ["chen", "wang"])
def test_citizens_and_officers_arrive_at_their_own_desks(browse: Browse, username):
    page = sign_in(browse(), username)
    assert page.path == {"chen": "/me", "wang": "/staff"}[username]


def test_the_session_is_new_after_every_sign_in(browse: Browse):
    surfer = browse()
    surfer.cookies.set("yz_session", "planted-before", domain="localhost.local", path="/")
    sign_in(surfer, "lin")
    assert "planted-before" not in {c.value for c in surfer.cookies.jar if c.name == "yz_session"}


def test_signing_out_ends_the_session_and_says_so(browse: Browse):
    surfer = browse("lin")
    old = surfer.cookies["yz_session"]
    page = surfer.send(surfer.get("/me"), "/signout")
    assert page.path == "/signed-out"
    assert "/me/sign-outs" in page.links  # which services did not confirm
    surfer.cookies.set("yz_session", old)  # a copy of the cookie is worth nothing either
    assert surfer.get("/me").path == "/signin"


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_service_of_many_addresses_makes_no_long_headers(house, browse: Browse, mode: str):
    """Proxies give an answer's head 4 or 8 kB."""
    many = tuple(f"https://service.example/districts/{each:03}/callback" for each in range(150))
    confidential = {
        "profile": "standard",
        "token_endpoint_auth_method": "client_secret_basic",
        "redirect_uris": many,
    }
    client = replace(seeds.SERVICES, client_id=f"many-{mode}", **confidential)
    with house.database.write() as tx:
        house.idp.clients.register(tx, client, by=SYSTEM)
    asked = {"client_id": client.client_id, "redirect_uri": many[-1], "response_mode": mode}
    surfer = browse()
    signin = authorize(surfer, "many", **asked)
    consent = enter(surfer, signin)
    answer = surfer.send(consent, consent.path, ("decision", "allow"))
    for page in (signin, consent, answer):
        assert sum(len(name) + len(value) for name, value in page.answer.headers.raw) < 1500


def test_a_sign_out_that_was_done_in_another_tab_leads_back_too(browse: Browse, house):
    surfer = browse("lin")
    client = replace(
        seeds.SERVICES,
        client_id="two-tabs",
        post_logout_redirect_uris=("https://service.example/",),
    )
    with house.database.write() as tx:
        house.idp.clients.register(tx, client, by=SYSTEM)
    asked = {"client_id": "two-tabs", "post_logout_redirect_uri": "https://service.example/"}
    question = surfer.get("/oauth/logout?" + urlencode(asked))
    surfer.send(surfer.get("/me"), "/signout")
    surfer.send(question, "/signout", logout=query(str(question.answer.url))["logout"])
    assert surfer.left == "https://service.example/"


def test_a_sign_out_form_of_another_site_takes_no_session_away(browse: Browse):
    """It comes without our cookies (SameSite=Lax), but its answer could still delete one."""
    forged = {"headers": {"sec-fetch-site": "cross-site"}, "data": {}}
    set_by = browse().cookies_set_by("POST", "/signout", **forged)
    assert not [each for each in set_by if "yz_session" in each]
    surfer = browse("lin")
    assert surfer.post("/signout", **forged).status == 403
    assert surfer.get("/me").path == "/me"


def test_forms_of_a_sign_in_lead_to_the_house_and_nowhere_else(browse: Browse):
    page = authorize(browse(), "csp")
    policy = page.answer.headers["content-security-policy"]
    assert "form-action" not in policy, "it would also end the client's own redirects"
    assert {urlsplit(form.action)[:2] for form in page.forms} == {("", "")}
    for path in ("/signin", "/signout"):  # the first may lead on to a request of a service
        assert "form-action" not in browse().get(path).answer.headers["content-security-policy"]
    plain = browse().get("/verify").answer.headers["content-security-policy"]
    assert plain.endswith("form-action 'self'"), "whose POST stays here"


@pytest.mark.parametrize(
    "path", ["/signin", "/signin/x", "/consent/x", "/signout", "/signed-out", "/oauth/authorize"]
)
def test_a_pop_up_is_not_parted_from_its_opener_on_the_way_nor_by_an_error(browse: Browse, path):
    answer = browse().get(path).answer
    assert answer.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert browse().get("/verify").answer.headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.parametrize("language", ["zh-Hans", "zh-Hant", "en"])
def test_consent_tells_what_an_older_way_of_connecting_gives_up(
    house: Installation, browse: Browse, language: str
):
    client = replace(
        seeds.SERVICES,
        client_id=f"old-portal-{language.lower()}",
        profile="basic",
        token_endpoint_auth_method="client_secret_basic",
        jwks=None,
        dpop_bound_access_tokens=False,
    )
    house.idp.clients.add(client, by=SYSTEM)
    told = Languages.read().get(language)
    assert told is not None
    older = told.say("consent.connection_older")

    surfer, other = browse(language=language), browse(language=language)

    page = enter(surfer, authorize(surfer, "old", client_id=client.client_id))
    usual = enter(other, authorize(other, "usual"))

    assert older in page.text
    for each in WEAKENINGS:
        assert told.say(f"weakening.{each.code}") in page.text, each.code
    assert older not in usual.text
