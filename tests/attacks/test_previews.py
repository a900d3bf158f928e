"""Attack 51: link previews, scanners of mail, prefetching browsers and reloads fetch addresses."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from exchange.models import show_codes
from foundation.database import Tx
from ledger.models import ledger_accesses
from tests.portal.citizen.test_pages import shown_code
from tests.portal.conftest import Browse, Licence, app, browse, house, permit  # noqa: F401
from tests.portal.surfer import Page, Surfer

HOLDER = "陈静怡"
MACHINES = {
    "a reload": ("GET", {"cache-control": "max-age=0"}),
    "a prefetching browser": ("GET", {"sec-purpose": "prefetch;prerender", "purpose": "prefetch"}),
    "a link preview": ("GET", {"user-agent": "WhatsApp/2.23 preview", "accept": "*/*"}),
    "a scanner of mail": ("HEAD", {}),
    "one that asks what there is": ("OPTIONS", {}),
}


@pytest.fixture
def address(browse: Browse, permit: Licence) -> str:
    """Where Chen's code of this minute leads."""
    chen = browse("chen")
    path = f"/me/certificates/{permit.identifier}/show"
    return urlsplit(shown_code(chen.send(chen.get(path), path))).path


@pytest.fixture
def everything(house) -> Callable[[], tuple[object, object]]:
    """What opening a code would change: the codes, and the entries about people."""

    def rows(tx: Tx) -> tuple[object, object]:
        accesses = tx.execute(ledger_accesses.select().order_by(ledger_accesses.c.entry_id)).all()
        return tx.execute(show_codes.select()).all(), accesses

    def now() -> tuple[object, object]:
        with house.database.read() as tx:
            return rows(tx)

    return now


def fetch(surfer: Surfer, method: str, path: str, headers: dict[str, str]):
    return surfer._runner.run(surfer._client.request(method, path, headers=headers))


def entry_on(page: Page) -> str:
    return re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", page.text)[-1]


@pytest.mark.parametrize("who", MACHINES)
def test_51_fetching_the_address_of_a_show_code_changes_nothing(
    browse: Browse,
    address: str,
    everything,
    who: str,
):
    method, headers = MACHINES[who]
    before = everything()

    answers = [fetch(browse(), method, address, headers) for _ in range(3)]

    assert everything() == before
    assert all(HOLDER not in answer.text for answer in answers)
    person = browse()
    assert HOLDER in person.send(person.get(address), address).text


def test_51_whoever_opened_it_may_reload_and_nobody_else_sees_it(
    browse: Browse,
    address: str,
    everything,
):
    person, other = browse(), browse()
    first = person.send(person.get(address), address)
    after = everything()

    again = [person.get(address), person.get(address), person.get(f"{address}?lang=zh-Hans")]

    assert first.title.startswith("Valid")
    assert {entry_on(page) for page in (first, *again)} == {entry_on(first)}
    assert HOLDER not in other.get(address).text
    assert everything() == after
    refused = other.send(other.get(address), address)
    assert (refused.status, HOLDER in refused.text) == (410, False)


def test_51_a_form_sent_twice_is_one_look(browse: Browse, address: str, everything):
    person = browse()
    page = person.get(address)
    first = person.send(page, address)
    after = everything()

    second = person.send(page, address)

    assert second.status == 200
    assert entry_on(second) == entry_on(first)
    assert everything() == after


def test_51_a_form_from_elsewhere_opens_nothing(browse: Browse, address: str, everything):
    person = browse()
    token = person.get(address).form(address).value("form_token")
    before = everything()

    for data, headers in (
        ({}, {}),
        ({"form_token": token}, {"origin": "https://evil.test", "sec-fetch-site": "cross-site"}),
        ({"form_token": "a.b"}, {}),
    ):
        assert person.post(address, data, headers=headers).status == 403

    assert everything() == before


def test_51_the_cookie_is_for_this_address_alone_and_ends_with_the_code(
    browse: Browse,
    address: str,
):
    person = browse()
    token = person.get(address).form(address).value("form_token")

    answer = person._runner.run(person._client.post(address, data={"form_token": token}))

    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("yz_shown=")
    assert f"Path={address};" in cookie
    assert "HttpOnly" in cookie
    assert 0 < int(re.search(r"Max-Age=(\d+)", cookie)[1]) <= 60


def test_51_the_holder_ends_what_is_being_looked_at(browse: Browse, permit: Licence):
    chen, person = browse("chen"), browse()
    path = f"/me/certificates/{permit.identifier}/show"
    shown = chen.send(chen.get(path), path)
    address = urlsplit(shown_code(shown)).path
    assert HOLDER in person.send(person.get(address), address).text

    chen.send(shown, f"{path}/end")

    late = person.get(address)
    assert (late.status, HOLDER in late.text) == (410, False)


def test_51_a_revocation_ends_what_is_being_looked_at(
    browse: Browse, permit: Licence, address: str
):
    person, officer = browse(), browse("sun")
    assert HOLDER in person.send(person.get(address), address).text

    path = f"/staff/certificates/{permit.identifier}/revoke"
    page = officer.get(path)
    reason = page.html.partition("<select")[2].split('value="')[2].split('"')[0]
    officer.send(page, path, reason_code=reason)

    late = person.get(address)
    assert (late.status, HOLDER in late.text) == (410, False)


@pytest.mark.parametrize(
    ("language", "button"), [("en", "Look at it"), ("zh-CN", "立即查验"), ("zh-TW", "立即查驗")]
)
def test_51_the_question_is_asked_in_each_language_and_is_not_kept(
    browse: Browse,
    address: str,
    language: str,
    button: str,
):
    page = browse("", language).get(address)

    assert (page.status, button in page.text) == (200, True)
    assert page.answer.headers["cache-control"] == "no-store"
    assert page.answer.headers["x-robots-tag"] == "noindex"
