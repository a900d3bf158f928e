"""The journeys clicked through in Chromium, as people do it, and what the pages owe their eyes.

Accessibility is judged by axe-core (WCAG 2.2 A and AA); a broken page proves that it would speak.
"""

import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from certificates.rules import REASONS, State
from foundation.actor import SYSTEM
from idp.clients.presentation import drawn
from idp.clients.remote_metadata import Vouched
from server.assembly import Installation
from server.sandbox import seeds
from tests.portal.conftest import Licence, issue, permit_fields
from tests.portal.live import serving
from tests.portal.surfer import query

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SAMPLE = Path("certificates/samples/chicago-business-licences.csv")
CHICAGO = "chicago-business-licence"
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
WIDTHS = (320, 375, 1280)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with serving(tmp_path_factory.mktemp("live")) as house:
        yield house


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


Open = Callable[..., Page]


@pytest.fixture
def window(live: Installation, chromium: Browser) -> Iterator[Open]:
    """`window()` is nobody's browser, `window("chen")` has signed in by hand."""
    contexts: list[BrowserContext] = []

    def open_window(username: str = "", **options: Any) -> Page:
        chosen = {"locale": "en", "base_url": live.settings.public_url} | options
        context = chromium.new_context(**chosen)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        if username:
            sign_in(page, username)
        return page

    yield open_window
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def permit(live: Installation) -> Licence:
    return issue(live, "zhao", "sun", "residence-permit", permit_fields())


def sign_in(page: Page, username: str) -> None:
    page.goto("/signin")
    fill_in(page, username)


def fill_in(page: Page, username: str) -> None:
    page.fill("#username", username)
    page.fill("#password", seeds.PASSWORD)
    page.click("#submit")


# --- journeys -----------------------------------------------------------------------------------


def test_a_citizen_signs_in_for_a_service_and_agrees(window: Open):
    page = window()
    begin(page, "journey")
    expect(page.get_by_text("Shili Citizen Services")).to_be_visible()
    fill_in(page, "chen")
    page.get_by_label("Full name").check()
    answer = allow(page)
    assert answer["state"] == "journey"
    assert answer["code"]


@pytest.mark.parametrize("scripts", [True, False])
def test_two_tabs_wait_and_one_sign_in_serves_both(window: Open, scripts):
    first = window(java_script_enabled=scripts)
    second = first.context.new_page()
    begin(first, "first")
    begin(second, "second")
    fill_in(second, "lin")
    first.reload()
    expect(first.get_by_label("User name")).to_be_visible()  # somebody else may still sign in
    first.get_by_role("button", name="Continue as 林志强").click()
    assert allow(second)["state"] == "second"
    first.reload()
    assert allow(first)["state"] == "first"


def begin(page: Page, state: str, **changes: str) -> None:
    """A service sends its person here."""
    page.goto("/oauth/authorize?" + urlencode(authorization(state, **changes)))


