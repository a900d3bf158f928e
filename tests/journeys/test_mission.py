"""The mission end to end: over HTTP, with the pages and the API of a house in its own process."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import zxingcpp
from PIL import Image

from server.sandbox import seeds
from server.sandbox.demo import CASE, FOOD, Story
from server.sandbox.visitors import Browser, RelyingParty
from tests.simulators.office import Office
from tests.simulators.officers import sealed


@pytest.fixture
def browser(office: Office) -> Iterator[Callable[[str], Browser]]:
    """Browsers in which somebody is signed in."""
    opened = []

    def signed_in(username: str) -> Browser:
        opened.append(Browser(office.origin))
        opened[-1].sign_in(username, seeds.PASSWORD)
        return opened[-1]

    yield signed_in
    for each in opened:
        each.close()


def test_the_mission_is_walked_from_sign_in_to_a_clean_ledger(office: Office, story: Story) -> None:
    size, problems = office.fsck()

    assert problems == []
    assert size > 30


def test_who_is_signed_in_does_not_sign_in_again_for_the_next_service(
    office: Office, browser: Callable[[str], Browser]
) -> None:
    chen = browser("chen")
    client = seeds.SERVICES
    party = RelyingParty(office.origin, client.client_id, seeds.CALLBACK, "openid")

    signed_in = party.sign_in(chen, "chen", "this password is never asked for")

    assert signed_in.claims["sub"]
    party.close()


def test_a_citizen_shows_a_licence_by_a_code_that_opens_once(
    story: Story, browser: Callable[[str], Browser], office: Office
) -> None:
    wang, li, chen, stranger = (
        browser("wang"),
        browser("li"),
        browser("chen"),
        Browser(office.origin),
    )
    identifier = sealed(wang, li)
    path = f"/me/certificates/{identifier}/show"

    shown = chen.open(path).send(path, {})
    link = read_svg_code(shown.response.text)
    other = Browser(office.origin)
    at = urlsplit(link).path
    first, again = stranger.open(link).send(at, {}), stranger.open(link)
    second = other.open(link).send(at, {})

    assert first.tone == "good"
    assert seeds.RESTAURANT.name in first.text
    assert (again.status, again.text) == (200, first.text)  # as often as this browser likes
    assert (second.status, second.tone) == (410, "")
    stranger.close()
    other.close()


def test_what_is_not_yours_looks_like_what_does_not_exist(
    story: Story, browser: Callable[[str], Browser]
) -> None:
    lin = browser("lin")
    somebody_elses = lin.open(f"/me/certificates/{story.identifier}")
    nothing = lin.open(f"/me/certificates/{story.identifier[:-1]}Z")

    assert somebody_elses.status == nothing.status == 404
    assert somebody_elses.text == nothing.text


def test_an_officer_of_another_department_finds_neither_draft_nor_licence(
    story: Story, browser: Callable[[str], Browser]
) -> None:
    zhao = browser("zhao")

    assert zhao.open(f"/staff/certificates/{story.identifier}").status == 404
    assert zhao.open(f"/staff/drafts/{story.draft}/preview").status == 404
    assert zhao.open(f"/staff/review/{story.draft}").status == 404


def test_the_holder_sees_every_look_and_no_other_citizen_sees_one(
    story: Story, browser: Callable[[str], Browser]
) -> None:
    assert CASE in browser("chen").open("/me/access").text
    assert CASE not in browser("lin").open("/me/access").text


def test_a_draft_with_a_wrong_code_is_refused_at_the_field_with_the_rule(
    browser: Callable[[str], Browser],
) -> None:
    wang = browser("wang")
    wrong = {**FOOD, "organisation_code": FOOD["organisation_code"][:-1] + "Z", "then": "save"}

    page = wang.open("/staff/drafts/new", type="food-business-licence").send("/staff/drafts", wrong)

    assert page.status == 422
    assert "organisation_code-error" in page.response.text
    assert page.form("/staff/drafts").values["operator_name"] == FOOD["operator_name"]


def read_svg_code(html: str) -> str:
    """What the QR code on a page says: its modules, drawn as a picture and read."""
    svg = re.search(r'<svg class="qr" viewBox="0 0 (\d+) .*?<path d="([^"]+)"', html, re.DOTALL)
    assert svg, "the page shows no code"
    side, scale = int(svg.group(1)), 4
    picture = Image.new("L", (side * scale, side * scale), 255)
    for x, y, w, h in rectangles(svg.group(2)):
        picture.paste(0, (x * scale, y * scale, (x + w) * scale, (y + h) * scale))
    return str(zxingcpp.read_barcodes(picture)[0].text)


def rectangles(path: str) -> list[tuple[int, int, int, int]]:
    found = re.findall(r"M(\d+)[ ,](\d+)h(\d+)v(\d+)", path)
    return [(int(x), int(y), int(w), int(h)) for x, y, w, h in found]
