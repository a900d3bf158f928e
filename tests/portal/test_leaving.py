"""Ways out of our pages in Chromium, which checks what other browsers let pass.

A service rarely ends at its callback: it sends its people on, here to an application of another
origin. Chromium applies a page's `form-action` to every redirect that follows its form, our opener
policy to pop-ups, and our frame rules to silent renewals.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from foundation.actor import SYSTEM
from server.assembly import Installation
from server.sandbox import seeds
from tests.portal.service import two_origins
from tests.portal.surfer import query
from tests.portal.test_browser import (  # noqa: F401 - fixtures
    ARGUMENTS,
    CHROMIUM,
    Open,
    authorization,
    begin,
    chromium,
    fill_in,
    live,
    sign_in,
    window,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NO_COOKIES = "Your browser keeps no cookies of this site"
ALLOW, DENY = "Allow and continue", "Do not allow"
Origins = tuple[str, str]


@pytest.fixture(scope="module")
def service(live: Installation) -> Iterator[Origins]:  # noqa: F811
    """A service whose portal sends its people on to an application of another origin.

    Under the name `localhost` its portal is of one site with us, as a service of one country is.
    """
    with two_origins() as (portal, application):
        places = [
            f"{each}/{path}" for each in (portal, near(portal)) for path in ("callback", "stay")
        ]
        client = replace(
            seeds.SERVICES,
            client_id="two-origins",
            profile="standard",
            token_endpoint_auth_method="client_secret_basic",
            redirect_uris=tuple(places),
            post_logout_redirect_uris=(f"{portal}/callback",),
        )
        with live.database.write() as tx:
            live.idp.clients.register(tx, client, by=SYSTEM)
        yield portal, application


def near(origin: str) -> str:
    return origin.replace("127.0.0.1", "localhost")


def ask(page: Page, service: Origins, state: str, **changes: str) -> None:
    asked = {"client_id": "two-origins", "redirect_uri": f"{service[0]}/callback"}
    begin(page, state, **(asked | changes))


def post(page: Page, target: str, fields: dict[str, str]) -> None:
    """By a form on the page of another site."""
    page.evaluate(
        """([target, fields]) => {
            const form = document.createElement('form');
            form.method = 'post';
            form.action = target;
            for (const [name, value] of Object.entries(fields)) {
                const input = form.appendChild(document.createElement('input'));
                [input.name, input.value] = [name, value];
            }
            document.body.append(form);
            form.submit();
        }""",
        [target, fields],
    )


def arrives(page: Page, service: Origins, said: str = "") -> None:
    """At the application behind the portal's redirect."""
    page.wait_for_url(f"{service[1]}/callback{said}")
    expect(page.get_by_text("arrived")).to_be_visible()


# --- every form that leads away -------------------------------------------------------------------


def test_the_password(window: Open, service: Origins):  # noqa: F811
    page = window()
    ask(page, service, "first")
    fill_in(page, "chen")
    page.get_by_role("button", name=ALLOW).click()
    arrives(page, service, "?*state=first*")
    ask(page, service, "again", prompt="login")
    fill_in(page, "chen")  # whose consent is remembered: the password's POST itself leaves
    arrives(page, service, "?*state=again*")


@pytest.mark.parametrize("answer", [ALLOW, DENY])
@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_the_consent(window: Open, service: Origins, answer: str, scripts: bool):  # noqa: F811
    page = window(java_script_enabled=scripts)
    ask(page, service, "asked")
    fill_in(page, "lin")
    page.get_by_role("button", name=answer).click()
    arrives(page, service, "?*code=*" if answer == ALLOW else "?*access_denied*")


def test_the_offer_to_go_on_as_who_signed_in_meanwhile(window: Open, service: Origins):  # noqa: F811
    page = window()
    ask(page, service, "agreed")
    fill_in(page, "zhao")
    page.get_by_role("button", name=ALLOW).click()
    page.context.clear_cookies()
    ask(page, service, "waits", prompt="")
    waiting = page.url
    sign_in(page, "zhao")
    page.goto(waiting)
    page.get_by_role("button", name="Continue as").click()
    arrives(page, service, "?*state=waits*")