def authorization(state: str, **changes: str) -> dict[str, str]:
    """What a service asks."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    return {
        "response_type": "code",
        "client_id": seeds.SERVICES.client_id,
        "redirect_uri": seeds.CALLBACK,
        "scope": "openid profile",
        "prompt": "consent",
        "state": state,
        "nonce": "n",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    } | changes


def allow(page: Page) -> dict[str, str]:
    """Agree; what the browser then brings to the service, which does not run here."""
    with page.expect_request("http://127.0.0.1:8765/**") as brought:
        page.get_by_role("button", name="Allow and continue").click()
    return query(brought.value.url)


def test_a_licence_is_drafted_with_a_mistake_put_right_reviewed_sealed_shown_and_verified(
    live: Installation, window: Open
):
    """The whole way of one certificate, by three people at three screens."""
    zhao = window("zhao")
    zhao.get_by_role("link", name="Residence Permit").click()
    for name, value in permit_fields(resident_number="990001199003070021").items():
        field = zhao.locator(f"[name={name}]")
        field.select_option(value) if name == "sex" else field.fill(value)
    zhao.get_by_role("button", name="Preview").click()
    expect(zhao.locator("#errors")).to_be_focused()  # the reader is led to the list of mistakes
    zhao.locator("#errors a").click()
    expect(zhao.locator("#resident_number")).to_be_focused()
    assert zhao.locator("[name=residence_address]").input_value() == "示例市平江路17号3幢201室"
    zhao.fill("[name=resident_number]", seeds.CHEN.id_number)
    zhao.get_by_role("button", name="Preview").click()
    picture = zhao.locator(".page-image")
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 600
    zhao.get_by_role("button", name="Send").click()
    draft = zhao.url.split("/")[-2]

    sun = window("sun")
    sun.locator(f'a[href="/staff/review/{draft}"]').click()
    expect(sun.locator(".page-image")).to_be_visible()
    sun.locator("#approve").click()
    sun.get_by_role("link", name="Open the certificate").click()  # the page reloads until sealed
    identifier = sun.url.split("/")[-1]

    chen = window("chen")
    chen.locator(f'a[href="/me/certificates/{identifier}"]').click()
    chen.get_by_role("button", name="Show").click()
    expect(chen.locator(".qr")).to_be_visible()
    clock = chen.locator(".clock")
    expect(clock).to_have_text(re.compile(r"0:[0-5]\d"))
    expect(clock).not_to_have_text(clock.inner_text())  # it runs
    photo = chen.locator(".code").screenshot()

    public = window()
    public.goto("/verify")
    public.set_input_files("#photo", {"name": "p.png", "mimeType": "image/png", "buffer": photo})
    public.get_by_role("button", name="Read").click()
    public.get_by_role("button", name="Look at it").click()
    expect(public.locator("h1")).to_have_text("Valid")
    expect(public.get_by_text("陈静怡")).to_be_visible()
    public.reload()
    expect(public.get_by_text("陈静怡")).to_be_visible()

    chen.goto("/me/access")
    expect(chen.get_by_text("Shown by the holder").first).to_be_visible()


def test_anybody_verifies_by_number_and_by_file(
    live: Installation, window: Open, permit: Licence, tmp_path
):
    page = window()
    page.goto("/verify")
    page.fill("#number", permit.number)
    page.press("#number", "Enter")
    expect(page.locator("h1")).to_have_text("Valid")
    chen = live.idp.people.find("chen")
    assert chen
    file = tmp_path / "licence.pdf"
    file.write_bytes(live.certificates.pdf(chen.actor, permit.identifier))
    page.goto("/verify")
    page.set_input_files("#document", file)
    page.get_by_role("button", name="Verify the file").click()
    expect(page.locator("h1")).to_have_text("Valid")


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_a_register_is_issued_in_bulk_with_live_progress(window: Open, scripts: bool, tmp_path):
    header, *rows = SAMPLE.read_bytes().splitlines(keepends=True)
    half = rows[:100] if scripts else rows[100:200]
    table = tmp_path / "chicago.csv"
    table.write_bytes(header + b"".join(half))
    adams = window("adams", java_script_enabled=scripts)
    adams.goto("/staff/bulk")
    adams.select_option("#type", "chicago-business-licence")
    adams.select_option("#mapping", "chicago")
    adams.set_input_files("#file", table)
    adams.get_by_role("button", name="Check the file").click()
    expect(adams.get_by_text("Every row is right")).to_be_visible()
    adams.get_by_role("button", name="Send to a second officer").click()

    baker = window("baker", java_script_enabled=scripts)
    baker.goto("/staff/bulk")
    baker.get_by_role("link", name="chicago.csv").first.click()
    baker.locator("#approve").click(no_wait_after=True)
    # One line is visible at any time, and it changes until all is done.
    last = baker.locator(".tick-line:visible")
    expect(last.get_by_text("All done.")).to_be_visible(timeout=60_000)
    assert baker.locator(".tick-line:visible").count() == 1
    expect(last.get_by_text("100 of 100 issued")).to_be_visible()
    baker.get_by_role("link", name="See the result").click()
    expect(baker.get_by_text("100 certificates")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_progress_is_seen_while_its_page_is_still_being_written(
    window: Open, tmp_path: Path, scripts: bool
):
    """Nobody does the work here, so the page stays open as long as a page may."""
    header, *rows = SAMPLE.read_bytes().splitlines(keepends=True)
    with serving(tmp_path, working=False) as idle:
        adams, baker = (idle.idp.people.find(name).actor for name in ("adams", "baker"))
        table = header + b"".join(rows[200:210])
        batch = idle.batches.upload(adams, CHICAGO, "chicago", table, "streamed.csv")
        batch = idle.batches.submit(adams, batch.id)
        idle.batches.approve(baker, batch.id, batch.content_digest)

        page = window("baker", base_url=idle.settings.public_url, java_script_enabled=scripts)
        page.goto(f"/staff/bulk/{batch.id}/progress", wait_until="commit")
        seen = page.locator(".tick-line:visible")
        for lines in (1, 2):
            expect(page.locator(".tick-line")).to_have_count(lines)
            expect(seen).to_have_count(1)
            expect(seen).to_contain_text("0 of 10 issued")
            assert page.evaluate("document.readyState") == "loading"
        idle.batches.pause(baker, batch.id)
        expect(seen.get_by_text("Issuing is paused.")).to_be_visible()


def test_a_forgotten_show_page_hides_its_code_by_itself(window: Open, permit: Licence):
    """The screen of a phone that was put down must not go on showing a certificate."""
    page = window("chen")
    page.clock.install()
    page.goto(f"/me/certificates/{permit.identifier}/show")
    page.locator("main button[type=submit]").click()
    expect(page.locator(".gone")).to_be_hidden()
    page.evaluate("document.getAnimations().forEach(a => a.finish())")
    expect(page.locator(".gone")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_what_is_shown_is_opened_by_a_person_and_may_be_loaded_again(
    live: Installation, window: Open, permit: Licence, scripts: bool
):
    chen = live.idp.people.find("chen").actor
    path = f"/v/{live.verifications.create_show_code(chen, permit.identifier).token}"
    page, neighbour = window(java_script_enabled=scripts), window(java_script_enabled=scripts)
    for _ in range(3):
        page.goto(path)
    page.get_by_role("button", name="Look at it").dblclick(no_wait_after=True)
    expect(page.locator("h1")).to_have_text("Valid")
    for look_again in (page.reload, lambda: page.goto("/help") and page.go_back()):
        look_again()
        expect(page.get_by_text("陈静怡")).to_be_visible()
    neighbour.goto(path)
    neighbour.get_by_role("button", name="Look at it").click()
    expect(neighbour.get_by_text("陈静怡")).to_have_count(0)


# --- what pages owe eyes, hands and ears --------------------------------------------------------

PUBLIC = (
    "/",
    "/signin",
    "/verify",
    "/verify/document",
    "/issuers",
    "/status",
    "/help",
    "/developers",
    "/v/show-AAAAAAAAAAAAAAAAAAAAAA",
    "/nothing",
)
CITIZEN = (
    "/me",
    "/me/access",
    "/me/certificates/{identifier}",
    "/me/certificates/{identifier}/show",
)
OFFICE = (
    "/staff",
    "/staff/drafts/new?type=residence-permit",
    "/staff/certificates",
    "/staff/certificates/{identifier}",
    "/staff/certificates/{identifier}/suspend",
    "/staff/bulk",
    "/staff/seals",
    "/staff/seals/new",
)
READERS = (("", PUBLIC), ("chen", CITIZEN), ("sun", OFFICE))


def each_page(window: Open, permit: Licence, **options: Any) -> Iterator[Page]:
    """Every main page, opened by somebody who may."""
    for reader, paths in READERS:
        page = window(reader, **options)
        for path in paths:
            page.goto(path.format(identifier=permit.identifier))
            yield page
    yield from pages_of_a_sign_in(window(**options))


def pages_of_a_sign_in(page: Page) -> Iterator[Page]:
    """Seen by whom a service sent: sign-in, consent, a tab that waited meanwhile, a refusal."""
    begin(page, "waits")
    waiting = page.url
    yield page
    begin(page, "goes on")
    fill_in(page, "long")
    page.wait_for_url("**/consent/**")
    yield page
    page.goto(waiting)
    yield page
    begin(page, "refused", redirect_uri="https://elsewhere.test/")
    yield page


@pytest.fixture(scope="module")
def presented(live: Installation) -> str:
    """A service with a picture and rules of its own, that asks for much."""
    picture = io.BytesIO()
    Image.new("RGB", (400, 160), "#1b684d").save(picture, "PNG")
    logo = drawn(picture.getvalue())
    links = {each: f"https://shili.example/{each}" for each in ("zh-Hans", "zh-Hant", "en")}
    client = replace(
        seeds.SERVICES,
        client_id="presented",
        scopes=("openid", "profile", "email", "phone", "identity"),
        claims=("name", "preferred_username", "locale", "email", "phone_number", "id_number"),
        logo_uri="https://shili.example/logo.png",
        logo=logo.digest,
        policy_uri={each: f"{uri}/privacy" for each, uri in links.items()},
        tos_uri=links,
    )
    with live.database.write() as tx:
        live.idp.clients.register(tx, Vouched(client, logo.content), by=SYSTEM)
    return client.client_id


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize(
    ("locale", "words", "path"),
    [
        ("en", "Terms of use (their page)", "en"),
        ("zh-CN", "使用条款（打开对方网页）", "zh-Hans"),
        ("zh-TW", "使用條款（開啟對方網頁）", "zh-Hant"),
    ],
)
def test_consent_shows_the_picture_and_the_rules_of_who_asks(
    window: Open,
    presented: str,
    tmp_path: Path,
    scheme: str,
    width: int,
    locale: str,
    words: str,
    path: str,
):
    options = {
        "color_scheme": scheme,
        "locale": locale,
        "viewport": {"width": width, "height": 800},
    }
    page = window(**options)
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text))
    begin(page, "presented", client_id=presented, scope="openid profile email phone identity")
    page.fill("#username", "long")
    page.fill("#password", seeds.PASSWORD)
    page.press("#password", "Enter")
    page.wait_for_url("**/consent/**")

    logo = page.locator("main img")
    expect(logo).to_be_visible()
    assert logo.evaluate("it => it.complete && it.naturalWidth") == 256
    link = page.get_by_role("link", name=words)
    assert link.get_attribute("href") == f"https://shili.example/{path}"
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert page.locator('input[name="claim"]').count() == 6
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert refused == [], "the policy of our pages lets the picture in"
    page.screenshot(path=tmp_path / "consent.png", full_page=True)
    with_axe = window(**options, bypass_csp=True)
    begin(with_axe, "axe", client_id=presented, scope="openid profile email")
    fill_in(with_axe, "long")
    with_axe.wait_for_url("**/consent/**")
    assert _violations(with_axe) == {}


def refused_form(page: Page) -> None:
    page.goto("/verify")
    page.press("#number", "Enter")
    expect(page.locator("#errors")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_screen(window: Open, permit: Licence, width: int):
    wide = [
        (page.url, page.evaluate("document.documentElement.scrollWidth"))
        for page in each_page(window, permit, viewport={"width": width, "height": 720})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth")
    ]
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en", "zh-CN", "zh-TW"])
def test_axe_finds_nothing_on_any_page(window: Open, permit: Licence, scheme: str, locale: str):
    found: dict[str, list[str]] = {}
    options = {"color_scheme": scheme, "locale": locale, "bypass_csp": True}
    for page in each_page(window, permit, **options):
        found |= _violations(page)
    page = window(**options)
    refused_form(page)
    found |= _violations(page)
    page.goto("/verify")
    page.fill("#number", permit.number)
    page.press("#number", "Enter")
    page.wait_for_selector(".verdict")
    assert found | _violations(page) == {}


@pytest.mark.parametrize("locale", ["en", "zh-CN", "zh-TW"])
def test_the_pages_of_permits_fit_the_screen_and_axe_finds_nothing(
    window: Open, live: Installation, locale: str
):
    zhao, sun = (live.idp.people.find(name).actor for name in ("zhao", "sun"))
    seal, now = live.seals.for_owner(zhao.organisation)[0].id, live.clock()
    with live.database.write() as tx:
        waiting, granted = (
            live.seals.permits.ask(
                tx,
                seal,
                purpose="2026 年度年检通知" * 4,
                quota=9,
                by=zhao,
                now=now,
                until=now + DAY,
            )
            for _ in range(2)
        )
        live.seals.permits.approve(tx, granted, by=sun, now=now)
    permits = f"/staff/seals/{seal}/permits"
    pages = (permits, f"{permits}/new", f"{permits}/{waiting}", f"{permits}/{granted}")

    found: dict[str, list[str]] = {}
    for reader in ("zhao", "sun"):
        for width in WIDTHS:
            page = window(
                reader, locale=locale, bypass_csp=True, viewport={"width": width, "height": 720}
            )
            for path in pages:
                page.goto(path)
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
                found |= _violations(page)
    assert found == {}


def _violations(page: Page) -> dict[str, list[str]]:
    """Broken rules by page; empty when there are none."""
    results = Axe().run(page, options=WCAG).response
    broken = [
        f"{each['id']}: {node['html'][:120]}"
        for each in results["violations"]
        for node in each["nodes"]
    ]
    assert results["passes"], "axe did not look at anything"
    return {page.url: broken} if broken else {}


def test_axe_would_speak_if_a_page_were_broken(window: Open):
    page = window(bypass_csp=True)
    page.goto("/")
    page.evaluate("document.querySelector('main').innerHTML += '<img src=/favicon.ico>'")
    assert "image-alt" in str(_violations(page))


def test_a_page_runs_no_script_that_was_put_into_it(window: Open):
    page = window()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto("/")
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        "document.body.append(s)"
    )
    assert page.evaluate("window.bad") is None
    assert any("Content Security Policy" in text for text in refused)


def test_pages_say_nothing_on_the_console_and_ask_nobody_else(window: Open, permit: Licence, live):
    said: list[str] = []
    asked: set[str] = set()
    for reader, paths in READERS:
        page = window(reader)
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.add("/".join(request.url.split("/")[:3])))
        for path in paths:
            if path != "/nothing":
                page.goto(path.format(identifier=permit.identifier))
    assert said == []
    assert asked == {live.settings.public_url}


def test_every_stop_of_the_tab_key_can_be_seen(window: Open):
    page = window()
    page.goto("/verify")
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            "return [e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)] })()"
        )
        assert outline[1] != "none", outline
        assert outline[2] >= 2, outline


def test_the_first_stop_leads_past_the_menu(window: Open):
    page = window()
    page.goto("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_form_is_sent_once_even_when_its_button_is_pressed_twice(window: Open):
    page = window()
    page.goto("/verify")
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            sent.append(request.url)

    page.on("request", note)
    page.fill("#number", "JY1")
    page.get_by_role("button", name="Verify", exact=True).dblclick()
    expect(page.locator(".verdict")).to_be_visible()
    assert len(sent) == 1


def test_the_verdict_can_be_printed_without_menus(window: Open, permit: Licence):
    page = window()
    page.goto("/verify")
    page.fill("#number", permit.number)
    page.press("#number", "Enter")
    page.emulate_media(media="print")
    expect(page.locator("nav.languages")).to_be_hidden()
    expect(page.locator(".verdict")).to_be_visible()


def test_commands_for_developers_are_copied_by_a_button(window: Open, live: Installation):
    page = window(permissions=["clipboard-read", "clipboard-write"])
    page.goto("/developers")
    page.locator('[data-copy="code-purposes"]').click()
    expect(page.locator('[data-copy="code-purposes"]')).to_have_text("Copied")
    assert live.settings.public_url in page.evaluate("navigator.clipboard.readText()")


def test_without_scripts_no_button_is_there_that_needs_one(window: Open):
    page = window(java_script_enabled=False)
    page.goto("/developers")
    assert page.locator("[data-script]:visible").count() == 0


def test_the_code_on_the_screen_is_large_enough_for_a_camera(window: Open, permit: Licence):
    page = window("chen", viewport={"width": 375, "height": 760})
    page.goto(f"/me/certificates/{permit.identifier}/show")
    page.locator("main button[type=submit]").click()
    picture = Image.open(io.BytesIO(page.locator(".qr").screenshot()))
    assert picture.width >= 280


@pytest.mark.parametrize("width", [375, 1280])
def test_a_state_that_ended_stands_above_its_download_and_a_specimen_is_told(
    live: Installation, window: Open, width
):
    over = issue(live, "zhao", "sun", "residence-permit", permit_fields())
    sun = live.idp.people.find("sun").actor
    reason = REASONS[State.REVOKED][0].code
    live.certificates.change_state(sun, over.identifier, State.REVOKED, reason, "")
    page = window("chen", viewport={"width": width, "height": 900})
    page.goto(f"/me/certificates/{over.identifier}")
    state = page.locator("h1 ~ p .chip").first.bounding_box()
    download = page.get_by_role("link", name="Download the sealed PDF").bounding_box()
    assert state["y"] + state["height"] <= download["y"]
    expect(page.locator("main .specimen")).to_be_visible()
    assert _violations(page) == {}
    page.emulate_media(media="print")
    expect(page.locator("p.sandbox")).to_be_visible()
