"""Attacks 8 to 10 and 12 at the pages themselves: what another site can make a browser do."""

import pytest

from tests.portal.conftest import Browse, app, browse, house  # noqa: F401
from tests.portal.test_signin import authorize, enter

EVIL = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
PASSWORD = {"username": "lin", "password": "yinzheng-sandbox"}


def raw(surfer, method: str, path: str, data=None, headers=None):
    """One request, no redirect followed, with the cookies of this browser."""
    sent = surfer._client.request(method, path, data=data, headers=headers)
    return surfer._runner.run(sent)


def token_on(page) -> str:
    return page.form(page.path).value("form_token")


def test_08_a_password_is_never_posted_on_by_a_redirect(browse: Browse):
    surfer = browse()
    page = authorize(surfer, "s")

    answer = raw(surfer, "POST", page.path, {**PASSWORD, "form_token": token_on(page)})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/consent/")


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


def test_09_another_site_cannot_sign_anybody_out(browse: Browse):
    surfer = browse("lin")

    answers = [
        raw(surfer, "POST", "/signout", {"logout": ""}),
        raw(surfer, "POST", "/signout", {"form_token": "x"}, EVIL),
        raw(surfer, "GET", "/signout"),
    ]

    assert [each.status_code for each in answers] == [403, 403, 200]
    assert surfer.get("/me").path == "/me", "still signed in"


def test_10_another_site_cannot_sign_anybody_in(browse: Browse):
    surfer = browse()
    page = surfer.get("/signin")

    without = raw(surfer, "POST", "/signin", PASSWORD)
    from_elsewhere = raw(
        surfer, "POST", "/signin", {**PASSWORD, "form_token": token_on(page)}, EVIL
    )

    assert (without.status_code, from_elsewhere.status_code) == (403, 403)
    assert surfer.get("/me").path == "/signin"


def test_12_a_page_of_the_sign_in_tells_the_next_site_nothing(browse: Browse):
    surfer = browse()
    signin = authorize(surfer, "s")
    consent = enter(surfer, signin)

    for page in (signin, consent):
        assert page.answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert page.answer.headers["cache-control"] == "no-store"