def test_a_sign_in_of_ours_that_leads_on_to_a_request(window: Open, service: Origins):  # noqa: F811
    page = window()
    ask(page, service, "agreed")
    fill_in(page, "sun")
    page.get_by_role("button", name=ALLOW).click()
    page.context.clear_cookies()
    asked = {
        "client_id": "two-origins",
        "redirect_uri": f"{service[0]}/callback",
        "prompt": "",
        "scope": "openid profile",
    }
    back = "/oauth/authorize?" + urlencode(authorization("by-next", **asked))
    page.goto("/signin?" + urlencode({"next": back}))
    fill_in(page, "sun")
    arrives(page, service, "?*state=by-next*")


@pytest.mark.parametrize("answer", [ALLOW, DENY])
@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_an_answer_by_form(window: Open, service: Origins, answer: str, scripts: bool):  # noqa: F811
    page = window(java_script_enabled=scripts)
    ask(page, service, "posted", response_mode="form_post")
    fill_in(page, "lin")
    page.get_by_role("button", name=answer).click()
    if not scripts:
        page.locator("#submit").click()
    arrives(page, service)


def test_the_question_whether_to_sign_out(window: Open, service: Origins):  # noqa: F811
    page = window("chen")
    back = f"{service[0]}/callback"
    asked = {"client_id": "two-origins", "post_logout_redirect_uri": back, "state": "out"}
    page.goto("/oauth/logout?" + urlencode(asked))
    page.get_by_role("button", name="Sign out").last.click()
    arrives(page, service, "?state=out")


def test_a_request_and_a_sign_out_by_form_of_the_service(
    window: Open,  # noqa: F811
    service: Origins,
    live: Installation,  # noqa: F811
):
    """Whose own page has no policy; ours has, and what was posted is in no address on the way."""
    page = window()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.goto(f"{service[0]}/stay")
    asked = {"client_id": "two-origins", "redirect_uri": f"{service[0]}/callback"}
    origin = live.settings.issuer
    post(page, f"{origin}/oauth/authorize", authorization("by-form", login_hint="hua", **asked))
    page.wait_for_url("**/signin/*")
    assert page.input_value("#username") == "hua"
    fill_in(page, "chen")
    page.get_by_role("button", name=ALLOW).click()
    arrives(page, service, "?*state=by-form*")

    page.goto(f"{service[0]}/stay")
    back = f"{service[0]}/callback"
    fields = {"client_id": "two-origins", "post_logout_redirect_uri": back, "state": "over"}
    post(page, f"{origin}/oauth/logout", fields)
    page.get_by_role("button", name="Sign out").last.click()
    arrives(page, service, "?state=over")
    ours = [url for url in seen if url.startswith(origin)]
    assert not [url for url in ours if "hua" in url or "post_logout" in url]


def test_a_session_that_ended_during_consent(window: Open, service: Origins):  # noqa: F811
    page = window()
    ask(page, service, "ended")
    fill_in(page, "chen")
    page.wait_for_url("**/consent/*")
    other = page.context.new_page()
    other.goto("/me")
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url("**/signed-out")
    page.get_by_role("button", name=ALLOW).click()
    page.wait_for_url("**/signin/*")
    fill_in(page, "chen")
    page.get_by_role("button", name=ALLOW).click()
    arrives(page, service, "?*state=ended*")


# --- pop-ups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("answer", [ALLOW, DENY])
def test_a_pop_up_finishes_and_is_still_known_to_the_page_that_opened_it(
    window: Open,  # noqa: F811
    service: Origins,
    mode: str,
    answer: str,
):
    portal, _ = service
    opener, pop_up = popped_up(window(), portal)
    ask(pop_up, service, "refused", redirect_uri="https://elsewhere.test/")
    assert opener.evaluate("window.popUp.closed") is False, "after an error"
    pop_up.goto("/signin/no-such-interaction")
    assert opener.evaluate("window.popUp.closed") is False, "after an error of ours"

    ask(pop_up, service, "pop-up", redirect_uri=f"{portal}/stay", response_mode=mode)
    fill_in(pop_up, "long")
    pop_up.get_by_role("button", name=answer).click()
    pop_up.wait_for_url(f"{portal}/stay*")
    assert opener.evaluate("window.popUp.closed") is False
    assert pop_up.evaluate("window.opener === null") is False

    pop_up.goto("/oauth/logout?client_id=two-origins")
    pop_up.get_by_role("button", name="Sign out").last.click()
    pop_up.wait_for_url("**/signed-out")
    assert opener.evaluate("window.popUp.closed") is False, "after signing out"


