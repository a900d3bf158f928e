"""Attacks 7 to 10 and 12 at the pages themselves: what another site can make a browser do."""

import re

import pytest

from tests.portal.conftest import Browse, app, browse, house  # noqa: F401
from tests.portal.signing_in.test_device import asked, kiosk  # noqa: F401
from tests.portal.signing_in.test_signin import authorize, enter

EVIL = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
PASSWORD = {"username": "lin", "password": "yinzheng-sandbox"}


def raw(surfer, method: str, path: str, data=None, headers=None):
    """One request, no redirect followed, with the cookies of this browser."""
    sent = surfer._client.request(method, path, data=data, headers=headers)
    return surfer._runner.run(sent)


def token_on(page) -> str:
    return page.form(page.path).value("form_token")


@pytest.mark.parametrize(
    "target",
    [
        *("https://evil.example/", "//evil.example/", "/\\evil.example/", "\\\\evil.example/"),
        *("/\t/evil.example/", "/\n/evil.example/", "///evil.example", "javascript:alert(1)"),
        *("/..//evil.example/", "evil.example", "@evil.example", "/" + "x" * 600),
    ],
)
def test_07_signing_in_leads_nowhere_but_into_this_house(browse: Browse, target: str):
    surfer = browse()
    page = surfer.get("/signin")
    data = {**PASSWORD, "form_token": token_on(page), "next": target}

    answer = raw(surfer, "POST", "/signin", data)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/me"


def test_08_a_password_is_never_posted_on_by_a_redirect(browse: Browse):
    surfer = browse()
    page = authorize(surfer, "s")

    answer = raw(surfer, "POST", page.path, {**PASSWORD, "form_token": token_on(page)})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/consent/")


def test_08_nor_is_one_that_nobody_asked_for(browse: Browse):
    surfer = browse()
    page = surfer.get("/signin")

    answer = raw(surfer, "POST", "/signin", {**PASSWORD, "form_token": token_on(page)})

    assert (answer.status_code, answer.headers["location"]) == (303, "/me")


def test_08_nor_is_a_consent(browse: Browse):
    surfer = browse()
    page = enter(surfer, authorize(surfer, "s"))

    answer = raw(surfer, "POST", page.path, {"decision": "allow", "form_token": token_on(page)})

    assert answer.status_code == 303


@pytest.mark.parametrize("decision", ["allow", "deny"])
@pytest.mark.parametrize("forged", ["no token", "a token of another form", "another site's form"])
def test_09_another_site_cannot_decide_a_consent(browse: Browse, decision, forged):
    surfer = browse()
    signin = authorize(surfer, "s")
    stale = token_on(signin)
    page = enter(surfer, signin)
    data = {"decision": decision}
    if forged != "no token":
        data["form_token"] = stale if forged == "a token of another form" else token_on(page)

    answer = raw(surfer, "POST", page.path, data, EVIL if "site" in forged else None)

    assert answer.status_code == 403
    assert "code=" not in answer.headers.get("location", "")


def test_09_a_consent_form_is_for_one_request_and_one_person(browse: Browse):
    """Drawn for Lin and the first request, it decides no other, and nothing for Chen."""
    surfer = browse()
    first = enter(surfer, authorize(surfer, "first"))
    second = authorize(surfer, "second")
    data = {"decision": "allow", "form_token": token_on(first)}

    for_another = raw(surfer, "POST", second.path, data)
    chen = authorize(surfer, "third", prompt="login consent")
    enter(surfer, chen, "chen")
    by_another = raw(surfer, "POST", first.path, data)

    assert second.path.startswith("/consent/")
    assert (for_another.status_code, by_another.status_code) == (403, 403)


@pytest.mark.parametrize("step", ["/device", "/device/answer"])
@pytest.mark.parametrize("forged", ["no token", "a token of another form", "another site's form"])
def test_09_another_site_cannot_link_a_device(browse: Browse, asked, step, forged):
    surfer = browse("lin")
    token = token_on(surfer.get("/device"))
    if step == "/device/answer":
        found = surfer.send(surfer.get("/device"), "/device", user_code=asked["user_code"])
        token, other = found.form("/device/answer").value("form_token"), token
    else:
        other = surfer.get("/signout").form("/signout").value("form_token")
    data = {"user_code": asked["user_code"], "decision": "allow"}
    if forged != "no token":
        data["form_token"] = other if forged == "a token of another form" else token

    answer = raw(surfer, "POST", step, data, EVIL if "site" in forged else None)

    assert answer.status_code == 403


def test_09_another_site_cannot_sign_anybody_out(browse: Browse):
    surfer = browse("lin")

    answers = [
        raw(surfer, "POST", "/signout", {"logout": ""}),
        raw(surfer, "POST", "/signout", {"form_token": "x"}, EVIL),
        raw(surfer, "GET", "/signout"),
    ]

    assert [each.status_code for each in answers] == [403, 403, 200]
    assert surfer.get("/me").path == "/me", "still signed in"


@pytest.mark.parametrize("asked_by", ["nobody", "a client"])
def test_10_another_site_cannot_sign_anybody_in(browse: Browse, asked_by: str):
    surfer = browse()
    page = surfer.get("/signin") if asked_by == "nobody" else authorize(surfer, "s")
    form = {**PASSWORD, "form_token": token_on(page)}

    without = raw(surfer, "POST", page.path, PASSWORD)
    from_elsewhere = raw(surfer, "POST", page.path, form, EVIL)
    in_another_browser = raw(browse(), "POST", page.path, form)

    refused = (without, from_elsewhere, in_another_browser)
    assert [each.status_code for each in refused] == [403, 403, 403]
    assert surfer.get("/me").path == "/signin"


@pytest.mark.parametrize("forged", ["no token", "another person's page", "another site's form"])
def test_10_another_site_cannot_let_a_waiting_request_go_on(browse: Browse, forged: str):
    """A request waits; who signed in meanwhile is offered to go on, and only asked."""
    surfer = browse()
    waiting = authorize(surfer, "waiting").path
    path = f"{waiting}/continue"
    enter(surfer, surfer.get("/signin"))
    token = surfer.get(waiting).form(path).value("form_token")
    if forged == "another person's page":
        enter(surfer, authorize(surfer, "other", prompt="login consent"), "chen")
    data = {} if forged == "no token" else {"form_token": token}

    answer = raw(surfer, "POST", path, data, EVIL if "site" in forged else None)

    assert answer.status_code == 403


def test_12_a_page_of_the_sign_in_tells_the_next_site_nothing(browse: Browse):
    surfer = browse()
    signin = authorize(surfer, "s")
    consent = enter(surfer, signin)

    for page in (signin, consent):
        assert page.answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert page.answer.headers["cache-control"] == "no-store"


def test_33_a_page_does_not_tell_who_has_an_account(browse: Browse):
    surfer = browse()

    def shown(username: str) -> str:
        page = surfer.get("/signin")
        data = {"username": username, "password": "wrong", "form_token": token_on(page)}
        answer = raw(surfer, "POST", "/signin", data)
        text = re.sub(r'name="form_token" value="[^"]*"', "", answer.text)
        return f"{answer.status_code} " + text.replace(f'value="{username}"', "")

    assert shown("lin") == shown("nobody-has-this-name")


def test_a_text_that_the_database_cannot_hold_is_refused_at_the_door(browse: Browse):
    """PostgreSQL would answer a NUL with a fault of ours."""
    surfer = browse()
    data = {**PASSWORD, "username": "li\0n", "form_token": token_on(surfer.get("/signin"))}

    assert raw(surfer, "POST", "/signin", data).status_code == 400