def test_other_pages_are_parted_from_whoever_opened_them(window: Open, service: Origins):  # noqa: F811
    opener, pop_up = popped_up(window(), service[0])
    pop_up.goto("/verify")
    assert opener.evaluate("window.popUp.closed") is True


def popped_up(opener: Page, portal: str) -> tuple[Page, Page]:
    opener.goto(f"{portal}/opener")
    with opener.expect_popup() as opened:
        opener.evaluate("() => { window.popUp = window.open('about:blank') }")
    return opener, opened.value


# --- frames -------------------------------------------------------------------------------------


def framed(page: Page, origin: str, mode: str, live: Installation) -> dict[str, str]:  # noqa: F811
    """What a hidden frame on the service's page comes back with (`prompt=none`)."""
    asked = {
        "client_id": "two-origins",
        "redirect_uri": f"{origin}/stay",
        "prompt": "none",
        "response_mode": mode,
    }
    source = f"{live.settings.issuer}/oauth/authorize?" + urlencode(
        authorization("silent", **asked)
    )
    page.goto(f"{origin}/opener")
    with page.expect_request(f"{origin}/stay*") as brought:
        page.evaluate(
            "source => { document.body.append(document.createElement('iframe'));"
            "document.querySelector('iframe').src = source }",
            source,
        )
    page.frame_locator("iframe").get_by_text("arrived").wait_for(state="attached")
    return query(brought.value.url) or query("?" + (brought.value.post_data or ""))


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_silent_frame_of_a_service_of_this_site_brings_a_code_or_says_why_not(
    window: Open,  # noqa: F811
    service: Origins,
    live: Installation,  # noqa: F811
    mode: str,
):
    page, origin = window(), near(service[0])
    assert framed(page, origin, mode, live)["error"] == "login_required"
    ask(page, service, "loud")
    fill_in(page, "chen")
    page.get_by_role("button", name=ALLOW).click()
    arrives(page, service, "?*")
    answer = framed(page, origin, mode, live)
    assert (answer["state"], "code" in answer) == ("silent", True)


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_silent_frame_of_another_site_has_no_cookies_and_is_told_so(
    window: Open,  # noqa: F811
    service: Origins,
    live: Installation,  # noqa: F811
    mode: str,
):
    page = window("chen")
    assert framed(page, service[0], mode, live)["error"] == "login_required"


# --- cookies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_a_browser_without_cookies_is_told_so_and_not_sent_in_a_circle(
    live: Installation,  # noqa: F811
    chromium: Browser,  # noqa: F811
    service: Origins,
    tmp_path: Path,
    scripts: bool,
):
    chosen = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(chosen))
    with chromium.browser_type.launch_persistent_context(
        tmp_path,
        executable_path=CHROMIUM,
        args=ARGUMENTS,
        locale="en",
        base_url=live.settings.issuer,
        java_script_enabled=scripts,
    ) as context:
        page = context.new_page()
        visited: list[str] = []
        page.on("request", lambda request: visited.append(request.url))
        ask(page, service, "blocked")
        expect(page.locator("h1")).to_have_text(NO_COOKIES)
        assert len([url for url in visited if "/signin/" in url]) == 2
        page.get_by_role("link", name="Try again").click()
        expect(page.locator("h1")).to_have_text(NO_COOKIES)
        sign_in(page, "chen")
        expect(page.locator("h1")).to_have_text(NO_COOKIES)


def test_cookies_that_were_deleted_while_a_form_was_open(window: Open):  # noqa: F811
    page = window()
    page.goto("/signin")
    page.context.clear_cookies()
    fill_in(page, "chen")
    expect(page.locator("h1")).to_have_text(NO_COOKIES)
    page.get_by_role("link", name="Try again").click()
    fill_in(page, "chen")
    page.wait_for_url("**/me")
